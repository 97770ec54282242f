//! Compressed files, decompressed as they are read.

use super::options::Compression;
use std::io::{self, BufReader, Cursor, Read};

const BUFFER_BYTES: usize = 256 << 10;

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Plain,
    Gzip,
    Zstd,
}

impl Codec {
    pub fn name(self) -> &'static str {
        match self {
            Codec::Plain => "plain",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
        }
    }
}

/// Puts the right decoder before a reader. `auto` goes by the first bytes, which no text file starts with.
pub fn decompress(mut raw: Box<dyn Read + Send>, told: Compression) -> io::Result<(Codec, Box<dyn Read + Send>)> {
    let codec = match told {
        Compression::None => Codec::Plain,
        Compression::Gzip => Codec::Gzip,
        Compression::Zstd => Codec::Zstd,
        Compression::Auto => {
            let mut first = Vec::with_capacity(4);
            raw.by_ref().take(4).read_to_end(&mut first)?;
            let codec = sniff(&first);
            raw = Box::new(Cursor::new(first).chain(raw));
            codec
        }
    };
    let decoder: Box<dyn Read + Send> = match codec {
        Codec::Plain => raw,
        Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, raw))),
        Codec::Zstd => Box::new(zstd::Decoder::new(raw)?),
    };
    Ok((codec, decoder))
}

/// RFC 1952 §2.3.1 and RFC 8878 §3.1.1 (frames and skippable frames).
fn sniff(first: &[u8]) -> Codec {
    match first {
        [0x1f, 0x8b, ..] => Codec::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Codec::Zstd,
        _ => Codec::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("written");
        encoder.finish().expect("finished")
    }

    fn read(bytes: Vec<u8>, told: Compression) -> io::Result<String> {
        let mut text = String::new();
        decompress(Box::new(Cursor::new(bytes)), told)?.1.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn the_first_bytes_tell_the_codec() {
        let zstd = zstd::encode_all("abc".as_bytes(), 1).expect("encoded");
        assert_eq!(read(zstd, Compression::Auto).expect("text"), "abc");
        assert_eq!(read(gzip("abc"), Compression::Auto).expect("text"), "abc");
        assert_eq!(read(b"ab".to_vec(), Compression::Auto).expect("text"), "ab");
        assert_eq!(read(Vec::new(), Compression::Auto).expect("text"), "");
    }

    #[test]
    fn several_members_are_one_text_and_half_a_member_is_an_error() {
        let mut two = gzip("abc");
        two.extend(gzip("def"));
        assert_eq!(read(two.clone(), Compression::Auto).expect("text"), "abcdef");
        two.truncate(two.len() - 9);
        assert!(read(two, Compression::Auto).is_err());
    }
}
