//! The YAML of small files: one document, as a tree of texts with line numbers.
//!
//! In: a file's text. Out: its [`Node`], or where it is not YAML. The caller interprets the texts. An alias becomes a copy of what it names, and the
//! merge key `<<` adds the entries of a mapping, as Prometheus reads both: the later one of the same name wins. Depth and the size of all copies are
//! bounded, since a short file with nested aliases could otherwise expand without limit.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

/// More than any valid file has, aliases included.
const MOST_COPIED: usize = 20_000;
const MERGE: &str = "<<";

/// A key or a value's text.
#[derive(Debug, Clone)]
pub(crate) struct YamlText {
    pub(crate) text: String,
    pub(crate) line: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) kind: NodeKind,
}

/// The form of a value.
#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(YamlText, Node)>),
}

/// A document while it is read.
struct DocumentReader<'i> {
    parser: Parser<'i, StrInput<'i>>,
    /// Complete values by the parser's number of their anchor.
    anchors: HashMap<usize, Node>,
    /// How many values may still be copied.
    copies: usize,
}

/// A mapping while it is read.
#[derive(Default)]
struct MapEntries {
    all: Vec<(YamlText, Node)>,
    merged: Vec<String>,
}

/// The one document of a file, nested no deeper than `deepest`.
pub(crate) fn document(text: &str, deepest: usize) -> Result<Option<Node>, ScanError> {
    let mut reader = DocumentReader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        copies: MOST_COPIED,
    };
    let mut document = None;
    while let Some(event) = reader.parser.next() {
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
            (event, span) => document = Some(reader.node(event, span, deepest)?),
        }
    }
    // An empty file is an empty document.
    Ok(document.filter(|node| !matches!(&node.kind, NodeKind::Scalar(text) if text.is_empty())))
}

// === impl DocumentReader ===

impl<'i> DocumentReader<'i> {
    fn next(&mut self, span: Span) -> Result<(Event<'i>, Span), ScanError> {
        let next = self.parser.next();
        next.unwrap_or_else(|| Err(broken(span, "the file ends too early")))
    }

    fn node(&mut self, event: Event<'i>, span: Span, room: usize) -> Result<Node, ScanError> {
        let room = room
            .checked_sub(1)
            .ok_or_else(|| broken(span, "nested too deeply"))?;
        let (anchor, kind) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let nothing = style == ScalarStyle::Plain && matches!(&*text, "~" | "null");
                let text = if nothing {
                    String::new()
                } else {
                    text.into_owned()
                };
                (anchor, NodeKind::Scalar(text))
            }
            Event::SequenceStart(anchor, _) => {
                let mut nodes = Vec::new();
                loop {
                    match self.next(span)? {
                        (Event::SequenceEnd, _) => break (anchor, NodeKind::List(nodes)),
                        (event, span) => nodes.push(self.node(event, span, room)?),
                    }
                }
            }
            Event::MappingStart(anchor, _) => (anchor, self.mapping(span, room)?),
            Event::Alias(anchor) => return self.copy(anchor, span, room),
            _ => return Err(broken(span, "an unsupported element")),
        };
        let line = span.start.line();
        let node = Node { line, kind };
        // The parser's number of no anchor.
        if anchor > 0 {
            self.count(&node, span, room)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, span: Span, room: usize) -> Result<NodeKind, ScanError> {
        let mut entries = MapEntries::default();
        loop {
            let (key, style) = match self.next(span)? {
                (Event::MappingEnd, _) => return Ok(NodeKind::Map(entries.all)),
                (Event::Scalar(text, style, ..), span) => {
                    let line = span.start.line();
                    let text = text.into_owned();
                    (YamlText { text, line }, style)
                }
                (_, span) => return Err(broken(span, "a key that is not a string")),
            };
            let (event, span) = self.next(span)?;
            let value = self.node(event, span, room)?;
            if key.text == MERGE && style == ScalarStyle::Plain {
                entries.merge(value, span)?;
            } else {
                entries.add(key, value);
            }
        }
    }

    fn copy(&mut self, anchor: usize, span: Span, room: usize) -> Result<Node, ScanError> {
        let node = self.anchors.get(&anchor).cloned();
        let node = node.ok_or_else(|| broken(span, "an alias inside the value that it names"))?;
        self.count(&node, span, room)?;
        Ok(node)
    }

    /// Counts a copy, which may not be deeper than `room` below its place.
    fn count(&mut self, node: &Node, span: Span, room: usize) -> Result<(), ScanError> {
        let (size, depth) = node.extent();
        if depth > room.saturating_add(1) {
            return Err(broken(span, "nested too deeply"));
        }
        let left = self.copies.checked_sub(size);
        self.copies = left.ok_or_else(|| broken(span, "too many aliases"))?;
        Ok(())
    }
}

