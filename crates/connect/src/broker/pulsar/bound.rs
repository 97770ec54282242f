//! What a message may have at most. A broker hangs up on who sends a larger one, and the client, which does not look, sends it
//! again and again: nobody is told why it can't be appended.

use super::Home;
use kernel::{Error, Result};
use pulsar::compression::{Compression, CompressionZstd};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bound {
    /// `maxMessageSize`, where whoever asks may know it.
    known: Option<usize>,
}

/// Pulsar's own: 5 MiB.
const USUAL: usize = 5 << 20;
/// Beside the payload: names, numbers and a seal.
const HEAD_BYTES: usize = 1 << 10;
/// Of `zstd`, the quickest one.
const LEVEL: i32 = 1;

/// How all is compressed, so that it is known what it comes to.
pub fn compression() -> Compression {
    Compression::Zstd(CompressionZstd { level: LEVEL })
}

/// What a message comes to, compressed as the client does it.
fn compressed(payload: &[u8]) -> Result<usize> {
    let compressed = zstd::encode_all(payload, LEVEL).map_err(|e| Error::internal("compress a message", e))?;
    Ok(compressed.len() + HEAD_BYTES)
}

/// Of something that goes as one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Fits,
    /// Too large by what Pulsar usually takes, and this one does not say what it takes.
    Doubtful(usize),
    Beyond(usize),
}

impl Bound {
    /// Asked anew by each one who appends, for it may be raised.
    pub async fn of(home: &Home) -> Self {
        Self { known: home.admin.message_bytes_max().await }
    }

    pub fn bytes(self) -> usize {
        self.known.unwrap_or(USUAL)
    }

    /// What goes together with others: as much again fits beside a row that is not large.
    pub fn batch_bytes(self) -> usize {
        (self.bytes() / 4).min(256 << 10)
    }

    /// Whether a row is so much of a message that it goes alone.
    pub fn is_large(self, bytes: usize) -> bool {
        bytes > self.bytes() / 4
    }

    /// Of a payload with so many bytes beside it.
    pub fn size(self, payload: &[u8], beside: usize) -> Result<Size> {
        // What can't be made smaller grows by less than that.
        if payload.len() + payload.len() / 128 + beside + HEAD_BYTES <= self.bytes() {
            return Ok(Size::Fits);
        }
        let bytes = compressed(payload)? + beside;
        Ok(match (bytes <= self.bytes(), self.known) {
            (true, _) => Size::Fits,
            (false, None) => Size::Doubtful(bytes),
            (false, Some(_)) => Size::Beyond(bytes),
        })
    }

    /// Why what comes to so many bytes can't be appended. `of` says what that is.
    pub fn refusal(self, of: &str, bytes: usize) -> String {
        let takes = match self.known {
            Some(known) => format!("this Pulsar takes {known} at most"),
            None => format!("Pulsar by itself takes {USUAL} at most, and this one did not acknowledge it"),
        };
        format!(
            "{of} comes to {bytes} bytes in one message, compressed, and {takes}: raise `maxMessageSize` of its brokers (and \
             `nettyMaxFrameSizeBytes` of its bookies), or say `broker: false` for this source"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Bound = Bound { known: Some(1 << 20) };

    fn noise(bytes: usize) -> Vec<u8> {
        let mut dice = fastrand::Rng::with_seed(20_261_127);
        (0..bytes).map(|_| dice.u8(..)).collect()
    }

    #[test]
    fn what_counts_is_what_it_comes_to_compressed() {
        assert_eq!(KNOWN.size("x".repeat(8 << 20).as_bytes(), 0).expect("a size"), Size::Fits);
        assert_eq!(KNOWN.size(&noise(1_000_000), 0).expect("a size"), Size::Fits);
        assert!(matches!(KNOWN.size(&noise(1 << 20), 0).expect("a size"), Size::Beyond(bytes) if bytes > 1 << 20));
        assert!(matches!(KNOWN.size(b"", 2 << 20).expect("a size"), Size::Beyond(_)), "a key counts");
    }

    #[test]
    fn of_who_does_not_say_what_it_takes_it_is_only_doubted() {
        let unknown = Bound::default();
        assert_eq!(unknown.size(&noise(5_000_000), 0).expect("a size"), Size::Fits);
        let Size::Doubtful(bytes) = unknown.size(&noise(6_000_000), 0).expect("a size") else { panic!("doubtful") };
        let why = unknown.refusal("the row at offset 7 of a.csv", bytes);
        assert!(
            why.contains("offset 7 of a.csv comes to 600") && why.contains("5242880 at most, and this one"),
            "{why}"
        );
        let why = KNOWN.refusal("the row at offset 7 of a.csv", bytes);
        assert!(why.contains("1048576 at most") && why.contains("raise `maxMessageSize`"), "{why}");
    }

    /// Rows that wait, and one behind them that is not large, are one message.
    #[test]
    fn what_goes_together_fits() {
        for bound in [Bound::default(), KNOWN, Bound { known: Some(100_000) }] {
            let largest = bound.bytes() / 4;
            assert!(!bound.is_large(largest) && bound.is_large(largest + 1));
            assert!(bound.batch_bytes() + largest <= bound.bytes() / 2);
            assert!(bound.batch_bytes() <= largest, "one that is large goes at once");
        }
    }
}
