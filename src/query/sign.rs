//! The fixed header set of a query and its SigV4 signature; pure.
//!
//! In: an [`QueryRequest`], credentials and the time. Out: a [`Signed`] for the workspace that this [`QuerySigner`] was made for: scheme, host
//! and workspace come from the configuration, the rest of the path from the closed list, and none of the reader's headers
//! is among those that are sent. `user-agent` and `accept-encoding` are added unsigned, since proxies may touch them.

use std::time::SystemTime;

use aws_sigv4::http_request::SignableBody;
use aws_smithy_runtime_api::client::identity::Identity;
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Uri};

use crate::config::Workspace;
use crate::net::pool::OutgoingRequest;
use crate::query::request::QueryRequest;
use crate::sigv4::{self, Scope, Signed, SigningError};

/// Signs for one workspace.
#[derive(Debug)]
pub(super) struct QuerySigner {
    region: String,
    origin: String,
    /// `/workspaces/<id>/api/v1/`
    path: String,
    host: HeaderValue,
}

// === impl Signer ===

impl QuerySigner {
    /// Signs for a workspace, whose query API stands beside its remote-write URL.
    ///
    /// # Errors
    /// Where that URL cannot be one, which a checked configuration excludes.
    pub(super) fn new(workspace: &Workspace) -> Result<Self, SigningError> {
        Self::at(&workspace.remote_write_url, &workspace.region)
    }

    fn at(url: &Uri, region: &str) -> Result<Self, SigningError> {
        let fault = |what: &str| SigningError::of(&format!("remote-write URL: {what}"));
        let scheme = url.scheme_str().ok_or_else(|| fault("no scheme"))?;
        let host = url.authority().ok_or_else(|| fault("no host"))?.as_str();
        let path = url.path().strip_suffix("remote_write");
        Ok(Self {
            region: region.to_owned(),
            origin: format!("{scheme}://{host}"),
            path: path.ok_or_else(|| fault("no path of AMP"))?.to_owned(),
            host: HeaderValue::from_str(host).map_err(|_| fault("no valid host"))?,
        })
    }

    /// Signs a question as of `now`.
    ///
    /// # Errors
    /// [`SigningError`]; the request must then not be sent.
    pub(super) fn sign(
        &self,
        asked: &QueryRequest,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Signed, SigningError> {
        let mut path = format!("{}{}", self.path, asked.api);
        if !asked.query.is_empty() {
            path.push('?');
            path.push_str(&asked.query);
        }
        let mut headers = HeaderMap::with_capacity(7);
        headers.insert(HOST, self.host.clone());
        if asked.method == Method::POST {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
        }
        let scope = Scope {
            region: &self.region,
            service: "aps",
            time: now,
        };
        let form = asked.form.contiguous();
        let url = format!("{}{path}", self.origin);
        let body = SignableBody::Bytes(&form);
        sigv4::sign(&mut headers, &asked.method, &url, body, scope, identity)?;
        headers.insert(USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
        if asked.gzip {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let path: Uri = path
            .parse()
            .map_err(|_| SigningError::of("no valid path"))?;
        Ok(Signed(OutgoingRequest {
            method: asked.method.clone(),
            path,
            headers,
            chunks: asked.form.clone(),
        }))
    }
}

#[cfg(test)]
mod tests;
