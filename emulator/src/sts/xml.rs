//! STS' XML: elements, escaped text, the namespace on the outermost one.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use crate::front::REQUEST_ID;
use crate::http::answer;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// An element with text or with children.
#[derive(Debug)]
pub(crate) struct Element {
    name: &'static str,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(String),
    Children(Vec<Element>),
}

impl Element {
    pub(crate) fn text(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            content: Content::Text(text.into()),
        }
    }

    pub(crate) fn parent(name: &'static str, children: Vec<Self>) -> Self {
        Self {
            name,
            content: Content::Children(children),
        }
    }

    fn write(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        let namespace = if depth == 0 {
            format!(" xmlns=\"{NAMESPACE}\"")
        } else {
            String::new()
        };
        let name = self.name;
        match &self.content {
            Content::Text(text) => {
                let text = escaped(text);
                out.push_str(&format!("{indent}<{name}{namespace}>{text}</{name}>\n"));
            }
            Content::Children(children) => {
                out.push_str(&format!("{indent}<{name}{namespace}>\n"));
                for child in children {
                    child.write(depth + 1, out);
                }
                out.push_str(&format!("{indent}</{name}>\n"));
            }
        }
    }
}

/// The document as an answer that carries its request number in the head too.
pub(crate) fn answer_xml(status: StatusCode, root: &Element, request_id: &str) -> Response<Bytes> {
    let mut body = String::new();
    root.write(0, &mut body);
    let mut response = answer(status, "text/xml", body);
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
    fn text_is_escaped_and_the_root_has_the_namespace() {
        let root = Element::parent("A", vec![Element::text("B", "<&>'\"\u{1}")]);
        let answer = answer_xml(StatusCode::OK, &root, "id");
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
