//! What is found while a contract is read: errors and warnings, each at its place.

use crate::odcs::Odcs;
use kernel::diagnostic::{Diagnostic, Severity};
use kernel::draft::{Content, Draft, Node};
use kernel::suggest;

pub(super) struct Notes<'a> {
    draft: &'a Draft<Odcs>,
    found: Vec<Diagnostic>,
}

impl<'a> Notes<'a> {
    pub fn new(draft: &'a Draft<Odcs>) -> Self {
        Self { draft, found: Vec::new() }
    }

    pub fn error(&mut self, path: &str, message: impl Into<String>) {
        self.found.push(self.draft.fault(path, message));
    }

    pub fn error_help(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(self.draft.fault(path, message).help(Some(help)));
    }

    /// An unknown word, with what it may have been meant as.
    pub fn unknown<'w>(&mut self, path: &str, message: impl Into<String>, known: impl IntoIterator<Item = &'w str>) {
        let help = suggest::hint(self.written(path), known);
        self.found.push(self.draft.fault(path, message).help(help));
    }

    pub fn warn(&mut self, path: &str, message: impl Into<String>) {
        self.found.push(self.draft.fault(path, message).warning());
    }

    /// The scalar at `path`, exactly: numbers with all of their digits.
    pub fn text(&self, path: &str) -> Option<&'a str> {
        let node = self.draft.at(path).filter(|node| !node.is_nothing())?;
        node.scalar().map(|scalar| scalar.text())
    }

    /// How many keys the object at `path` has; none where it is none.
    pub fn keys(&self, path: &str) -> usize {
        match self.draft.at(path).map(|node| &node.content) {
            Some(Content::Map(fields)) => fields.len(),
            _ => 0,
        }
    }

    /// The scalar at `path` for a message: a variable is shown as such.
    pub fn written(&self, path: &str) -> &'a str {
        self.draft.at(path).and_then(|node| node.scalar()).map_or("", |scalar| scalar.written())
    }

    /// What a message says of a value: what a variable put there may be a secret, in whole or in part.
    pub fn why(&self, path: &str, message: String) -> String {
        match self.draft.at(path).is_some_and(Node::has_variable) {
            true => "this does not fit here once its variables are put in".into(),
            false => message,
        }
    }

    /// The names of the fields at `path`.
    pub fn fields(&self, path: &str) -> Vec<&'a str> {
        match self.draft.at(path).map(|node| &node.content) {
            Some(kernel::draft::Content::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// All that was found when there are errors, else the warnings.
    pub fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        self.found.sort_by_key(|note| note.span);
        let failed = self.found.iter().any(|note| note.severity == Severity::Error);
        if failed { Err(self.found) } else { Ok(self.found) }
    }
}
