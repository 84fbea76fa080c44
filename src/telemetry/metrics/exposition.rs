//! The metrics in the format that the scraper requests.
//!
//! In: the `Accept` header of a scrape. Out: Prometheus' text 0.0.4 (the default), OpenMetrics 1.0, or Prometheus' protobuf, the only
//! one with native histograms. The library writes the latter two; Prometheus' text is converted from OpenMetrics, from which it differs
//! in the comment lines only.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::ACCEPT;
use prometheus_client::encoding::{prometheus_protobuf, text};
use prometheus_client::registry::Registry;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text, version 0.0.4.
    Text,
    /// OpenMetrics' text, version 1.0.0.
    OpenMetrics,
    /// Prometheus' protobuf, each family with its length before it.
    Protobuf,
}

// === impl Format ===

impl Format {
    /// The supported format that the scraper prefers; text if none matches.
    #[must_use]
    pub fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter();
        let ranges =
            values.filter_map(|value| value.to_str().ok()?.split(',').collect::<Vec<_>>().into());
        let mut best = (Self::Text, 0.0);
        for range in ranges.flatten() {
            if let Some((format, weight)) = Self::read(range)
                && weight > best.1
            {
                best = (format, weight);
            }
        }
        best.0
    }

    /// The response's `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// One media range and its weight, if it is a supported format.
    fn read(range: &str) -> Option<(Self, f32)> {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next()?.to_ascii_lowercase();
        let parameters: Vec<(&str, &str)> = parts
            .filter_map(|parameter| parameter.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
            .collect();
        let parameter = |name| {
            let found = parameters
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| *value)
        };
        let is = |name, wanted| parameter(name).is_none_or(|value| value == wanted);
        let format = match media.as_str() {
            "application/vnd.google.protobuf"
                if is("proto", "io.prometheus.client.MetricFamily")
                    && is("encoding", "delimited") =>
            {
                Self::Protobuf
            }
            "application/openmetrics-text" if is("version", "1.0.0") => Self::OpenMetrics,
            "text/plain" if is("version", "0.0.4") => Self::Text,
            "text/*" | "*/*" => Self::Text,
            _ => return None,
        };
        let weight = parameter("q").map_or(Some(1.0), |weight| weight.parse().ok())?;
        Some((format, weight))
    }
}

pub(crate) fn encode(registry: &Registry, format: Format) -> Result<Vec<u8>, fmt::Error> {
    if format == Format::Protobuf {
        return prometheus_protobuf::encode_to_vec(registry).map_err(|_| fmt::Error);
    }
    let mut open_metrics = String::new();
    text::encode(&mut open_metrics, registry)?;
    Ok(match format {
        Format::Text => plain(&open_metrics).into_bytes(),
        Format::OpenMetrics | Format::Protobuf => open_metrics.into_bytes(),
    })
}

/// A family has the name of its lines, no unit and no info type, and there is no end marker.
fn plain(open_metrics: &str) -> String {
    let mut plain = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap_or((typed, "unknown"));
            let (ending, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            for part in [
                "# HELP ",
                name,
                ending,
                " ",
                help,
                "\n# TYPE ",
                name,
                ending,
                " ",
                kind,
                "\n",
            ] {
                plain.push_str(part);
            }
        } else if !line.starts_with('#') {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn accepted(accept: &'static str) -> Format {
        let accept = (ACCEPT, HeaderValue::from_static(accept));
        Format::accepted(&HeaderMap::from_iter([accept]))
    }

    #[test]
    fn a_scraper_gets_what_it_likes_best() {
        // Prometheus 2.42, without and with native histograms, and 3.x.
        assert_eq!(
            accepted(
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
            ),
            Format::OpenMetrics
        );
        assert_eq!(
            accepted(
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
            ),
            Format::Protobuf
        );
        assert_eq!(
            accepted(
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
            ),
            Format::OpenMetrics
        );
        for (other, format) in [
            ("*/*", Format::Text),
            ("", Format::Text),
            ("text/html", Format::Text),
            ("image/png, text/plain;q=0.2, */*;q=0.1", Format::Text),
            (
                "application/openmetrics-text;version=\"1.0.0\";q=0",
                Format::Text,
            ),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            (
                "application/vnd.google.protobuf;encoding=text",
                Format::Text,
            ),
            ("APPLICATION/OpenMetrics-Text", Format::OpenMetrics),
            (",;q=;,application/openmetrics-text;q=abc", Format::Text),
        ] {
            assert_eq!(accepted(other), format, "{other}");
        }
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Text);
    }

    #[test]
    fn prometheus_text_differs_in_what_describes_alone() {
        let open_metrics = "# HELP a Counts.\n# TYPE a counter\na_total{x=\"# TYPE y\"} 1\n\
            # HELP b_seconds Lasts.\n# TYPE b_seconds gauge\n# UNIT b_seconds seconds\nb_seconds 1.5\n\
            # HELP c Is.\n# TYPE c info\nc_info{v=\"1\"} 1\n# EOF\n";
        assert_eq!(
            plain(open_metrics),
            "# HELP a_total Counts.\n# TYPE a_total counter\na_total{x=\"# TYPE y\"} 1\n\
            # HELP b_seconds Lasts.\n# TYPE b_seconds gauge\nb_seconds 1.5\n\
            # HELP c_info Is.\n# TYPE c_info gauge\nc_info{v=\"1\"} 1\n"
        );
    }
}
