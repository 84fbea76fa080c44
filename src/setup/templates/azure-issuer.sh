aks() { az aks "$1" --name "$cluster" --resource-group "$resource_group" "${@:2}"; }

# WARNING: on a cluster that has no OIDC issuer yet this restarts its API server, and cannot be undone.
if [[ $(aks show --query oidcIssuerProfile.enabled --output tsv) != true ]]; then
    aks update --enable-oidc-issuer --output none
fi
issuer=$(aks show --query oidcIssuerProfile.issuerUrl --output tsv)
[[ $issuer == https://* ]] || die "the cluster has no OIDC issuer"
