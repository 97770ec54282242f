//! YAML text to a tree that keeps the byte range of every key and value.

use super::expand::{Expanded, expand};
use super::place::Fault;
use super::scalar::{Kind, Scalar};
use super::{Env, Span};
use granit_parser::{Event, Parser, ScalarStyle, StructureStyle, Tag};
use std::collections::HashMap;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    pub span: Span,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A field of a map.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

/// An alias repeats its anchor, and aliases of aliases repeat manifold: no honest project comes near these.
const NODES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 100;

impl Node {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    pub fn item(&self, index: usize) -> Option<&Node> {
        match &self.content {
            Content::List(items) => items.get(index),
            _ => None,
        }
    }

    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Whether it is `null`, or not there behind its key.
    pub fn is_nothing(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.kind() == Kind::Nothing && !scalar.is_unknown())
    }

    /// Whether a variable put something into it or below it.
    pub fn has_variable(&self) -> bool {
        match &self.content {
            Content::Scalar(scalar) => scalar.has_variable(),
            Content::List(items) => items.iter().any(Node::has_variable),
            Content::Map(entries) => entries.iter().any(|entry| entry.value.has_variable()),
        }
    }

    fn size(&self) -> (usize, usize) {
        let below = |sizes: &mut dyn Iterator<Item = (usize, usize)>| {
            let (nodes, depth) = sizes.fold((0, 0), |(n, d), (nodes, depth)| (n + nodes, d.max(depth)));
            (nodes + 1, depth + 1)
        };
        match &self.content {
            Content::Scalar(_) => (1, 1),
            Content::List(items) => below(&mut items.iter().map(Node::size)),
            Content::Map(entries) => below(&mut entries.iter().map(|entry| entry.value.size())),
        }
    }
}

/// Parses one document. Text that is no YAML is a single fault; what is YAML but can't be taken is in the list.
pub(super) fn parse(text: &str, env: Env) -> Result<(Node, Vec<Fault>), Fault> {
    let mut builder =
        Builder { text, env, open: Vec::new(), anchors: HashMap::new(), root: None, faults: vec![], nodes: 0 };
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax(text, &error))?;
        let start = span.start.byte_offset().unwrap_or(0);
        let end = span.end.byte_offset().unwrap_or(start);
        builder.take(event, (start, end))?;
    }
    let nothing = Node { span: (0, 0), content: Content::Map(Vec::new()) };
    // A file without content has every field to its default, and misses those that have none.
    let root = builder.root.take().filter(|root| !root.is_nothing()).unwrap_or(nothing);
    Ok((root, builder.faults))
}

fn syntax(text: &str, error: &granit_parser::ScanError) -> Fault {
    let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
    let end = text[at..].chars().next().filter(|c| *c != '\n').map_or(at, |c| at + c.len_utf8());
    let help = match (text[..at].ends_with('$') && text[at..].starts_with('{'), text[at..].chars().next()) {
        (true, _) => Some("between { } and [ ], write a variable in quotes: \"${VAR}\""),
        (_, Some('\t')) => Some("YAML is indented by spaces"),
        (_, Some(':')) => Some("text that holds `: ` is written in quotes"),
        (_, Some('{' | '[' | '%' | '@' | '`' | '*' | '&' | '!' | '|' | '>')) => {
            Some("text that starts with a sign is written in quotes")
        }
        _ => None,
    };
    Fault::new((at, end), format!("this is not YAML: {}", error.info())).help(help)
}

/// A list or a map that is not closed yet.
struct Open {
    start: usize,
    /// Only `{ }` and `[ ]` say where they end.
    flow: bool,
    anchor: usize,
    key: Option<(String, Span)>,
    content: Content,
}

