//! Azure's Instance Metadata Service: an access token of Entra ID for a managed identity of this machine.
//!
//! In: the App ID URI that AWS trusts, and the identity's client id where the machine has several. Out: the token, which the service
//! keeps and gives again until little of its life is left; nothing is kept here, because STS takes any token that is still valid.
//!
//! The service may answer 404 and 410 while it is updated, and 429 and 5xx: all of them pass.

use hyper::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::error::{Cloud, MetadataError, MetadataRefusal};
use crate::config::AzureImdsConfig;
use crate::credentials::redact::sanitize_without_tokens;
use crate::credentials::token::Token;
use crate::net::client::HttpResponse;
use crate::remedies::entra::EntraRefusal;

pub(super) const PATH: &str = "metadata/identity/oauth2/token";
/// Without it the service refuses, so that nobody can talk a server into calling it by a URL alone.
pub(super) const HEADER: (HeaderName, HeaderValue) = (
    HeaderName::from_static("metadata"),
    HeaderValue::from_static("true"),
);
const API_VERSION: &str = "2018-02-01";

#[derive(Deserialize)]
struct ImdsGrant {
    access_token: SecretString,
}

#[derive(Deserialize)]
struct ImdsRejection {
    error: String,
    #[serde(default)]
    error_description: String,
}

pub(super) fn query(config: &AzureImdsConfig) -> String {
    let client_id = config.client_id.iter().map(|id| ("client_id", id.as_str()));
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("api-version", API_VERSION), ("resource", &config.audience)])
        .extend_pairs(client_id)
        .finish()
}

/// The token in the response.
pub(super) fn read(response: &HttpResponse) -> Result<Token, MetadataError> {
    let status = response.status;
    let unusable = |what| Cloud::Azure.unusable(response, what);
    let json = response.text().unwrap_or_default();
    // The parser's own message may quote the response, and with it a token.
    if status.is_success() {
        let granted: ImdsGrant =
            serde_json::from_str(json).map_err(|_| unusable("it has no access_token"))?;
        return Token::of(granted.access_token.expose_secret())
            .ok_or_else(|| unusable("its access_token is not a JSON web token"));
    }
    let refused = |message, refusal| MetadataError::Refused {
        cloud: Cloud::Azure,
        status,
        message,
        refusal,
    };
    let rejection: Option<ImdsRejection> = serde_json::from_str(json).ok();
    let message = rejection.map(
        |ImdsRejection {
             error,
             error_description,
         }| { sanitize_without_tokens(&format!("{error}: {error_description}")) },
    );
    let passing = match status.as_u16() {
        429 => Some(MetadataRefusal::Throttled),
        404 | 410 | 500..=599 => Some(MetadataRefusal::Unavailable),
        _ => None,
    };
    match (passing, message) {
        (Some(refusal), message) => {
            let message = message.unwrap_or_else(|| response.responder.clone());
            Err(refused(message, refusal))
        }
        (None, Some(message)) => {
            let refusal = meaning(&message);
            Err(refused(message, refusal))
        }
        (None, None) => Err(unusable("it is not the JSON of an error")),
    }
}

fn meaning(message: &str) -> MetadataRefusal {
    if message.contains("Identity not found") {
        MetadataRefusal::NoIdentity
    } else if message.contains("Multiple user assigned identities exist") {
        MetadataRefusal::SeveralIdentities
    } else {
        let code = message.split_once("AADSTS").map(|(_, rest)| rest);
        let digits = code.and_then(|code| code.split(|c: char| !c.is_ascii_digit()).next());
        let known = digits.and_then(|digits| EntraRefusal::of(digits.parse().ok()?));
        known.map_or(MetadataRefusal::Other, |known| MetadataRefusal::ByEntra {
            row: known.row(),
            passes: known.passes,
        })
    }
}
