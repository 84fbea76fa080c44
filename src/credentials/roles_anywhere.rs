//! Credentials of IAM Roles Anywhere, in exchange for a signature with a certificate's private key: CreateSession.
//!
//! ```text
//! certificate, key ─▶ signer::Signer ─▶ request (signature) ─▶ POST /sessions ─▶ response
//! opened by path for each exchange
//! ```
//!
//! In: a certificate and its key, which something like cert-manager renews. Out: a session of the role, or a [`RolesAnywhereError`] with AWS'
//! exception, the fix, and the values that AWS must hold. The two files may be replaced one after the other, so that a key without its
//! certificate is read again for some milliseconds before it is an error. An expired certificate is sent all the same: this machine's clock may
//! be the one that is wrong, and the response corrects it.

mod certificate;
mod der;
mod error;
mod request;
mod response;
mod signer;

use std::path::Path;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

pub use certificate::Certificate;
pub use error::{RolesAnywhereError, SignerError};
pub use signer::Signer;

use super::ExchangeError;
use super::last_sent::LastSent;
use super::small_file;
use super::steps::{StepRecord, shown};
use super::sts::SessionCredentials;
use crate::clock::Clock;
use crate::config::RolesAnywhereConfig;
use crate::net::client::{HttpClient, HttpResponse};
use crate::net::transport::Transport;
use crate::remedies::Advice;
use crate::remedies::first_hour::SESSION_TOO_LONG;
use crate::remedies::roles_anywhere as rows;
use crate::telemetry::traces::Span;

const CALL: &str = "CreateSession";
/// A chain of ten certificates with large keys has half of it.
const LONGEST_CHAIN: u64 = 64 * 1024;
const LONGEST_KEY: u64 = 16 * 1024;
/// The first pause before a retry; it doubles up to the longest, 31 ms in all.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// A certificate and the role that it leads to.
#[derive(Debug)]
pub struct RolesAnywhere {
    config: RolesAnywhereConfig,
    client: HttpClient,
    clock: Clock,
    steps: StepRecord,
    /// The certificate that the last exchange used.
    sent: LastSent,
}

/// The certificate in DER, if it is one.
#[cfg(feature = "internals")]
#[must_use]
pub fn certificate_in(der: &[u8]) -> Option<Certificate> {
    Certificate::parse(der)
}

/// Who signs with the content of these two files.
///
/// # Errors
/// [`SignerError`] if nobody can.
#[cfg(feature = "internals")]
pub fn signer_in(chain: &[u8], key: &[u8]) -> Result<Signer, SignerError> {
    Signer::of((Path::new("/tls.crt"), chain), (Path::new("/tls.key"), key))
}

// === impl RolesAnywhere ===

impl RolesAnywhere {
    pub(super) fn new(
        config: &RolesAnywhereConfig,
        transport: &dyn Transport,
        clock: &Clock,
        steps: StepRecord,
    ) -> Self {
        Self {
            config: config.clone(),
            client: transport.client(),
            clock: clock.clone(),
            steps,
            sent: LastSent::default(),
        }
    }

    /// Reads certificate and key; retries briefly what a renewal can cause.
    pub async fn signer(&self) -> Result<Signer, SignerError> {
        let mut pause = FIRST_PAUSE;
        let read = loop {
            match self.read_once().await {
                Err(error) if error.may_pass() && pause <= LONGEST_PAUSE => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                settled => break settled,
            }
        };
        let names = |signer: &Signer| signer.certificate().names();
        self.steps.trail.certificate(read.as_ref().ok().map(names));
        read
    }

    async fn read_once(&self) -> Result<Signer, SignerError> {
        let RolesAnywhereConfig {
            certificate,
            private_key,
            ..
        } = &self.config;
        let chain = read("certificate file", certificate, LONGEST_CHAIN).await?;
        let key = read("private key file", private_key, LONGEST_KEY).await?;
        Signer::of((certificate, &chain), (private_key, &key))
    }

    /// The session that Roles Anywhere gives for the certificate.
    pub async fn session(&self, signer: &Signer) -> Result<SessionCredentials, RolesAnywhereError> {
        let obtained = self.create_session(signer).await;
        self.steps.count(CALL, &obtained, RolesAnywhereError::name);
        obtained.inspect(|obtained| self.steps.trail.session(0, obtained))
    }

