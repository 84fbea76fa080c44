//! IAM Roles Anywhere, as far as CreateSession, written from its user guide and API reference.
//!
//! ```text
//! POST /sessions ─▶ certificate ─▶ signature ─▶ trust anchor ─▶ profile ─▶ role's trust policy ─▶ session
//! ```
//!
//! In: a request that is signed with a certificate's private key. Out: a session of the role as 201 and JSON, which STS and AMP know
//! as any other, or an [`AnywhereRefusal`]. Each stage takes what the one before made: no session for a signature that
//! was not verified, or for a certificate that does not lead to the trust anchor.

mod authority;
mod certificate;
mod error;
mod refusal;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::X509Certificate;

pub use authority::{IssuedCertificate, LeafKey, LeafSpec};
pub use error::AnywhereError;
pub use refusal::AnywhereRefusal;

use crate::call_log::CallLog;
use crate::clock::{Clock, unix_seconds};
use crate::front::{Answers, request_id};
use crate::http::answer;
use crate::secrets::Secrets;
use crate::sessions::{Session, SessionContext};
use crate::sigv4::{Scoped, SignatureFault, single};
use crate::sts::{Caller, Sts, Trust};
use crate::token_folder::TokenFolder;
use authority::Authority;
use certificate::{ECDSA, PresentedChain, RSA, common_name, condition_keys, signed, tags, trusted};

/// The service's principal in trust policies.
const PRINCIPAL: &str = "rolesanywhere.amazonaws.com";
const ANCHOR: &str = "trust-anchor/0e9c2a5b-52a4-4b8e-9d0f-4f6a6d1c7b11";
const PROFILE: &str = "profile/b27d1f0c-3c1e-4a56-8f43-92d2b7a0e5d4";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// The last line of a key may be short, and found by chance.
const SHORTEST_SECRET: usize = 32;

/// What Roles Anywhere is to be like.
#[derive(Debug, Clone, Default)]
pub struct AnywhereConfig {
    /// Whether it speaks TLS.
    pub https: bool,
    /// The certificate that the world begins with.
    pub leaf: LeafSpec,
}

/// What can be changed while it runs.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Whether the trust anchor is enabled.
    pub anchor_enabled: bool,
    /// Whether the profile is enabled.
    pub profile_enabled: bool,
    /// `acceptRoleSessionName` of the profile.
    pub accept_role_session_name: bool,
    /// `durationSeconds` of the profile: no session is longer.
    pub profile_life: Duration,
    /// The roles of the profile.
    pub role_arns: Vec<String>,
    /// The serial numbers of revoked certificates, in hexadecimal.
    pub revoked: BTreeSet<String>,
}

/// A running Roles Anywhere. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Anywhere(Arc<AnywhereShared>);

#[derive(Debug)]
struct AnywhereShared {
    /// `arn:<partition>:rolesanywhere:<region>:<account>:`
    arns: String,
    region: String,
    https: bool,
    authority: Authority,
    stranger: Authority,
    folder: TokenFolder,
    files: PathBuf,
    sts: Sts,
    clock: Clock,
    calls: CallLog<AnywhereCall>,
    secrets: Secrets,
    state: Mutex<AnywhereState>,
}

#[derive(Debug)]
struct AnywhereState {
    directory: Directory,
    leaf: LeafSpec,
    /// The serial number of the certificate that was issued for the volume last.
    serial: String,
}

/// One call, as it was judged. Those that a fault answered are not among them.
#[derive(Debug, Clone)]
pub struct AnywhereCall {
    /// The algorithm and the serial number that the signature names.
    pub signed: String,
    /// `roleSessionName`, as sent.
    pub session_name: Option<String>,
    /// `durationSeconds`, as sent.
    pub duration_seconds: Option<u64>,
    /// The session's access key id, or why there is none.
    pub outcome: Result<String, AnywhereRefusal>,
}

/// The body of CreateSession.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CreateSession {
    duration_seconds: Option<u64>,
    profile_arn: Option<String>,
    role_arn: Option<String>,
    trust_anchor_arn: Option<String>,
    role_session_name: Option<String>,
}

