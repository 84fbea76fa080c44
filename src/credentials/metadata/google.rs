//! Google's metadata server: an identity token of the service account of this machine.
//!
//! In: the audience, which the role's trust policy sees as `accounts.google.com:oaud`. Out: the token, which Google signs and AWS
//! trusts without an OIDC provider. A response without the server's own header comes from something in between, whatever it holds.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use super::error::{Cloud, MetadataError, MetadataRefusal};
use crate::config::GceMetadataConfig;
use crate::credentials::redact::sanitize_without_tokens;
use crate::credentials::token::Token;
use crate::net::client::HttpResponse;
use crate::sanitize::sanitize_within;

pub(super) const PATH: &str = "computeMetadata/v1/instance/service-accounts/default/identity";
/// In both directions: without it the server refuses, and it shows that the server answered.
pub(super) const HEADER: (HeaderName, HeaderValue) = (
    HeaderName::from_static("metadata-flavor"),
    HeaderValue::from_static("Google"),
);
const ISSUER: &str = "https://accounts.google.com";
/// Errors are web pages.
const SHOWN_AT_MOST: usize = 200;

pub(super) fn query(config: &GceMetadataConfig) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("audience", config.audience.as_str()), ("format", "full")])
        .finish()
}

/// The token in the response.
pub(super) fn read(response: &HttpResponse) -> Result<Token, MetadataError> {
    let status = response.status;
    let unusable = |what| Cloud::Google.unusable(response, what);
    let (name, value) = HEADER;
    if response.header(&name) != Some(&value) {
        return Err(unusable("it lacks the header Metadata-Flavor: Google"));
    }
    let text = response.text().unwrap_or_default().trim();
    if status.is_success() {
        let token = Token::of(text).ok_or_else(|| unusable("it is not a JSON web token"))?;
        // As Google documents it.
        return match token.claims() {
            Some(claims) if claims.iss == ISSUER => Ok(token),
            _ => Err(unusable("its token is not of https://accounts.google.com")),
        };
    }
    Err(MetadataError::Refused {
        cloud: Cloud::Google,
        status,
        message: sanitize_within(&sanitize_without_tokens(text), SHOWN_AT_MOST),
        refusal: match status {
            StatusCode::NOT_FOUND => MetadataRefusal::NoServiceAccount,
            StatusCode::FORBIDDEN => MetadataRefusal::Denied,
            StatusCode::TOO_MANY_REQUESTS => MetadataRefusal::Throttled,
            other if other.is_server_error() => MetadataRefusal::Unavailable,
            _ => MetadataRefusal::Other,
        },
    })
}
