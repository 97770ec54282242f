//! Text files as blocks of UTF-8 that start where a record starts.

use super::options::Encoding;
use encoding_rs::{Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::io::{self, ErrorKind, Read};

/// Zeros behind the text of a block, so that a word can be loaded at any place in it.
pub const PAD: usize = 64;

/// A piece of text. Records are split off its front; what is left goes in front of the next piece.
pub struct Block {
    /// The text and [`PAD`] zeros.
    pub data: Vec<u8>,
    /// Bytes of text.
    pub used: usize,
    /// Whether the file ends here.
    pub last: bool,
    /// Whether the text is valid UTF-8 without NUL (but for a character cut at its end). Otherwise each record must be
    /// looked at.
    pub clean: bool,
}

/// What is to be split of a block. `text` goes on behind `used` with at least [`PAD`] more bytes.
#[derive(Clone, Copy)]
pub struct Region<'t> {
    pub text: &'t [u8],
    pub used: usize,
    pub last: bool,
    pub clean: bool,
}

/// Cuts a byte stream into blocks.
pub struct Blocks {
    text: Text,
    block_bytes: usize,
}

impl Blocks {
    pub fn new(input: Box<dyn Read + Send>, encoding: Encoding, block_bytes: usize) -> Self {
        Self { text: Text { input, mode: Mode::Start(encoding), scratch: Vec::new() }, block_bytes }
    }

    /// The next block: `rest` of the one before, and what follows it.
    pub fn next(&mut self, rest: &[u8]) -> io::Result<Block> {
        // A record longer than a block doubles it, so that a long one is not scanned over and over.
        let more = self.block_bytes.max(rest.len());
        let mut data = Vec::with_capacity(rest.len() + more + PAD + 16);
        data.extend_from_slice(rest);
        let last = self.text.fill(&mut data, more)?;
        let used = data.len();
        let clean = is_clean(&data, last);
        data.resize(used + PAD, 0);
        Ok(Block { data, used, last, clean })
    }
}

pub(super) fn is_clean(text: &[u8], last: bool) -> bool {
    let valid = match std::str::from_utf8(text) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !last,
    };
    valid && memchr::memchr(0, text).is_none()
}

/// What is wrong with the bytes of one record, if anything.
pub fn bad_bytes(record: &[u8]) -> Option<&'static str> {
    if memchr::memchr(0, record).is_some() {
        return Some("it holds a NUL byte");
    }
    std::str::from_utf8(record).is_err().then_some("it is not valid UTF-8")
}

/// Turns bytes of an encoding into UTF-8.
struct Text {
    input: Box<dyn Read + Send>,
    mode: Mode,
    scratch: Vec<u8>,
}

enum Mode {
    Start(Encoding),
    /// All ASCII so far: the first other character decides.
    Undecided,
    Utf8,
    Latin1,
    Other(Box<Decoder>),
}

impl Text {
    /// Appends about `want` bytes of text; true at the end of the file.
    fn fill(&mut self, out: &mut Vec<u8>, want: usize) -> io::Result<bool> {
        if let Mode::Start(encoding) = self.mode {
            self.start(encoding, out)?;
        }
        match &mut self.mode {
            Mode::Undecided => self.undecided(out, want),
            Mode::Start(_) | Mode::Utf8 => self.raw(out, want),
            Mode::Latin1 | Mode::Other(_) => {
                let mut raw = std::mem::take(&mut self.scratch);
                raw.clear();
                let last = self.raw(&mut raw, want)?;
                self.decode(&raw, last, out)?;
                self.scratch = raw;
                Ok(last)
            }
        }
    }

    fn raw(&mut self, out: &mut Vec<u8>, want: usize) -> io::Result<bool> {
        Ok((&mut self.input).take(want as u64).read_to_end(out)? < want)
    }

    /// Looks for a byte order mark; other first bytes are put into the mode's hands.
    fn start(&mut self, encoding: Encoding, out: &mut Vec<u8>) -> io::Result<()> {
        let mut first = Vec::with_capacity(4);
        self.raw(&mut first, 4)?;
        let (mode, mark) = match (first.as_slice(), encoding) {
            ([0xef, 0xbb, 0xbf, ..], Encoding::Auto | Encoding::Utf8) => (Mode::Utf8, 3),
            ([0xff, 0xfe, ..], Encoding::Auto | Encoding::Utf16) => (utf16(UTF_16LE), 2),
            ([0xfe, 0xff, ..], Encoding::Auto | Encoding::Utf16) => (utf16(UTF_16BE), 2),
            ([a, 0, b, 0], Encoding::Auto) if *a != 0 && *b != 0 => return Err(unmarked_utf16()),
            ([0, a, 0, b], Encoding::Auto) if *a != 0 && *b != 0 => return Err(unmarked_utf16()),
            (_, Encoding::Auto) => (Mode::Undecided, 0),
            (_, Encoding::Utf8) => (Mode::Utf8, 0),
            (_, Encoding::Utf16) => (utf16(UTF_16LE), 0),
            (_, Encoding::Latin1) => (Mode::Latin1, 0),
            (_, Encoding::Windows1252) => (Mode::Other(Box::new(WINDOWS_1252.new_decoder_without_bom_handling())), 0),
        };
        self.mode = mode;
        let first = first.split_off(mark);
        match self.mode {
            Mode::Undecided => {
                // Read again as a part of the first block, which may decide.
                let rest = std::mem::replace(&mut self.input, Box::new(io::empty()));
                self.input = Box::new(io::Cursor::new(first).chain(rest));
            }
            // More is asked for in any case, and that call says where the text ends.
            Mode::Latin1 | Mode::Other(_) => self.decode(&first, false, out)?,
            _ => out.extend_from_slice(&first),
        }
        Ok(())
    }