// === impl MapEntries ===

impl MapEntries {
    /// A key that is written twice stays twice; the caller says what it makes of it.
    fn add(&mut self, key: YamlText, value: Node) {
        if let Some(at) = self.merged.iter().position(|merged| *merged == key.text) {
            self.merged.swap_remove(at);
            self.all.retain(|(name, _)| name.text != key.text);
        }
        self.all.push((key, value));
    }

    /// The first of several mappings takes precedence.
    fn merge(&mut self, value: Node, span: Span) -> Result<(), ScanError> {
        let wrong = || broken(span, "<< needs a mapping, or a list of them");
        let maps = match value.kind {
            NodeKind::List(nodes) => nodes,
            kind => vec![Node { kind, ..value }],
        };
        for map in maps.into_iter().rev() {
            let NodeKind::Map(entries) = map.kind else {
                return Err(wrong());
            };
            for (key, value) in entries {
                self.all.retain(|(name, _)| name.text != key.text);
                self.merged.push(key.text.clone());
                self.all.push((key, value));
            }
        }
        Ok(())
    }
}

fn broken(span: Span, what: &str) -> ScanError {
    ScanError::new_str(span.start, what)
}

// === impl Node ===

impl Node {
    /// The number of values in it, itself included, and how deep they are nested.
    fn extent(&self) -> (usize, usize) {
        let below = |nodes: &mut dyn Iterator<Item = &Self>| {
            nodes.fold((1, 0), |(size, deepest), node| {
                let (more, depth) = node.extent();
                (size + more, deepest.max(depth))
            })
        };
        let (size, depth) = match &self.kind {
            NodeKind::Scalar(_) => (1, 0),
            NodeKind::List(nodes) => below(&mut nodes.iter()),
            NodeKind::Map(entries) => below(&mut entries.iter().map(|(_, node)| node)),
        };
        (size, depth + 1)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match &node.kind {
            NodeKind::Scalar(text) => text.clone(),
            NodeKind::List(nodes) => {
                let nodes: Vec<_> = nodes.iter().map(shown).collect();
                format!("[{}]", nodes.join(" "))
            }
            NodeKind::Map(entries) => {
                let entry =
                    |(key, node): &(YamlText, Node)| format!("{}:{}", key.text, shown(node));
                let entries: Vec<_> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    fn read(text: &str) -> Result<String, String> {
        match document(text, 8) {
            Ok(node) => Ok(node.as_ref().map(shown).unwrap_or_default()),
            Err(error) => Err(format!("line {}: {}", error.marker().line(), error.info())),
        }
    }

    #[test]
    fn an_alias_is_a_copy_and_a_merge_key_adds_entries() {
        for (text, expected) in [
            ("a: &x b\nc: *x", "{a:b c:b}"),
            ("a: &x {k: [1, 2]}\nb: *x", "{a:{k:[1 2]} b:{k:[1 2]}}"),
            (
                "a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}",
                "{a:{k:1 l:2} b:{l:2 k:3}}",
            ),
            // As Prometheus does, which refuses the name that it then finds twice.
            ("a: &x {k: 1}\nb: {k: 3, <<: *x}", "{a:{k:1} b:{k:1}}"),
            ("<<: [{k: 1}, {k: 2, l: 2}]\nm: 3", "{l:2 k:1 m:3}"),
            ("\"<<\": {k: 1}", "{<<:{k:1}}"),
            // The same anchor again.
            ("a: &x 1\nb: *x\nc: &x 2\nd: *x", "{a:1 b:1 c:2 d:2}"),
            ("k: 1\nk: 2", "{k:1 k:2}"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        let node = document("a: &x\n  k: 1\nb: *x", 8).unwrap().unwrap();
        assert_eq!(node.get("b").unwrap().get("k").unwrap().line, 2);
    }

    #[test]
    fn what_an_alias_cannot_mean_is_named_with_its_line() {
        for (text, expected) in [
            (
                "a: 1\nb: *x",
                "line 2: while parsing node, found unknown anchor",
            ),
            (
                "a: &x\n  - *x",
                "line 2: an alias inside the value that it names",
            ),
            (
                "a: 1\n<<: b",
                "line 2: << needs a mapping, or a list of them",
            ),
            (
                "<<: [{a: 1}, b]",
                "line 1: << needs a mapping, or a list of them",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn aliases_expand_neither_in_size_nor_in_depth() {
        let mut wide = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        let mut deep = "a0: &a0 [1]\n".to_owned();
        for n in 1..9 {
            let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
            wide.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
            deep.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
        }
        assert_eq!(read(&wide).unwrap_err(), "line 4: too many aliases");
        assert_eq!(read(&deep).unwrap_err(), "line 7: nested too deeply");
    }
}
