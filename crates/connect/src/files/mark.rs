//! A mark of the text that was taken: it tells a file that was only mended or written on from one with other content.
//!
//! A file that broke off when half of it was taken, or that was still being written, comes back with another etag. Its
//! mark shows that it still begins with what was taken, and so it is taken on behind that, exactly once. The mark is a
//! 64 bit hash (XXH3) of the decoded text up to the position and is kept in the position, behind the etag.

use std::hash::Hasher;
use twox_hash::XxHash3_64;

/// Hashes what a reader passes.
pub struct Mark {
    hasher: XxHash3_64,
    behind: u64,
    crossed: bool,
}

impl Mark {
    /// For a reader that passes over the records up to `behind`.
    pub fn behind(behind: u64) -> Self {
        Self { hasher: XxHash3_64::new(), behind, crossed: behind == 0 }
    }

    pub fn add(&mut self, text: &[u8]) {
        self.hasher.write(text);
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

/// Between etag and mark; no store has it in its etags.
const SEPARATOR: char = '~';

/// What a position keeps for a file that is partly taken.
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

    #[test]
    fn a_mark_does_not_depend_on_how_the_text_is_cut() {
        let (mut whole, mut parts) = (Mark::behind(0), Mark::behind(0));
        whole.add(b"some text");
        b"some text".chunks(2).for_each(|part| parts.add(part));
        assert_eq!(whole.so_far(), parts.so_far());
    }
}
