#!/usr/bin/env bash
# Lets one identity write to one AMP workspace: what vouches for it in IAM, a role that trusts it, and its permission.
# Made by amp-sidecar <<version>> setup aws, which changed nothing itself. Read it, then run it with administrator's
# credentials of the account, in a shell that has the aws CLI:
#
#   bash THIS-FILE
#
# It may run again: it updates existing objects to match. It does not change a role of the same name that was created for
# something else.
set -euo pipefail

account=<<account>>
<<#provider>>
# The tokens' exact iss, including a trailing slash, here and in the trust policy's keys.
issuer=<<issuer>>
audience=<<audience>>
provider_arn=<<provider_arn>>
<</provider>>
<<#pod>>
cluster=<<cluster>>
namespace=<<namespace>>
service_account=<<service_account>>
region=<<region>>
role_arn=<<role_arn>>
<</pod>>
<<#certificate>>
region=<<region>>
role_arn=<<role_arn>>
# The CA whose certificates are trusted, as far as they have the common name in the trust policy.
source=<<source>>
<</certificate>>
role=<<role>>
description=<<description>>
trust_policy=<<trust_policy>>
# Write access to this workspace only.
permission_policy=<<permission_policy>>

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Runs a command that creates something; false if that exists already.
created() {
    local words
    words=$("$@" 2>&1 >/dev/null) && return
    [[ $words == *EntityAlreadyExists* ]] || die "$words"
    return 1
}

[[ $(aws sts get-caller-identity --query Account --output text) == "$account" ]] ||
    die "these credentials are not for account $account"

<<#provider>>
# Without thumbprints: AWS fetches them itself where it needs any.
if ! created aws iam create-open-id-connect-provider --url "$issuer" --client-id-list "$audience"; then
    if [[ $(aws iam get-open-id-connect-provider --open-id-connect-provider-arn "$provider_arn" \
        --query "contains(ClientIDList, '$audience')" --output text) != True ]]; then
        aws iam add-client-id-to-open-id-connect-provider \
            --open-id-connect-provider-arn "$provider_arn" --client-id "$audience"
    fi
fi

<</provider>>
<<#certificate>>
anywhere() {
    aws rolesanywhere "$@" --region "$region" --output text
}

trust_anchor_arn=$(anywhere list-trust-anchors --query "trustAnchors[?name=='$role'].trustAnchorArn | [0]")
if [[ $trust_anchor_arn == None ]]; then
    trust_anchor_arn=$(anywhere create-trust-anchor --name "$role" --source "$source" --enabled \
        --query trustAnchor.trustAnchorArn)
else
    anywhere update-trust-anchor --trust-anchor-id "${trust_anchor_arn##*/}" --source "$source" >/dev/null
fi
trust_policy=${trust_policy/TRUST-ANCHOR-ARN/"$trust_anchor_arn"}

<</certificate>>
if ! created aws iam create-role --role-name "$role" --description "$description" \
    --assume-role-policy-document "$trust_policy"; then
    [[ $(aws iam get-role --role-name "$role" --query Role.Description --output text) == "$description" ]] ||
        die "role $role already exists and was created for something else: choose another name with --role-name"
    aws iam update-assume-role-policy --role-name "$role" --policy-document "$trust_policy"
fi
aws iam put-role-policy --role-name "$role" --policy-name amp-sidecar --policy-document "$permission_policy"

<<#certificate>>
profile_arn=$(anywhere list-profiles --query "profiles[?name=='$role'].profileArn | [0]")
if [[ $profile_arn == None ]]; then
    profile_arn=$(anywhere create-profile --name "$role" --role-arns "$role_arn" --enabled --query profile.profileArn)
else
    anywhere update-profile --profile-id "${profile_arn##*/}" --role-arns "$role_arn" >/dev/null
fi

printf '%s\n' "For the sidecar:" \
    "AMP_SIDECAR_CREDENTIALS=roles-anywhere" \
    "AWS_ROLE_ARN=$role_arn" \
    "AMP_SIDECAR_TRUST_ANCHOR_ARN=$trust_anchor_arn" \
    "AMP_SIDECAR_PROFILE_ARN=$profile_arn" \
    "AMP_SIDECAR_ROLES_ANYWHERE_CERTIFICATE=/var/run/secrets/amp-sidecar-certificate/tls.crt" \
    "AMP_SIDECAR_ROLES_ANYWHERE_PRIVATE_KEY=/var/run/secrets/amp-sidecar-certificate/tls.key"

# The certificate, where cert-manager has an issuer of this CA; mount the Secret as a folder at the path above:
#
<<certificate>>
<</certificate>>
<<#token>>
printf 'For the sidecar: AWS_ROLE_ARN=%s\n' <<role_arn>>
<</token>>
<<#pod>>
# One service account has at most one role in a cluster; that of another purpose is not taken away.
association=(--region "$region" --cluster-name "$cluster" --namespace "$namespace" --service-account "$service_account")
id=$(aws eks list-pod-identity-associations "${association[@]}" --query 'associations[0].associationId' --output text)
if [[ $id == None ]]; then
    aws eks create-pod-identity-association "${association[@]}" --role-arn "$role_arn" >/dev/null
else
    associated=$(aws eks describe-pod-identity-association --region "$region" --cluster-name "$cluster" \
        --association-id "$id" --query association.roleArn --output text)
    [[ $associated == "$role_arn" ]] ||
        die "$namespace:$service_account is associated with $associated: run that role's pods with another service account, or delete the association $id"
fi

printf 'For the sidecar: AMP_SIDECAR_CREDENTIALS=container\n'
printf 'The cluster needs the add-on eks-pod-identity-agent (built into EKS Auto Mode). Pods that run already have to be created again.\n'
<</pod>>
