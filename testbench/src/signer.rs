//! Signs a batch for AMP itself, to know what a batch costs without a sidecar, and at least.
//!
//! In: keys of a session of the world's, and a body. Out: a request that the world's AMP takes. SigV4 as the specification has it,
//! for this one kind of request only: a fixed path, no query, four headers. It shares no code with what verifies.

use std::time::SystemTime;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, header};
use http_body_util::Full;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

const STAMP: &[FormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token";

/// Signs requests to one workspace.
#[derive(Debug)]
pub(crate) struct DirectSigner {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
    pub(crate) region: String,
    /// Host and port.
    pub(crate) host: String,
    pub(crate) path: String,
}

/// `20260102T030405Z`; the day is its first eight digits.
pub(crate) fn stamp(now: SystemTime) -> String {
    OffsetDateTime::from(now).format(STAMP).unwrap_or_default()
}

impl DirectSigner {
    pub(crate) fn sign(
        &self,
        body: Bytes,
        now: SystemTime,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let stamp = stamp(now);
        let hash = hex::encode(Sha256::digest(&body));
        let key = self.signing_key(stamp.get(..8).unwrap_or_default());
        let authorization = self.authorization(&key, &stamp, &hash);
        Request::post(&self.path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONTENT_ENCODING, "snappy")
            .header("x-amz-content-sha256", hash)
            .header("x-amz-date", stamp)
            .header("x-amz-security-token", &self.session_token)
            .header(header::AUTHORIZATION, authorization)
            .body(Full::new(body))
    }

    /// Of a day, as `20260102`.
    pub(crate) fn signing_key(&self, day: &str) -> Vec<u8> {
        let secret = format!("AWS4{}", self.secret_access_key).into_bytes();
        let parts = [day, &self.region, "aps", "aws4_request"];
        parts
            .iter()
            .fold(secret, |key, part| keyed_hash(&key, part))
    }

    /// The header Authorization, of a body with this hash.
    pub(crate) fn authorization(&self, key: &[u8], stamp: &str, hash: &str) -> String {
        let date = stamp.get(..8).unwrap_or_default();
        let (access_key_id, session_token) = (&self.access_key_id, &self.session_token);
        let canonical = format!(
            "POST\n{}\n\nhost:{}\nx-amz-content-sha256:{hash}\nx-amz-date:{stamp}\n\
             x-amz-security-token:{session_token}\n\n{SIGNED}\n{hash}",
            self.path, self.host
        );
        let scope = format!("{date}/{}/aps/aws4_request", self.region);
        let digest = hex::encode(Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}");
        format!(
            "AWS4-HMAC-SHA256 Credential={access_key_id}/{scope}, SignedHeaders={SIGNED}, Signature={}",
            hex::encode(keyed_hash(key, &to_sign))
        )
    }
}

fn keyed_hash(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |hmac| hmac.chain_update(text).finalize().into_bytes().to_vec(),
    )
}
