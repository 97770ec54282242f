//! A fault before it knows its file.

use super::Span;
use crate::diagnostic::Diagnostic;

/// What is wrong, and where; no place means the file as a whole.
pub(super) struct Fault {
    pub span: Option<Span>,
    pub message: String,
    pub help: Option<String>,
}

impl Fault {
    pub fn new(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self { span: span.into(), message: message.into(), help: None }
    }

    pub fn help(mut self, help: Option<impl Into<String>>) -> Self {
        self.help = help.map(Into::into);
        self
    }

    pub fn into_diagnostic(self, file: &str, text: &str) -> Diagnostic {
        let mut found = Diagnostic::new(file, self.span, self.message).help(self.help);
        found.locate(text);
        found
    }
}
