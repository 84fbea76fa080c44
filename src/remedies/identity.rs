//! What AWS must hold for a token or a role: remedies with current values.
//!
//! STS seldom says why it rejects: a missing role and a mismatched trust policy give the same message. So these remedies state what must be true, with
//! the names involved. The caller quotes arguments that are claims.

use std::net::SocketAddr;
use std::time::Duration;

/// The provider does not list the token's audience; `claim` is the one that AWS compares.
pub(crate) fn provider_audience(claim: &str, audiences: &str, issuer: &str) -> String {
    let claim = match claim {
        "azp" => "azp (which AWS uses as its audience)",
        other => other,
    };
    format!(
        "the IAM OIDC provider for {issuer} must list the token's {claim} among its audiences: {audiences}"
    )
}

/// The token has neither STS' audience nor one that the provider lists.
pub(crate) fn audience(claim: &str, audiences: &str, issuer: &str) -> String {
    format!(
        "project the token with audience: sts.amazonaws.com; or, if another audience is wanted, {}",
        provider_audience(claim, audiences, issuer)
    )
}

/// The token is for the API server.
pub(crate) fn api_servers_audience(audiences: &str) -> String {
    format!(
        "the token is for the API server ({audiences}): project one of its own with audience: sts.amazonaws.com, and set its path; do not add {audiences} to the OIDC provider: every pod's token would then be accepted"
    )
}

/// The address refuses connections.
pub(crate) fn refused(address: SocketAddr) -> String {
    format!(
        "allow egress from this pod to {address} (network policy, firewall, route), or nothing listens there: check host and port of the endpoint; or set --https-proxy"
    )
}

/// The account has no provider for the issuer.
pub(crate) fn provider(account: &str, issuer: &str) -> String {
    format!(
        "account {account} needs an IAM OIDC provider whose URL is exactly the token's iss, including a trailing slash: {issuer}"
    )
}

/// IAM cannot have a provider for the issuer; `why` continues "it".
pub(crate) fn unfit_issuer(issuer: &str, why: &str, remedy: &str) -> String {
    format!("IAM cannot take the issuer {issuer}: {why}; {remedy}")
}

/// The provider has another certificate's thumbprint.
pub(crate) fn thumbprint(provider_arn: &str) -> String {
    format!(
        "update the thumbprint: aws iam update-open-id-connect-provider-thumbprint --open-id-connect-provider-arn {provider_arn} --thumbprint-list SHA1, the fingerprint of the top CA certificate that the issuer's host sends (openssl s_client -showcerts, openssl x509 -fingerprint -sha1)"
    )
}

/// AWS cannot read what the issuer publishes.
pub(crate) fn issuer_keys(issuer: &str) -> String {
    format!(
        "AWS must be able to read {issuer}/.well-known/openid-configuration and the keys it names from the internet within 5 s; it is often temporary"
    )
}

/// The role is missing, or does not trust the token.
pub(crate) fn trust_policy(role_arn: &str, principal: &str, conditions: &str) -> String {
    format!(
        "{role_arn} must exist, and its trust policy must allow sts:AssumeRoleWithWebIdentity to {principal}, with conditions that match: {conditions}"
    )
}

/// The token is that of a namespace's default service account.
pub(crate) fn default_account(subject: &str) -> String {
    format!(
        "is serviceAccountName missing in the pod's spec? The token's sub is {subject}: set the service account that the role trusts; do not trust the default one: every pod of the namespace that names none has it"
    )
}

/// The token has no claims that can be read.
pub(crate) fn unreadable_claims() -> String {
    "the token's claims cannot be read, so STS does not accept it".to_owned()
}

/// When the token expired by its own claim.
pub(crate) fn expired_since(ago: Duration) -> String {
    format!(
        "the token expired {} s ago by its own exp, unless this machine's clock is wrong",
        ago.as_secs()
    )
}

/// The session is too long for the role.
pub(crate) fn session_duration(role_arn: &str) -> String {
    format!("lower --session-duration, or raise the maximum session duration of {role_arn}")
}

/// The role of a chain before the first one, if its source does not name it.
pub(crate) const UNNAMED: &str = "the role of the source's credentials";

/// The next role of a chain does not let the previous one assume it.
pub(crate) fn role_chain(
    role_arn: &str,
    previous: &str,
    actions: &str,
    external_id: bool,
) -> String {
    let external = if external_id {
        "with no other sts:ExternalId in its conditions than the one given here"
    } else {
        "with no sts:ExternalId in its conditions, since none is given here (external-id=)"
    };
    format!(
        "the trust policy of {role_arn} must allow {actions} to {previous}, {external}; and a policy of {previous} must allow {actions} on {role_arn}"
    )
}

/// STS is disabled in the region for the account.
pub(crate) fn region_disabled(region: &str) -> String {
    format!(
        "STS is disabled in {region} for that account: enable the region in the account settings of IAM, or set --sts-region to an enabled one"
    )
}

/// The host of STS has no address.
pub(crate) fn unresolved(host: &str, region: &str) -> String {
    format!(
        "{host} does not exist, or DNS does not work in this pod: check the region ({region}: --region, --sts-region) and --sts-endpoint, and that this pod resolves public names (or those of the private zone)"
    )
}
