//! Finding out how a CSV file is written: its delimiter, its header, its columns.

use super::scan::Dialect;
use crate::files::options::{Delimiter, Header, Options};
use kernel::Entity;
use std::collections::HashMap;

/// How a file is written.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    pub dialect: Dialect,
    pub names: Vec<String>,
    /// Where the first record behind the header starts, and on which line.
    pub body: usize,
    pub line: i64,
}

/// Lines that the delimiter is found out from.
const SAMPLE_RECORDS: usize = 20;
const SAMPLE_BYTES: usize = 256 << 10;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Looks at the first records of a text. `None` when it has none. The error says what is wrong with the header.
pub fn layout(text: &[u8], options: &Options, entity: &Entity) -> Result<Option<Layout>, String> {
    let quote = options.quote.0;
    let delimiter = match options.delimiter {
        Delimiter::Byte(byte) => byte,
        Delimiter::Auto => delimiter(text, quote, entity),
    };
    let dialect = Dialect { delimiter, quote };
    let sample = records(text, dialect, 2);
    let Some(first) = sample.first() else { return Ok(None) };
    let is_header = match options.header {
        Header::Given(given) => given,
        Header::Auto => looks_like_header(&first.fields, entity),
    };
    if is_header {
        let names = header(&first.fields)?;
        return Ok(Some(Layout { dialect, names, body: first.end, line: first.next_line }));
    }
    let names = headerless(first.fields.len(), entity)?;
    Ok(Some(Layout { dialect, names, body: 0, line: 1 }))
}

/// Whether the first record is whole in this text.
pub fn has_record(text: &[u8], quote: Option<u8>) -> bool {
    let mut quoted = false;
    let mut seen = false;
    text.iter().any(|byte| {
        quoted ^= Some(*byte) == quote;
        seen |= !matches!(byte, b'\n' | b'\r');
        seen && !quoted && *byte == b'\n'
    })
}

struct First {
    fields: Vec<Vec<u8>>,
    end: usize,
    next_line: i64,
}

/// The first `most` records that are not blank.
fn records(text: &[u8], dialect: Dialect, most: usize) -> Vec<First> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(dialect.delimiter)
        .quoting(dialect.quote.is_some())
        .quote(dialect.quote.unwrap_or(b'"'))
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(text);
    let mut all = Vec::new();
    let mut record = csv::ByteRecord::new();
    while all.len() < most && reader.read_byte_record(&mut record).unwrap_or(false) {
        let mut fields: Vec<Vec<u8>> = record.iter().map(<[u8]>::to_vec).collect();
        if let Some(last) = fields.last_mut().filter(|last| last.last() == Some(&b'\r')) {
            last.pop();
        }
        if fields.iter().all(Vec::is_empty) && fields.len() == 1 {
            continue;
        }
        let end = reader.position().byte() as usize;
        let open = end == text.len() && !text.ends_with(b"\n");
        let next_line = reader.position().line() as i64 + i64::from(open);
        all.push(First { fields, end, next_line });
    }
    all
}

/// The delimiter by which the header names most of the contract's columns; else that cuts no quoted field; else by
/// which the first lines have the same number of fields; else by which the first line has most.
fn delimiter(text: &[u8], quote: Option<u8>, entity: &Entity) -> u8 {
    let sample = &text[..text.len().min(SAMPLE_BYTES)];
    let score = |delimiter: u8| {
        let all = records(sample, Dialect { delimiter, quote }, SAMPLE_RECORDS);
        let width = all.first().map_or(0, |first| first.fields.len());
        let known = all.first().map_or(0, |first| known(&first.fields, entity));
        let cut = all.len() > 1 && all.len() < SAMPLE_RECORDS && !sample.ends_with(b"\n");
        let whole = &all[..all.len() - usize::from(cut)];
        let even = width > 1 && whole.iter().all(|record| record.fields.len() == width);
        let uncut = all
            .first()
            .is_some_and(|first| !first.fields.iter().any(|field| quote.is_some_and(|q| field.contains(&q))));
        (if width > 1 { known } else { 0 }, uncut, even, width)
    };
    let best = DELIMITERS.into_iter().rev().max_by_key(|delimiter| score(*delimiter));
    best.unwrap_or(b',')
}

