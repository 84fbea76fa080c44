//! What AWS must hold for a token or a role: remedies with current values.
//!
//! STS seldom says why it rejects: a missing role and a mismatched trust policy give the same message. So these remedies state what must be true, with
//! the names involved. The caller quotes arguments that are claims.

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

/// The account has no provider for the issuer.
pub(crate) fn provider(account: &str, issuer: &str) -> String {
    format!(
        "account {account} needs an IAM OIDC provider whose URL is exactly the token's iss, including a trailing slash: {issuer}"
    )
}

/// AWS cannot read what the issuer publishes.
pub(crate) fn issuer_keys(issuer: &str) -> String {
    format!(
        "AWS must be able to read {issuer}/.well-known/openid-configuration and the keys it names from the internet within 5 s; it is often temporary"
    )
}

/// The role is missing, or does not trust the token.
pub(crate) fn trust_policy(role_arn: &str, issuer: &str, conditions: &str) -> String {
    format!(
        "{role_arn} must exist, and its trust policy must allow sts:AssumeRoleWithWebIdentity to the OIDC provider of {issuer}, with conditions that match: {conditions}"
    )
}

/// The token has no claims that can be read.
pub(crate) fn unreadable_claims() -> String {
    "the token's claims cannot be read, so STS does not accept it".to_owned()
}

pub(crate) fn expired_token() -> String {
    "kubelet refreshes the file at 80 % of the token's lifetime: let this pod read that file (no subPath)".to_owned()
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
pub(crate) fn region_disabled() -> String {
    "STS is disabled in this region for that account: enable it in the account settings of IAM, or set another --sts-endpoint".to_owned()
}
