//! Whether a request to a write path is a batch at all.
//!
//! In: a request's head. Out: the [`Media`] that it carries, or a verdict. A query is ignored.

use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use crate::batch::inspect::Version;
use crate::batch::verdict::Verdict;
use crate::quote::quote;

/// Names the protocol's version beside the content type.
pub const WRITE_VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// What a body says it is.
#[derive(Debug, Clone)]
pub struct Media {
    /// Which schema it is of.
    pub version: Version,
    /// As the sender wrote it.
    pub content_type: HeaderValue,
    /// As the sender wrote it, else what the schema implies.
    pub write_version: HeaderValue,
}

// === impl Media ===

impl Media {
    /// Of a remote write 1.0 body.
    #[must_use]
    pub fn v1() -> Self {
        Self {
            version: Version::V1,
            content_type: HeaderValue::from_static("application/x-protobuf"),
            write_version: HeaderValue::from_static("0.1.0"),
        }
    }
}

/// What the request carries, where it is a batch.
///
/// # Errors
/// The [`Verdict`] on a request that is not.
pub fn accept(head: &Parts) -> Result<Media, Verdict> {
    if head.method != Method::POST {
        return Err(Verdict::MethodNotAllowed);
    }
    media(&head.headers)
}

/// The length that the head declares.
#[must_use]
pub fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn media(headers: &HeaderMap) -> Result<Media, Verdict> {
    let unsupported = |header: HeaderName| Verdict::UnsupportedMedia {
        what: match headers.get(&header) {
            Some(value) => format!(
                "{header} is {}",
                quote(&String::from_utf8_lossy(value.as_bytes()))
            ),
            None => format!("{header} is missing"),
        },
    };
    let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if !encoding.is_some_and(|encoding| encoding.eq_ignore_ascii_case(b"snappy")) {
        return Err(unsupported(CONTENT_ENCODING));
    }
    let content_type = headers.get(CONTENT_TYPE);
    let version = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(version_of);
    let (Some(content_type), Some(version)) = (content_type, version) else {
        return Err(unsupported(CONTENT_TYPE));
    };
    let implied = HeaderValue::from_static(match version {
        Version::V1 => "0.1.0",
        Version::V2 => "2.0.0",
    });
    let short = |value: &&HeaderValue| {
        value.len() <= 16 && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let write_version = headers
        .get(WRITE_VERSION)
        .filter(short)
        .cloned()
        .unwrap_or(implied);
    Ok(Media {
        version,
        content_type: content_type.clone(),
        write_version,
    })
}

/// The schema that a content type names (remote write 2.0, "Protobuf message"); none given means 1.0.
fn version_of(content_type: &str) -> Option<Version> {
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("application/x-protobuf") {
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

    fn accepted(method: &str, headers: &[(&str, &str)]) -> Result<Media, &'static str> {
        let mut request = Request::builder().method(method).uri("/api/v1/write");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        accept(&head).map_err(|verdict| verdict.name())
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
        let version =
            |value| accepted("POST", &[SNAPPY, ("content-type", value)]).map(|media| media.version);
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
            "",
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
        assert_eq!(
            accepted("POST", &zstd[1..]).unwrap_err(),
            "unsupported_media"
        );
    }
}
