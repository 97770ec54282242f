//! A shallow JSON parser (RFC 8259): it finds the fields of one object and where their values are, without turning any
//! of them into something else. Numbers keep their text.

use std::ops::Range;

/// Why a text is not an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// It ends too early; with more text it might be one.
    End,
    Because(&'static str),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Null,
    /// A string; the range is between its quotes.
    Text {
        escaped: bool,
    },
    /// A number, `true` or `false`.
    Bare,
    /// An object or an array.
    Nested,
}

/// A value and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub kind: Kind,
    pub range: Range<usize>,
}

/// Who takes the fields of an object.
pub trait Fields {
    /// Where the value starts, when the key that comes is told by its bytes; nobody has to be.
    fn guess(&mut self, _text: &[u8], _at: usize) -> Option<usize> {
        None
    }

    /// Gets each value with its key (between its quotes); without one, it is that of the last guess.
    fn field(&mut self, text: &[u8], key: Option<Value>, value: Value) -> Result<(), Bad>;
}

impl<F: FnMut(Value, Value) -> Result<(), Bad>> Fields for F {
    fn field(&mut self, _: &[u8], key: Option<Value>, value: Value) -> Result<(), Bad> {
        key.map_or(Ok(()), |key| self(key, value))
    }
}

/// Reads the object that starts at `at` and ends before `end`, and returns where it ends.
pub fn object(text: &[u8], at: usize, end: usize, fields: &mut impl Fields) -> Result<usize, Bad> {
    // What lies behind is looked at in whole words, and never taken.
    let (whole, text) = (text, &text[..end]);
    let mut at = expect(text, at, b'{', "it is not a JSON object")?;
    at = blank(text, at);
    if text.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        let key = match fields.guess(whole, at).filter(|at| *at <= end) {
            Some(behind) => {
                at = behind;
                None
            }
            None => {
                at = expect(text, at, b'"', "a field has no name in quotes")?;
                let (close, escaped) = string(text, at)?;
                let key = Value { kind: Kind::Text { escaped }, range: at..close };
                at = expect(text, blank(text, close + 1), b':', "a field's name is not followed by `:`")?;
                Some(key)
            }
        };
        let (found, next) = value(text, blank(text, at))?;
        fields.field(whole, key, found)?;
        at = blank(text, next);
        match text.get(at) {
            Some(b',') => at = blank(text, at + 1),
            Some(b'}') => return Ok(at + 1),
            Some(_) => return Err(Bad::Because("two fields are not parted by `,`")),
            None => return Err(Bad::End),
        }
    }
}

/// Reads the array that starts at `at` and gives each value to `element`.
pub fn array(text: &[u8], at: usize, mut element: impl FnMut(Value) -> Result<(), Bad>) -> Result<usize, Bad> {
    let mut at = blank(text, expect(text, at, b'[', "it is not a JSON array")?);
    if text.get(at) == Some(&b']') {
        return Ok(at + 1);
    }
    loop {
        let (found, next) = value(text, at)?;
        element(found)?;
        at = blank(text, next);
        match text.get(at) {
            Some(b',') => at = blank(text, at + 1),
            Some(b']') => return Ok(at + 1),
            Some(_) => return Err(Bad::Because("two values are not parted by `,`")),
            None => return Err(Bad::End),
        }
    }
}

/// The value at `at`, and where it ends.
pub fn value(text: &[u8], at: usize) -> Result<(Value, usize), Bad> {
    let Some(first) = text.get(at) else { return Err(Bad::End) };
    match first {
        b'"' => {
            let (close, escaped) = string(text, at + 1)?;
            Ok((Value { kind: Kind::Text { escaped }, range: at + 1..close }, close + 1))
        }
        b'{' | b'[' => {
            let end = nested(text, at)?;
            Ok((Value { kind: Kind::Nested, range: at..end }, end))
        }
        _ => {
            let (kind, end) = bare(text, at)?;
            Ok((Value { kind, range: at..end }, end))
        }
    }
}

/// Where the object or array at `at` ends. It is checked whole.
pub fn nested(text: &[u8], at: usize) -> Result<usize, Bad> {
    let end = balanced(text, at)?;
    let checked = serde_json::from_slice::<serde::de::IgnoredAny>(&text[at..end]);
    checked.map(|_| end).map_err(|_| Bad::Because("a nested value is not valid JSON"))
}

