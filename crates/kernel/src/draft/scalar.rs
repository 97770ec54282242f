//! One value of a YAML file, and what YAML 1.2's core schema takes it for.

use std::fmt;

/// A scalar as text. What was written is kept beside what a variable put there: the latter may be a secret, so it has no
/// `Debug` or `Display`.
#[derive(Clone)]
pub struct Scalar {
    text: String,
    quoted: bool,
    written: Option<String>,
    /// A variable of it has no value; that is reported already, so nothing more is said about this scalar.
    unknown: bool,
}

/// What a scalar is without looking at a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    Flag(bool),
    Number,
    Text,
}

impl Scalar {
    pub(super) fn new(text: String, quoted: bool) -> Self {
        Self { text, quoted, written: None, unknown: false }
    }

    /// A scalar whose variables have been put in; `None` when one of them has no value.
    pub(super) fn expanded(written: String, text: Option<String>) -> Self {
        Self { unknown: text.is_none(), text: text.unwrap_or_default(), quoted: true, written: Some(written) }
    }

    /// The value. Not for messages: it may hold what a variable put there.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As the author wrote it, for messages.
    pub fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.text)
    }

    pub fn has_variable(&self) -> bool {
        self.written.is_some()
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// What comes from a variable is whatever it can be read as, but never nothing.
    pub(super) fn kind(&self) -> Kind {
        match resolve(&self.text) {
            _ if self.quoted && self.written.is_none() => Kind::Text,
            Kind::Nothing if self.quoted => Kind::Text,
            kind => kind,
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.kind() {
            Kind::Flag(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<Number> {
        (self.kind() == Kind::Number).then(|| number(&self.text)).flatten()
    }

    /// Text as it may be read where text is wanted; a number or a flag is text only when it came from a variable.
    pub(super) fn as_text(&self) -> Option<&str> {
        (self.written.is_some() || self.kind() == Kind::Text).then_some(&self.text)
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.written())
    }
}

/// A number as the types that serde knows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Unsigned(n) => n as f64,
            Number::Signed(n) => n as f64,
            Number::Float(n) => n,
        }
    }

    pub fn is_whole(self) -> bool {
        !matches!(self, Number::Float(_))
    }
}

/// YAML 1.2.2, section 10.3.2: tag resolution of plain scalars. `yes`, `on` and dates are text.
fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Nothing,
        "true" | "True" | "TRUE" => Kind::Flag(true),
        "false" | "False" | "FALSE" => Kind::Flag(false),
        _ if number(text).is_some() => Kind::Number,
        _ => Kind::Text,
    }
}

fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Number::Unsigned);
    if let Some(hex) = text.strip_prefix("0x") {
        return radix(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return radix(octal, 8);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        if let Ok(n) = whole.parse() {
            return Some(Number::Unsigned(n));
        }
        if let Ok(n) = whole.parse() {
            return Some(Number::Signed(n));
        }
    }
    text.parse().ok().filter(|n: &f64| n.is_finite()).map(Number::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_what_yaml_1_2_says() {
        for (text, kind) in [
            ("", Kind::Nothing),
            ("~", Kind::Nothing),
            ("true", Kind::Flag(true)),
            ("yes", Kind::Text),
            ("12", Kind::Number),
            ("-1.5e3", Kind::Number),
            (".5", Kind::Number),
            ("0x1F", Kind::Number),
            ("1.2.0", Kind::Text),
            ("2026-01-01", Kind::Text),
            (".", Kind::Text),
            ("-", Kind::Text),
            ("12a", Kind::Text),
            ("inf", Kind::Text),
        ] {
            assert_eq!(Scalar::new(text.into(), false).kind(), kind, "{text}");
        }
        assert_eq!(Scalar::new("12".into(), true).kind(), Kind::Text);
    }

    #[test]
    fn a_variable_is_a_number_or_text_as_wanted_and_never_shown() {
        let port = Scalar::expanded("${PORT}".into(), Some("5432".into()));
        assert_eq!((port.number(), port.as_text()), (Some(Number::Unsigned(5432)), Some("5432")));
        assert_eq!(format!("{port:?}"), "\"${PORT}\"");
        assert_eq!(Scalar::expanded("${X:-}".into(), Some(String::new())).kind(), Kind::Text);
    }
}
