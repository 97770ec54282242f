//! Masks that look like masks and hide nothing. Whoever asks for one is told why, and what to write instead.

use kernel::Classification;

/// Whether each value of this kind is one person's or one company's: a neighbour of it tells who is meant. Those are the
/// kinds whose default mask is a pseudonym.
pub(super) fn identifies(kind: Option<&str>) -> bool {
    let default = kind.and_then(|kind| super::default_for(&Classification::new(format!("personal.{kind}"))));
    default.is_some_and(|mask| mask.name == "pseudonym")
}

/// Why a mask of this name is refused, if it is.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    let reason = match name {
        "hash" | "md5" | "md4" | "sha" | "sha1" | "sha224" | "sha256" | "sha384" | "sha512" | "sha3" | "keccak"
        | "ripemd" | "blake2" | "blake2b" | "blake2s" | "blake3" => {
            "a hash without a key is undone by trying: there are 10^9 CPFs, minutes for one machine, and a salt that \
             stands beside the data changes nothing; write `pseudonym(scope)`, which has a key"
        }
        "crc" | "crc32" | "crc64" | "adler32" | "murmur" | "murmur3" | "xxhash" | "xxh3" | "fnv" | "siphash"
        | "checksum" => "a checksum is undone by trying and has other values that meet it; write `pseudonym(scope)`",
        "base64" | "base32" | "hex" | "rot13" | "reverse" | "encode" | "xor" | "shift" | "obfuscate" | "scramble"
        | "shuffle" => {
            "anybody can undo it, there is no key; write `encrypt(scope)` to read the value again, or `pseudonym(scope)`"
        }
        "fake" | "faker" | "synthetic" | "random_cpf" => {
            "an invented value that is valid may be a real person's; write `pseudonym(scope)` or `redact`"
        }
        _ => return None,
    };
    Some(reason)
}
