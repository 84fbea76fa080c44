printf '%s\n' "The cluster's issuer, including the trailing slash: $issuer" \
    "Next: amp-sidecar setup aws --issuer $issuer --account ... --region ... --workspace-id ..."
