//! The fixed header set and its SigV4 signature; pure.
//!
//! In: a [`Payload`], credentials and the time. Out: a [`Signed`], the only thing that `connections` take, so that
//! nothing can leave unsigned. The headers are made here and none is taken from the sender but the two that say what the body
//! is (which `address` has checked): tenant, trace or authorization headers of a sender would break the signature or be
//! trusted by mistake. Rules: AWS Signature Version 4, service `aps`, every header that is sent is signed but
//! `user-agent` and `content-length`, which proxies may touch.

use std::time::SystemTime;

use aws_sigv4::http_request::SignableBody;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Uri};

use crate::batch::Payload;
use crate::batch::media::WRITE_VERSION;
use crate::connections::Signed;
use crate::credentials::Held;
use crate::sigv4::{Scope, SigningError, sign_post};

/// Signs for one workspace.
#[derive(Debug)]
pub struct Signer {
    region: String,
    url: String,
    path: Uri,
    host: HeaderValue,
}

// === impl Signer ===

impl Signer {
    /// Signs for the workspace that is written to at `url`.
    ///
    /// # Errors
    /// Where the URL has no host, which a checked configuration cannot have.
    pub fn new(region: &str, url: &Uri) -> Result<Self, SigningError> {
        let fault = |what: &str| SigningError::of(&format!("remote-write URL: {what}"));
        let host = url.authority().ok_or_else(|| fault("no host"))?.as_str();
        Ok(Self {
            region: region.to_owned(),
            url: url.to_string(),
            path: url.path().parse().map_err(|_| fault("no path"))?,
            host: HeaderValue::from_str(host).map_err(|_| fault("no valid host"))?,
        })
    }

    /// Signs a batch as of `now`.
    ///
    /// # Errors
    /// [`SigningError`]; the request must then not be sent.
    pub fn sign(
        &self,
        batch: &Payload,
        held: &Held,
        now: SystemTime,
    ) -> Result<Signed, SigningError> {
        let mut headers = HeaderMap::with_capacity(9);
        headers.insert(HOST, self.host.clone());
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(CONTENT_TYPE, batch.media.content_type.clone());
        headers.insert(WRITE_VERSION, batch.media.write_version.clone());

        let scope = Scope {
            region: &self.region,
            service: "aps",
            time: now,
        };
        let body = SignableBody::Precomputed(batch.payload_hash.clone());
        sign_post(&mut headers, &self.url, body, scope, &held.identity)?;
        headers.insert(USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
        Ok(Signed {
            method: Method::POST,
            path: self.path.clone(),
            headers,
            frames: batch.frames.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