/// The trust anchor's ARN, which begins with `arns`.
pub(crate) fn trust_anchor_arn(arns: &str) -> String {
    format!("{arns}{ANCHOR}")
}

// === impl Anywhere ===

impl Anywhere {
    /// For `role_arn`; writes the first certificate into `folder`. Takes a while where an RSA key is yet to be made.
    pub(crate) fn new(
        config: AnywhereConfig,
        arns: String,
        role_arn: &str,
        folder: &Path,
        sts: Sts,
        clock: Clock,
    ) -> Result<Self, AnywhereError> {
        let region = arns.split(':').nth(3).unwrap_or_default().to_owned();
        let shared = AnywhereShared {
            arns,
            region,
            https: config.https,
            authority: Authority::new("amp-sidecar emulator workloads")?,
            stranger: Authority::new("amp-sidecar emulator strangers")?,
            folder: TokenFolder::new(folder)?,
            files: folder.to_owned(),
            sts,
            clock,
            calls: CallLog::default(),
            secrets: Secrets::default(),
            state: Mutex::new(AnywhereState {
                directory: Directory {
                    anchor_enabled: true,
                    profile_enabled: true,
                    accept_role_session_name: false,
                    profile_life: Duration::from_secs(3600),
                    role_arns: vec![role_arn.to_owned()],
                    revoked: BTreeSet::new(),
                },
                leaf: config.leaf,
                serial: String::new(),
            }),
        };
        let anywhere = Self(Arc::new(shared));
        anywhere.renew()?;
        Ok(anywhere)
    }

    /// The trust anchor's ARN.
    #[must_use]
    pub fn trust_anchor_arn(&self) -> String {
        trust_anchor_arn(&self.0.arns)
    }

    /// The profile's ARN.
    #[must_use]
    pub fn profile_arn(&self) -> String {
        format!("{}{PROFILE}", self.0.arns)
    }

    /// The certificate of the trust anchor, as PEM.
    #[must_use]
    pub fn root(&self) -> String {
        self.0.authority.root_pem()
    }

    /// The file with the certificate and its chain, as cert-manager names it.
    #[must_use]
    pub fn certificate_file(&self) -> PathBuf {
        self.0.files.join(CERTIFICATE)
    }

