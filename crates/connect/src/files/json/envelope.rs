//! Debezium's envelope around a row: `op`, `before`, `after`, `source` and times
//! (debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events).

use super::parse::{self, Bad, Kind, Value};
use std::ops::Range;

/// The columns that say of each row what happened to it. No table has columns of such names.
pub const OP: &str = "__debezium.op";
/// In milliseconds since 1970.
pub const AT: &str = "__debezium.at";

pub struct Envelope {
    /// Where the row is: what it was, for a delete, else what it is. None where the table was emptied.
    pub row: Option<Range<usize>>,
    pub op: Value,
    pub at: Option<Value>,
    /// Where the envelope ends.
    pub end: usize,
}

/// The fields of an envelope as they come.
#[derive(Default)]
struct Found {
    payload: Option<Value>,
    op: Option<Value>,
    before: Option<Value>,
    after: Option<Value>,
    source: Option<Value>,
    at: Option<Value>,
}

impl Envelope {
    /// Reads the envelope that starts at `at`; one whose converter tells its schema has a payload inside.
    pub fn read(text: &[u8], at: usize, end: usize) -> Result<Self, Bad> {
        let (mut found, end) = Found::read(text, at, end)?;
        if let Some(payload) = found.payload.take().filter(is_object) {
            found = Found::read(text, payload.range.start, payload.range.end)?.0;
        }
        let op = found.op.filter(|op| matches!(op.kind, Kind::Text { escaped: false }));
        let op = op.ok_or(Bad::Because("it is not a change of Debezium's: it has no `op`"))?;
        let row = match &text[op.range.clone()] {
            b"d" => found.before,
            _ => found.after,
        };
        let row = row.filter(is_object).map(|row| row.range);
        if row.is_none() && !matches!(&text[op.range.clone()], b"t") {
            return Err(Bad::Because("a change has no row: `after`, or `before` of a delete, is missing"));
        }
        // When the database committed it, rather than when it was read.
        let committed = match found.source.filter(is_object) {
            Some(source) => Found::read(text, source.range.start, source.range.end)?.0.at,
            None => None,
        };
        Ok(Self { row, op, at: committed.or(found.at), end })
    }
}

impl Found {
    fn read(text: &[u8], at: usize, end: usize) -> Result<(Self, usize), Bad> {
        let mut found = Self::default();
        let end = parse::object(text, at, end, &mut |key: Value, value: Value| {
            let place = match &text[key.range] {
                b"payload" => &mut found.payload,
                b"op" => &mut found.op,
                b"before" => &mut found.before,
                b"after" => &mut found.after,
                b"source" => &mut found.source,
                b"ts_ms" => &mut found.at,
                _ => return Ok(()),
            };
            *place = (value.kind != Kind::Null).then_some(value);
            Ok(())
        })?;
        Ok((found, end))
    }
}

fn is_object(value: &Value) -> bool {
    value.kind == Kind::Nested
}
