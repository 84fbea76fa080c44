#!/usr/bin/env bash
# Made by amp-sidecar <<version>> setup azure, which changed nothing itself. Read it, then run it where az is logged in:
#
#   bash THIS-FILE
#
# It may run again: existing objects stay.
set -euo pipefail

cluster=<<cluster>>
resource_group=<<resource_group>>

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

aks() { az aks "$1" --name "$cluster" --resource-group "$resource_group" "${@:2}"; }

# WARNING: on a cluster that has no OIDC issuer yet this restarts its API server, and cannot be undone.
if [[ $(aks show --query oidcIssuerProfile.enabled --output tsv) != true ]]; then
    aks update --enable-oidc-issuer --output none
fi
issuer=$(aks show --query oidcIssuerProfile.issuerUrl --output tsv)
[[ $issuer == https://* ]] || die "the cluster has no OIDC issuer"

<<rest>>
