tenant=<<tenant>>
app_id_uri=<<app_id_uri>>
application=<<application_name>>

[[ $(az account show --query tenantId --output tsv) == "$tenant" ]] || die "az is logged in to another tenant than $tenant"

# The application represents AWS.
client=$(az ad app list --identifier-uri "$app_id_uri" --query '[0].appId' --output tsv)
if [[ -z $client ]]; then
    client=$(az ad app create --display-name "$application" --sign-in-audience AzureADMyOrg \
        --identifier-uris "$app_id_uri" --query appId --output tsv)
fi
# accessTokenAcceptedVersion in the portal; determines iss and aud of the tokens.
az ad app update --id "$client" --requested-access-token-version <<token_version>>

# Without a service principal there are no tokens of the application, and none for it.
object=$(az ad sp list --filter "appId eq '$client'" --query '[0].id' --output tsv)
if [[ -z $object ]]; then
    object=$(az ad sp create --id "$client" --query id --output tsv)
fi
