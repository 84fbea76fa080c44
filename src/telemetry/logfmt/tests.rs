use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tracing::Subscriber;

use super::Logfmt;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `log` writes to a subscriber that `make` makes.
fn written<S: Subscriber + Send + Sync + 'static>(
    make: impl FnOnce(Buffer) -> S,
    log: impl FnOnce(),
) -> String {
    let buffer = Buffer::default();
    tracing::subscriber::with_default(make(buffer.clone()), log);
    String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
}

fn as_logfmt(log: impl FnOnce()) -> String {
    let make = |buffer: Buffer| {
        let lines = tracing_subscriber::fmt().event_format(Logfmt);
        lines.with_writer(move || buffer.clone()).finish()
    };
    written(make, log)
}

fn as_json(log: impl FnOnce()) -> BTreeMap<String, String> {
    let make = |buffer: Buffer| {
        let lines = tracing_subscriber::fmt().json().flatten_event(true);
        lines.with_writer(move || buffer.clone()).finish()
    };
    let fields: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&written(make, log)).unwrap();
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    fields
        .into_iter()
        .map(|(key, value)| (key, text(value)))
        .collect()
}

/// A parser of logfmt that knows nothing of the writer: pairs separated by single spaces.
fn parse(line: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').unwrap();
        assert!(!key.contains([' ', '"']), "{key:?} in {line:?}");
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find(' ').unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        assert_eq!(fields.insert(key.to_owned(), value), None, "{key} twice");
        rest = match after.strip_prefix(' ') {
            Some(next) => next,
            None => {
                assert_eq!(after, "", "{line:?}");
                after
            }
        };
    }
    fields
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next().expect("a closing quote") {
            '"' => return (value, chars.as_str()),
            '\\' => match chars.next().unwrap() {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                'u' => {
                    let code: String = chars.by_ref().take(4).collect();
                    value.push(u32::from_str_radix(&code, 16).unwrap().try_into().unwrap());
                }
                c => {
                    assert!(matches!(c, '"' | '\\'), "\\{c}");
                    value.push(c);
                }
            },
            c => value.push(c),
        }
    }
}

/// Texts with much of what needs care.
fn text() -> impl Strategy<Value = String> {
    let careful = prop::sample::select(vec![
        ' ', '=', '"', '\\', '\n', '\r', '\t', '\0', '\u{7f}', '\u{85}', '\u{2028}', 'ü', '𝄞', 'a',
    ]);
    prop::collection::vec(prop_oneof![careful, any::<char>()], 0..24)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn a_line_parses_into_the_fields_of_the_json_format(
        words in text(), reason in text(), count: u64, offset: i64, whole: bool,
    ) {
        let log = || {
            let error = io::Error::other(reason.clone());
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(
                reason, remedy = %reason, debug = ?reason, error, count, offset, whole, "{words}"
            );
        };
        let line = as_logfmt(log);
        let line = line.strip_suffix('\n').unwrap();
        prop_assert!(!line.contains(|c: char| c.is_control() || c == '\u{2028}'), "{line:?}");
        let (mut fields, mut json) = (parse(line), as_json(log));
        prop_assert!(fields.remove("timestamp").unwrap().ends_with('Z'));
        prop_assert!(json.remove("timestamp").is_some());
        prop_assert_eq!(fields, json);
    }
}

#[test]
fn only_what_needs_quotes_has_them() {
    let line = as_logfmt(|| {
        tracing::info!(
            url = "https://amp.example/workspaces/ws-1?a",
            empty = "",
            count = 3,
            "listening"
        );
    });
    let (_, rest) = line.split_once(' ').unwrap();
    assert_eq!(
        rest,
        "level=INFO message=listening url=https://amp.example/workspaces/ws-1?a empty=\"\" count=3 \
         target=amp_sidecar::telemetry::logfmt::tests\n"
    );
}