    /// The file with its private key.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.0.files.join(KEY)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.https
    }

    /// Issues a certificate, and publishes nothing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn issue(&self, spec: &LeafSpec) -> Result<IssuedCertificate, AnywhereError> {
        let authority = match spec.stranger {
            true => &self.0.stranger,
            false => &self.0.authority,
        };
        let issued = authority.issue(spec, OffsetDateTime::from(self.0.clock.now()))?;
        let body = issued.key.lines().filter(|line| !line.starts_with('-'));
        for line in body.filter(|line| line.len() >= SHORTEST_SECRET) {
            self.0.secrets.note("line of a private key", line);
        }
        Ok(issued)
    }

    /// Writes a certificate and a key into the volume, both at once.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn publish(&self, chain: &str, key: &str) -> Result<(), AnywhereError> {
        let files = [(CERTIFICATE, chain.as_bytes()), (KEY, key.as_bytes())];
        let now = self.0.clock.now();
        Ok(self
            .0
            .folder
            .publish_files(&files, &[CERTIFICATE, KEY], now)?)
    }

    /// Issues a certificate like the one before and publishes it, as cert-manager does.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn renew(&self) -> Result<IssuedCertificate, AnywhereError> {
        let leaf = self.lock().leaf.clone();
        let issued = self.issue(&leaf)?;
        self.publish(&issued.chain, &issued.key)?;
        self.lock().serial.clone_from(&issued.serial);
        Ok(issued)
    }

    /// Renews the certificate and revokes the one before.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn supersede(&self) -> Result<IssuedCertificate, AnywhereError> {
        let old = self.lock().serial.clone();
        let issued = self.renew()?;
        self.change(|directory| {
            directory.revoked.insert(old);
        });
        Ok(issued)
    }

    /// Issues a certificate with other properties and publishes it.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn replace(
        &self,
        change: impl FnOnce(&mut LeafSpec),
    ) -> Result<IssuedCertificate, AnywhereError> {
        change(&mut self.lock().leaf);
        self.renew()
    }

    /// Changes trust anchor, profile or revocation list.
    pub fn change(&self, change: impl FnOnce(&mut Directory)) {
        change(&mut self.lock().directory);
    }

    /// The calls that it judged.
    #[must_use]
    pub fn calls(&self) -> &CallLog<AnywhereCall> {
        &self.0.calls
    }

    /// The private keys.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        self.0.secrets.all()
    }

    fn judge(
        &self,
        request: &Request<Bytes>,
        call: &mut AnywhereCall,
    ) -> Result<(Session, Option<String>), AnywhereRefusal> {
        let now = self.0.clock.now();
        let missing = |name: &str| {
            let name = name.to_owned();
            move || SignatureFault::Incomplete(format!("{name} is missing."))
        };
        let headers = request.headers();
        let unsigned = |fault: SignatureFault| AnywhereRefusal::Unsigned(fault.to_string());
        let leaf = single(headers, "x-amz-x509", missing("X-Amz-X509")).map_err(unsigned)?;
        let chain = headers.get("x-amz-x509-chain");
        let presented = PresentedChain::decode(leaf, chain.and_then(|text| text.to_str().ok()))?;
        let presented = presented.parse()?;
        let leaf = presented
            .first()
            .ok_or(AnywhereRefusal::InvalidCertificate)?;
        let scoped = Scoped {
            regions: std::slice::from_ref(&self.0.region),
            service: "rolesanywhere",
            algorithms: &[RSA, ECDSA],
        };
        let claim = scoped.read(now, request).map_err(unsigned)?;
        let by = &claim.authorization;
        call.signed = format!("{} {}", by.algorithm, by.access_key_id);
        if by.access_key_id != leaf.tbs_certificate.serial.to_string()
            || !signed(leaf, &by.algorithm, &claim.string_to_sign, &by.signature)
        {
            return Err(AnywhereRefusal::InvalidSignature);
        }
        let asked = CreateSession::of(request)?;
        call.session_name.clone_from(&asked.role_session_name);
        call.duration_seconds = asked.duration_seconds;
        self.grant(&asked, &presented, leaf)
    }

    fn grant(
        &self,
        asked: &CreateSession,
        presented: &[X509Certificate<'_>],
        leaf: &X509Certificate<'_>,
    ) -> Result<(Session, Option<String>), AnywhereRefusal> {
        let role_arn = required(&asked.role_arn, "roleArn")?;
        if required(&asked.trust_anchor_arn, "trustAnchorArn")? != self.trust_anchor_arn() {
            return Err(AnywhereRefusal::NotFound("Trust anchor"));
        }
        if required(&asked.profile_arn, "profileArn")? != self.profile_arn() {
            return Err(AnywhereRefusal::NotFound("Profile"));
        }
        let directory = self.lock().directory.clone();
        if !directory.anchor_enabled {
            return Err(AnywhereRefusal::Disabled("Trust anchor"));
        }
        let now = unix_seconds(self.0.clock.now());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        trusted(presented, self.0.authority.root(), now)?;
        let serial = hex::encode(leaf.tbs_certificate.serial.to_bytes_be());
        if directory
            .revoked
            .iter()
            .any(|revoked| revoked.trim_start_matches('0') == serial.trim_start_matches('0'))
        {
            return Err(AnywhereRefusal::Revoked);
        }
        if !directory.profile_enabled {
            return Err(AnywhereRefusal::Disabled("Profile"));
        }
        if asked.role_session_name.is_some() && !directory.accept_role_session_name {
            return Err(AnywhereRefusal::SessionName);
        }
        let no_role = || AnywhereRefusal::Role(role_arn.to_owned());
        if !directory.role_arns.iter().any(|listed| listed == role_arn) {
            return Err(no_role());
        }
        let tags = tags(leaf);
        let allowed = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
        let unmapped = tags
            .iter()
            .filter(|(_, value)| !value.chars().all(allowed))
            .filter_map(|(key, _)| key.strip_prefix("x509Subject/"));
        let unmapped: Vec<_> = unmapped.collect();
        if !unmapped.is_empty() {
            return Err(AnywhereRefusal::Tags {
                role: role_arn.to_owned(),
                subject: unmapped.join(" "),
            });
        }
        let identity = common_name(leaf);
        let name = asked.role_session_name.as_ref().unwrap_or(&serial);
        let keys = condition_keys(&tags, identity.as_deref(), name, &self.trust_anchor_arn());
        let life = asked.duration_seconds.map(Duration::from_secs);
        let life = life
            .unwrap_or(directory.profile_life)
            .min(directory.profile_life);
        let context = SessionContext {
            policy: None,
            source_identity: identity.clone(),
            tags: tags.into_iter().collect(),
        };
        let session = self.0.sts.for_service(
            role_arn,
            |role| {
                let trusted = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
                    .iter()
                    .all(|action| {
                        role.trust.trust(action, Caller::Service(PRINCIPAL), &keys) == Trust::Itself
                    });
                trusted && role.allows(life).is_ok()
            },
            name,
            life,
            context,
        );
        Ok((session.ok_or_else(no_role)?, identity))
    }

    fn created(&self, session: &Session, identity: Option<&str>) -> Value {
        let expiration = OffsetDateTime::from(session.expiration)
            .replace_nanosecond(0)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok());
        let name = session.assumed_role_arn.rsplit('/').next();
        json!({
            "credentialSet": [{
                "assumedRoleUser": {
                    "arn": session.assumed_role_arn,
                    "assumedRoleId": format!("AROAEMULATEDROLE00000:{}", name.unwrap_or_default()),
                },
                "credentials": {
                    "accessKeyId": session.access_key_id,
                    "expiration": expiration,
                    "secretAccessKey": session.secret_access_key,
                    "sessionToken": session.session_token,
                },
                "packedPolicySize": 10,
                "roleArn": session.role_arn,
                "sourceIdentity": identity,
            }],
            "subjectArn": format!("{}subject/{}", self.0.arns, request_id()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, AnywhereState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Anywhere {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        if (request.method(), request.uri().path()) != (&Method::POST, "/sessions") {
            let text =
                json!({"message": "Unable to determine service/operation name to be authorized"});
            return answer(StatusCode::FORBIDDEN, "application/json", text.to_string());
        }
        let mut call = AnywhereCall {
            signed: String::new(),
            session_name: None,
            duration_seconds: None,
            outcome: Err(AnywhereRefusal::InvalidSignature),
        };
        let outcome = self.judge(&request, &mut call);
        call.outcome = match &outcome {
            Ok((session, _)) => Ok(session.access_key_id.clone()),
            Err(refusal) => Err(refusal.clone()),
        };
        self.0.calls.note(call, outcome.is_ok());
        match outcome {
            Ok((session, identity)) => {
                let created = self.created(&session, identity.as_deref());
                answer(StatusCode::CREATED, "application/json", created.to_string())
            }
            Err(refusal) => refusal.answer(),
        }
    }
}

// === impl CreateSession ===

impl CreateSession {
    /// The ARNs may be in the query too, where AWS' own credential helper puts them.
    fn of(request: &Request<Bytes>) -> Result<Self, AnywhereRefusal> {
        let mut asked: Self = serde_json::from_slice(request.body()).map_err(|error| {
            AnywhereRefusal::Validation {
                field: "body",
                rule: error.to_string(),
            }
        })?;
        let query = request.uri().query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "profileArn" => &mut asked.profile_arn,
                "roleArn" => &mut asked.role_arn,
                "trustAnchorArn" => &mut asked.trust_anchor_arn,
                _ => continue,
            };
            *slot = Some(value.into_owned());
        }
        let bound = |rule: &str, limit: u64| AnywhereRefusal::Validation {
            field: "durationSeconds",
            rule: format!("Member must have value {rule} than or equal to {limit}"),
        };
        match asked.duration_seconds {
            Some(seconds) if seconds < 900 => Err(bound("greater", 900)),
            Some(seconds) if seconds > 43_200 => Err(bound("less", 43_200)),
            _ => Ok(asked),
        }
    }
}

fn required<'a>(
    value: &'a Option<String>,
    field: &'static str,
) -> Result<&'a str, AnywhereRefusal> {
    value.as_deref().ok_or(AnywhereRefusal::Validation {
        field,
        rule: "Member must not be null".to_owned(),
    })
}
