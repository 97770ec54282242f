//! A mark of the text that was taken: it tells a file that was only mended, written on or touched from one with other
//! content.
//!
//! A file that broke off when half of it was taken, that was still being written, or that was copied over itself comes
//! back with another etag. Its mark shows that it still begins with what was taken, and so it is taken on behind that,
//! exactly once. The mark is a 64 bit hash (XXH3) of the decoded text up to the position and is kept in the position,
//! behind the etag. Files that are no text have the hash of their bytes, once they are taken whole.

use std::hash::Hasher;
use std::io::{self, Read};
use twox_hash::XxHash3_64;

/// Hashes what a reader passes, but for a line end at its end: a last line that lacked one is the same line when it
/// gets one.
pub struct Mark {
    hasher: XxHash3_64,
    /// What may be the last line end, or the start of it.
    line_end: Vec<u8>,
    behind: u64,
    crossed: bool,
}

impl Mark {
    /// For a reader that passes over the records up to `behind`.
    pub fn behind(behind: u64) -> Self {
        Self { hasher: XxHash3_64::new(), line_end: Vec::new(), behind, crossed: behind == 0 }
    }

    pub fn add(&mut self, text: &[u8]) {
        match text {
            [] => {}
            // One byte may go on with the line end before it.
            [byte] => {
                let mut tail = std::mem::take(&mut self.line_end);
                tail.push(*byte);
                self.pass(&tail);
            }
            _ => {
                self.hasher.write(&std::mem::take(&mut self.line_end));
                self.pass(text);
            }
        }
    }

    fn pass(&mut self, text: &[u8]) {
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.hasher.write(line);
        self.line_end = text[line.len()..].to_vec();
    }

    pub fn so_far(&self) -> u64 {
        self.hasher.finish()
    }

    /// True once: when everything up to `behind` was passed.
    pub fn crosses(&mut self, upto: u64) -> bool {
        let crosses = !self.crossed && upto >= self.behind;
        self.crossed |= crosses;
        crosses
    }
}

/// The mark of all bytes.
pub fn of_bytes(mut bytes: impl Read) -> io::Result<u64> {
    let mut hasher = XxHash3_64::new();
    let mut some = vec![0; 1 << 20];
    loop {
        match bytes.read(&mut some) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.write(&some[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Between etag and mark; no store has it in its etags.
const SEPARATOR: char = '~';

/// What a position keeps of a file.
pub fn put_behind(etag: &str, mark: Option<u64>) -> String {
    match mark {
        Some(mark) => format!("{etag}{SEPARATOR}{mark:016x}"),
        None => etag.to_owned(),
    }
}

/// The etag and the mark of a position.
pub fn take_apart(etag: &str) -> (&str, Option<u64>) {
    let apart = etag.rsplit_once(SEPARATOR).filter(|(_, mark)| mark.len() == 16);
    match apart.and_then(|(etag, mark)| Some((etag, u64::from_str_radix(mark, 16).ok()?))) {
        Some((etag, mark)) => (etag, Some(mark)),
        None => (etag, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_rides_behind_the_etag() {
        for etag in ["1f-2-3", "\"0x8D~\"", "a~b"] {
            assert_eq!(take_apart(&put_behind(etag, Some(7))), (etag, Some(7)));
            assert_eq!(take_apart(&put_behind(etag, None)), (etag, None));
        }
    }

    fn mark(parts: &[&[u8]]) -> u64 {
        let mut mark = Mark::behind(0);
        parts.iter().for_each(|part| mark.add(part));
        mark.so_far()
    }

    #[test]
    fn a_mark_does_not_depend_on_how_the_text_is_cut() {
        let text: &[u8] = b"some\r\n\r\ntext\r\n\n";
        for length in 1..text.len() {
            assert_eq!(mark(&text.chunks(length).collect::<Vec<_>>()), mark(&[text]), "cut by {length}");
        }
    }

    #[test]
    fn a_last_line_is_the_same_with_its_end_and_without() {
        let plain = mark(&[b"a\nb"]);
        assert_eq!([mark(&[b"a\nb\n"]), mark(&[b"a\nb\r", b"\n"]), mark(&[b"a\nb", b"\n"])], [plain; 3]);
        assert_ne!(mark(&[b"a\nbc"]), plain);
        assert_ne!(mark(&[b"a\nb\n\n"]), plain);
    }
}
