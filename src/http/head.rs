//! Rejects request heads that two HTTP parsers could read differently.
//!
//! In: a request as hyper parsed it, which already rejects everything that is not HTTP/1.1. Out: its host, or an
//! [`AmbiguousHead`] that names what a proxy before us may have read differently: a transfer encoding that only ends in
//! `chunked`, no host or several, a target with another host. [`is_last`] says after which requests the connection must not be
//! read any further, because the end of their body is ambiguous: so a smuggled second request has nowhere to hide.
//! `docs/http-framing.md` compares every case with HAProxy and Envoy.
//!
//! A parser of our own before hyper's was rejected: the two would have to agree on every byte, for good.

use hyper::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Version};

use crate::sanitize::sanitize;

/// A head that two parsers could read differently.
#[derive(Debug, thiserror::Error)]
pub enum AmbiguousHead {
    /// The end of the body is ambiguous.
    #[error("Transfer-Encoding is {0}: expected a Content-Length, or chunked alone")]
    Encoding(String),
    #[error("{0}: expected one Host, a name or an address and perhaps a port")]
    Host(String),
    /// The `Host` header and the target name different hosts.
    #[error("Host is {named} and the target is at {target}: expected the same")]
    TwoHosts {
        /// The host in the header.
        named: String,
        /// The host in the target.
        target: String,
    },
}

/// The request's host; `None` if it names none, as HTTP/1.0 may.
pub fn host<B>(request: &Request<B>) -> Result<Option<Authority>, AmbiguousHead> {
    let mut encodings = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => {}
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        (Some(one), None) => return Err(AmbiguousHead::Encoding(words(one))),
        (Some(_), Some(_)) => return Err(AmbiguousHead::Encoding("given twice".to_owned())),
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(one), None) => Some(authority(one)?),
        (None, _) if request.version() == Version::HTTP_10 => None,
        (None, _) => return Err(AmbiguousHead::Host("Host is missing".to_owned())),
        (Some(_), Some(_)) => return Err(AmbiguousHead::Host("Host is given twice".to_owned())),
    };
    match (request.uri().authority(), named) {
        (Some(target), Some(named)) if *target != named => Err(AmbiguousHead::TwoHosts {
            named: sanitize(named.as_str()),
            target: sanitize(target.as_str()),
        }),
        (Some(target), None) => Ok(Some(target.clone())),
        (_, named) => Ok(named),
    }
}

/// Whether the connection must not be read after this request.
#[must_use]
pub fn is_last<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(TRANSFER_ENCODING)
        || request.method() == Method::CONNECT
        || !request.uri().path().starts_with('/')
        || host(request).is_err()
}

/// A name or address with an optional port, without user info.
fn authority(value: &HeaderValue) -> Result<Authority, AmbiguousHead> {
    let fault = || AmbiguousHead::Host(format!("Host is {}", words(value)));
    let authority = Authority::try_from(value.as_bytes()).map_err(|_| fault())?;
    let port = authority.as_str().strip_prefix(authority.host());
    let port = port.ok_or_else(fault)?.trim_start_matches(':');
    // The grammar allows more characters, such as a comma; real names do not have them.
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    let is_host = !authority.host().is_empty() && authority.host().bytes().all(usual);
    if !is_host || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(fault());
    }
    Ok(authority)
}

fn words(value: &HeaderValue) -> String {
    format!("{:?}", sanitize(&String::from_utf8_lossy(value.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::post(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn one_host_is_one() {
        for host in [
            "localhost",
            "127.0.0.1:8005",
            "[::1]:8005",
            "a.b:",
            "LOCALHOST:1",
        ] {
            let named = super::host(&request("/x", &[("host", host)]));
            assert_eq!(named.unwrap().unwrap().as_str(), host);
        }
        for host in [
            "", ":1", "a b", "a,b", "a/b", "me@a", "a:b", "a:1:2", "[::1", "a\\b",
        ] {
            let named = super::host(&request("/x", &[("host", host)]));
            assert!(
                named.unwrap_err().to_string().contains("expected one Host"),
                "{host:?}"
            );
        }
        assert!(super::host(&request("/x", &[])).is_err());
        assert!(super::host(&request("/x", &[("host", "a"), ("host", "a")])).is_err());
        let same = request("http://A:1/x", &[("host", "a:1")]);
        assert!(super::host(&same).is_ok());
        assert!(super::host(&request("http://a:2/x", &[("host", "a:1")])).is_err());
        let mut old = request("/x", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(super::host(&old).unwrap(), None);
    }

    #[test]
    fn a_body_is_chunked_or_has_a_length() {
        let of = |encoding| request("/x", &[("host", "a"), ("transfer-encoding", encoding)]);
        assert!(host(&of("Chunked")).is_ok() && is_last(&of("Chunked")));
        for encoding in [
            "gzip, chunked",
            "chunked, chunked",
            ",chunked",
            "identity",
            "",
        ] {
            assert!(
                host(&of(encoding)).is_err() && is_last(&of(encoding)),
                "{encoding}"
            );
        }
        let twice = [
            ("host", "a"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ];
        assert!(host(&request("/x", &twice)).is_err());
        assert!(!is_last(&request("/x", &[("host", "a")])));
    }
}
