//! The records of one answer as rows.

use super::http::{self, Answer};
use super::options::{Format, OnMissing};
use crate::files::json::parse::{self, Bad, Kind, Value};
use crate::files::json::{Layout, in_memory};
use crate::files::rows::Piece;
use crate::json_path::JsonPath;
use kernel::Entity;
use kernel::error::{Error, Result};
use std::hash::Hasher;
use std::ops::Range;
use twox_hash::XxHash3_64;

/// Where the records of an answer are.
pub struct Records {
    layout: Layout,
    range: Range<usize>,
    /// The text that `range` is of, when it is not the answer itself.
    gathered: Option<Vec<u8>>,
}

/// Where records are to be.
pub struct Where {
    pub path: JsonPath,
    /// For messages.
    pub text: String,
    pub format: Format,
    pub on_missing: OnMissing,
    /// Whether an answer may be good and hold errors, as those of GraphQL.
    pub may_fail: bool,
}

impl Where {
    fn is_all(&self) -> bool {
        matches!(self.text.trim(), "$" | "")
    }
}

impl Records {
    /// Finds them; an answer that has nothing where they must be is an error, and one with null there has none, nor has one
    /// that has to be empty.
    pub fn find(answer: &Answer, place: &Where, shown: &str) -> Result<Self> {
        let body = &answer.body;
        let none = Self { layout: Layout::Lines, range: 0..0, gathered: None };
        if answer.is_without_content() {
            return Ok(none);
        }
        if place.format == Format::Json && body.is_empty() {
            return Err(http::empty(shown, answer.status));
        }
        if place.format == Format::Ndjson {
            return Ok(Self { range: 0..body.len(), ..none });
        }
        if place.may_fail && has_errors(body).map_err(|bad| broken(shown, bad))? {
            return Err(Error::data(
                shown,
                "its answer holds `errors`; try the query by hand, for they may quote data",
            ));
        }
        let found = place.path.find(body, 0).map_err(|bad| broken(shown, bad))?;
        match &found[..] {
            [] if place.path.is_many() || place.on_missing == OnMissing::Empty => Ok(none),
            // A path leads into lists and objects only.
            [] if place.is_all() && body.trim_ascii() == b"null" => Ok(none),
            [] => {
                let why = format!(
                    "its answer has nothing at `{}` (`records`); if that means none, set `on_missing: empty`",
                    place.text
                );
                Err(Error::data(shown, why))
            }
            [Value { kind: Kind::Null, .. }] => Ok(none),
            [Value { kind: Kind::Nested, range }] if body[range.start] == b'[' && !place.path.is_many() => {
                Ok(Self { layout: Layout::Array, range: range.clone(), gathered: None })
            }
            all => Ok(Self::gather(body, all)),
        }
    }

    /// Values that do not stand in one list.
    fn gather(body: &[u8], values: &[Value]) -> Self {
        let mut text = vec![b'['];
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                text.push(b',');
            }
            let quotes = usize::from(matches!(value.kind, Kind::Text { .. }));
            text.extend_from_slice(&body[value.range.start - quotes..value.range.end + quotes]);
        }
        text.push(b']');
        Self { layout: Layout::Array, range: 0..text.len(), gathered: Some(text) }
    }

    /// The last record, for a cursor that is one of its fields.
    pub fn last<'b>(&'b self, body: &'b [u8]) -> Result<Option<&'b [u8]>, Bad> {
        let text = self.gathered.as_deref().unwrap_or(body);
        if self.layout != Layout::Array {
            return Ok(text[self.range.clone()]
                .split(|byte| *byte == b'\n')
                .rfind(|line| !line.trim_ascii().is_empty()));
        }
        let mut last = None;
        parse::array(text, self.range.start, |value| {
            last = Some(value.range);
            Ok(())
        })?;
        Ok(last.map(|range| &text[range]))
    }

    /// One text of each record; `None` where it has none.
    pub fn texts(&self, body: &[u8], path: &JsonPath) -> Result<Vec<Option<String>>, Bad> {
        let text = self.gathered.as_deref().unwrap_or(body);
        let mut texts = Vec::new();
        if self.layout == Layout::Array {
            parse::array(text, self.range.start, |value| {
                texts.push(path.text(text, value.range.start)?);
                Ok(())
            })?;
        }
        Ok(texts)
    }

    /// Tells a page from another one.
    pub fn mark(&self, body: &[u8]) -> u64 {
        let mut hasher = XxHash3_64::new();
        hasher.write(&self.gathered.as_deref().unwrap_or(body)[self.range.clone()]);
        hasher.finish()
    }

    /// The rows, numbered from `first` on.
    pub fn read(self, body: Vec<u8>, first: i64, entity: &Entity, shown: &str) -> Result<Piece> {
        let text = self.gathered.unwrap_or(body);
        in_memory(text, self.range, self.layout, first, entity).map_err(|why| Error::data(shown, why))
    }
}

/// A list under `errors` that is not empty.
fn has_errors(body: &[u8]) -> Result<bool, Bad> {
    let errors = JsonPath::parse("$.errors[0]").map_err(|_| Bad::Because("no path"))?;
    Ok(!errors.find(body, 0)?.is_empty())
}

