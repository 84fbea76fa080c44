//! Checks from the head whether a request to a write path is a batch, and of which version.
//!
//! In: a request head. Out: its [`WriteProtocol`], or [`NotABatch`]. A query string is ignored. Missing or empty headers mean
//! the same as to Prometheus and Cortex: no `Content-Encoding` is snappy, no `Content-Type` is remote write 1.0. The headers
//! for AMP are built here in one spelling per version: Cortex compares a content type byte by byte and takes
//! `application/x-protobuf; proto=…`, with a space, for version 1.0.

use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request};

use crate::remote_write::inspect::Version;
use crate::sanitize::sanitize;

/// The protocol version header.
pub const WRITE_VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
/// The version header of VictoriaMetrics' own protocol, whose bodies are compressed with zstd.
pub const VICTORIA_VERSION: HeaderName =
    HeaderName::from_static("x-victoriametrics-remote-write-version");

/// The declared format of a body.
#[derive(Debug, Clone)]
pub struct WriteProtocol {
    /// The schema.
    pub version: Version,
    pub content_type: HeaderValue,
    /// The sender's version header, else the schema's version.
    pub write_version: HeaderValue,
}

/// Why a request to a write path is not a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotABatch {
    #[error("the method is not POST")]
    Method,
    /// An encoding or content type other than remote write's, in words.
    #[error("{0}")]
    Format(String),
}

// === impl WriteProtocol ===

impl WriteProtocol {
    /// The format of a remote write 1.0 body.
    #[must_use]
    pub fn v1() -> Self {
        Self {
            version: Version::V1,
            content_type: HeaderValue::from_static("application/x-protobuf"),
            write_version: HeaderValue::from_static("0.1.0"),
        }
    }
}

/// The format of a batch.
pub fn accept(head: &Parts) -> Result<WriteProtocol, NotABatch> {
    if head.method != Method::POST {
        return Err(NotABatch::Method);
    }
    protocol_of(&head.headers)
}

#[must_use]
pub fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The value of a header that is not empty.
#[must_use]
pub fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let value = headers.get(name)?.as_bytes().trim_ascii();
    (!value.is_empty()).then_some(value)
}

/// Whether vmagent or vmalert probes for VictoriaMetrics' own protocol, once after a start: versions 1.88 to 1.116 with `GET
/// ?get_vm_proto_version=1`, where anything but 200 means no; later ones with a first body in zstd, which they compress again
/// with snappy and resend at once after a 415 (app/vmagent/remotewrite/client.go and app/vmalert/remotewrite/client.go of
/// VictoriaMetrics).
#[must_use]
pub fn is_protocol_probe<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    if request.method() == Method::POST {
        return headers.contains_key(VICTORIA_VERSION)
            && said(headers, &CONTENT_ENCODING)
                .is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"zstd"));
    }
    let query = request.uri().query().unwrap_or_default();
    request.method() == Method::GET
        && query
            .split('&')
            .any(|pair| pair.starts_with("get_vm_proto_version="))
}

/// The schema that the content type names, or the content type if it is not remote write's.
pub fn version(headers: &HeaderMap) -> Result<Version, &[u8]> {
    match said(headers, &CONTENT_TYPE) {
        None => Ok(Version::V1),
        Some(value) => std::str::from_utf8(value)
            .ok()
            .and_then(version_of)
            .ok_or(value),
    }
}

