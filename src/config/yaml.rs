//! The YAML of small files: one document, as a tree of texts with line numbers.
//!
//! In: a file's text. Out: its [`Node`], or where it is not YAML. The caller interprets the texts. Aliases are an error, since they let a short file
//! expand without limit; so is nesting deeper than the caller expects.

use saphyr_parser::{Event, Parser, ScanError, Span, StrInput};

/// A key or a value's text.
#[derive(Debug, Clone)]
pub(crate) struct YamlText {
    pub(crate) text: String,
    pub(crate) line: usize,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) kind: NodeKind,
}

/// The form of a value.
#[derive(Debug)]
pub(crate) enum NodeKind {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(YamlText, Node)>),
}

/// The one document of a file, nested no deeper than `deepest`.
pub(crate) fn document(text: &str, deepest: usize) -> Result<Option<Node>, ScanError> {
    let mut parser = Parser::new_from_str(text);
    let mut document = None;
    while let Some(event) = parser.next() {
        match event? {
            (
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::StreamEnd
                | Event::Nothing,
                _,
            ) => {}
            (_, span) if document.is_some() => return Err(broken(span, "a second document")),
            (event, span) => document = Some(node(&mut parser, event, span, deepest)?),
        }
    }
    // An empty file is an empty document.
    Ok(document.filter(|node| !matches!(&node.kind, NodeKind::Scalar(text) if text.is_empty())))
}

fn node<'i>(
    parser: &mut Parser<'i, StrInput<'i>>,
    event: Event<'i>,
    span: Span,
    room: usize,
) -> Result<Node, ScanError> {
    let room = room
        .checked_sub(1)
        .ok_or_else(|| broken(span, "nested too deeply"))?;
    let line = span.start.line();
    let next = |parser: &mut Parser<'i, StrInput<'i>>| {
        parser
            .next()
            .unwrap_or_else(|| Err(broken(span, "the file ends too early")))
    };
    let kind = match event {
        Event::Scalar(text, style, ..) => {
            let plain = matches!(style, saphyr_parser::ScalarStyle::Plain);
            let nothing = plain && matches!(&*text, "~" | "null");
            NodeKind::Scalar(if nothing {
                String::new()
            } else {
                text.into_owned()
            })
        }
        Event::SequenceStart(..) => {
            let mut nodes = Vec::new();
            loop {
                match next(parser)? {
                    (Event::SequenceEnd, _) => break NodeKind::List(nodes),
                    (event, span) => nodes.push(node(parser, event, span, room)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            loop {
                let key = match next(parser)? {
                    (Event::MappingEnd, _) => break NodeKind::Map(entries),
                    (Event::Scalar(text, ..), span) => YamlText {
                        text: text.into_owned(),
                        line: span.start.line(),
                    },
                    (_, span) => return Err(broken(span, "a key that is not a string")),
                };
                let (event, span) = next(parser)?;
                entries.push((key, node(parser, event, span, room)?));
            }
        }
        Event::Alias(_) => return Err(broken(span, "an alias: write out the value")),
        _ => return Err(broken(span, "an unsupported element")),
    };
    Ok(Node { line, kind })
}

fn broken(span: Span, what: &str) -> ScanError {
    ScanError::new_str(span.start, what)
}

// === impl Node ===

impl Node {
    /// The value of a key; `None` if this is not a mapping or lacks the key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            NodeKind::Map(entries) => {
                let found = entries.iter().find(|(name, _)| name.text == key);
                found.map(|(_, node)| node)
            }
            NodeKind::Scalar(_) | NodeKind::List(_) => None,
        }
    }

    /// The same, removed from the mapping.
    pub(crate) fn take(self, key: &str) -> Option<Self> {
        match self.kind {
            NodeKind::Map(entries) => {
                let mut entries = entries.into_iter();
                entries.find_map(|(name, node)| (name.text == key).then_some(node))
            }
            NodeKind::Scalar(_) | NodeKind::List(_) => None,
        }
    }

    /// The entries of a list; `None` if it is not a list.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.kind {
            NodeKind::List(nodes) => nodes,
            NodeKind::Scalar(_) | NodeKind::Map(_) => &[],
        }
    }

    /// A scalar, or the scalars of a list joined by spaces.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.kind {
            NodeKind::Scalar(text) => Some(text.clone()),
            NodeKind::List(nodes) => {
                let texts: Option<Vec<_>> = nodes
                    .iter()
                    .map(|node| match &node.kind {
                        NodeKind::Scalar(text) => Some(text.as_str()),
                        NodeKind::List(_) | NodeKind::Map(_) => None,
                    })
                    .collect();
                texts.map(|texts| texts.join(" "))
            }
            NodeKind::Map(_) => None,
        }
    }

    /// For error messages.
    pub(crate) fn show(&self) -> String {
        match &self.kind {
            NodeKind::Scalar(text) => text.clone(),
            NodeKind::List(_) => "a list".to_owned(),
            NodeKind::Map(_) => "a mapping".to_owned(),
        }
    }
}
