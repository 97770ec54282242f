//! What `lavra check` reports: a place in a file, what is wrong there, what would be right.

use serde::Serialize;
use std::fmt::Write;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Relative to the project's folder.
    pub file: String,
    /// Byte range in the file's text; `None` is the file as a whole.
    pub span: Option<(usize, usize)>,
    pub message: String,
    pub help: Option<String>,
    /// Line and column, from 1, in characters; set by [`Diagnostic::locate`].
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub severity: Severity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    /// Nothing is wrong with the text; a privacy law of the project forbids what it asks for.
    Refused,
    Warning,
}

impl Diagnostic {
    pub fn new(file: impl Into<String>, span: Option<(usize, usize)>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            span,
            message: message.into(),
            help: None,
            line: None,
            column: None,
            severity: Severity::Error,
        }
    }

    #[must_use]
    pub fn help(mut self, help: Option<impl Into<String>>) -> Self {
        self.help = help.map(Into::into);
        self
    }

    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    #[must_use]
    pub fn refused(mut self) -> Self {
        self.severity = Severity::Refused;
        self
    }

    /// Fills in line and column from the file's text.
    pub fn locate(&mut self, text: &str) {
        let Some((start, _)) = self.span else { return };
        let (line, column, _) = line_of(text, start);
        (self.line, self.column) = (Some(line), Some(column));
    }

    /// As a compiler prints it: message, place, the line with a caret under it, help.
    pub fn render(&self, text: &str) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Refused => "refused",
            Severity::Warning => "warning",
        };
        let mut out = format!("{word}: {}\n", self.message);
        match self.span {
            None => {
                let _ = writeln!(out, "  --> {}", self.file);
            }
            Some((start, end)) => {
                let (line, column, content) = line_of(text, start);
                let pad = " ".repeat(line.to_string().len());
                let under = text
                    .get(start..end.max(start))
                    .map_or(1, |s| s.lines().next().map_or(1, |first| first.chars().count().max(1)));
                let _ = writeln!(out, "{pad}--> {}:{line}:{column}", self.file);
                let _ = writeln!(out, "{pad} |\n{line} | {content}");
                let _ = writeln!(out, "{pad} | {}{}", " ".repeat(column - 1), "^".repeat(under));
            }
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "  help: {help}");
        }
        out
    }
}

/// Line and column (from 1, in characters) of a byte offset, and the line's text with tabs as spaces.
fn line_of(text: &str, offset: usize) -> (usize, usize, String) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    let content = text[start..].lines().next().unwrap_or_default().replace('\t', " ");
    (line, before[start..].chars().count() + 1, starred(&content))
}

/// A line with a star for each sign of who signs in by a URL: a password that somebody wrote out is not shown, and the caret
/// stays where it was.
fn starred(line: &str) -> String {
    let Some((before, rest)) = line.split_once("://") else { return line.to_owned() };
    let end = rest.find(|sign: char| sign.is_whitespace() || sign == '"' || sign == '\'').unwrap_or(rest.len());
    let (url, behind) = rest.split_at(end);
    let user = url.rfind('@').unwrap_or_default();
    let stars = "*".repeat(url[..user].chars().count());
    format!("{before}://{stars}{}{}", &url[user..], starred(behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_fault() {
        let text = "project: x\nenviroments: {}\n";
        let wrong = Diagnostic::new("lavra.yaml", Some((11, 22)), "unknown field `enviroments`")
            .help(Some("did you mean `environments`?"));
        let expected = "error: unknown field `enviroments`\n --> lavra.yaml:2:1\n  |\n2 | enviroments: {}\n  | ^^^^^^^^^^^\n  help: did you mean `environments`?\n";
        assert_eq!(wrong.render(text), expected);
    }

    #[test]
    fn who_signs_in_by_a_url_is_not_shown() {
        let text = "a: { lake: 's3://key:SEC@RET@host/x', keys: ftp://n\u{e3}o@h }";
        let shown = Diagnostic::new("lavra.yaml", Some((0, 1)), "wrong").render(text);
        assert!(shown.contains("| a: { lake: 's3://***********@host/x', keys: ftp://***@h }\n"), "{shown}");
    }
}
