//! Reads from the headers which of the two schemas a body is in, as the 2.0 specification words it.

use http::{HeaderMap, header};

use super::refusal::Refusal;

/// The version of remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// `prometheus.WriteRequest`, which a bare `application/x-protobuf` means too.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// Refuses with 415 whatever is not snappy-compressed protobuf of a known schema.
pub(super) fn schema(headers: &HeaderMap) -> Result<Schema, Refusal> {
    let encoding = one(headers, &header::CONTENT_ENCODING)?;
    if encoding != "snappy" {
        return Err(Refusal::UnsupportedMedia(format!(
            "{encoding:?} encoding (compression) is not accepted by this server; only \"snappy\" is acceptable"
        )));
    }
    let content_type = one(headers, &header::CONTENT_TYPE)?;
    parse(content_type).ok_or_else(|| {
        Refusal::UnsupportedMedia(format!(
            "{content_type:?} content type is not accepted by this server"
        ))
    })
}

fn parse(content_type: &str) -> Option<Schema> {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts
        .next()
        .filter(|name| name.eq_ignore_ascii_case("application/x-protobuf"));
    media_type?;
    let mut schema = Schema::V1;
    for part in parts {
        let (name, value) = part.split_once('=')?;
        if name.eq_ignore_ascii_case("proto") {
            schema = match value.trim_matches('"') {
                "prometheus.WriteRequest" => Schema::V1,
                "io.prometheus.write.v2.Request" => Schema::V2,
                _ => return None,
            };
        }
    }
    Some(schema)
}

fn one<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (
        values.next().and_then(|value| value.to_str().ok()),
        values.next(),
    ) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(Refusal::UnsupportedMedia(format!("{name} is missing"))),
        (Some(_), Some(_)) => Err(Refusal::UnsupportedMedia(format!(
            "{name} is there more than once"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemas_and_nothing_else() {
        for text in [
            "application/x-protobuf",
            "Application/X-Protobuf",
            "application/x-protobuf;proto=prometheus.WriteRequest",
            "application/x-protobuf; proto=\"prometheus.WriteRequest\"; charset=utf-8",
        ] {
            assert_eq!(parse(text), Some(Schema::V1), "{text}");
        }
        assert_eq!(
            parse("application/x-protobuf;proto=io.prometheus.write.v2.Request"),
            Some(Schema::V2)
        );
        for text in [
            "",
            "application/json",
            "application/x-protobuf;proto=x",
            "application/x-protobuf;proto",
            "text/plain;proto=prometheus.WriteRequest",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
