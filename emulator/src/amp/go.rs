//! How Go writes values, since the engine's texts are Go's.
//!
//! `%q`, `%.200q` and `%g` of `fmt`, `String()` of Prometheus' labels, and times as RFC 3339. Rust's `{:?}` escapes other
//! characters in another way, and a program that parses these texts by their quotes would notice.

use std::fmt::Write as _;

use remote_write_proto::v1;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// How much of a label or a series the engine shows.
const SHOWN: usize = 200;

/// `%q`: in quotation marks, with escapes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\0'..'\u{20}' | '\u{7f}' => push(&mut out, 'x', 2, letter),
            _ if is_shown(letter) => out.push(letter),
            '\0'..='\u{ffff}' => push(&mut out, 'u', 4, letter),
            _ => push(&mut out, 'U', 8, letter),
        }
    }
    out.push('"');
    out
}

/// `%.200q`: no more than 200 characters of it.
pub(super) fn quoted_start(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => quoted(text.get(..end).unwrap_or_default()),
        None => quoted(text),
    }
}

/// `%g`: the shortest form, with an exponent from a million on.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
    } else {
        format!("{value}")
    }
}

/// `{__name__="up", job="x"}`, as Prometheus' label sets show themselves.
pub(super) fn labels(labels: &[v1::Label]) -> String {
    label_set(
        labels
            .iter()
            .map(|label| (label.name.as_str(), label.value.as_str())),
    )
}

/// The same from names and values.
pub(super) fn label_set<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<_> = labels.map(pair).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// `up{job="x"}`, as the distributor shows a series: the first name before it, anything else within.
pub(super) fn metric<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut name = None;
    let mut pairs = Vec::new();
    for (label, value) in labels {
        if label == "__name__" && name.is_none() && !value.is_empty() {
            name = Some(value);
        } else {
            pairs.push(pair((label, value)));
        }
    }
    match (name, pairs.is_empty()) {
        (Some(name), true) => name.to_owned(),
        (name, _) => format!("{}{{{}}}", name.unwrap_or_default(), pairs.join(", ")),
    }
}

/// Milliseconds since 1970, as RFC 3339 in UTC.
pub(super) fn time(timestamp: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp) * 1_000_000).ok();
    moment
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| timestamp.to_string())
}

fn pair((name, value): (&str, &str)) -> String {
    format!("{name}={}", quoted(value))
}

fn push(out: &mut String, kind: char, width: usize, letter: char) {
    // Writing to a string cannot fail.
    let _written = write!(out, "\\{kind}{:0width$x}", u32::from(letter));
}

/// Rust and Go agree on what can be printed, but for blanks other than the ASCII one and for marks that combine.
fn is_shown(letter: char) -> bool {
    letter == ' '
        || (!letter.is_whitespace() && letter.escape_debug().len() == 1)
        || ('\u{300}'..='\u{36f}').contains(&letter)
        || letter == '\''
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_by_go() {
        for (text, expected) in [
            ("a \"b\" \\ 'c'", r#""a \"b\" \\ 'c'""#),
            (
                "\u{1}\n\t\u{7f}\u{a0}\u{200b}é日",
                "\"\\x01\\n\\t\\x7f\\u00a0\\u200bé日\"",
            ),
            ("\u{10ffff}", r#""\U0010ffff""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
        assert_eq!(
            quoted_start(&"é".repeat(201)),
            format!("\"{}\"", "é".repeat(200))
        );
        assert_eq!(quoted_start("short"), r#""short""#);
    }

    #[test]
    fn floats_are_written_as_by_go() {
        for (value, expected) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (-2.25, "-2.25"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (12_345_678.5, "1.23456785e+07"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1e300, "1e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
            (0.0, "0"),
        ] {
            assert_eq!(float(value), expected);
        }
    }

    #[test]
    fn series_are_shown_as_by_each_part_of_the_engine() {
        let labels = [("__name__", "up"), ("a", "x"), ("__name__", "two")];
        assert_eq!(metric(labels.into_iter()), r#"up{a="x", __name__="two"}"#);
        assert_eq!(metric([("__name__", "up")].into_iter()), "up");
        assert_eq!(metric([].into_iter()), "{}");
        assert_eq!(
            label_set([("__name__", "up"), ("a", "x")].into_iter()),
            r#"{__name__="up", a="x"}"#
        );
        assert_eq!(time(1_767_225_600_500), "2026-01-01T00:00:00.5Z");
    }
}
