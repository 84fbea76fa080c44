//! Reads from the headers which of the two schemas a body is in, as Cortex reads them (with Prometheus' client_golang).

use http::{HeaderMap, header};

use super::refusal::AmpRefusal;

const PROTOBUF: &str = "application/x-protobuf";
const V1: &str = "prometheus.WriteRequest";
const V2: &str = "io.prometheus.write.v2.Request";

/// The version of remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// `prometheus.WriteRequest`, which a bare `application/x-protobuf` means too.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// Refuses with 415 whatever is not snappy-compressed protobuf of a known schema, in the engine's words. Absent headers
/// mean 1.0 and snappy; of several, the first one counts.
pub(super) fn schema(headers: &HeaderMap) -> Result<Schema, AmpRefusal> {
    let content_type = first(headers, &header::CONTENT_TYPE).unwrap_or(PROTOBUF.into());
    let schema = parse(&content_type).map_err(AmpRefusal::UnsupportedMedia)?;
    match first(headers, &header::CONTENT_ENCODING).as_deref() {
        None | Some("snappy") => Ok(schema),
        Some(encoding) => Err(AmpRefusal::UnsupportedMedia(format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        ))),
    }
}

/// To the letter: a parameter after a blank is another parameter, and a quoted value another value.
fn parse(content_type: &str) -> Result<Schema, String> {
    let content_type = content_type.trim();
    let mut parts = content_type.split(';');
    if parts.next() != Some(PROTOBUF) {
        return Err(format!(
            "expected {PROTOBUF} as the first (media) part, got {content_type} content-type"
        ));
    }
    for part in parts {
        let mut pair = part.split('=');
        let (Some(name), Some(value), None) = (pair.next(), pair.next(), pair.next()) else {
            return Err(format!(
                "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, got {part} \
                 in {content_type} content-type"
            ));
        };
        if name == "proto" {
            return match value {
                V1 => Ok(Schema::V1),
                V2 => Ok(Schema::V2),
                _ => Err(format!(
                    "got {content_type} content type; unknown type for remote write protobuf message {value}, supported: \
                     {V1}, {V2}"
                )),
            };
        }
    }
    Ok(Schema::V1)
}

/// An empty header is as good as none.
fn first(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    (!value.is_empty()).then(|| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemas_are_read_to_the_letter_and_nothing_else() {
        for text in [
            "application/x-protobuf",
            " application/x-protobuf ",
            "application/x-protobuf;proto=prometheus.WriteRequest",
            "application/x-protobuf; proto=\"io.prometheus.write.v2.Request\"",
        ] {
            assert_eq!(parse(text), Ok(Schema::V1), "{text}");
        }
        assert_eq!(
            parse("application/x-protobuf;proto=io.prometheus.write.v2.Request"),
            Ok(Schema::V2)
        );
        for (text, begins) in [
            (
                "application/json",
                "expected application/x-protobuf as the first (media) part, got application/json content-type",
            ),
            (
                "Application/X-Protobuf",
                "expected application/x-protobuf as",
            ),
            (
                "application/x-protobuf;proto=x",
                "got application/x-protobuf;proto=x content type; unknown type for remote write protobuf message x, \
                 supported: prometheus.WriteRequest, io.prometheus.write.v2.Request",
            ),
            ("application/x-protobuf;proto", "as per https://"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(begins), "{error}");
        }
    }
}
