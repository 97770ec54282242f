//! The columns that rows of the log are written with, where the log does not name them: they are kept in the position, and
//! moved on by the statements that alter the table.

use crate::mysql::login::fault;
use crate::mysql::table::{Column, Kind, Table};
use kernel::Result;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde::{Deserialize, Serialize};

/// The columns of a table at one place of the log, in order; none where it was dropped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Written {
    pub columns: Vec<Drawn>,
    /// Of columns that are added without one; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub charset: String,
}

/// What of a column is needed to read its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    pub name: String,
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "is_false")]
    pub unsigned: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub octets: usize,
    /// Of text; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub charset: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Option<String>>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_virtual: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Drawn {
    pub fn of(column: &Column) -> Self {
        Self {
            name: column.name.clone(),
            kind: column.kind,
            unsigned: column.unsigned,
            octets: column.octets,
            charset: if column.kind == Kind::Text { column.charset.clone() } else { String::new() },
            labels: if matches!(column.kind, Kind::Enum | Kind::Set) { column.labels.clone() } else { Vec::new() },
            is_virtual: column.is_virtual,
        }
    }

    /// Names of columns are the same in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.to_lowercase() == name.to_lowercase()
    }
}

impl Written {
    /// As the table is now.
    pub async fn now(conn: &mut Conn, table: &Table) -> Result<Self> {
        let collation: Option<Option<String>> = conn
            .exec_first(
                "SELECT TABLE_COLLATION FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                (&table.database, &table.name),
            )
            .await
            .map_err(|e| fault("ask for the table's character set", e))?;
        let charset = charset_of(&collation.flatten().unwrap_or_default());
        Ok(Self { columns: table.columns.iter().map(Drawn::of).collect(), charset })
    }

    pub fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.is(name))
    }
}

/// The character set of a collation: it begins with it, but for some that are there for several.
pub fn charset_of(collation: &str) -> String {
    let name = collation.split('_').next().unwrap_or_default().to_lowercase();
    if name.starts_with("uca") { String::new() } else { name }
}
