//! A table as the server describes it.

use super::login::fault;
use crate::cells::Form;
use crate::mysql::options::{Mode, Options, ZeroDates};
use arrow::datatypes::{DataType, TimeUnit};
use kernel::contract::{Constraints, Property};
use kernel::{Entity, Error, Result, suggest};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What values of a column are. Positions keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Int,
    Float,
    Double,
    Decimal,
    /// Also times of day, which MySQL has beyond 24 hours.
    Text,
    Json,
    Bytes,
    /// So many bits.
    Bit(u32),
    Date,
    /// Without a zone.
    DateTime,
    /// UTC inside.
    Timestamp,
    Time,
    Year,
    Enum,
    Set,
    /// MariaDB's own, 16 bytes inside.
    Uuid,
    /// MariaDB's own, 4 and 16 bytes inside.
    Inet,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub unsigned: bool,
    /// Of a whole number.
    pub bits: u32,
    /// `tinyint(1)`, which stands for true and false.
    pub is_flag: bool,
    /// Digits, and digits behind the point.
    pub precision: u8,
    pub scale: u8,
    /// Bytes at most, of `char` and `binary`; bytes inside, of what has always as many.
    pub octets: usize,
    /// Of text.
    pub charset: String,
    /// Of `enum` and `set`.
    /// Words of an enum or a set; none for one that is not told.
    pub labels: Vec<Option<String>>,
    pub nullable: bool,
    /// Computed when it is read: the log may lack it.
    pub is_virtual: bool,
    pub comment: String,
}

#[derive(Debug, Clone)]
pub struct Table {
    pub database: String,
    pub name: String,
    pub columns: Vec<Column>,
    /// The primary key's columns, in order. None of a key that has only the beginning of one of them.
    pub key: Vec<String>,
    /// Columns that alone are unique and never null.
    pub unique: Vec<String>,
    pub engine: String,
}

impl Table {
    /// As it is now.
    pub async fn read(conn: &mut Conn, source: &str, options: &Options) -> Result<Self> {
        let (database, name) = Self::names(source, options)?;
        let what = format!("look at the table {database}.{name}");
        let found: Option<(Option<String>, String)> = conn
            .exec_first(
                "SELECT ENGINE, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
                (&database, &name),
            )
            .await
            .map_err(|e| fault(&what, e))?;
        let Some((engine, kind)) = found else { return Err(Self::missing(conn, &what, &database, &name).await) };
        if let Some(why) = unfollowed(&kind).filter(|_| options.mode == Mode::Cdc) {
            return Err(Error::project(format!("follow {database}.{name}"), why));
        }
        let rows: Vec<mysql_async::Row> = conn
            .exec(
                "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COALESCE(NUMERIC_PRECISION, DATETIME_PRECISION), NUMERIC_SCALE, \
                 CHARACTER_OCTET_LENGTH, CHARACTER_SET_NAME, EXTRA, COLUMN_COMMENT \
                 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
                (&database, &name),
            )
            .await
            .map_err(|e| fault(&what, e))?;
        let columns: Vec<Column> = rows.into_iter().map(Column::of).collect();
        let parts: Vec<Part> = conn
            .exec(
                "SELECT INDEX_NAME, COLUMN_NAME, COALESCE(NULLABLE, ''), SUB_PART IS NOT NULL FROM information_schema.STATISTICS \
                 WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX",
                (&database, &name),
            )
            .await
            .map_err(|e| fault(&what, e))?;
        let (key, unique) = keys(parts);
        Ok(Self { database, name, columns, key, unique, engine: engine.unwrap_or_default() })
    }

    /// Database and table as the options name them.
    pub fn names(source: &str, options: &Options) -> Result<(String, String)> {
        let login = super::login::Login::parse(&options.connection)
            .map_err(|e| Error::project(format!("source `{source}`"), e))?;
        let (named, table) = written(&options.table).ok_or_else(|| {
            Error::project(format!("source `{source}`"), "`table` is written as `orders` or `shop.orders`")
        })?;
        match named.or(login.database) {
            Some(database) => Ok((database, table)),
            None => Err(Error::project(
                format!("source `{source}`"),
                "neither `connection` nor `table` names the database: write `table: shop.orders`",
            )),
        }
    }

