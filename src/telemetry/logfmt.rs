//! Log lines as logfmt: `timestamp=… level=WARN message="a batch was not stored" incident=amp_failing … target=…`.
//!
//! In: an event. Out: one line with the fields of the JSON format, in the same order. A value stands in double quotes if a parser could misread it
//! otherwise; in quotes, JSON's escapes apply, as Loki, Vector and Go's parsers expect. The program logs within no span, so spans are not written.

use std::error::Error;
use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::sanitize::breaks_or_reorders;

/// The format.
#[derive(Debug)]
pub struct Logfmt;

/// A line while its fields are written.
struct Line<'a> {
    writer: Writer<'a>,
    result: fmt::Result,
}

// === impl Logfmt ===

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        writer.write_str("timestamp=")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, " level={}", metadata.level())?;
        let mut line = Line {
            writer,
            result: Ok(()),
        };
        event.record(&mut line);
        line.put("target", metadata.target());
        line.result?;
        line.writer.write_char('\n')
    }
}

// === impl Line ===

impl Line<'_> {
    fn put(&mut self, key: &str, value: &str) {
        if self.result.is_ok() {
            self.result = self.write(key, value);
        }
    }

    fn write(&mut self, key: &str, value: &str) -> fmt::Result {
        write!(self.writer, " {key}=")?;
        if is_plain(value) {
            return self.writer.write_str(value);
        }
        self.writer.write_char('"')?;
        for c in value.chars() {
            match c {
                '"' | '\\' => write!(self.writer, "\\{c}")?,
                '\n' => self.writer.write_str("\\n")?,
                '\r' => self.writer.write_str("\\r")?,
                '\t' => self.writer.write_str("\\t")?,
                c if breaks_or_reorders(c) => write!(self.writer, "\\u{:04x}", u32::from(c))?,
                c => self.writer.write_char(c)?,
            }
        }
        self.writer.write_char('"')
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field.name(), &value.to_string());
    }

    /// Numbers and booleans come this way too.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}

/// Whether every parser reads it as it is.
fn is_plain(value: &str) -> bool {
    let plain =
        |c: char| !c.is_whitespace() && !breaks_or_reorders(c) && !matches!(c, '"' | '\\' | '=');
    !value.is_empty() && value.chars().all(plain)
}

#[cfg(test)]
mod tests;
