//! Builds the fixed headers of a query and signs them with SigV4; pure.
//!
//! In: a [`QueryRequest`], credentials and the time. Out: a [`Signed`] for the workspace of this [`QuerySigner`]. Scheme, host
//! and workspace come from the configuration, the rest of the path from the closed list, and none of the client's headers is
//! sent. `user-agent` and `accept-encoding` are added unsigned, because proxies may change them.

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
    /// `/workspaces/<id>/`
    path: String,
    host: HeaderValue,
}

// === impl QuerySigner ===

impl QuerySigner {
    /// Signs for a workspace; its path begins as the remote-write path does.
    ///
    /// # Errors
    /// If the remote-write URL is invalid; configuration checks exclude that.
    pub(super) fn new(workspace: &Workspace) -> Result<Self, SigningError> {
        Self::at(&workspace.remote_write_url, &workspace.region)
    }

    fn at(url: &Uri, region: &str) -> Result<Self, SigningError> {
        let error = |what: &str| SigningError::of(&format!("remote-write URL: {what}"));
        let scheme = url.scheme_str().ok_or_else(|| error("no scheme"))?;
        let host = url.authority().ok_or_else(|| error("no host"))?.as_str();
        let path = url.path().strip_suffix("api/v1/remote_write");
        Ok(Self {
            region: region.to_owned(),
            origin: format!("{scheme}://{host}"),
            path: path.ok_or_else(|| error("not a path of AMP"))?.to_owned(),
            host: HeaderValue::from_str(host).map_err(|_| error("invalid host"))?,
        })
    }

    /// Signs a query at `now`.
    ///
    /// # Errors
    /// [`SigningError`]; the request must then not be sent.
    pub(super) fn sign(
        &self,
        query_request: &QueryRequest,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Signed, SigningError> {
        let mut path = format!("{}{}", self.path, query_request.api);
        if !query_request.query.is_empty() {
            path.push('?');
            path.push_str(&query_request.query);
        }
        let mut headers = HeaderMap::with_capacity(7);
        headers.insert(HOST, self.host.clone());
        if query_request.method == Method::POST {
            let kind = HeaderValue::from_static(query_request.api.body_type());
            headers.insert(CONTENT_TYPE, kind);
        }
        let scope = Scope {
            region: &self.region,
            service: "aps",
            time: now,
        };
        let form = query_request.form.contiguous();
        let url = format!("{}{path}", self.origin);
        let body = SignableBody::Bytes(&form);
        sigv4::sign(
            &mut headers,
            &query_request.method,
            &url,
            body,
            scope,
            identity,
        )?;
        headers.insert(USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
        if query_request.gzip {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let path: Uri = path
            .parse()
            .map_err(|_| SigningError::of("no valid path"))?;
        Ok(Signed(OutgoingRequest {
            method: query_request.method.clone(),
            path,
            headers,
            chunks: query_request.form.clone(),
        }))
    }
}

#[cfg(test)]
mod tests;
