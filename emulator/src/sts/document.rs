//! STS' and IAM's answers: XML with its namespace on the outermost element, or JSON for who asks for that.
//!
//! AWS' query protocol documents XML alone. That STS answers in JSON where `Accept` says so is what Envoy lives on; there a
//! time is a number of seconds.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::front::REQUEST_ID;
use crate::http::answer;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// An element with text or with children.
#[derive(Debug)]
pub(crate) struct Element {
    name: Cow<'static, str>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Time(OffsetDateTime),
    Children(Vec<Element>),
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// With this namespace.
    Xml(&'static str),
    Json,
}

impl Format {
    /// STS' XML.
    pub(crate) const STS: Self = Self::Xml(NAMESPACE);

    /// What the caller accepts.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
        match accepted {
            Some(b"application/json") => Self::Json,
            _ => Self::STS,
        }
    }
}

impl Element {
    pub(crate) fn text(name: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            content: Content::Text(text.into()),
        }
    }

    /// AWS' time stamps end with the second.
    pub(crate) fn time(name: &'static str, time: OffsetDateTime) -> Self {
        let time = time.replace_nanosecond(0).unwrap_or(time);
        Self {
            name: name.into(),
            content: Content::Time(time),
        }
    }

    pub(crate) fn parent(name: impl Into<Cow<'static, str>>, children: Vec<Self>) -> Self {
        Self {
            name: name.into(),
            content: Content::Children(children),
        }
    }

    /// The answer to an action that went well.
    pub(crate) fn response(action: &str, result: Vec<Self>, request_id: &str) -> Self {
        let metadata = vec![Self::text("RequestId", request_id)];
        Self::parent(
            format!("{action}Response"),
            vec![
                Self::parent(format!("{action}Result"), result),
                Self::parent("ResponseMetadata", metadata),
            ],
        )
    }

    /// The answer to one that did not.
    pub(crate) fn error(code: &str, message: String, request_id: &str) -> Self {
        let error = vec![
            Self::text("Type", "Sender"),
            Self::text("Code", code),
            Self::text("Message", message),
        ];
        Self::parent(
            "ErrorResponse",
            vec![
                Self::parent("Error", error),
                Self::text("RequestId", request_id),
            ],
        )
    }

    fn write(&self, namespace: &str, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        let attribute = if depth == 0 {
            format!(" xmlns=\"{namespace}\"")
        } else {
            String::new()
        };
        let name = &self.name;
        let mut line =
            |text: String| out.push_str(&format!("{indent}<{name}{attribute}>{text}</{name}>\n"));
        match &self.content {
            Content::Text(text) => line(escaped(text)),
            Content::Time(time) => line(time.format(&Rfc3339).unwrap_or_default()),
            Content::Children(children) => {
                out.push_str(&format!("{indent}<{name}{attribute}>\n"));
                for child in children {
                    child.write(namespace, depth + 1, out);
                }
                out.push_str(&format!("{indent}</{name}>\n"));
            }
        }
    }

    fn value(&self) -> Value {
        match &self.content {
            Content::Text(text) => Value::from(text.as_str()),
            Content::Time(time) => Value::from(time.unix_timestamp()),
            Content::Children(children) => {
                let named = |child: &Self| (child.name.to_string(), child.value());
                Value::Object(children.iter().map(named).collect())
            }
        }
    }
}

/// The document as an answer that carries its request number in the head too.
pub(crate) fn answer_in(
    format: Format,
    status: StatusCode,
    root: &Element,
    request_id: &str,
) -> Response<Bytes> {
    let mut response = match format {
        Format::Xml(namespace) => {
            let mut body = String::new();
            root.write(namespace, 0, &mut body);
            answer(status, "text/xml", body)
        }
        Format::Json => {
            let whole = Map::from_iter([(root.name.to_string(), root.value())]);
            answer(status, "application/json", Value::Object(whole).to_string())
        }
    };
    if let Ok(number) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, number);
    }
    response
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | ' '.. => out.push(character),
            // XML 1.0 has no way to write the other control characters.
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_accepts_json_gets_it_with_times_as_numbers() {
        let mut headers = HeaderMap::new();
        assert_eq!(Format::of(&headers), Format::STS);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let at = OffsetDateTime::UNIX_EPOCH + std::time::Duration::from_millis(7_900);
        let children = vec![Element::text("B", "<&>"), Element::time("C", at)];
        let root = Element::parent("A", children);
        let json = answer_in(Format::of(&headers), StatusCode::OK, &root, "id");
        assert_eq!(json.body(), r#"{"A":{"B":"<&>","C":7}}"#);
        let xml = answer_in(Format::STS, StatusCode::OK, &root, "id");
        let xml = String::from_utf8_lossy(xml.body()).into_owned();
        assert!(xml.contains("<C>1970-01-01T00:00:07Z</C>"), "{xml}");
    }

    #[test]
    fn text_is_escaped_and_the_root_has_the_namespace() {
        let root = Element::parent("A", vec![Element::text("B", "<&>'\"\u{1}")]);
        let answer = answer_in(Format::STS, StatusCode::OK, &root, "id");
        let body = std::str::from_utf8(answer.body()).expect("text");
        assert_eq!(
            body,
            format!(
                "<A xmlns=\"{NAMESPACE}\">\n  <B>&lt;&amp;&gt;&apos;&quot;\u{fffd}</B>\n</A>\n"
            )
        );
        assert_eq!(answer.headers()[REQUEST_ID], "id");
    }
}
