//! Builds the fixed headers of a batch and signs them with SigV4; pure.
//!
//! In: a [`Payload`], credentials and the time. Out: a [`Signed`], the only input of `batch::forward`, so nothing can be sent
//! unsigned. The headers are built here; only the two that describe the body come from the sender, checked by `content_type`: a
//! sender's tenant, trace or authorization headers would break the signature or be trusted by mistake. Rules: AWS Signature
//! Version 4, service `aps`; every header is signed except `user-agent` and `content-length`, which proxies may change.
//!
//! Because the set is fixed, the canonical request is one string template, and the signing key is cached per day and region: a
//! third of the library's time for any request, and a tenth of a small batch's. Key and signature come from the library; tests
//! compare the canonical request with the library's.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_runtime_api::client::identity::Identity;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{HeaderMap, Method, Uri};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::net::pool::OutgoingRequest;
use crate::remote_write::content_type::WRITE_VERSION;
use crate::remote_write::payload::Payload;
use crate::sigv4::{Signed, SigningError};

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const SERVICE: &str = "aps";

/// Signs for one workspace.
#[derive(Debug)]
pub struct BatchSigner {
    region: String,
    path: Uri,
    host: HeaderValue,
    key: Mutex<Option<Arc<SigningKey>>>,
}

/// The signing key of one day.
struct SigningKey {
    access_key_id: String,
    day: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

// === impl BatchSigner ===

impl BatchSigner {
    /// Signs for the workspace with this remote-write `url`.
    ///
    /// # Errors
    /// If the URL has no host; configuration checks exclude that.
    pub fn new(region: &str, url: &Uri) -> Result<Self, SigningError> {
        let fault = |what: &str| SigningError::of(&format!("remote-write URL: {what}"));
        let host = url.authority().ok_or_else(|| fault("no host"))?.as_str();
        // SigV4 escapes the path twice; workspace paths contain nothing to escape.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        if !url.path().bytes().all(plain) {
            return Err(fault("not a path of AMP"));
        }
        Ok(Self {
            region: region.to_owned(),
            path: url.path().parse().map_err(|_| fault("no path"))?,
            host: HeaderValue::from_str(host).map_err(|_| fault("invalid host"))?,
            key: Mutex::default(),
        })
    }

    /// Signs a batch at `now`.
    ///
    /// # Errors
    /// [`SigningError`]; the request must then not be sent.
    pub fn sign(
        &self,
        batch: &Payload,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Signed, SigningError> {
        let keys = identity.data::<Credentials>();
        let keys = keys.ok_or_else(|| SigningError::of("invalid credentials"))?;
        let date = stamp(now);
        let (day, _) = date.split_at(8);
        let scope = [day, "/", &self.region, "/", SERVICE, "/aws4_request"].concat();
        let (names, request) = self.canonical(batch, &date, keys.session_token())?;
        let request = hex::encode(Sha256::digest(request));
        let to_sign = ["AWS4-HMAC-SHA256\n", &date, "\n", &scope, "\n", &request].concat();
        let key = self.key(keys, day, now);
        let signature = calculate_signature(key.bytes.as_slice(), to_sign.as_bytes());
        let authorization = [
            "AWS4-HMAC-SHA256 Credential=",
            keys.access_key_id(),
            "/",
            &scope,
            ", SignedHeaders=",
            names,
            ", Signature=",
            &signature,
        ]
        .concat();

        let mut headers = HeaderMap::with_capacity(9);
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(CONTENT_TYPE, batch.protocol.content_type.clone());
        headers.insert(WRITE_VERSION, batch.protocol.write_version.clone());
        headers.insert(DATE, value(date)?);
        if let Some(token) = keys.session_token() {
            headers.insert(TOKEN, secret(token.to_owned())?);
        }
        headers.insert(AUTHORIZATION, secret(authorization)?);
        headers.insert(USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
        Ok(Signed(OutgoingRequest {
            method: Method::POST,
            path: self.path.clone(),
            headers,
            chunks: batch.chunks.clone(),
        }))
    }

    /// The names of the signed headers, and the canonical request.
    fn canonical(
        &self,
        batch: &Payload,
        date: &str,
        token: Option<&str>,
    ) -> Result<(&'static str, String), SigningError> {
        let names = match token {
            Some(_) => {
                "content-encoding;content-type;host;x-amz-date;x-amz-security-token;x-prometheus-remote-write-version"
            }
            None => {
                "content-encoding;content-type;host;x-amz-date;x-prometheus-remote-write-version"
            }
        };
        let (token_name, token) =
            token.map_or(("", ""), |token| ("\nx-amz-security-token:", token));
        // SigV4 collapses runs of blanks into one.
        let words = text(&batch.protocol.content_type)?.split(' ');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let request = [
            "POST\n",
            self.path.path(),
            "\n\ncontent-encoding:snappy\ncontent-type:",
            &words.join(" "),
            "\nhost:",
            text(&self.host)?,
            "\nx-amz-date:",
            date,
            token_name,
            token,
            "\nx-prometheus-remote-write-version:",
            text(&batch.protocol.write_version)?,
            "\n\n",
            names,
            "\n",
            &batch.payload_hash,
        ];
        Ok((names, request.concat()))
    }

    /// The day's key for these credentials; derived again if credentials or day changed.
    fn key(&self, keys: &Credentials, day: &str, now: SystemTime) -> Arc<SigningKey> {
        let mut kept = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = kept.as_ref()
            && key.day == day
            && key.access_key_id == keys.access_key_id()
        {
            return Arc::clone(key);
        }
        let secret = keys.secret_access_key();
        let bytes = generate_signing_key(secret, now, &self.region, SERVICE);
        let key = Arc::new(SigningKey {
            access_key_id: keys.access_key_id().to_owned(),
            day: day.to_owned(),
            bytes: Zeroizing::new(bytes.as_ref().to_vec()),
        });
        *kept = Some(Arc::clone(&key));
        key
    }
}

/// Such as `20270115T093000Z`.
fn stamp(now: SystemTime) -> String {
    let now = OffsetDateTime::from(now);
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    let (hour, minute, second) = now.to_hms();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn text(value: &HeaderValue) -> Result<&str, SigningError> {
    value
        .to_str()
        .map_err(|_| SigningError::of("a header is not text"))
}

fn value(text: String) -> Result<HeaderValue, SigningError> {
    HeaderValue::try_from(text).map_err(|_| SigningError::of("a header has an invalid value"))
}

fn secret(text: String) -> Result<HeaderValue, SigningError> {
    let mut value = value(text)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
