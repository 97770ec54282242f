//! Text that no message shows.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A credential. It is read from anything scalar, because a variable may hold digits only, and no error of reading it
/// quotes it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the place that it is meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether this is it, in a time that tells nothing about how much of it was right.
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differs = own.iter().zip(other).fold(0u8, |differs, (a, b)| differs | (a ^ b));
        std::hint::black_box(differs) == 0 && own.len() == other.len() && !own.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text).map_err(|_| D::Error::custom("expected a text"))
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Secret, E> {
        Ok(Secret(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Secret, E> {
        Ok(Secret(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Secret, E> {
        Ok(Secret(number.to_string()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Secret, E> {
        Ok(Secret(flag.to_string()))
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_digits_and_shown_to_nobody() {
        let digits: Secret = serde_json::from_str("12345678").expect("a secret");
        assert!(digits.is(b"12345678") && !digits.is(b"1234567") && !digits.is(b"12345679"));
        assert_eq!(format!("{digits:?}"), "***");
        let error = serde_json::from_str::<Secret>("[\"hunter2\"]").expect_err("a list").to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(!Secret::default().is(b""), "no secret is no password");
    }
}
