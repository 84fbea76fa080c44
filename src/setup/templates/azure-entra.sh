tenant=<<tenant>>
app_id_uri=<<app_id_uri>>
subject=<<subject>>
credential=<<credential>>

[[ $(az account show --query tenantId --output tsv) == "$tenant" ]] || die "az is logged in to another tenant than $tenant"

# The application represents AWS: it is both the client and the audience of the pod's token.
client=$(az ad app list --identifier-uri "$app_id_uri" --query '[0].appId' --output tsv)
if [[ -z $client ]]; then
    client=$(az ad app create --display-name "$credential" --sign-in-audience AzureADMyOrg \
        --identifier-uris "$app_id_uri" --query appId --output tsv)
fi
# accessTokenAcceptedVersion in the portal; determines iss and aud of the tokens.
az ad app update --id "$client" --requested-access-token-version <<token_version>>

# Without a service principal the application can get no token; its object id is the token's sub.
object=$(az ad sp list --filter "appId eq '$client'" --query '[0].id' --output tsv)
if [[ -z $object ]]; then
    object=$(az ad sp create --id "$client" --query id --output tsv)
fi

# The service account's tokens authenticate like a secret of the application.
known=$(az ad app federated-credential list --id "$client" --query "[?name=='$credential'].name" --output tsv)
trusted="{\"name\": \"$credential\", \"issuer\": \"$issuer\", \"subject\": \"$subject\", \"audiences\": [\"api://AzureADTokenExchange\"]}"
if [[ -z $known ]]; then
    az ad app federated-credential create --id "$client" --parameters "$trusted" --output none
else
    az ad app federated-credential update --id "$client" --federated-credential-id "$credential" --parameters "$trusted"
fi

printf '%s\n' "For the sidecar: AMP_SIDECAR_TOKEN_SOURCE=entra AZURE_TENANT_ID=$tenant AZURE_CLIENT_ID=$client AMP_SIDECAR_ENTRA_SCOPE=$app_id_uri/.default" \
    "Next: amp-sidecar setup aws --via entra --tenant-id $tenant --object-id $object --app-id-uri $app_id_uri<<more>> --account ... --region ... --workspace-id ..." \
    "and:  amp-sidecar setup kubernetes --via entra --tenant-id $tenant --client-id $client --app-id-uri $app_id_uri --account ... --region ... --workspace-id ... --image ..."
