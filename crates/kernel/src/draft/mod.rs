//! Typed YAML with all faults reported at once.
//!
//! A file is parsed once, to a tree that keeps the byte range of every key and value. The tree is held against the JSON
//! Schema of its type, which is the same schema that editors get from [`json_schema`], and every fault is collected:
//! unknown and missing fields, wrong types, unknown words, keys written twice. Only a tree without faults is turned into
//! the type. [`Draft`] keeps the tree, so that later checks can point at what they speak of.

mod check;
mod de;
mod expand;
mod header;
mod path;
mod place;
mod scalar;
mod schema;
mod tree;

#[cfg(test)]
mod tests;

pub use header::{read_header, without_header};
pub use scalar::Scalar;
pub use schema::json_schema;
pub use tree::{Content, Entry, Node};

use crate::diagnostic::Diagnostic;
use place::Fault;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// Start and end, in bytes of the file's text.
pub type Span = (usize, usize);

/// Answers what an environment variable holds.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A file as its author wrote it: the value, and the place of everything in it.
pub struct Draft<T> {
    pub value: T,
    pub file: String,
    /// What the author should know though it does not stop anything; readers of a format add to it.
    pub warnings: Vec<Diagnostic>,
    tree: Node,
    text: String,
}

/// Reads one YAML document as a `T`. `${VAR}` and `${VAR:-default}` are expanded in values by `env`, after the parse, so
/// that no value can add structure; a diagnostic shows them as written. Fails with every fault of the file.
pub fn read<T>(file: &str, text: &str, env: Env) -> Result<Draft<T>, Vec<Diagnostic>>
where
    T: DeserializeOwned + JsonSchema,
{
    read_part(file, text, text, env)
}

/// Reads `yaml`, which is `text` with all that is no YAML blanked out, byte for byte.
fn read_part<T>(file: &str, text: &str, yaml: &str, env: Env) -> Result<Draft<T>, Vec<Diagnostic>>
where
    T: DeserializeOwned + JsonSchema,
{
    let located = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.into_diagnostic(file, text)).collect();
    let (tree, mut faults) = tree::parse(yaml, env).map_err(|fault| located(vec![fault]))?;
    faults.extend(check::faults(&tree, &schema::of::<T>()));
    if !faults.is_empty() {
        faults.sort_by_key(|fault| fault.span);
        return Err(located(faults));
    }
    let value = de::from_node(&tree).map_err(|fault| located(vec![fault]))?;
    Ok(Draft { value, file: file.into(), warnings: Vec::new(), tree, text: text.into() })
}

impl<T> Draft<T> {
    /// The whole document.
    pub fn tree(&self) -> &Node {
        &self.tree
    }

    /// The node at a path such as `schema[0].properties[2].name`; a key that holds `.` or `[` is written `["like.this"]`.
    pub fn at(&self, path: &str) -> Option<&Node> {
        path::find(&self.tree, path).map(|found| found.node)
    }

    /// Where the value at `path` stands.
    pub fn span(&self, path: &str) -> Option<Span> {
        self.at(path).map(|node| node.span)
    }

    /// Where the key of the value at `path` stands; `None` for an item of a list.
    pub fn key_span(&self, path: &str) -> Option<Span> {
        path::find(&self.tree, path)?.key
    }

    /// Where to point at for `path`: the scalar, the key of a list or a map, or what holds it if it is not written.
    pub fn place(&self, path: &str) -> Option<Span> {
        path::nearest(&self.tree, path)
    }

    /// A fault at the value of `path`, with line and column.
    pub fn fault(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let mut found = Diagnostic::new(&self.file, self.place(path), message);
        found.locate(&self.text);
        found
    }

    /// A fault at the key of `path`.
    pub fn key_fault(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let mut found = Diagnostic::new(&self.file, self.key_span(path).or_else(|| self.place(path)), message);
        found.locate(&self.text);
        found
    }

    /// Adds to `warnings`.
    pub fn warn(&mut self, warning: Diagnostic) {
        self.warnings.push(warning.warning());
    }

    /// The whole text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same draft of another value, made from this one.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Draft<U> {
        let Draft { value, file, warnings, tree, text } = self;
        Draft { value: make(value), file, warnings, tree, text }
    }
}

impl<T> std::fmt::Debug for Draft<T> {
    /// The value may hold what a variable put in, so it is not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Draft({})", self.file)
    }
}
