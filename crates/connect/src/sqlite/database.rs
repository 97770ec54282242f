//! The database's file, and what its tables are.

use super::options::Options;
use crate::cells::Form;
use crate::spec::Opening;
use arrow::datatypes::{DataType, TimeUnit};
use kernel::contract::{Constraints, Property};
use kernel::{Entity, Error, Kind, Result, suggest};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// As it was declared, in lower case; SQLite holds nobody to it.
    pub declared: String,
    pub required: bool,
    /// Place in the primary key, from 1; 0 for others.
    pub key: u32,
}

#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    /// Whether its rows have a number of their own.
    pub has_rowid: bool,
}

/// Opens the file for reading; it must be there.
pub fn open(opening: &Opening, options: &Options) -> Result<Connection> {
    let file = options.file(&opening.base);
    let what = format!("open {}", file.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&file, flags).map_err(|e| fault(&what, &e))?;
    conn.busy_timeout(Duration::from_millis(options.timeout_ms.into())).map_err(|e| fault(&what, &e))?;
    // The first look at the file tells whether it is a database.
    conn.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(())).map_err(|e| fault(&what, &e))?;
    Ok(conn)
}

/// SQLite's own words name tables and columns, and never values.
pub fn fault(what: &str, error: &rusqlite::Error) -> Error {
    let (kind, detail) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Kind::Unreachable, "a writer holds the database (`timeout_ms`)".to_owned())
        }
        Some(ErrorCode::CannotOpen) => (
            Kind::Data,
            "there is no such file, or it can't be opened: in WAL mode its folder must be writable too".to_owned(),
        ),
        Some(ErrorCode::NotADatabase) => (Kind::Data, "it is no SQLite database, or an encrypted one".to_owned()),
        Some(ErrorCode::DatabaseCorrupt) => (Kind::Data, "the database is damaged".to_owned()),
        Some(ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure) => {
            (Kind::Storage, "the file can't be read".to_owned())
        }
        Some(code) => (Kind::Data, format!("SQLite answers {code:?}")),
        None => (Kind::Data, "SQLite's answer can't be understood".to_owned()),
    };
    Error::new(kind, what, detail)
}

impl Table {
    pub fn read(conn: &Connection, options: &Options) -> Result<Self> {
        let what = format!("look at the table {}", options.table);
        let fail = |e| fault(&what, &e);
        let all = tables(conn)?;
        // SQLite itself takes names in any case.
        let Some((name, has_rowid)) = all.iter().find(|(name, _)| name.eq_ignore_ascii_case(&options.table)).cloned()
        else {
            let hint = suggest::hint(&options.table, all.iter().map(|(name, _)| name.as_str()));
            return Err(Error::project(&what, format!("there is no such table; {}", hint.unwrap_or_default())));
        };
        let mut statement = conn
            .prepare(
                "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid",
            )
            .map_err(fail)?;
        let column = |row: &rusqlite::Row<'_>| {
            let key = row.get(3)?;
            Ok(Column {
                name: row.get(0)?,
                declared: row.get::<_, Option<String>>(1)?.unwrap_or_default().to_lowercase(),
                required: row.get::<_, bool>(2)? || key > 0,
                key,
            })
        };
        let columns =
            statement.query_map([&name], column).and_then(Iterator::collect::<Result<Vec<Column>, _>>).map_err(fail)?;
        Ok(Self { name, columns, has_rowid })
    }

    /// The columns that are read.
    pub fn chosen(&self, options: &Options) -> Result<Vec<Column>> {
        let Some(names) = &options.columns else { return Ok(self.columns.clone()) };
        names.iter().map(|name| self.column(name).cloned()).collect()
    }

    pub fn column(&self, name: &str) -> Result<&Column> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            let hint = suggest::hint(name, self.columns.iter().map(|column| column.name.as_str())).unwrap_or_default();
            Error::project(format!("column `{name}` of {}", self.name), format!("the table has no such column; {hint}"))
        })
    }

    /// Whether rows have no value in a column that may be without one.
    pub fn has_null(&self, conn: &Connection, name: &str) -> Result<bool> {
        let column = self.column(name)?;
        let is_rowid = matches!(self.key().as_slice(), [one] if one.name == name && one.declared == "integer");
        // In SQLite a key may be null, unless it is the row's number.
        if is_rowid || (column.required && column.key == 0) {
            return Ok(false);
        }
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {} IS NULL)", quoted(&self.name), quoted(name));
        let what = format!("look for rows without `{name}`");
        conn.query_row(&sql, [], |row| row.get(0)).map_err(|e| fault(&what, &e))
    }

    /// Whether rows have bytes in a column. They stand behind all else in SQLite's order, which an index has at hand.
    pub fn has_bytes(&self, conn: &Connection, name: &str) -> Result<bool> {
        let sql = format!("SELECT coalesce(typeof(max({})) = 'blob', 0) FROM {}", quoted(name), quoted(&self.name));
        let what = format!("look for rows with bytes in `{name}`");
        conn.query_row(&sql, [], |row| row.get(0)).map_err(|e| fault(&what, &e))
    }

    /// The name by which rows' numbers are asked for; a column may have one of them.
    pub fn rowid(&self) -> &'static str {
        let free = |word: &&str| !self.columns.iter().any(|column| column.name.eq_ignore_ascii_case(word));
        ["rowid", "_rowid_", "oid"].into_iter().find(free).unwrap_or("rowid")
    }

    /// The key's columns, in order.
    pub fn key(&self) -> Vec<&Column> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        key
    }

    /// Whether a row's number may be written down: it is nobody's, unless a column that is hidden stands for it.
    pub fn has_open_rowid(&self, entity: &Entity) -> bool {
        let alias = match self.key().as_slice() {
            [one] if one.declared == "integer" => Some(one.name.clone()),
            _ => None,
        };
        self.has_rowid && alias.is_none_or(|name| is_open(entity, &name))
    }
}

