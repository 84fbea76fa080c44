//! A certificate for IAM Roles Anywhere: the endpoint, the files, and the session that the certificate leads to.

use std::time::SystemTime;

use hyper::HeaderMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::step::StepOutcome;
use super::sts::given;
use crate::clock::Clock;
use crate::config::RolesAnywhereConfig;
use crate::credentials::roles_anywhere::{Certificate, RolesAnywhere, RolesAnywhereError, Signer};
use crate::credentials::sts::SessionCredentials;
use crate::net::client::HttpClient;
use crate::remedies::roles_anywhere::{EXPIRED, NOT_RENEWED, TRUST};
use crate::setup::policy::CertificateTrust;

/// A certificate that has less of its life left is not being renewed: cert-manager does it with a third left.
const LEAST_LEFT: f64 = 0.25;

/// Also gives the `Date` of a verified response.
pub(super) async fn endpoint(
    config: &RolesAnywhereConfig,
    client: &HttpClient,
) -> (StepOutcome, Option<Option<SystemTime>>) {
    let url = &config.endpoint;
    // A call without a signature gets an error, which has the `Date`.
    let answer = client.post_signed(url, HeaderMap::new(), String::new());
    match answer.await.map_err(RolesAnywhereError::from) {
        Ok(answer) => {
            let evidence = format!("{url} answers");
            (StepOutcome::ok(evidence), Some(answer.verified_date))
        }
        Err(error) => (broken(&error), None),
    }
}

/// Reads the files, and shows what the certificate says of itself.
pub(super) async fn certificate(
    source: &RolesAnywhere,
    clock: &Clock,
) -> (StepOutcome, Option<Signer>) {
    match source.signer().await {
        Ok(signer) => (described(signer.certificate(), clock.now()), Some(signer)),
        Err(error) => (broken(&error.into()), None),
    }
}

fn described(certificate: &Certificate, now: SystemTime) -> StepOutcome {
    let until = OffsetDateTime::from(certificate.not_after()).format(&Rfc3339);
    let evidence = format!(
        "{}, serial number {}, issued by {}, valid until {}",
        certificate.subject(),
        certificate.serial_hex(),
        certificate.issuer(),
        until.unwrap_or_default()
    );
    if let Some(why) = certificate.out_of_time(now) {
        StepOutcome::broken(format!("{evidence}: {why}")).remedy(EXPIRED)
    } else if certificate.life_left(now) < LEAST_LEFT {
        StepOutcome::warning(format!("{evidence}: nothing renews it")).remedy(NOT_RENEWED)
    } else {
        StepOutcome::ok(evidence)
    }
}

/// Asks for the session.
pub(super) async fn session(
    source: &RolesAnywhere,
    config: &RolesAnywhereConfig,
    signer: &Signer,
    clock: &Clock,
) -> (StepOutcome, Option<SessionCredentials>) {
    match source.session(signer).await {
        Ok(obtained) => (given(&config.role, &obtained, clock), Some(obtained)),
        Err(error) => {
            let outcome = broken(&error);
            let outcome = if error.remedy().rows().contains(&TRUST) {
                outcome.paste(trust(config, signer.certificate()))
            } else {
                outcome
            };
            (outcome, None)
        }
    }
}

fn broken(error: &RolesAnywhereError) -> StepOutcome {
    StepOutcome::broken(error.to_string()).advise(&error.remedy())
}

/// The trust policy that admits exactly this certificate's name, by this trust anchor.
fn trust(config: &RolesAnywhereConfig, certificate: &Certificate) -> String {
    let trust = CertificateTrust {
        common_name: certificate.common_name().unwrap_or_default(),
        trust_anchor_arn: config.trust_anchor_arn.clone(),
    };
    trust.trust_policy()
}