fn protocol_of(headers: &HeaderMap) -> Result<WriteProtocol, NotABatch> {
    let unsupported = |name: HeaderName, value: &[u8]| {
        let value = sanitize(&String::from_utf8_lossy(value));
        NotABatch::Format(format!("{name} is {value}"))
    };
    if let Some(encoding) = said(headers, &CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case(b"snappy")
    {
        return Err(unsupported(CONTENT_ENCODING, encoding));
    }
    let version = version(headers).map_err(|value| unsupported(CONTENT_TYPE, value))?;
    let (content_type, implied) = match version {
        Version::V1 => ("application/x-protobuf", "0.1.0"),
        Version::V2 => (
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            "2.0.0",
        ),
    };
    let short = |value: &&HeaderValue| {
        (1..=16).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let write_version = headers
        .get(WRITE_VERSION)
        .filter(short)
        .cloned()
        .unwrap_or(HeaderValue::from_static(implied));
    Ok(WriteProtocol {
        version,
        content_type: HeaderValue::from_static(content_type),
        write_version,
    })
}

/// The schema that a content type names (remote write 2.0, "Protobuf message"); 1.0 by default.
fn version_of(content_type: &str) -> Option<Version> {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next()?;
    // npm's prometheus-remote-write before 0.5; engines without remote write 2.0 accepted it like any other type.
    if essence.eq_ignore_ascii_case("application/vnd.google.protobuf") {
        return Some(Version::V1);
    }
    if !essence.eq_ignore_ascii_case("application/x-protobuf") {
        return None;
    }
    let mut version = Version::V1;
    for parameter in parts.filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("proto") {
            version = match value.trim().trim_matches('"') {
                "prometheus.WriteRequest" => Version::V1,
                "io.prometheus.write.v2.Request" => Version::V2,
                _ => return None,
            };
        }
    }
    Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn accepted(method: &str, headers: &[(&str, &str)]) -> Result<WriteProtocol, &'static str> {
        let mut request = Request::builder().method(method).uri("/api/v1/write");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        accept(&head).map_err(|why| match why {
            NotABatch::Method => "method_not_allowed",
            NotABatch::Format(_) => "unsupported_media",
        })
    }

    const SNAPPY: (&str, &str) = ("content-encoding", "snappy");

    #[test]
    fn a_batch_is_posted() {
        let headers = [SNAPPY, ("content-type", "application/x-protobuf")];
        assert!(accepted("POST", &headers).is_ok());
        for method in ["GET", "PUT", "HEAD", "post"] {
            assert_eq!(
                accepted(method, &headers).unwrap_err(),
                "method_not_allowed"
            );
        }
    }

    #[test]
    fn the_content_type_chooses_the_schema() {
        let version = |value| {
            accepted("POST", &[SNAPPY, ("content-type", value)]).map(|protocol| protocol.version)
        };
        for v1 in [
            "application/x-protobuf",
            "Application/X-Protobuf;proto=prometheus.WriteRequest",
            "application/x-protobuf; charset=x",
        ] {
            assert_eq!(version(v1), Ok(Version::V1), "{v1}");
        }
        for v2 in [
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            "application/x-protobuf ; proto=\"io.prometheus.write.v2.Request\"",
        ] {
            assert_eq!(version(v2), Ok(Version::V2), "{v2}");
        }
        for other in [
            ";",
            "application/json",
            "application/x-protobuf;proto=io.prometheus.write.v3.Request",
            "application/x-protobuf;proto",
        ] {
            assert_eq!(version(other), Err("unsupported_media"), "{other}");
        }
        let zstd = [
            ("content-encoding", "zstd"),
            ("content-type", "application/x-protobuf"),
        ];
        assert_eq!(accepted("POST", &zstd).unwrap_err(), "unsupported_media");
    }

    #[test]
    fn what_is_left_out_is_snappy_and_version_1() {
        let protobuf = ("content-type", "application/x-protobuf");
        for headers in [
            &[][..],
            &[SNAPPY],
            &[protobuf],
            &[("content-encoding", ""), ("content-type", " ")],
            &[("content-type", "application/vnd.google.protobuf")],
        ] {
            let protocol = accepted("POST", headers).unwrap();
            assert_eq!(protocol.version, Version::V1, "{headers:?}");
            assert_eq!(protocol.content_type, "application/x-protobuf");
            assert_eq!(protocol.write_version, "0.1.0");
        }
        let v2 = "application/x-protobuf; proto=io.prometheus.write.v2.Request";
        let protocol = accepted("POST", &[("content-type", v2)]).unwrap();
        assert_eq!(
            protocol.content_type,
            "application/x-protobuf;proto=io.prometheus.write.v2.Request"
        );
    }

    #[test]
    fn a_probe_is_told_from_what_would_be_lost() {
        let probe = |method: &str, target: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method).uri(target);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            is_protocol_probe(&request.body(()).unwrap())
        };
        let victoria = ("x-victoriametrics-remote-write-version", "1");
        let zstd = ("content-encoding", "zstd");
        assert!(probe("POST", "/w", &[victoria, zstd]));
        assert!(!probe("POST", "/w", &[zstd]));
        assert!(!probe("POST", "/w", &[victoria, SNAPPY]));
        assert!(probe("GET", "/w?a=b&get_vm_proto_version=1", &[]));
        assert!(!probe("GET", "/w?a=get_vm_proto_version", &[]));
        assert!(!probe("POST", "/w?get_vm_proto_version=1", &[]));
    }
}
