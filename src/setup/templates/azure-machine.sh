<<application>>

# A user-assigned identity outlives the machine, and every instance of a scale set has the same one.
identity=$(az identity create --name amp-sidecar --resource-group "$resource_group" --query id --output tsv)
az <<kind>> identity assign --name "$machine" --resource-group "$resource_group" --identities "$identity" --output none
client=$(az identity show --ids "$identity" --query clientId --output tsv)
object=$(az identity show --ids "$identity" --query principalId --output tsv)

printf '%s\n' "For the sidecar: AMP_SIDECAR_TOKEN_SOURCE=azure-imds AMP_SIDECAR_TOKEN_AUDIENCE=$app_id_uri AZURE_CLIENT_ID=$client" \
    "Next: amp-sidecar setup aws --via azure-imds --tenant-id $tenant --object-id $object --app-id-uri $app_id_uri<<more>> --account ... --region ... --workspace-id ..."
