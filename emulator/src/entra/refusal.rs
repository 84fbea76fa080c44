//! Every way in which Entra ID says no: AADSTS code, OAuth error, HTTP status and text.
//!
//! Codes and wordings are those of Microsoft's list of error codes and of what users report. Ours alone are the exact
//! reasons of 700027 for a federated assertion, and that 7000216 also answers an assertion type other than the JWT's.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::front::request_id;
use crate::http::answer;

const FEDERATION: &str =
    "https://learn.microsoft.com/entra/workload-id/workload-identity-federation";
const CHECK: &str = "Check your federated identity credential Subject, Audience and Issuer against the presented assertion.";
const TIMESTAMP: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
const INSTANT: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:7]Z");

/// Why Entra does not hand out an access token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntraRefusal {
    /// A field is not in the form.
    #[error("The request body must contain the following parameter: '{0}'.")]
    MissingParameter(&'static str),
    /// Another grant than `client_credentials`.
    #[error("The app requested an unsupported grant type '{0}'.")]
    GrantType(String),
    /// The path names no tenant.
    #[error(
        "Tenant '{0}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant."
    )]
    TenantNotFound(String),
    /// The scope does not end in `/.default`.
    #[error(
        "The provided value for scope {0} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
    )]
    Scope(String),
    /// No such client id.
    #[error(
        "Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant."
    )]
    ApplicationNotFound {
        /// As asked for.
        client_id: String,
        /// The tenant's id.
        tenant: String,
    },
    /// An application without a service principal.
    #[error(
        "The client application {client_id} is missing service principal in the tenant {tenant}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"
    )]
    NoServicePrincipal {
        /// As asked for.
        client_id: String,
        /// The tenant's id.
        tenant: String,
    },
    /// No assertion, or none of a type that is taken.
    #[error(
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type."
    )]
    NoAssertion,
    /// The assertion is no JWT.
    #[error("JWT token is invalid or malformed.")]
    NotAJwt,
    /// The application has no federated credential at all.
    #[error("The client '{0}' has no configured federated identity credentials.")]
    NoCredentials(String),
    /// No credential names the assertion's issuer.
    #[error(
        "No matching federated identity record found for presented assertion issuer '{0}'. {CHECK} {FEDERATION}"
    )]
    Issuer(String),
    /// None with that issuer names its subject.
    #[error(
        "No matching federated identity record found for presented assertion subject '{0}'. {CHECK} {FEDERATION}"
    )]
    Subject(String),
    /// None with both names its audience.
    #[error(
        "No matching federated identity record found for presented assertion audience '{0}'. {CHECK} {FEDERATION}"
    )]
    Audience(String),
    /// The issuer's documents cannot be had.
    #[error("Request to External OIDC endpoint failed.")]
    OidcEndpoint,
    /// The key is not published, or the signature does not fit it.
    #[error("Client assertion failed signature validation. [Reason - {0}]")]
    Signature(&'static str),
    /// The assertion's time is over or has not come; seconds since 1970.
    #[error(
        "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry time of assertion {}. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
        instant(*now), instant(*from), instant(*until)
    )]
    NotInTime {
        /// Now.
        now: u64,
        /// `nbf`.
        from: u64,
        /// `exp`.
        until: u64,
    },
    /// The scope's resource is nobody's.
    #[error(
        "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant."
    )]
    ResourceNotFound {
        /// As asked for.
        resource: String,
        /// The tenant's id.
        tenant: String,
    },
}

/// A refusal in words, and what those contain.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) text: String,
    trace_id: String,
    timestamp: String,
}

impl EntraRefusal {
    /// The number after `AADSTS`.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::MissingParameter(_) => 900_144,
            Self::GrantType(_) => 70_003,
            Self::TenantNotFound(_) => 90_002,
            Self::Scope(_) => 1_002_012,
            Self::ApplicationNotFound { .. } => 700_016,
            Self::NoServicePrincipal { .. } => 7_000_229,
            Self::NoAssertion => 7_000_216,
            Self::NotAJwt => 50_027,
            Self::NoCredentials(_) => 70_025,
            Self::Issuer(_) => 700_211,
            Self::Audience(_) => 700_212,
            Self::Subject(_) => 700_213,
            Self::OidcEndpoint => 50_166,
            Self::Signature(_) => 700_027,
            Self::NotInTime { .. } => 700_024,
            Self::ResourceNotFound { .. } => 500_011,
        }
    }

    /// OAuth's own word for it, and the HTTP status.
    #[must_use]
    pub fn error(&self) -> (&'static str, StatusCode) {
        match self {
            Self::MissingParameter(_)
            | Self::TenantNotFound(_)
            | Self::NotAJwt
            | Self::OidcEndpoint => ("invalid_request", StatusCode::BAD_REQUEST),
            Self::GrantType(_) => ("unsupported_grant_type", StatusCode::BAD_REQUEST),
            Self::Scope(_) => ("invalid_scope", StatusCode::BAD_REQUEST),
            Self::ResourceNotFound { .. } => ("invalid_resource", StatusCode::BAD_REQUEST),
            Self::ApplicationNotFound { .. } => ("unauthorized_client", StatusCode::BAD_REQUEST),
            Self::NoServicePrincipal { .. }
            | Self::NoAssertion
            | Self::NoCredentials(_)
            | Self::Issuer(_)
            | Self::Subject(_)
            | Self::Audience(_)
            | Self::Signature(_)
            | Self::NotInTime { .. } => ("invalid_client", StatusCode::UNAUTHORIZED),
        }
    }

    /// The text of `error_description`.
    pub(crate) fn description(&self, correlation_id: &str, now: OffsetDateTime) -> Described {
        let (code, trace_id) = (self.code(), request_id());
        let timestamp = now.format(TIMESTAMP).unwrap_or_default();
        Described {
            text: format!(
                "AADSTS{code}: {self} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
            ),
            trace_id,
            timestamp,
        }
    }

    pub(crate) fn answer(
        &self,
        authority: &str,
        correlation_id: &str,
        now: OffsetDateTime,
    ) -> Response<Bytes> {
        let ((error, status), code) = (self.error(), self.code());
        let Described {
            text,
            trace_id,
            timestamp,
        } = self.description(correlation_id, now);
        let body = json!({
            "error": error,
            "error_description": text,
            "error_codes": [code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": format!("{authority}error?code={code}"),
        });
        let mut response = answer(status, "application/json; charset=utf-8", body.to_string());
        response.headers_mut().insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store, no-cache"),
        );
        response
    }
}

fn instant(seconds: u64) -> String {
    let since = Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    OffsetDateTime::UNIX_EPOCH
        .checked_add(since)
        .and_then(|time| time.format(INSTANT).ok())
        .unwrap_or_default()
}
