//! The values of OpenTelemetry's variables, as its specification writes them: times in milliseconds, without a unit.
//!
//! What is not supported (gRPC, JSON, remote samplers) is an error that says what to set instead; ignoring it would look like a collector
//! that loses spans.

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Uri, http::uri};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::config::error::{Expected, WITHHELD, expected};

/// The path of OTLP over HTTP.
const TRACES: &str = "/v1/traces";
const LONGEST: u64 = 10 * 60 * 1000;

/// Key and value of an attribute.
pub(crate) type Pair = (String, String);
/// Whether the sender's decision takes precedence, and the share of all others if the sampler's name implies it.
pub(crate) type Sampler = (bool, Option<f64>);

/// Plain http is usual within a cluster: spans contain no secrets.
pub(crate) fn collector(text: &str) -> Result<Uri, Expected> {
    super::url(text).ok_or_else(|| {
        Expected("an http:// or https:// URL without query, fragment or credentials, for example http://otel-collector:4318".into())
    })
}

/// The traces URL below a collector's base URL.
pub(crate) fn collector_base(text: &str) -> Result<Uri, Expected> {
    let mut parts = collector(text)?.into_parts();
    let base = parts.path_and_query.as_ref().map_or("", |path| path.path());
    let path = format!("{}{TRACES}", base.trim_end_matches('/'));
    parts.path_and_query = uri::PathAndQuery::try_from(path).ok();
    Uri::from_parts(parts).or_else(|error| expected(error.to_string()))
}

pub(crate) fn protocol(text: &str) -> Result<(), Expected> {
    match text {
        "http/protobuf" => Ok(()),
        "grpc" => expected(
            "http/protobuf, as gRPC is not supported: set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf and the collector's HTTP port, 4318",
        ),
        _ => expected("http/protobuf, which every collector accepts; JSON is not supported"),
    }
}

/// As W3C baggage: `key=value`, separated by commas, values percent-encoded.
pub(crate) fn pairs(text: &str) -> Result<Vec<Pair>, Expected> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let key = key.trim();
        (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
    };
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    let pairs: Option<Vec<_>> = pairs.map(pair).collect();
    pairs.ok_or_else(|| {
        Expected("key=value pairs separated by commas, with percent-encoded values".into())
    })
}

pub(crate) fn pairs_text(pairs: &[Pair]) -> String {
    let encoded = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let pairs = pairs
        .iter()
        .map(|(key, value)| format!("{key}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join(",")
}

pub(crate) fn headers(text: &str) -> Result<HeaderMap, Expected> {
    let header = |(key, value): Pair| {
        if value == WITHHELD {
            return expected(format!(
                "the value of {key}, which `amp-sidecar config` does not show"
            ));
        }
        let name = HeaderName::try_from(&key).ok();
        match name.zip(HeaderValue::try_from(value).ok()) {
            None => expected(format!(
                "valid names and values of HTTP headers, unlike those of {key:?}"
            )),
            Some((name, mut value)) => {
                value.set_sensitive(true);
                Ok((name, value))
            }
        }
    };
    pairs(text)?.into_iter().map(header).collect()
}

pub(crate) fn headers_text(headers: &HeaderMap) -> String {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    };
    pairs_text(&headers.iter().map(pair).collect::<Vec<_>>())
}

pub(crate) fn sampler(text: &str) -> Result<Sampler, Expected> {
    let (by_parent, rest) = match text.strip_prefix("parentbased_") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    match rest {
        "always_on" => Ok((by_parent, Some(1.0))),
        "always_off" => Ok((by_parent, Some(0.0))),
        "traceidratio" => Ok((by_parent, None)),
        _ => {
            expected("always_on, always_off or traceidratio, optionally prefixed with parentbased_")
        }
    }
}

pub(crate) fn sampler_text((by_parent, share): &Sampler) -> String {
    let prefix = if *by_parent { "parentbased_" } else { "" };
    let sampler = match share {
        Some(0.0) => "always_off",
        Some(1.0) => "always_on",
        _ => "traceidratio",
    };
    format!("{prefix}{sampler}")
}

pub(crate) fn share(text: &str) -> Result<f64, Expected> {
    let share = text.parse().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| Expected("a share from 0 to 1, for example 0.1".into()))
}

pub(crate) fn milliseconds(text: &str) -> Result<Duration, Expected> {
    number(text, LONGEST, "milliseconds").map(Duration::from_millis)
}

pub(crate) fn spans(text: &str) -> Result<usize, Expected> {
    let spans = number(text, 65_536, "spans")?;
    usize::try_from(spans).or_else(|error| expected(error.to_string()))
}

fn number(text: &str, most: u64, of: &str) -> Result<u64, Expected> {
    let number = text.trim().parse().ok();
    let number = number.filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| Expected(format!("a number of {of} from 1 to {most}, without a unit")))
}