struct Builder<'a> {
    text: &'a str,
    env: Env<'a>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    faults: Vec<Fault>,
    nodes: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event, span: Span) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                return Err(Fault::new(span, "a file holds one document; a second one starts here"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain || self.is_text(tag.as_deref(), span);
                self.scalar(text.into_owned(), quoted, anchor, span)?;
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.is_text(tag.as_deref(), span);
                self.start(style, anchor, span, Content::List(Vec::new()))?;
            }
            Event::MappingStart(style, anchor, tag) => {
                self.is_text(tag.as_deref(), span);
                self.start(style, anchor, span, Content::Map(Vec::new()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span)?,
            Event::Alias(id) => {
                // The alias's own place: what is wrong with it is wrong here.
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(Fault::new(span, "an alias can't stand inside of what it repeats"));
                };
                self.put(Node { span, ..node })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a tag makes text of the value; any tag but `!!str` is a fault.
    fn is_text(&mut self, tag: Option<&Tag>, span: Span) -> bool {
        let Some(tag) = tag else { return false };
        let text = tag.core_suffix() == Some("str");
        if !text {
            let fault = Fault::new(span, format!("the tag `{}` has no meaning here", tag.original()));
            self.faults.push(fault.help(Some("take it away")));
        }
        text
    }

    fn scalar(&mut self, text: String, quoted: bool, anchor: usize, span: Span) -> Result<(), Fault> {
        let end = span.0 + self.text[span.0..span.1].trim_end().len();
        let span = (span.0, end);
        if let Some(Open { key: key @ None, content: Content::Map(_), .. }) = self.open.last_mut() {
            *key = Some((text, span));
            return Ok(());
        }
        let scalar = match expand(&text, self.env) {
            Expanded::AsWritten => Scalar::new(text, quoted),
            Expanded::Value(value) => Scalar::expanded(text, Some(value)),
            Expanded::Faults(faults) => {
                let faults: Vec<_> =
                    faults.into_iter().map(|(written, why)| self.variable(span, &written, why)).collect();
                self.faults.extend(faults);
                Scalar::expanded(text, None)
            }
        };
        let node = Node { span, content: Content::Scalar(scalar) };
        self.keep(anchor, &node);
        self.put(node)
    }

    fn variable(&self, span: Span, written: &str, why: String) -> Fault {
        let place =
            self.text[span.0..span.1].find(written).map_or(span, |at| (span.0 + at, span.0 + at + written.len()));
        Fault::new(place, why).help(Some("set it, or write `${NAME:-default}`; `$${` stands for `${` itself"))
    }

    fn start(&mut self, style: StructureStyle, anchor: usize, span: Span, content: Content) -> Result<(), Fault> {
        if let Some(Open { key: None, content: Content::Map(_), .. }) = self.open.last() {
            return Err(Fault::new(span, "a field's name is text, not a list or a map")
                .help(Some("if this was meant as `${VAR}`, write it in quotes")));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Fault::new(span, format!("this is nested more than {DEPTH_MAX} deep")));
        }
        self.open.push(Open { start: span.0, flow: style == StructureStyle::Flow, anchor, key: None, content });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), Fault> {
        let Some(Open { start, flow, anchor, content, .. }) = self.open.pop() else { return Ok(()) };
        let last = match &content {
            Content::List(items) => items.last().map(|item| item.span.1),
            Content::Map(entries) => entries.last().map(|entry| entry.value.span.1.max(entry.key_span.1)),
            Content::Scalar(_) => None,
        };
        let end = if flow { span.1 } else { last.unwrap_or(start).max(start) };
        let node = Node { span: (start, end), content };
        self.keep(anchor, &node);
        self.put(node)
    }

    fn keep(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    fn put(&mut self, mut node: Node) -> Result<(), Fault> {
        let (nodes, depth) = if matches!(node.content, Content::Scalar(_)) { (1, 1) } else { node.size() };
        self.nodes += nodes;
        if self.nodes > NODES_MAX || self.open.len() + depth > DEPTH_MAX {
            return Err(Fault::new(node.span, "aliases make this file larger than a project's file can be"));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { content: Content::List(items), .. }) => items.push(node),
            Some(Open { content: Content::Map(entries), key, .. }) => match key.take() {
                None => return Err(Fault::new(node.span, "a field's name can't be an alias")),
                Some((key, key_span)) => match entries.iter().find(|entry| entry.key == key) {
                    Some(first) => {
                        let line = self.text[..first.key_span.0].matches('\n').count() + 1;
                        let fault = Fault::new(key_span, format!("`{key}` is written twice"));
                        self.faults.push(fault.help(Some(format!("it stands on line {line} already"))));
                    }
                    None => {
                        // Nothing behind a key is shown at the key.
                        if node.span.0 == node.span.1 {
                            node.span = key_span;
                        }
                        entries.push(Entry { key, key_span, value: node });
                    }
                },
            },
            Some(Open { content: Content::Scalar(_), .. }) => {}
        }
        Ok(())
    }
}