    async fn missing(conn: &mut Conn, what: &str, database: &str, name: &str) -> Error {
        let all =
            conn.exec("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", (database,)).await;
        let all: Vec<String> = all.unwrap_or_default();
        let hint =
            suggest::hint(name, all.iter().map(String::as_str)).map(|hint| format!("; {hint}")).unwrap_or_default();
        Error::project(what, format!("there is no such table, or this user may not see it{hint}"))
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that are read.
    pub fn chosen(&self, options: &Options) -> Result<Vec<Column>> {
        let Some(names) = &options.columns else { return Ok(self.columns.clone()) };
        let find = |name: &String| {
            let found = self.column(name).cloned();
            found.ok_or_else(|| {
                let hint = suggest::hint(name, self.columns.iter().map(|c| c.name.as_str())).unwrap_or_default();
                Error::project(
                    format!("`columns` of {}", self.shown()),
                    format!("the table has no column `{name}`; {hint}"),
                )
            })
        };
        names.iter().map(find).collect()
    }

    /// The primary key, where its values may be kept in the clear and put into an order that the server agrees with.
    pub fn open_key(&self, entity: &Entity) -> Option<Vec<Column>> {
        let usable = |name: &String| {
            let column = self.column(name)?;
            (column.can_page() && is_open(entity, name)).then(|| column.clone())
        };
        let key: Vec<Column> = self.key.iter().map(usable).collect::<Option<_>>()?;
        (!key.is_empty()).then_some(key)
    }

    pub fn shown(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Quoted, for a statement.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.database), quoted(&self.name))
    }
}

/// Why the log does not tell the changes of a table of this type.
fn unfollowed(kind: &str) -> Option<&'static str> {
    match kind {
        "SYSTEM VERSIONED" => Some(
            "the server keeps the old versions of its rows (`WITH SYSTEM VERSIONING`), and the log tells those like any other row: an updated \
             row would become its old state, and a deleted one would stay. `mode: snapshot` and `mode: incremental` read the rows that hold now; \
             for `mode: cdc`, `ALTER TABLE … DROP SYSTEM VERSIONING`",
        ),
        "VIEW" | "SYSTEM VIEW" => Some(
            "it is a view, and the log has the changes of tables alone: follow the tables behind it, or read it by `mode: snapshot` or \
             `mode: incremental`",
        ),
        _ => None,
    }
}

/// Whether the table has a primary key that does not count as one.
pub async fn has_partial_key(conn: &mut Conn, table: &Table) -> Result<bool> {
    let parts: Option<u64> = conn
        .exec_first(
            "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_NAME = 'PRIMARY'",
            (&table.database, &table.name),
        )
        .await
        .map_err(|e| fault("ask for the primary key", e))?;
    Ok(table.key.is_empty() && parts.unwrap_or_default() > 0)
}

/// A part of a unique index: the index, the column (none of an expression), whether it may be null, and whether the index has
/// only the beginning of its values.
type Part = (String, Option<String>, String, bool);

/// The primary key's columns, and those that alone are unique and never null. An index over the beginning of a column, or over
/// an expression, says nothing of its other columns: two rows may have the same values of them.
fn keys(parts: Vec<Part>) -> (Vec<String>, Vec<String>) {
    let mut indices: BTreeMap<String, Option<Vec<(String, bool)>>> = BTreeMap::new();
    for (index, column, nullable, is_prefix) in parts {
        let columns = indices.entry(index).or_insert_with(|| Some(Vec::new()));
        match (columns.as_mut(), column.filter(|_| !is_prefix)) {
            (Some(columns), Some(column)) => columns.push((column, nullable == "YES")),
            _ => *columns = None,
        }
    }
    let names = |columns: Vec<(String, bool)>| columns.into_iter().map(|(name, _)| name).collect();
    let key = indices.get("PRIMARY").cloned().flatten().map(names).unwrap_or_default();
    let alone = |columns: Vec<(String, bool)>| match <[(String, bool); 1]>::try_from(columns) {
        Ok([(name, false)]) => Some(name),
        _ => None,
    };
    (key, indices.into_values().flatten().filter_map(alone).collect())
}

/// Whether the contract knows a column and hides nothing of it.
pub fn is_open(entity: &Entity, name: &str) -> bool {
    let is_open =
        |p: &Property| p.mask.is_none() && !p.classification.as_ref().is_some_and(|class| class.is_personal());
    entity.property(name).is_some_and(is_open)
}

/// Database and table of `orders`, `shop.orders`, or with a point in a name of `` `shop`.`o.d` ``.
pub fn written(text: &str) -> Option<(Option<String>, String)> {
    let (first, rest) = part(text)?;
    match rest.strip_prefix('.') {
        None if rest.is_empty() => Some((None, first)),
        None => None,
        Some(rest) => part(rest).filter(|(_, rest)| rest.is_empty()).map(|(table, _)| (Some(first), table)),
    }
}

/// The name that a text begins with, and what follows.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('`') else {
        let (name, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let (mut name, mut signs) = (String::new(), inner.char_indices());
    while let Some((at, sign)) = signs.next() {
        match sign {
            '`' if inner[at + 1..].starts_with('`') => {
                signs.next();
                name.push('`');
            }
            '`' => return (!name.is_empty()).then(|| (name, &inner[at + 1..])),
            sign => name.push(sign),
        }
    }
    None
}