/// How many of the fields are names of the contract's columns.
fn known(fields: &[Vec<u8>], entity: &Entity) -> usize {
    fields
        .iter()
        .filter(|field| std::str::from_utf8(field).is_ok_and(|name| entity.property(name.trim()).is_some()))
        .count()
}

/// A header names a column of the contract; or, when it names none, all its fields are different words that don't
/// start like a number.
fn looks_like_header(fields: &[Vec<u8>], entity: &Entity) -> bool {
    if known(fields, entity) > 0 {
        return true;
    }
    let mut seen = std::collections::HashSet::new();
    fields.iter().all(|field| {
        let trimmed = field.trim_ascii();
        let word = trimmed.first().is_some_and(|c| c.is_ascii_alphabetic() || *c == b'_' || !c.is_ascii());
        word && seen.insert(trimmed)
    })
}

fn header(fields: &[Vec<u8>]) -> Result<Vec<String>, String> {
    let mut places = HashMap::new();
    let mut names = Vec::with_capacity(fields.len());
    for (place, field) in (1..).zip(fields) {
        let name = std::str::from_utf8(field).map_err(|_| format!("the name of column {place} is not valid UTF-8"))?;
        let name = name.trim();
        if name.is_empty() || name.contains('\0') {
            return Err(format!("column {place} has no name in the header"));
        }
        if let Some(other) = places.insert(name.to_owned(), place) {
            return Err(format!("the header names `{name}` twice: columns {other} and {place}"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// The contract's columns in its order, or made-up names when there is no contract yet.
fn headerless(width: usize, entity: &Entity) -> Result<Vec<String>, String> {
    if entity.properties.is_empty() {
        return Ok((1..=width).map(|place| format!("column_{place}")).collect());
    }
    if width != entity.properties.len() {
        let expected = entity.properties.len();
        return Err(format!("the file has no header, and {width} fields where the contract has {expected} columns"));
    }
    Ok(entity.properties.iter().map(|property| property.name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::entity;

    fn found(text: &str, columns: &[&str]) -> Result<Layout, String> {
        layout(text.as_bytes(), &Options::default(), &entity(columns)).map(|layout| layout.expect("records"))
    }

    #[test]
    fn the_delimiter_is_found() {
        for (text, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2\n", b';'),
            ("a\tb,c\n1\t2\n", b'\t'),
            ("a|b|c\n1|2|3\n4|5|6\n", b'|'),
            ("name,\"x;y;z\"\nq,\"1;2;3\"\n", b','),
            ("one\n1\n", b','),
        ] {
            assert_eq!(found(text, &[]).expect("a layout").dialect.delimiter, delimiter, "{text}");
        }
        assert_eq!(found("a,b;c\n1;2\n", &["c"]).expect("a layout").dialect.delimiter, b';');
    }

    #[test]
    fn a_header_is_told_from_data() {
        let layout = found("\r\n\nid, name \n1,x\n", &[]).expect("a layout");
        assert_eq!((layout.names, layout.body, layout.line), (vec!["id".to_owned(), "name".into()], 13, 4));
        assert_eq!(found("1,x\n2,y\n", &[]).expect("a layout").names, ["column_1", "column_2"]);
        assert_eq!(found("1,x\n2,y\n", &["id", "name"]).expect("a layout").names, ["id", "name"]);
        assert_eq!(found("\"multi\nline\",b\n1,2\n", &[]).expect("a layout").line, 3);
    }

    #[test]
    fn a_bad_header_is_named() {
        assert_eq!(found("a,b,a\n", &[]).map(|_| ()), Ok(()), "equal words are no header");
        assert!(found("a,b,a\n", &["b"]).expect_err("twice").contains("`a` twice: columns 1 and 3"));
        assert!(found("a,,b\n", &["b"]).expect_err("no name").contains("column 2"));
        assert!(found("1,2,3\n", &["b", "c"]).expect_err("too many").contains("3 fields"));
    }
}