    fn undecided(&mut self, out: &mut Vec<u8>, want: usize) -> io::Result<bool> {
        let old = out.len();
        let mut last = self.raw(out, want)?;
        if out[old..].is_ascii() {
            return Ok(last);
        }
        let Some(at) = out[old..].iter().position(|byte| !byte.is_ascii()).map(|at| old + at) else { return Ok(last) };
        // The character that decides may be cut off.
        if !last && out.len() - at < 4 {
            last = self.raw(out, 4)?;
        }
        let character = &out[at..out.len().min(at + 4)];
        let valid = std::str::from_utf8(character).map_or_else(|e| e.valid_up_to() > 0, |_| true);
        if valid {
            self.mode = Mode::Utf8;
        } else {
            self.mode = Mode::Other(Box::new(WINDOWS_1252.new_decoder_without_bom_handling()));
            let raw = out.split_off(at);
            self.decode(&raw, last, out)?;
        }
        Ok(last)
    }

    fn decode(&mut self, raw: &[u8], last: bool, out: &mut Vec<u8>) -> io::Result<()> {
        let old = out.len();
        match &mut self.mode {
            Mode::Latin1 => {
                out.resize(old + raw.len() * 2, 0);
                let written = encoding_rs::mem::convert_latin1_to_utf8(raw, &mut out[old..]);
                out.truncate(old + written);
            }
            Mode::Other(decoder) => {
                let room = decoder.max_utf8_buffer_length(raw.len()).unwrap_or(raw.len() * 3 + 16);
                out.resize(old + room, 0);
                let (_, _, written, replaced) = decoder.decode_to_utf8(raw, &mut out[old..], last);
                out.truncate(old + written);
                if replaced {
                    return Err(io::Error::new(ErrorKind::InvalidData, "it is not valid UTF-16"));
                }
            }
            _ => out.extend_from_slice(raw),
        }
        Ok(())
    }
}

fn utf16(encoding: &'static encoding_rs::Encoding) -> Mode {
    Mode::Other(Box::new(encoding.new_decoder_without_bom_handling()))
}

fn unmarked_utf16() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it looks like UTF-16 without a byte order mark; set `encoding: utf-16`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// The whole text, read in blocks of `block_bytes`.
    fn text(bytes: &[u8], encoding: Encoding, block_bytes: usize) -> String {
        let mut blocks = Blocks::new(Box::new(Cursor::new(bytes.to_vec())), encoding, block_bytes);
        let mut all = Vec::new();
        loop {
            let block = blocks.next(&[]).expect("a block");
            all.extend_from_slice(&block.data[..block.used]);
            if block.last {
                return String::from_utf8(all).expect("UTF-8");
            }
        }
    }

    #[test]
    fn every_encoding_becomes_utf_8_wherever_blocks_are_cut() {
        let (utf8, latin) = ("ação é".as_bytes(), b"a\xe7\xe3o \xe9".as_slice());
        let marked: Vec<u8> = [b"\xef\xbb\xbf", utf8].concat();
        let utf16: Vec<u8> = "\u{feff}ação é".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for cut in 1..20 {
            assert_eq!(text(utf8, Encoding::Auto, cut), "ação é", "cut at {cut}");
            assert_eq!(text(&marked, Encoding::Auto, cut), "ação é");
            assert_eq!(text(&marked, Encoding::Utf8, cut), "ação é");
            assert_eq!(text(latin, Encoding::Auto, cut), "ação é");
            assert_eq!(text(latin, Encoding::Latin1, cut), "ação é");
            assert_eq!(text(latin, Encoding::Windows1252, cut), "ação é");
            assert_eq!(text(&utf16, Encoding::Auto, cut), "ação é");
        }
    }

    #[test]
    fn latin_1_and_windows_1252_differ_in_the_euro_sign() {
        assert_eq!(text(b"\x80", Encoding::Windows1252, 8), "€");
        assert_eq!(text(b"\x80", Encoding::Latin1, 8), "\u{80}");
        assert_eq!(text(b"5 \x80", Encoding::Auto, 8), "5 €");
    }

    #[test]
    fn a_block_knows_whether_its_records_must_be_looked_at() {
        let clean = |bytes: &[u8], block_bytes| {
            Blocks::new(Box::new(Cursor::new(bytes.to_vec())), Encoding::Utf8, block_bytes)
                .next(&[])
                .expect("a block")
                .clean
        };
        assert!(clean("ação".as_bytes(), 64) && clean("ação".as_bytes(), 2));
        assert!(!clean(b"a\xe7o", 64) && !clean(b"a\0", 64) && !clean(b"a\xc3", 64));
        assert_eq!(bad_bytes(b"a\0\xff"), Some("it holds a NUL byte"));
    }
}