    async fn create_session(
        &self,
        signer: &Signer,
    ) -> Result<SessionCredentials, RolesAnywhereError> {
        let (headers, body) = request::create_session(&self.config, signer, self.clock.now())?;
        let url = &self.config.endpoint;
        let answer = self.client.post_signed(url, headers, body).await?;
        self.read(&answer, signer.certificate())
    }

    /// The credentials in a response to a request with this certificate.
    ///
    /// # Errors
    /// [`RolesAnywhereError`] if there are no usable ones.
    pub fn read(
        &self,
        answer: &HttpResponse,
        certificate: &Certificate,
    ) -> Result<SessionCredentials, RolesAnywhereError> {
        if let Some(date) = answer.verified_date {
            self.clock.learn(date);
        }
        let now = self.clock.now();
        if answer.status.is_success() {
            return response::credentials(answer, now, self.config.role.duration);
        }
        let (code, message) = response::refusal(answer)?;
        let remedy = self.advise(&code, &message, certificate, now);
        Err(RolesAnywhereError::Refused {
            status: answer.status,
            code,
            message,
            remedy,
        })
    }

    /// All steps; each call is a span.
    pub(super) async fn obtain(&self, span: &Span) -> Result<SessionCredentials, ExchangeError> {
        self.sent.set(None);
        let signer = self.signer().await.map_err(RolesAnywhereError::from)?;
        self.sent.set(Some(signer.digest()));
        let mut call = span.request(CALL);
        call.at(&self.config.endpoint);
        shown(call, self.session(&signer)).await
    }

    /// Whether the files hold another certificate than the last exchange used.
    pub(super) async fn changed(&self) -> bool {
        let now = self.read_once().await;
        now.is_ok_and(|signer| self.sent.get() != Some(signer.digest()))
    }

    /// AWS' texts seldom name the cause, so that several rows may stand for one.
    fn advise(
        &self,
        code: &str,
        message: &str,
        certificate: &Certificate,
        now: SystemTime,
    ) -> Advice {
        let message = message.to_ascii_lowercase();
        let says = |words: &str| message.contains(words);
        match code {
            "ResourceNotFoundException" => rows::NOT_FOUND.into(),
            "ValidationException" if says("durationseconds") => SESSION_TOO_LONG.into(),
            "AccessDeniedException" if says("certificate") => self.of_certificate(certificate, now),
            "AccessDeniedException" if says("rolesessionname") => rows::SESSION_NAME.into(),
            "AccessDeniedException" if says("session tags") => rows::SESSION_TAGS.into(),
            "AccessDeniedException" if says("unable to assume role") => self.of_role(certificate),
            "AccessDeniedException" if says("disabled") => rows::DISABLED.into(),
            "InternalServerException" | "ServiceUnavailableException" => rows::TROUBLE.into(),
            _ => rows::REFUSED.into(),
        }
    }

    fn of_certificate(&self, certificate: &Certificate, now: SystemTime) -> Advice {
        match certificate.out_of_time(now) {
            Some(why) => Advice::any([rows::EXPIRED, rows::UNTRUSTED])
                .here(format!("{why}: {}", rows::EXPIRED.remedy)),
            None => Advice::any([rows::UNTRUSTED, rows::INSUFFICIENT]).here(format!(
                "{} must hold the CA {}, or one above it whose intermediates follow the certificate in {}",
                self.config.trust_anchor_arn,
                certificate.issuer(),
                self.config.certificate.display(),
            )),
        }
    }

    fn of_role(&self, certificate: &Certificate) -> Advice {
        let RolesAnywhereConfig {
            role,
            trust_anchor_arn,
            profile_arn,
            ..
        } = &self.config;
        let subject = match certificate.common_name() {
            Some(name) => format!("aws:PrincipalTag/x509Subject/CN is {name:?}"),
            None => format!("the subject is {:?}", certificate.subject()),
        };
        Advice::any([rows::TRUST, rows::PROFILE]).here(format!(
            "{} must exist and be listed in {profile_arn}, and its trust policy must allow sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity to rolesanywhere.amazonaws.com, with conditions that match: {subject} and aws:SourceArn is {trust_anchor_arn}",
            role.role_arn,
        ))
    }
}

async fn read(
    what: &'static str,
    path: &Path,
    longest: u64,
) -> Result<Zeroizing<Vec<u8>>, SignerError> {
    let read = small_file::read(path, longest).await;
    read.map_err(|error| SignerError::of(what, path, error))
}

#[cfg(test)]
mod tests;
