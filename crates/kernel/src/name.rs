//! The name of a table: `layer.table`.

use crate::error::{Error, Result};
use std::fmt;

/// The folders of the lake, in the order data moves through them.
pub const LAYERS: [&str; 4] = ["quarantine", "bronze", "silver", "gold"];

/// `layer.table`, both lower-case identifiers: a letter, then letters, digits and `_`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    layer: String,
    table: String,
}

impl TableName {
    pub fn new(layer: &str, table: &str) -> Result<Self> {
        for part in [layer, table] {
            if !is_identifier(part) {
                return Err(Error::project(
                    format!("table name `{layer}.{table}`"),
                    format!("`{part}` must start with a lower-case letter and hold only a-z, 0-9 and _"),
                ));
            }
        }
        Ok(Self { layer: layer.into(), table: table.into() })
    }

    /// Reads `layer.table`.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once('.') {
            Some((layer, table)) => Self::new(layer, table),
            None => Err(Error::project(
                format!("table name `{text}`"),
                format!("write it with its layer, for example `silver.{text}`"),
            )),
        }
    }

    pub fn layer(&self) -> &str {
        &self.layer
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    /// Where the rows that this table refused are kept.
    pub fn quarantine(&self) -> Self {
        Self { layer: "quarantine".into(), table: self.table.clone() }
    }
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.layer, self.table)
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_layer_and_a_table() {
        let name = TableName::parse("silver.orders_2").expect("a good name");
        assert_eq!((name.layer(), name.table()), ("silver", "orders_2"));
        for bad in ["orders", "silver.Orders", "silver.1x", "silver.", ".x", "a.b.c", "silver.a-b"] {
            assert!(TableName::parse(bad).is_err(), "{bad} must be refused");
        }
    }
}
