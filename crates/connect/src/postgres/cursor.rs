//! The column that `mode: incremental` follows, and the rows that it leaves out.

use super::client::{Client, quoted};
use super::kinds::Kind;
use super::table::{Table, TableColumn};
use kernel::error::{Error, Result};

pub struct Cursor {
    pub name: String,
    /// As SQL writes it.
    pub type_name: String,
    can_be_null: bool,
    /// The condition of rows that nothing could come behind: their cursor would be the last for ever.
    at_end: Option<String>,
}

impl Cursor {
    /// The column of this name, or what to do when there is none.
    pub fn look(table: &Table, name: &str, source: &str) -> Result<Self> {
        let column = table.column(name).ok_or_else(|| {
            let near = kernel::suggest::hint(name, table.columns.iter().map(|column| &*column.name));
            let near = near.map_or(String::new(), |near| format!("; {near}"));
            Error::project(format!("source `{source}`"), format!("{} has no column `{name}`{near}", table.shown()))
        })?;
        Ok(Self::of(column))
    }

    fn of(column: &TableColumn) -> Self {
        let own = quoted(&column.name);
        let at_end = match column.kind {
            Kind::Date | Kind::Timestamp | Kind::TimestampTz => Some(format!("{own} IN ('infinity', '-infinity')")),
            Kind::Float4 | Kind::Float8 => Some(format!("{own} IN ('NaN', 'Infinity', '-Infinity')")),
            // Not every version reads all of these as its own.
            Kind::Decimal(..) => Some(format!("{own}::text IN ('NaN', 'Infinity', '-Infinity')")),
            _ if column.type_name.starts_with("numeric") => {
                Some(format!("{own}::text IN ('NaN', 'Infinity', '-Infinity')"))
            }
            _ => None,
        };
        Self {
            name: column.name.to_string(),
            type_name: column.type_name.clone(),
            can_be_null: !column.required,
            at_end,
        }
    }

    /// The condition of rows that can be taken.
    pub fn taken(&self) -> String {
        let own = quoted(&self.name);
        match &self.at_end {
            Some(at_end) => format!("{own} IS NOT NULL AND NOT {at_end}"),
            None => format!("{own} IS NOT NULL"),
        }
    }

    /// What is said of rows that are never taken, each with its remedy; nothing where there are none.
    pub async fn untaken(&self, client: &Client, table: &str) -> Result<Vec<(String, &'static str)>> {
        let exists = |condition: Option<String>| match condition {
            Some(condition) => format!("EXISTS (SELECT FROM {table} WHERE {condition})"),
            None => "false".to_owned(),
        };
        if !self.can_be_null && self.at_end.is_none() {
            return Ok(Vec::new());
        }
        let null = self.can_be_null.then(|| format!("{} IS NULL", quoted(&self.name)));
        let sql = format!("SELECT {}, {}", exists(null), exists(self.at_end.clone()));
        let what = format!("look at the cursor of {table}");
        let row = client.ask(&what, client.query_one(sql.as_str(), &[])).await?;
        let mut all = Vec::new();
        if row.get(0) {
            all.push((format!("rows whose cursor `{}` is null are never taken", self.name), NOT_NULL));
        }
        if row.get(1) {
            let why =
                format!("rows whose cursor `{}` is infinite or no number are never taken, nor set aside", self.name);
            all.push((why, FINITE));
        }
        Ok(all)
    }
}

const NOT_NULL: &str = "give them a value and make the column NOT NULL, choose another cursor, or use `mode: cdc`";
const FINITE: &str = "give them a value that others can come behind, choose another cursor, or use `mode: cdc`";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::kinds::Base;

    fn taken(kind: Kind, type_name: &str) -> String {
        let column = TableColumn {
            name: "at".into(),
            base: Base::unknown(),
            kind,
            type_name: type_name.into(),
            required: false,
            generated: false,
            key: None,
            identifies: false,
            comment: None,
        };
        Cursor::of(&column).taken()
    }

    #[test]
    fn a_cursor_that_would_be_the_last_for_ever_is_not_followed() {
        assert_eq!(taken(Kind::Int8, "bigint"), "\"at\" IS NOT NULL");
        // A domain over a time as well.
        let times = "\"at\" IS NOT NULL AND NOT \"at\" IN ('infinity', '-infinity')";
        assert_eq!(taken(Kind::TimestampTz, "moment"), times);
        assert_eq!(taken(Kind::Shown, "interval"), "\"at\" IS NOT NULL");
        assert!(taken(Kind::Shown, "numeric").ends_with("NOT \"at\"::text IN ('NaN', 'Infinity', '-Infinity')"));
        assert!(taken(Kind::Float8, "double precision").contains("'NaN'"));
    }
}
