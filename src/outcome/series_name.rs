//! The name of the series that a refusal is about.
//!
//! In: a verdict with AMP's text. Out: the name, and nothing of the series' labels. The texts quote what senders wrote, so quoted text
//! is skipped until the words come that introduce the series; a label that holds such words is not taken for one.

use crate::outcome::verdict::Verdict;
use crate::sanitize::sanitize_within;

/// The longest name that is shown, in bytes.
const LONGEST: usize = 128;

/// What introduces the name of a series, in quotes or followed by its labels.
const NAMES: [&str; 5] = [
    "metric: \"",
    "metric \"",
    "metric name: \"",
    "series: '",
    "series: \"",
];
/// What introduces its labels, among which is the name.
const LABELS: [&str; 3] = ["series={", "series: {", "series {"];

/// The name and the reason for which it counts as lost; `None` if this is no refusal, or names no series.
#[must_use]
pub fn of_refusal(verdict: &Verdict) -> Option<(String, &'static str)> {
    let reason = verdict.lost()?;
    let name = match verdict {
        Verdict::Refused { said, .. }
        | Verdict::SeriesLimit { said, .. }
        | Verdict::RefusedOther { said, .. } => name_in(said)?,
        Verdict::Poison { what, .. } => what.strip_prefix("series ")?.to_owned(),
        _ => return None,
    };
    Some((sanitize_within(&name, LONGEST), reason)).filter(|(name, _)| !name.is_empty())
}

fn name_in(said: &str) -> Option<String> {
    let mut rest = said;
    while !rest.is_empty() {
        if let Some(named) = NAMES.iter().find_map(|words| rest.strip_prefix(words)) {
            let end = named.find(['{', '"', '\'']).unwrap_or(named.len());
            return named.get(..end).map(str::to_owned);
        }
        if let Some(labels) = LABELS.iter().find_map(|words| rest.strip_prefix(words)) {
            return name_among(labels);
        }
        let mut chars = rest.chars();
        rest = match chars.next() {
            Some('"') => quoted(chars.as_str())?.1,
            _ => chars.as_str(),
        };
    }
    None
}

/// From `a="1", __name__="up"}`.
fn name_among(mut labels: &str) -> Option<String> {
    loop {
        let (label, after) = labels.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        if label == "__name__" {
            return Some(value.to_owned());
        }
        labels = after.strip_prefix(", ")?;
    }
}

/// The rest of a quoted text whose first quote is read already, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_in_each_text_of_the_store_and_nothing_of_a_label() {
        for (said, name) in [
            (
                r#"err: out of order sample. timestamp=2026-08-01T10:00:00Z, series={A="ann", __name__="up", z="bob"}"#,
                Some("up"),
            ),
            (
                r#"timestamp too old: 1785578400000 metric: "up""#,
                Some("up"),
            ),
            (
                r#"label value too long for metric (actual: 700, limit: 200) metric: "up{n=\"ann\"}" label name: "n" label value: "ann""#,
                Some("up"),
            ),
            (
                r#"series has too many labels (actual: 151, limit: 150) series: 'up{a="ann"}'"#,
                Some("up"),
            ),
            (
                r#"sample invalid metric name: "bad name\x01""#,
                Some(r"bad name\x01"),
            ),
            (
                r#"sample invalid label: "metric \"ann" metric "up{a-b=\"bob\"}""#,
                Some("up"),
            ),
            (
                r#"sample invalid label: "series={__name__=\"ann\"}" metric "up{}""#,
                Some("up"),
            ),
            (
                r#"per-metric series limit of 2 exceeded for metric up, please contact administrator to raise it (local limit: 2) for series {__name__="up", i="ann"}"#,
                Some("up"),
            ),
            (
                r#"per-labelset series limit of 2 exceeded (labelSet: {team="ann"}, global limit: 2) for series {__name__="up", team="ann"}"#,
                Some("up"),
            ),
            (
                r#"err: too old sample. series={a="__name__=\"ann\", ", __name__="up"}"#,
                Some("up"),
            ),
            (
                r#"invalid native histogram schema 12 for metric: "up". supported schema from -4 to 8"#,
                Some("up"),
            ),
            // Cut, or of another form: rather nothing than a label's value.
            (r#"err: too old sample. series={a="ann"#, None),
            (r#"err: too old sample. series={a="ann"}"#, None),
            ("sample missing metric name", None),
            (
                "per-user series limit of 5 exceeded, please contact administrator",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(name_in(said).as_deref(), name, "{said}");
        }
    }

    #[test]
    fn whatever_the_text_it_ends() {
        let text = r#"metric "{up}=,' \ series={__name__="#;
        for start in 0..text.len() {
            for end in start..text.len() {
                // Any answer will do.
                drop(name_in(&text[start..end]));
            }
        }
    }
}
