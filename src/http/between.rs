//! Who responds if it is not the service itself: a proxy, a firewall's block page, a captive portal.
//!
//! In: headers and the beginning of a body. Out: whether it is a web page, and one line with all that names the responder: the headers
//! `Server` and `Via`, and the title of its page.

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, SERVER, VIA};

use crate::sanitize::sanitize_within;

/// Whether it is a web page, by its type or its beginning.
pub(crate) fn is_page(headers: &HeaderMap, body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    is_html(headers) || begins(body, b"<!doctype html") || begins(body, b"<html")
}

/// Whether the content type is that of a web page.
pub(crate) fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| begins(kind, b"text/html") || begins(kind, b"application/xhtml"))
}

/// `Server` and `Via`; empty if there are none.
pub(crate) fn names(headers: &HeaderMap) -> String {
    let named = [(SERVER, "Server"), (VIA, "Via")].map(|(name, shown)| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(format!("{shown}: {}", sanitize_within(value, 128)))
    });
    let named: Vec<String> = named.into_iter().flatten().collect();
    named.join(", ")
}

/// The names, and for a web page its title; empty if nothing names the responder.
pub(crate) fn describe(headers: &HeaderMap, body: &[u8]) -> String {
    let page = is_page(headers, body).then(|| match title(body) {
        Some(title) => format!("a web page with the title \"{title}\""),
        None => "a web page".to_owned(),
    });
    let parts = [Some(names(headers)), page];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(", ")
}

/// In any case of letters.
pub(crate) fn begins(text: &[u8], with: &[u8]) -> bool {
    text.get(..with.len())
        .is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
}

fn title(page: &[u8]) -> Option<String> {
    let page = String::from_utf8_lossy(page);
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower.get(start..)?.find("</title>")?;
    let title = sanitize_within(page.get(start..end)?, 200);
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_responder_is_named_by_its_headers_and_its_page() {
        let headers = |all: &[(&'static str, &str)]| -> HeaderMap {
            all.iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect()
        };
        let page = b" <HTML><title>Blocked\n</title>";
        for (given, body, words) in [
            (vec![], &b"{}"[..], ""),
            (vec![("server", "squid/6")], b"", "Server: squid/6"),
            (
                vec![("server", "squid"), ("via", "1.1 gw")],
                page,
                "Server: squid, Via: 1.1 gw, a web page with the title \"Blocked\"",
            ),
            (vec![("content-type", "Text/HTML")], b"x", "a web page"),
        ] {
            assert_eq!(describe(&headers(&given), body), words);
        }
    }
}
