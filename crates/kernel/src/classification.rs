//! What a column says about people: `personal.cpf`, `sensitive.health`, `public`, …

use serde::{Deserialize, Serialize};
use std::fmt;

/// A dotted class, widest first. `personal` and `sensitive` (LGPD art. 5, GDPR art. 9) are about people.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Classification(String);

impl Classification {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn is_personal(&self) -> bool {
        matches!(self.0.split('.').next(), Some("personal" | "sensitive"))
    }

    /// The kind of personal data: `cpf` of `personal.cpf`.
    pub fn kind(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, kind)| kind)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
