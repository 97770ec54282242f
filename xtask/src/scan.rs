//! Just enough of Rust's grammar to count lines and find words: literals and comments, braces, functions, tests.
//!
//! A full parser would be surer about macros and no surer about anything asked here, and it would have to be built
//! before the first `cargo x` can answer.

use std::ops::RangeInclusive;

/// A function with a body. Lines are counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub lines: RangeInclusive<usize>,
}

/// The same text with the inside of every comment and literal turned to spaces. Lines and byte offsets stay.
pub fn blank(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (inside, next) = token(bytes, at);
        for byte in &mut out[inside] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = next;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What starts at `at`: the bytes to blank, and where the next token starts.
fn token(bytes: &[u8], at: usize) -> (std::ops::Range<usize>, usize) {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let end = find(bytes, at, b"\n").unwrap_or(bytes.len());
        (at..end, end)
    } else if rest.starts_with(b"/*") {
        let end = block_comment_end(bytes, at);
        (at..end, end)
    } else if rest[0] == b'"' {
        quoted(bytes, at, b'"')
    } else if rest[0] == b'\'' {
        char_or_lifetime(bytes, at)
    } else if is_word(rest[0]) {
        word(bytes, at)
    } else {
        (at..at, at + 1)
    }
}

/// A word, or the raw string that it opens.
fn word(bytes: &[u8], at: usize) -> (std::ops::Range<usize>, usize) {
    let end = at + bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
    if [&b"r"[..], b"br", b"cr"].contains(&&bytes[at..end]) {
        let hashes = bytes[end..].iter().take_while(|byte| **byte == b'#').count();
        if bytes.get(end + hashes) == Some(&b'"') {
            let open = end + hashes + 1;
            let mut close = vec![b'"'];
            close.resize(hashes + 1, b'#');
            let inside_end = find(bytes, open, &close).unwrap_or(bytes.len());
            return (open..inside_end, (inside_end + close.len()).min(bytes.len()));
        }
    }
    (end..end, end)
}

fn char_or_lifetime(bytes: &[u8], at: usize) -> (std::ops::Range<usize>, usize) {
    let Some(first) = bytes.get(at + 1) else { return (at..at, at + 1) };
    let width = match first {
        b'\\' => return quoted(bytes, at, b'\''),
        0..=0x7f => 1,
        0x80..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    match bytes.get(at + 1 + width) {
        Some(b'\'') => (at + 1..at + 1 + width, at + 2 + width),
        _ => (at..at, at + 1),
    }
}

/// A literal with escapes.
fn quoted(bytes: &[u8], open: usize, quote: u8) -> (std::ops::Range<usize>, usize) {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return (open + 1..at, at + 1),
            _ => at += 1,
        }
    }
    (open + 1..bytes.len(), bytes.len())
}

fn block_comment_end(bytes: &[u8], open: usize) -> usize {
    let (mut at, mut depth) = (open, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if bytes[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(needle.len()).position(|window| window == needle).map(|at| from + at)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where `needle` occurs in blanked text as itself, not as the tail of a longer word.
pub fn occurrences<'a>(blanked: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    let starts_as_word = needle.as_bytes().first().is_some_and(|byte| is_word(*byte));
    blanked
        .match_indices(needle)
        .map(|(at, _)| at)
        .filter(move |at| !starts_as_word || *at == 0 || !is_word(blanked.as_bytes()[at - 1]))
}

/// The functions of blanked text that have a body, in the order they open.
pub fn functions(blanked: &str) -> Vec<Function> {
    let lines = Lines::of(blanked);
    let mut found = Vec::new();
    for at in occurrences(blanked, "fn ") {
        let name: String =
            blanked[at + 3..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if let Some(open) = body(blanked, at).filter(|_| !name.is_empty()) {
            found.push(Function { name, lines: lines.at(at)..=lines.at(close(blanked, open)) });
        }
    }
    found
}

/// Where the body of an item that starts at `from` opens; nothing when it ends in `;` first.
pub fn body(blanked: &str, from: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in blanked.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The bracket that closes the one at `open`, or the end of an unfinished text.
pub fn close(blanked: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in blanked.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    blanked.len()
}

/// The byte ranges of blanked text that are compiled for tests only.
pub fn test_ranges(blanked: &str) -> Vec<RangeInclusive<usize>> {
    let marks = ["#[cfg(test)]", "#[cfg(all(test", "#[test]", "#[tokio::test"];
    let starts = marks.iter().flat_map(|mark| occurrences(blanked, mark));
    starts.filter_map(|at| Some(at..=close(blanked, body(blanked, at)?))).collect()
}

/// Line numbers by byte offset.
pub struct Lines(Vec<usize>);

impl Lines {
    pub fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line, counted from 1, that the byte at `offset` is on.
    pub fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|newline| *newline < offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_blanked_and_nothing_else() {
        for (source, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"x = "a\"b{" ;"#, r#"x = "     " ;"#),
            (r###"r#"a"{"# ;"###, r###"r#"   "# ;"###),
            ("b\"{\" c", "b\" \" c"),
            ("'{' '\\'' 'é' ;", "' ' '  ' '  ' ;"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("r#type + var", "r#type + var"),
            ("\"open", "\"    "),
        ] {
            let blanked = blank(source);
            assert_eq!(blanked.len(), source.len(), "{source}");
            assert_eq!(blanked.trim_end(), expected.trim_end(), "{source}");
        }
    }

    #[test]
    fn functions_are_found_with_their_lines() {
        let source =
            "trait T { fn none(&self) -> [u8; 3]; }\nfn outer(f: fn(u8)) {\n  let s = \"}\";\n  fn inner() {}\n}\n";
        let found = functions(&blank(source));
        let names: Vec<_> = found.iter().map(|function| (function.name.as_str(), function.lines.clone())).collect();
        assert_eq!(names, [("outer", 2..=5), ("inner", 4..=4)]);
    }

    #[test]
    fn a_test_module_is_told_from_the_rest() {
        let source =
            "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\nfn c() {}\n#[cfg(test)]\nmod elsewhere;\nfn d() {}";
        let ranges = test_ranges(source);
        let inside = |needle: &str| ranges.iter().any(|range| range.contains(&source.find(needle).unwrap()));
        assert!(inside("fn b"));
        assert!(!inside("fn a") && !inside("fn c") && !inside("fn d"));
    }

    #[test]
    fn a_longer_word_is_another_word() {
        assert_eq!(occurrences("eprint!(a); print!(b)", "print!(").collect::<Vec<_>>(), [12]);
    }
}
