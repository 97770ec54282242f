//! The part of JSONPath (RFC 9535) that says where something is: names, indices and `[*]`. What it finds are places in the
//! text: no value is turned into another one.

use crate::files::json::parse::{self, Bad, Kind, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    At(usize),
    All,
}

impl JsonPath {
    /// Reads `$.data[0]['odd name'].items[*]`; the leading `$.` may be left out.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no path of names, `[n]` and `[*]`, such as `$.data.items`");
        let mut rest = text.trim();
        rest = rest.strip_prefix('$').unwrap_or(rest);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
                let (step, behind) = match quote {
                    Some(quote) => {
                        let (name, behind) = inner[1..].split_once(quote).ok_or_else(wrong)?;
                        (Step::Name(name.to_owned()), behind.strip_prefix(']').ok_or_else(wrong)?)
                    }
                    None => {
                        let (index, behind) = inner.split_once(']').ok_or_else(wrong)?;
                        let at = || index.trim().parse().map(Step::At).map_err(|_| wrong());
                        (if index.trim() == "*" { Step::All } else { at()? }, behind)
                    }
                };
                steps.push(step);
                rest = behind;
                continue;
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let name = &rest[..end];
            if name.is_empty() || name.contains(['$', '@', '?', '*', '\'', '"', ']']) {
                return Err(wrong());
            }
            steps.push(Step::Name(name.to_owned()));
            rest = &rest[end..];
        }
        Ok(Self { steps })
    }

    /// Whether it can lead to more than one place.
    pub fn is_many(&self) -> bool {
        self.steps.contains(&Step::All)
    }

    /// All that it leads to in JSON that starts at `at`.
    pub fn find(&self, text: &[u8], at: usize) -> Result<Vec<Value>, Bad> {
        let root = parse::blank(text, at);
        if root == text.len() {
            return Ok(Vec::new());
        }
        let end = parse::balanced_value(text, root).or_else(|bad| match bad {
            // A number or a word that the text ends in.
            Bad::End if root < text.len() => Ok(text.len()),
            bad => Err(bad),
        })?;
        let kind = match text.get(root) {
            Some(b'{' | b'[') => Kind::Nested,
            _ => return Ok(Vec::new()),
        };
        let mut found = vec![Value { kind, range: root..end }];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found.iter().filter(|value| value.kind == Kind::Nested) {
                step.take(text, value, &mut next)?;
            }
            found = next;
        }
        Ok(found)
    }

    /// The only thing that it leads to, as text; `None` when it is null or not there.
    pub fn text(&self, text: &[u8], at: usize) -> Result<Option<String>, Bad> {
        self.find(text, at)?.first().map_or(Ok(None), |value| scalar(text, value))
    }
}

/// The text of a scalar; `None` for null.
pub fn scalar(text: &[u8], value: &Value) -> Result<Option<String>, Bad> {
    let raw = &text[value.range.clone()];
    let bytes = match value.kind {
        Kind::Null => return Ok(None),
        Kind::Nested => return Err(Bad::Because("a list or an object is where a single value must be")),
        Kind::Text { escaped: true } => {
            let mut plain = Vec::new();
            parse::unescape(raw, &mut plain)?;
            plain
        }
        Kind::Text { .. } | Kind::Bare => raw.to_vec(),
    };
    String::from_utf8(bytes).map(Some).map_err(|_| Bad::Because("a text is not valid UTF-8"))
}

impl Step {
    fn take(&self, text: &[u8], value: &Value, found: &mut Vec<Value>) -> Result<(), Bad> {
        let range = value.range.clone();
        match (self, text[range.start]) {
            (Step::Name(name), b'{') => {
                let mut last = None;
                parse::object(text, range.start, range.end, &mut |key: Value, value: Value| {
                    if scalar(text, &key)?.as_deref() == Some(name) {
                        last = Some(value);
                    }
                    Ok(())
                })?;
                found.extend(last);
            }
            (Step::At(_) | Step::All, b'[') => {
                let mut place = 0;
                parse::array(text, range.start, |value| {
                    if matches!(self, Step::All) || *self == Step::At(place) {
                        found.push(value);
                    }
                    place += 1;
                    Ok(())
                })?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let path = JsonPath::parse(path).expect("a path");
        let all = path.find(text.as_bytes(), 0).expect("JSON");
        all.into_iter().map(|value| text[value.range].to_owned()).collect()
    }

    #[test]
    fn a_path_leads_to_places_in_the_text() {
        let text = r#" {"data":{"items":[{"n":1.50},{"n":2}],"odd.name":"x","last":null},"a\u0062":[7]} "#;
        assert_eq!(found("$.data.items", text), [r#"[{"n":1.50},{"n":2}]"#]);
        assert_eq!(found("data.items[*].n", text), ["1.50", "2"]);
        assert_eq!(found("$['data'][\"odd.name\"]", text), ["x"]);
        assert_eq!(found("$.data.items[1].n", text), ["2"]);
        assert_eq!(found("ab[0]", text), ["7"]);
        assert_eq!(found("$.data.last", text), ["null"]);
        assert!(found("$.data.none", text).is_empty() && found("$.data.items.n", text).is_empty());
        assert_eq!(found("$", "[1, 2]"), ["[1, 2]"]);
        let path = JsonPath::parse("$.data.items[0].n").expect("a path");
        assert_eq!(path.text(text.as_bytes(), 0), Ok(Some("1.50".to_owned())));
        assert_eq!(JsonPath::parse("$.data.last").expect("a path").text(text.as_bytes(), 0), Ok(None));
    }

    #[test]
    fn what_is_no_path_is_told() {
        for bad in ["$..x", "$.x[", "$.x['y", "$[?(@.x)]", "$.*", "a..b", "$.x[-1]"] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
    }
}