/// All tables and whether their rows have numbers.
pub fn tables(conn: &Connection) -> Result<Vec<(String, bool)>> {
    let what = "list the tables";
    let mut statement = conn
        .prepare(
            "SELECT name, wr = 0 AND type = 'table' FROM pragma_table_list \
             WHERE schema = 'main' AND type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        )
        .map_err(|e| fault(what, &e))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|e| fault(what, &e))
}

/// Whether the contract knows a column and hides nothing of it.
pub fn is_open(entity: &Entity, name: &str) -> bool {
    let is_open =
        |p: &Property| p.mask.is_none() && !p.classification.as_ref().is_some_and(|class| class.is_personal());
    entity.property(name).is_some_and(is_open)
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Column {
    /// Bytes where they are wanted, else text: any column of SQLite may hold any type.
    pub fn form(&self, entity: &Entity) -> Form {
        match entity.property(&self.name).map(|property| &property.data_type) {
            Some(DataType::Binary | DataType::LargeBinary | DataType::BinaryView) => Form::Bytes,
            None if self.declared == "blob" => Form::Bytes,
            _ => Form::Text,
        }
    }

    /// As a contract would have it, by SQLite's own rules of affinity.
    pub fn property(&self) -> Property {
        let has = |words: &[&str]| words.iter().any(|word| self.declared.contains(word));
        let data_type = match self.declared.as_str() {
            "date" => DataType::Date32,
            declared if declared.starts_with("bool") => DataType::Boolean,
            declared if declared.starts_with("datetime") || declared.starts_with("timestamp") => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            _ if has(&["int"]) => DataType::Int64,
            _ if has(&["char", "clob", "text"]) => DataType::Utf8,
            "blob" => DataType::Binary,
            _ if has(&["real", "floa", "doub"]) => DataType::Float64,
            declared => decimal(declared).unwrap_or(DataType::Utf8),
        };
        Property {
            name: self.name.clone(),
            description: None,
            data_type,
            required: self.required,
            unique: false,
            primary_key: (self.key > 0).then_some(self.key),
            constraints: Constraints::default(),
            classification: None,
            mask: None,
            format: None,
            decimal_comma: false,
            not_personal: false,
        }
    }
}

/// Of `decimal(12,2)`.
fn decimal(declared: &str) -> Option<DataType> {
    let inner = declared.strip_prefix("decimal(").or_else(|| declared.strip_prefix("numeric("))?.strip_suffix(')')?;
    let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    (1..=38).contains(&precision).then_some(DataType::Decimal128(precision, scale))
}
