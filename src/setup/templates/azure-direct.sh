printf '%s\n' "The cluster's issuer, its last slash included: $issuer" \
    "Next: amp-sidecar setup aws --issuer $issuer --account ... --region ... --workspace-id ..."
