//! Identifies the responder: AWS' front door, the store behind it, or a proxy.
//!
//! In: headers and a bounded body. Out: a [`Responder`] with its error text. Texts of one are never matched against patterns of
//! another: a refusal of the store quotes arbitrary labels, and a proxy's page may contain anything.
//!
//! | responder | known by |
//! |---|---|
//! | front door | `x-amzn-errortype`, or a JSON object with `message`, `Message` or `__type`; certain with AWS' request id or a type |
//! | store | a text that begins like one of the store's; any other `text/plain` with AWS' request id |
//! | in between | HTML, and everything else |
//!
//! Every response of AMP has a request id (`x-amzn-RequestId`, documented), so an unknown plain text without one is a proxy's.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;

use super::store::{self, StoreText};
use crate::http::between;
use crate::sanitize::sanitize;

/// The responder and its error text.
#[derive(Debug)]
pub(super) enum Responder {
    /// AWS, before the request reached the store.
    FrontDoor {
        /// Without the namespace before `#` and the URL after `:`.
        error_type: String,
        said: String,
        /// The response has AWS' request id or an error type; a proxy's JSON has neither.
        certain: bool,
    },
    /// The store: Cortex.
    Store {
        /// `None` for an unknown text.
        text: Option<StoreText>,
        said: String,
    },
    /// A proxy, a gateway, a captive portal.
    InBetween {
        /// The body is a web page.
        html: bool,
        said: String,
    },
}

/// Either spelling of AWS' JSON errors.
#[derive(Deserialize, Default)]
struct JsonError {
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(rename = "__type")]
    error_type: Option<String>,
}

// === impl Responder ===

impl Responder {
    pub(super) fn of(headers: &HeaderMap, body: &[u8]) -> Self {
        if between::is_page(headers, body) {
            let said = between::describe(headers, body);
            return Self::InBetween { html: true, said };
        }
        let json = || serde_json::from_slice::<JsonError>(body).ok();
        let json = body
            .trim_ascii_start()
            .starts_with(b"{")
            .then(json)
            .flatten()
            .filter(|json| json.message.is_some() || json.error_type.is_some());
        let has_request_id = headers.contains_key("x-amzn-requestid");
        let header = header(headers, "x-amzn-errortype");
        if header.is_some() || json.is_some() {
            let json = json.unwrap_or_default();
            let error_type = bare_type(header.or(json.error_type.as_deref()).unwrap_or_default());
            let message = json.message.filter(|message| !message.is_empty());
            let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
            let said = without_canonical_request(&message);
            return match store::read(said) {
                // The store's own text in AWS' form.
                Some(text) if error_type.is_empty() => Self::Store {
                    text: Some(text),
                    said: sanitize(said),
                },
                _ => Self::FrontDoor {
                    said: sanitize(said),
                    certain: has_request_id || !error_type.is_empty(),
                    error_type,
                },
            };
        }
        let text = String::from_utf8_lossy(body);
        let known = store::read(&text);
        let is_from_store = known.is_some()
            || store::is_about_media(&text)
            || (is_plain(headers) && has_request_id);
        if is_from_store {
            return Self::Store {
                text: known,
                said: sanitize(without_canonical_request(&text)),
            };
        }
        let said = [
            between::names(headers),
            sanitize(without_canonical_request(&text)),
        ];
        let said: Vec<String> = said.into_iter().filter(|part| !part.is_empty()).collect();
        Self::InBetween {
            html: false,
            said: said.join(", "),
        }
    }

    pub(super) fn said(&self) -> &str {
        match self {
            Self::FrontDoor { said, .. }
            | Self::Store { said, .. }
            | Self::InBetween { said, .. } => said,
        }
    }

    /// Whether it certainly was AMP: its front door or its store.
    pub(super) fn is_amp(&self) -> bool {
        match self {
            Self::FrontDoor { certain, .. } => *certain,
            Self::Store { .. } => true,
            Self::InBetween { .. } => false,
        }
    }
}

fn is_plain(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| between::begins(kind, b"text/plain"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// AWS explains a wrong signature by quoting the canonical request, which contains the session token.
fn without_canonical_request(said: &str) -> &str {
    let said = said.trim_start();
    let line = said.lines().next().unwrap_or_default();
    line.split("The Canonical String")
        .next()
        .unwrap_or_default()
}

/// `namespace#Type:http://…` to `Type`: the forms that AWS' protocols allow.
fn bare_type(text: &str) -> String {
    let text = text.rsplit('#').next().unwrap_or_default();
    sanitize(text.split(':').next().unwrap_or_default())
}