/// JSON that can't be walked.
pub fn broken(shown: &str, bad: Bad) -> Error {
    let why = match bad {
        Bad::End => "it breaks off",
        Bad::Because(why) => why,
    };
    Error::data(shown, format!("its answer can't be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::entity;
    use arrow::array::{Array, AsArray};

    fn place(path: &str, format: Format) -> Where {
        let (path, text) = (JsonPath::parse(path).expect("a path"), path.to_owned());
        Where { path, text, format, on_missing: OnMissing::Error, may_fail: true }
    }

    fn read(path: &str, format: Format, body: &str) -> Result<(Vec<String>, Vec<i64>, Vec<String>)> {
        let answer = Answer { status: 200, body: body.into(), links: Vec::new() };
        let records = Records::find(&answer, &place(path, format), "GET x")?;
        let piece = records.read(answer.body, 11, &entity(&["n"]), "GET x")?;
        let values = piece.batch.column_by_name("n").expect("the column").as_string_view();
        let values = (0..values.len()).map(|row| values.value(row).to_owned()).collect();
        let malformed = piece.malformed.iter().map(|bad| format!("{}: {}", bad.offset, bad.reason)).collect();
        Ok((values, piece.offsets.values().to_vec(), malformed))
    }

    #[test]
    fn records_are_found_and_numbered_wherever_they_are() {
        let rows = |values: &[&str]| {
            (
                values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>(),
                (11..).take(values.len()).collect::<Vec<i64>>(),
                vec![],
            )
        };
        let json = Format::Json;
        assert_eq!(read("$", json, r#"[{"n":1.50},{"n":"x\"y"}]"#).expect("rows"), rows(&["1.50", "x\"y"]));
        assert_eq!(
            read("$.a.b", json, r#"{"a":{"b":[{"n":12345678901234567890}]},"z":1}"#).expect("rows"),
            rows(&["12345678901234567890"])
        );
        assert_eq!(
            read("$.e[*].node", json, r#"{"e":[{"node":{"n":1}},{"node":{"n":2}}]}"#).expect("rows"),
            rows(&["1", "2"])
        );
        assert_eq!(read("$.e[*]", json, r#"{"e":[]}"#).expect("rows"), rows(&[]));
        assert_eq!(read("$.one", json, r#"{"one":{"n":7}}"#).expect("rows"), rows(&["7"]));
        assert_eq!(read("$.none", json, r#"{"none":null}"#).expect("rows"), rows(&[]));
        assert_eq!(read("$", Format::Ndjson, "{\"n\":1}\n\n{\"n\":2}").expect("rows").0, ["1", "2"]);
        assert_eq!(read("$", json, " null\n").expect("rows"), rows(&[]));
        assert_eq!(read("$", Format::Ndjson, "").expect("rows"), rows(&[]));
    }

    #[test]
    fn an_empty_answer_has_no_records_where_it_has_to_be_empty() {
        for (status, on_missing, is_none) in [
            (204, OnMissing::Error, true),
            (205, OnMissing::Error, true),
            (200, OnMissing::Error, false),
            (202, OnMissing::Empty, false),
        ] {
            let answer = Answer { status, body: Vec::new(), links: Vec::new() };
            let place = Where { on_missing, ..place("$.data", Format::Json) };
            let found = Records::find(&answer, &place, "GET x");
            assert_eq!(found.is_ok(), is_none, "{status}");
            assert!(found.err().is_none_or(|error| error.detail.contains("is empty")), "{status}");
        }
        let error = read("$.data", Format::Json, "null").expect_err("there is no `data`");
        assert!(error.detail.contains("nothing at `$.data`"), "{error}");
    }

    #[test]
    fn what_is_no_record_is_set_aside_and_what_is_not_there_is_told() {
        let (values, offsets, malformed) =
            read("$", Format::Json, r#"[{"n":1}, 17, {"n":2,"n":3}, {"n":4}]"#).expect("rows");
        assert_eq!((values, offsets), (vec!["1".to_owned(), "4".to_owned()], vec![11, 14]));
        assert_eq!(malformed, ["12: it is not a JSON object", "13: a field occurs twice"]);
        let error =
            read("$.data.items", Format::Json, r#"{"errors":[{"message":"ana@example.com"}]}"#).expect_err("an error");
        assert!(error.detail.contains("holds `errors`") && !error.detail.contains("ana"), "{error}");
        let error = read("$.data.items", Format::Json, r#"{"data":{}}"#).expect_err("an error");
        assert!(error.detail.starts_with("its answer has nothing at `$.data.items` (`records`)"), "{error}");
    }

    #[test]
    fn the_last_record_is_found_wherever_records_are() {
        for (path, format, body) in [
            ("$", Format::Json, r#"[{"n":1}, {"n":2}]"#),
            ("$.e[*].node", Format::Json, r#"{"e":[{"node":{"n":1}},{"node":{"n":2}}]}"#),
            ("$", Format::Ndjson, "{\"n\":1}\n{\"n\":2}\n\n"),
        ] {
            let answer = Answer { status: 200, body: body.into(), links: Vec::new() };
            let records = Records::find(&answer, &place(path, format), "GET x").expect("records");
            assert_eq!(records.last(&answer.body), Ok(Some(br#"{"n":2}"#.as_slice())), "{path}");
        }
    }
}
