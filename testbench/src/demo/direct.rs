//! Signs a batch for AMP itself, to know what a batch costs without a sidecar.
//!
//! In: a session of the world's, and a body. Out: a request that the world's AMP takes. SigV4 as the specification has it,
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

use emulator::sessions::Session;

const STAMP: &[FormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token";

/// Signs requests to one workspace.
#[derive(Debug)]
pub(super) struct DirectSigner {
    pub(super) session: Session,
    pub(super) region: String,
    /// Host and port.
    pub(super) host: String,
    pub(super) path: String,
}

impl DirectSigner {
    pub(super) fn sign(
        &self,
        body: Bytes,
        now: SystemTime,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let stamp = OffsetDateTime::from(now).format(STAMP).unwrap_or_default();
        let date = stamp.get(..8).unwrap_or_default();
        let hash = hex::encode(Sha256::digest(&body));
        let Session {
            access_key_id,
            secret_access_key,
            session_token,
            ..
        } = &self.session;
        let canonical = format!(
            "POST\n{}\n\nhost:{}\nx-amz-content-sha256:{hash}\nx-amz-date:{stamp}\n\
             x-amz-security-token:{session_token}\n\n{SIGNED}\n{hash}",
            self.path, self.host
        );
        let scope = format!("{date}/{}/aps/aws4_request", self.region);
        let digest = hex::encode(Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}");
        let secret = format!("AWS4{secret_access_key}").into_bytes();
        let parts = [date, &self.region, "aps", "aws4_request", &to_sign];
        let signature = parts
            .iter()
            .fold(secret, |key, part| keyed_hash(&key, part));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={access_key_id}/{scope}, SignedHeaders={SIGNED}, Signature={}",
            hex::encode(signature)
        );
        Request::post(&self.path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::CONTENT_ENCODING, "snappy")
            .header("x-amz-content-sha256", hash)
            .header("x-amz-date", stamp)
            .header("x-amz-security-token", session_token)
            .header(header::AUTHORIZATION, authorization)
            .body(Full::new(body))
    }
}

fn keyed_hash(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |hmac| hmac.chain_update(text).finalize().into_bytes().to_vec(),
    )
}
