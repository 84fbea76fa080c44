<<application>>

# The application is the client of the pod's token too: its object id is the token's sub. The service account's tokens authenticate
# like a secret of the application.
subject=<<subject>>
credential=<<credential>>
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