/// A name as [`written`] reads it.
pub fn as_written(name: &str) -> String {
    if name.contains(['.', '`']) { quoted(name) } else { name.to_owned() }
}

pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Column {
    fn of(row: mysql_async::Row) -> Self {
        let text = |at: usize| row.get::<Option<String>, usize>(at).flatten().unwrap_or_default();
        let number = |at: usize| row.get::<Option<u64>, usize>(at).flatten().unwrap_or_default();
        let (data_type, full) = (text(1).to_lowercase(), text(2));
        let lower = full.to_lowercase();
        let charset = text(7);
        let kind = match data_type.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint" => Kind::Int,
            "float" => Kind::Float,
            "double" | "real" => Kind::Double,
            "decimal" | "numeric" => Kind::Decimal,
            "json" => Kind::Json,
            "bit" => Kind::Bit(number(4).try_into().unwrap_or(64)),
            "date" => Kind::Date,
            "datetime" => Kind::DateTime,
            "timestamp" => Kind::Timestamp,
            "time" => Kind::Time,
            "year" => Kind::Year,
            "enum" => Kind::Enum,
            "set" => Kind::Set,
            "uuid" => Kind::Uuid,
            "inet4" | "inet6" => Kind::Inet,
            _ if charset.is_empty() => Kind::Bytes,
            _ => Kind::Text,
        };
        Self {
            name: text(0),
            kind,
            unsigned: lower.contains("unsigned"),
            bits: match data_type.as_str() {
                "tinyint" => 8,
                "smallint" => 16,
                "mediumint" => 24,
                "int" | "integer" => 32,
                _ => 64,
            },
            is_flag: lower.starts_with("tinyint(1)"),
            precision: number(4).try_into().unwrap_or(u8::MAX),
            scale: number(5).try_into().unwrap_or(u8::MAX),
            octets: match data_type.as_str() {
                "char" | "binary" => number(6).try_into().unwrap_or_default(),
                "inet4" => 4,
                "inet6" | "uuid" => 16,
                _ => 0,
            },
            labels: if matches!(kind, Kind::Enum | Kind::Set) { labels(&full, &charset) } else { Vec::new() },
            charset,
            nullable: text(3) == "YES",
            is_virtual: text(8).to_uppercase().contains("VIRTUAL"),
            comment: text(9),
        }
    }

    /// How it is built: typed, but as text where the contract wants what no cast gives.
    pub fn form(&self, entity: &Entity, options: &Options) -> Form {
        let wanted = entity.property(&self.name).map(|property| &property.data_type);
        let time = |form| if options.zero_dates == ZeroDates::Text { Form::Text } else { form };
        let is_number = wanted.is_none_or(|wanted| wanted.is_numeric() || is_text(wanted));
        match self.kind {
            Kind::Int if !is_number => Form::Text,
            Kind::Int if self.unsigned => Form::UInt,
            Kind::Int => Form::Int,
            Kind::Float if is_number => Form::Float,
            Kind::Double if is_number => Form::Double,
            Kind::Bit(1) if wanted.is_none_or(|wanted| *wanted == DataType::Boolean) => Form::Bool,
            Kind::Bit(_) if is_number => Form::UInt,
            Kind::Date => time(Form::Date),
            Kind::DateTime => time(Form::Time { zoned: false }),
            Kind::Timestamp if wanted.is_none_or(|wanted| matches!(wanted, DataType::Timestamp(_, Some(_)))) => {
                time(Form::Time { zoned: true })
            }
            Kind::Timestamp => time(Form::Time { zoned: false }),
            Kind::Bytes if wanted.is_none_or(|wanted| !is_text(wanted)) => Form::Bytes,
            _ => Form::Text,
        }
    }

    /// Whether values can be kept as text and given back as a bound of a query.
    pub fn can_page(&self) -> bool {
        matches!(
            self.kind,
            Kind::Int
                | Kind::Decimal
                | Kind::Text
                | Kind::Bytes
                | Kind::Date
                | Kind::DateTime
                | Kind::Timestamp
                | Kind::Uuid
        )
    }

    /// As a contract would have it.
    pub fn property(&self, key: &[String]) -> Property {
        let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let data_type = match self.kind {
            Kind::Int if self.is_flag => DataType::Boolean,
            Kind::Int if self.unsigned && self.precision >= 19 => DataType::Decimal128(20, 0),
            Kind::Int | Kind::Year => DataType::Int64,
            Kind::Float => DataType::Float32,
            Kind::Double => DataType::Float64,
            Kind::Decimal if self.precision <= 38 => DataType::Decimal128(self.precision, self.scale as i8),
            Kind::Bit(1) => DataType::Boolean,
            Kind::Bit(64) => DataType::Decimal128(20, 0),
            Kind::Bit(_) => DataType::Int64,
            Kind::Date => DataType::Date32,
            Kind::DateTime => micros(None),
            Kind::Timestamp => micros(Some("UTC")),
            Kind::Bytes => DataType::Binary,
            _ => DataType::Utf8,
        };
        let place = key.iter().position(|name| *name == self.name);
        Property {
            name: self.name.clone(),
            description: (!self.comment.is_empty()).then(|| self.comment.clone()),
            data_type,
            required: !self.nullable,
            unique: false,
            primary_key: place.and_then(|place| u32::try_from(place + 1).ok()),
            constraints: Constraints::default(),
            classification: None,
            mask: None,
            format: None,
            decimal_comma: false,
            not_personal: false,
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

/// Of `enum('a','it''s')` the words. The server's catalog has a question mark for each sign beyond three bytes, so that a word with
/// one may be another.
fn labels(column_type: &str, charset: &str) -> Vec<Option<String>> {
    let has_more = !matches!(charset, "utf8" | "utf8mb3") && (charset.starts_with("utf") || charset == "gb18030");
    let inner = column_type.split_once('(').map_or("", |(_, inner)| inner);
    let (mut found, mut chars) = (Vec::new(), inner.chars().peekable());
    while let Some(sign) = chars.next() {
        if sign != '\'' {
            continue;
        }
        let mut word = String::new();
        while let Some(sign) = chars.next() {
            match sign {
                '\'' if chars.peek() == Some(&'\'') => word.extend(chars.next()),
                '\'' => break,
                sign => word.push(sign),
            }
        }
        found.push(Some(word).filter(|word| !has_more || !word.contains('?')));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_point_is_written_in_backquotes() {
        let told = |text: &str| written(text).map(|(database, table)| (database.unwrap_or_default(), table));
        let names = |database: &str, table: &str| Some((database.to_owned(), table.to_owned()));
        assert_eq!(told("orders"), names("", "orders"));
        assert_eq!(told("shop.orders"), names("shop", "orders"));
        assert_eq!(told("`o.d-b`"), names("", "o.d-b"));
        assert_eq!(told("`a.b`.`c``d`"), names("a.b", "c`d"));
        assert_eq!(told("shop.`o.d`"), names("shop", "o.d"));
        for bad in ["", "a.b.c", ".a", "a.", "`a", "`a`b", "``"] {
            assert_eq!(told(bad), None, "{bad}");
        }
        for name in ["orders", "o.d-b", "c`d"] {
            assert_eq!(told(&as_written(name)), names("", name));
        }
    }

    #[test]
    fn an_index_with_the_beginning_of_a_column_or_an_expression_is_no_key() {
        let part = |index: &str, column: Option<&str>, is_nullable: bool, is_prefix: bool| {
            let nullable = if is_nullable { "YES" } else { "" };
            (index.to_owned(), column.map(str::to_owned), nullable.to_owned(), is_prefix)
        };
        let (tenant, url) = (part("PRIMARY", Some("tenant"), false, false), part("PRIMARY", Some("url"), false, true));
        let unique = [
            part("by_name", Some("updated_at"), false, false),
            part("by_name", Some("name"), false, true),
            part("by_number", Some("number"), false, false),
            part("by_reference", Some("reference"), true, false),
            part("of_expression", None, false, false),
            part("of_expression", Some("code"), false, false),
            part("of_two", Some("a"), false, false),
            part("of_two", Some("b"), false, false),
        ];
        let told = |parts: Vec<Part>| keys(parts);
        let own = vec!["number".to_owned()];
        assert_eq!(told([&[tenant.clone(), url.clone()], &unique[..]].concat()), (Vec::new(), own), "no part is left");
        assert_eq!(told(vec![url, tenant.clone()]), (Vec::new(), Vec::new()), "be the other part behind it");
        let whole = part("PRIMARY", Some("url"), false, false);
        assert_eq!(told(vec![tenant.clone(), whole]).0, ["tenant", "url"]);
        assert_eq!(told(vec![tenant]), (vec!["tenant".to_owned()], vec!["tenant".to_owned()]));
    }

    #[test]
    fn the_words_of_an_enum_are_read_with_their_quotes() {
        let told =
            |column_type, charset| labels(column_type, charset).into_iter().map(|word| word.unwrap_or("-".into()));
        let told = |column_type, charset| told(column_type, charset).collect::<Vec<_>>();
        assert_eq!(told("enum('a','it''s','x,y','')", "latin1"), ["a", "it's", "x,y", ""]);
        assert_eq!(told("set('é','?')", "utf8mb3"), ["é", "?"]);
        assert_eq!(told("set('é','?')", "utf8mb4"), ["é", "-"], "it may be another word");
        assert!(told("int(11)", "").is_empty());
    }
}
