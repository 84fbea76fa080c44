//! Reads the certificate, and the trust anchor, profile and role that it leads to.
//!
//! The region to call and to sign for is that of the trust anchor. The session is named after the certificate's serial number unless a name is set,
//! which the profile must accept; so the pod's name is never one.

use crate::config::endpoints;
use crate::config::model::{RoleSession, RolesAnywhereConfig};
use crate::config::other_credentials::KindOfCredentials;
use crate::config::settings;
use crate::config::sources::Sources;

pub(super) fn read(sources: &mut Sources<'_>) -> Option<RolesAnywhereConfig> {
    let role_arn = sources.read_required(
        &settings::ROLE_ARN,
        "the ARN of the role that the certificate leads to (`amp-sidecar setup aws --via roles-anywhere` prints how to create it)",
    );
    let certificate = sources.read_required(
        &settings::ROLES_ANYWHERE_CERTIFICATE,
        "the path of the certificate, for example tls.crt of the Secret that cert-manager writes",
    );
    let private_key = sources.read_required(
        &settings::ROLES_ANYWHERE_PRIVATE_KEY,
        "the path of the certificate's private key, for example tls.key of the Secret that cert-manager writes",
    );
    let anchor = sources.read_required(
        &settings::TRUST_ANCHOR_ARN,
        "the ARN of the trust anchor that holds the CA",
    );
    let profile = sources.read_required(
        &settings::PROFILE_ARN,
        "the ARN of the profile that lists the role",
    );
    let name = sources.read_optional(&settings::ROLE_SESSION_NAME);
    let signs = "the role that the certificate leads to signs";
    sources.warn_of_others(KindOfCredentials::RolesAnywhere, signs);
    let (anchor, profile, role_arn) = (anchor?, profile?, role_arn?);
    if part(&anchor, 3) != part(&profile, 3) {
        let expected = format!(
            "a profile in the region of --trust-anchor-arn, {}",
            part(&anchor, 3)
        );
        sources.error(&settings::PROFILE_ARN, &expected);
    }
    if part(&anchor, 1) != part(&role_arn, 1) {
        let expected = format!(
            "a trust anchor in the partition of --role-arn, {}",
            part(&role_arn, 1)
        );
        sources.error(&settings::TRUST_ANCHOR_ARN, &expected);
    }
    let region = part(&anchor, 3).to_owned();
    let endpoint = endpoints::roles_anywhere(sources, &region);
    Some(RolesAnywhereConfig {
        certificate: certificate?,
        private_key: private_key?,
        trust_anchor_arn: anchor,
        profile_arn: profile,
        role: RoleSession::plain(role_arn, name?),
        endpoint: endpoint?,
        region,
    })
}

/// A part of an ARN.
fn part(arn: &str, n: usize) -> &str {
    arn.split(':').nth(n).unwrap_or_default()
}
