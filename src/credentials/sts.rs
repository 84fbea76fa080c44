//! The two calls of STS that give credentials, as its API reference (2011-06-15) describes them.
//!
//! In: a [`RoleSession`] to request, and what authorizes it: a web identity token (AssumeRoleWithWebIdentity, unsigned) or the
//! credentials of another role (AssumeRole, signed with them). Out: temporary credentials ([`SessionCredentials`]), or an
//! [`StsError`] with STS' code and message that knows when to retry. A response without usable credentials is an error like any
//! other, so the last good ones stay in use. The `Date` of a response over verified TLS sets the clock.

mod error;
mod form;
mod response;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::SignableBody;
use aws_smithy_runtime_api::client::identity::Identity;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{HeaderMap, Uri};

pub use error::{Pace, StsError};
pub(crate) use error::{is_about_the_key, is_throttling};
pub use response::SessionCredentials;

use crate::clock::Clock;
use crate::config::RoleSession;
use crate::credentials::token::Token;
use crate::net::client::{FORM, HttpClient, HttpResponse};
use crate::sigv4::{self, Scope, SigningError};

/// Calls one STS endpoint; clones call the same.
#[derive(Debug, Clone)]
pub struct Sts {
    client: HttpClient,
    endpoint: Uri,
    region: String,
    clock: Clock,
}

// === impl Sts ===

impl Sts {
    /// Calls the STS at `endpoint`; `region` is signed.
    #[must_use]
    pub fn new(endpoint: Uri, region: String, client: HttpClient, clock: Clock) -> Self {
        Self {
            client,
            endpoint,
            region,
            clock,
        }
    }

    pub(super) fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    /// The region that is signed.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Exchanges the token for a session.
    pub async fn assume_role_with_web_identity(
        &self,
        session: &RoleSession,
        token: &Token,
    ) -> Result<SessionCredentials, StsError> {
        let form = form::web_identity(session, token.expose());
        let response = self.client.post(&self.endpoint, HeaderMap::new(), form);
        self.read(&response.await?, session, token.expose())
    }

    /// Assumes a role with the credentials of another.
    pub async fn assume_role(
        &self,
        session: &RoleSession,
        by: &Credentials,
    ) -> Result<SessionCredentials, StsError> {
        let form = form::role(session);
        let headers = self.signed(&form, by)?;
        let response = self.client.post(&self.endpoint, headers, form);
        self.read(
            &response.await?,
            session,
            by.session_token().unwrap_or_default(),
        )
    }

    fn signed(&self, form: &str, by: &Credentials) -> Result<HeaderMap, SigningError> {
        let host = self
            .endpoint
            .authority()
            .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
            .ok_or_else(|| SigningError::of("the endpoint has no host"))?;
        let mut headers = HeaderMap::from_iter([(HOST, host), (CONTENT_TYPE, FORM)]);
        let scope = Scope {
            region: &self.region,
            service: "sts",
            time: self.clock.now(),
        };
        let body = SignableBody::Bytes(form.as_bytes());
        let url = self.endpoint.to_string();
        sigv4::sign_post(&mut headers, &url, body, scope, &Identity::from(by.clone()))?;
        Ok(headers)
    }

    /// The result of a response to the request for `session`, which `secret` authorized.
    ///
    /// # Errors
    /// [`StsError`] if there are no usable credentials in it.
    pub fn read(
        &self,
        response: &HttpResponse,
        session: &RoleSession,
        secret: &str,
    ) -> Result<SessionCredentials, StsError> {
        if let Some(date) = response.verified_date {
            self.clock.learn(date);
        }
        let status = response.status;
        let xml = response.text().ok_or_else(|| StsError::Unusable {
            status,
            what: "it is not UTF-8".to_owned(),
        })?;
        let read = if status.is_success() {
            response::credentials(status, xml, self.clock.now(), session.duration)
        } else {
            Err(response::refusal(status, xml, secret))
        };
        read.map_err(|error| error.by(&response.responder))
    }
}
