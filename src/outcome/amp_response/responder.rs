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
use hyper::header::{CONTENT_TYPE, SERVER, VIA};
use serde::Deserialize;

use super::store::{self, StoreText};
use crate::sanitize::{sanitize, sanitize_within};

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
        if is_html(headers) || looks_like_html(body) {
            let said = with_proxy_names(headers, title(body).as_deref().unwrap_or("a web page"));
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
        let said = with_proxy_names(headers, &sanitize(without_canonical_request(&text)));
        Self::InBetween { html: false, said }
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

/// Whether the content type is that of a web page.
pub(super) fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| begins(kind, b"text/html") || begins(kind, b"application/xhtml"))
}

fn is_plain(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| begins(kind, b"text/plain"))
}

/// No text of the store begins like this, whatever it quotes.
fn looks_like_html(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    begins(body, b"<!doctype html") || begins(body, b"<html")
}

fn begins(text: &[u8], with: &[u8]) -> bool {
    text.get(..with.len())
        .is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
}

/// The text, after the `Server` and `Via` headers that identify the proxy.
fn with_proxy_names(headers: &HeaderMap, words: &str) -> String {
    let named = [(SERVER, "Server"), (VIA, "Via")].map(|(name, shown)| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(format!("{shown}: {}, ", sanitize_within(value, 128)))
    });
    let names: String = named.into_iter().flatten().collect();
    if words.is_empty() {
        return names.trim_end_matches(", ").to_owned();
    }
    format!("{names}{words}")
}

/// The title of a web page, or the start of its text.
fn title(page: &[u8]) -> Option<String> {
    let page = String::from_utf8_lossy(page);
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower.get(start..)?.find("</title>")?;
    let title = sanitize_within(page.get(start..end)?, 200);
    (!title.is_empty()).then(|| format!("a web page with the title \"{title}\""))
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