/// Where the brackets that open at `at` are closed again.
pub fn balanced(text: &[u8], mut at: usize) -> Result<usize, Bad> {
    let mut depth = 0usize;
    loop {
        match text.get(at) {
            None => return Err(Bad::End),
            Some(b'"') => at = string(text, at + 1)?.0,
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            Some(_) => {}
        }
        at += 1;
    }
}

/// Where the value at `at` ends, going by its brackets and quotes only.
pub fn balanced_value(text: &[u8], at: usize) -> Result<usize, Bad> {
    match text.get(at) {
        None => Err(Bad::End),
        Some(b'{' | b'[') => balanced(text, at),
        Some(b'"') => string(text, at + 1).map(|(close, _)| close + 1),
        Some(b'}' | b']' | b',' | b':') => Err(Bad::Because("a bracket or comma stands where a value must")),
        Some(_) => {
            let length = text[at..].iter().position(|byte| b",}] \n\r\t{[\"".contains(byte));
            length.map(|length| at + length).ok_or(Bad::End)
        }
    }
}

/// The first place from `at` on that is not white space.
#[inline]
pub fn blank(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

fn expect(text: &[u8], at: usize, byte: u8, otherwise: &'static str) -> Result<usize, Bad> {
    match text.get(at) {
        Some(found) if *found == byte => Ok(at + 1),
        Some(_) => Err(Bad::Because(otherwise)),
        None => Err(Bad::End),
    }
}

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The quote that closes the string whose text starts at `at`, and whether there are escapes in it.
#[inline]
fn string(text: &[u8], mut at: usize) -> Result<(usize, bool), Bad> {
    let mut escaped = false;
    loop {
        while let Some(bytes) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*bytes);
            let found = equal(word ^ (ONES * b'"' as u64)) | equal(word ^ (ONES * b'\\' as u64));
            if found != 0 {
                at += found.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match text.get(at) {
            None => return Err(Bad::End),
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => (escaped, at) = (true, at + 2),
            Some(_) => at += 1,
        }
    }
}

/// The top bit of each byte that is zero; exact (Hacker's Delight, §6-1).
#[inline(always)]
fn equal(difference: u64) -> u64 {
    !(((difference & LOW) + LOW) | difference | LOW)
}

/// `null`, `true`, `false` or a number, and where it ends.
#[inline]
fn bare(text: &[u8], at: usize) -> Result<(Kind, usize), Bad> {
    let word = match text[at] {
        b'n' => Some((Kind::Null, b"null".as_slice())),
        b't' => Some((Kind::Bare, b"true".as_slice())),
        b'f' => Some((Kind::Bare, b"false".as_slice())),
        _ => None,
    };
    let (kind, end) = match word {
        Some((kind, word)) if text[at..].starts_with(word) => (kind, at + word.len()),
        Some((_, word)) if word.starts_with(&text[at..]) => return Err(Bad::End),
        Some(_) => return Err(NO_VALUE),
        None => (Kind::Bare, number(text, at)?),
    };
    match text.get(end) {
        Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') => Ok((kind, end)),
        Some(_) => Err(NO_VALUE),
        None => Err(Bad::End),
    }
}

const NO_VALUE: Bad = Bad::Because("a value is neither text in quotes, nor a number, `true`, `false` or `null`");

/// Where the number ends (RFC 8259 §6). One that the text ends in may go on.
#[inline]
fn number(text: &[u8], at: usize) -> Result<usize, Bad> {
    // The place behind at least one digit.
    let digits = |from: usize| {
        let mut at = from;
        while matches!(text.get(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        match text.get(at) {
            Some(_) if at == from => Err(NO_VALUE),
            None if at == from => Err(Bad::End),
            _ => Ok(at),
        }
    };
    let start = at + usize::from(text[at] == b'-');
    let mut at = digits(start)?;
    if at - start > 1 && text[start] == b'0' {
        return Err(NO_VALUE);
    }
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let signed = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = digits(at + 1 + usize::from(signed))?;
    }
    Ok(at)
}

/// Writes the text of a string with escapes. NUL is refused: no database takes it in a text.
pub fn unescape(mut text: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
    while let Some(at) = memchr::memchr(b'\\', text) {
        out.extend_from_slice(&text[..at]);
        let Some((escape, mut rest)) = text[at + 1..].split_first() else { return Err(ESCAPE) };
        match escape {
            b'"' | b'\\' | b'/' => out.push(*escape),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let character = unicode(&mut rest)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return Err(ESCAPE),
        }
        text = rest;
    }
    out.extend_from_slice(text);
    Ok(())
}

const ESCAPE: Bad = Bad::Because("a text holds a bad escape");

/// The character of `XXXX`, or of `XXXX\uXXXX` when the first is half of a pair.
fn unicode(rest: &mut &[u8]) -> Result<char, Bad> {
    let first = hex(rest)?;
    let code = match first {
        0 => return Err(Bad::Because("a text holds a NUL character")),
        0xd800..=0xdbff => {
            *rest = rest.strip_prefix(b"\\u").ok_or(ESCAPE)?;
            let second = hex(rest)?;
            if !(0xdc00..=0xdfff).contains(&second) {
                return Err(ESCAPE);
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        }
        code => code,
    };
    char::from_u32(code).ok_or(ESCAPE)
}

fn hex(rest: &mut &[u8]) -> Result<u32, Bad> {
    let (digits, after) = rest.split_first_chunk::<4>().ok_or(ESCAPE)?;
    *rest = after;
    digits.iter().try_fold(0, |code, digit| (*digit as char).to_digit(16).map(|digit| code << 4 | digit).ok_or(ESCAPE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The keys and raw values of an object.
    fn fields(text: &str) -> Result<Vec<(String, String)>, Bad> {
        let mut all = Vec::new();
        object(text.as_bytes(), 0, text.len(), &mut |key: Value, value: Value| {
            all.push((text[key.range].to_owned(), text[value.range].to_owned()));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn fields_are_found_and_numbers_keep_their_text() {
        let text = r#"{"a": 1.50, "b\"": "x\\", "c":{"d":[1,"}"]} ,"e":null}"#;
        let expected = [("a", "1.50"), ("b\\\"", "x\\\\"), ("c", r#"{"d":[1,"}"]}"#), ("e", "null")];
        assert_eq!(fields(text).expect("fields"), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(fields("{}").expect("none"), []);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in [
            "[]",
            "{a:1}",
            r#"{"a" 1}"#,
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":NaN}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":{"b":}}"#,
            r#"{"a":+1}"#,
            r#"{"a":1e}"#,
            r#"{"a":tru}"#,
        ] {
            assert!(matches!(fields(bad), Err(Bad::Because(_))), "{bad}: {:?}", fields(bad));
        }
        for number in ["0", "-0", "10", "1.5", "-1.05e+10", "2E-3", "0.0", "1e0"] {
            assert_eq!(fields(&format!(r#"{{"a":{number}}}"#)), Ok(vec![("a".into(), number.into())]));
            assert_eq!(fields(&format!(r#"{{"a":{number}"#)), Err(Bad::End));
        }
        for bad in ["-", ".5", "1.e5", "1e+", "nul", "truee", "0x1", "1_0", "--1"] {
            assert!(matches!(fields(&format!(r#"{{"a":{bad} }}"#)), Err(Bad::Because(_))), "{bad}");
        }
        for cut in ["", "{", r#"{"a"#, r#"{"a":"#, r#"{"a":1"#, r#"{"a":"x\""#, r#"{"a":{"b":1}"#] {
            assert_eq!(fields(cut), Err(Bad::End), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn strings_read_as_serde_json_reads_them(text in "\\PC*", number in any::<f64>()) {
            let json = serde_json::json!({ "k": text, "n": number }).to_string();
            let mut read = Vec::new();
            object(json.as_bytes(), 0, json.len(), &mut |_: Value, value: Value| {
                match value.kind {
                    Kind::Text { .. } => unescape(&json.as_bytes()[value.range], &mut read),
                    _ => Ok(()),
                }
            }).expect("an object");
            prop_assert_eq!(String::from_utf8(read).expect("UTF-8"), text);
        }

        #[test]
        fn escapes_read_as_serde_json_reads_them(text in r#"(\\["\\/bfnrt]|\\u[0-9a-fD8]{4}|[a-z])*"#) {
            let quoted = format!("\"{text}\"");
            let mut read = Vec::new();
            let ours = unescape(text.as_bytes(), &mut read).ok().map(|()| String::from_utf8(read).expect("UTF-8"));
            let theirs = serde_json::from_str::<String>(&quoted).ok().filter(|text| !text.contains('\0'));
            prop_assert_eq!(ours, theirs);
        }
    }
}
