//! A table as the log's own map of it says: columns by name where the server sends names, else by their place.

use super::cdc::written::{Drawn, Written};
use super::log::unread;
use super::options::Options;
use super::plan::Plan;
use super::table::{Column, Kind, Table};
use super::value::words_of;
use crate::cells::Cell;
use crate::marks::Batch;
use kernel::{Entity, Error, Result};
use mysql_async::binlog::events::{OptionalMetaExtractor, OptionalMetadataField, TableMapEvent};
use mysql_async::binlog::row::BinlogRow;
use mysql_async::consts::ColumnType;
use std::collections::HashMap;
use std::sync::Arc;

/// Character sets by the numbers of their collations.
pub type Charsets = HashMap<u16, String>;

/// How rows of one map are read.
pub struct Layout {
    pub plan: Plan,
    /// For each column of the log its place in the plan.
    to: Vec<Option<usize>>,
    /// Places of the key's columns in the log.
    keys: Vec<usize>,
    names: Vec<Arc<str>>,
    /// The columns as the log names them; none where it does not.
    pub named: Option<Vec<Drawn>>,
}

/// One state of a row: its values, and which columns are there.
pub struct Image<'r> {
    pub row: &'r BinlogRow,
    pub present: &'r [bool],
}

impl<'r> Image<'r> {
    pub fn of(row: Option<&'r BinlogRow>, present: Option<&'r [bool]>) -> Option<Self> {
        Some(Self { row: row?, present: present? })
    }

    fn value(&self, column: usize) -> Option<&mysql_async::binlog::value::BinlogValue<'_>> {
        if !self.present.get(column).copied().unwrap_or(false) {
            return None;
        }
        let at = self.present[..column].iter().filter(|present| **present).count();
        self.row.as_ref(at)
    }
}

pub struct Known<'k> {
    pub table: &'k Table,
    /// The columns that rows are written with at this place of the log, as far as they are known.
    pub written: Option<&'k Written>,
    pub charsets: &'k Charsets,
    pub entity: &'k Entity,
    pub options: &'k Options,
    pub is_mariadb: bool,
}

impl Known<'_> {
    fn reads(&self, column: &str) -> bool {
        self.options.columns.as_ref().is_none_or(|names| names.iter().any(|name| name == column))
    }

    /// MariaDB's own, for a unique index over long text: it is in the log, and nowhere else.
    fn is_hidden(&self, column: &str) -> bool {
        self.is_mariadb && column.starts_with("DB_ROW_HASH_") && self.table.column(column).is_none()
    }
}

impl Layout {
    pub fn new(map: &TableMapEvent<'_>, known: &Known<'_>) -> Result<Self> {
        let (all, is_named) = columns(map, known)?;
        let chosen = |column: &Column| known.reads(&column.name) && !known.is_hidden(&column.name);
        let mut to = Vec::new();
        let mut columns = Vec::new();
        for column in &all {
            to.push(chosen(column).then_some(columns.len()));
            if chosen(column) {
                columns.push(column.clone());
            }
        }
        let own = known.entity.key();
        let key: Vec<&str> = if own.is_empty() { known.table.key.iter().map(String::as_str).collect() } else { own };
        let keys = all
            .iter()
            .enumerate()
            .filter(|(_, column)| key.contains(&column.name.as_str()))
            .map(|(at, _)| at)
            .collect();
        let names = all.iter().map(|column| column.name.as_str().into()).collect();
        let plan = Plan::new(known.table.clone(), columns, known.entity, known.options, known.is_mariadb).of_log()?;
        let named = is_named.then(|| all.iter().map(Drawn::of).collect());
        Ok(Self { plan, to, keys, names, named })
    }

    /// Whether the server computes the column, so that a row may lack it.
    pub fn is_virtual(&self, name: &str) -> bool {
        self.plan.columns.iter().any(|column| column.name == name && column.is_virtual)
    }

    /// Whether the two states are of different keys.
    pub fn moves(&self, before: &Image<'_>, after: &Image<'_>) -> bool {
        self.keys.iter().any(|at| match (before.value(*at), after.value(*at)) {
            (Some(before), Some(after)) => before != after,
            _ => false,
        })
    }

    /// Puts a row into the batch; gives the columns that are not in it. What did not change may stand in the state before.
    pub fn put(&self, batch: &mut Batch, image: &Image<'_>, before: Option<&Image<'_>>) -> Result<Vec<Arc<str>>> {
        let mut absent = Vec::new();
        let mut values = 0;
        for (column, to) in self.to.iter().enumerate() {
            let value = match image.present.get(column) {
                Some(true) => {
                    values += 1;
                    image.row.as_ref(values - 1)
                }
                _ => None,
            };
            let Some(to) = *to else { continue };
            match value.or_else(|| before?.value(column)) {
                Some(value) => batch.push(&self.names[column], to, self.plan.readers[to].of_log(value))?,
                None => {
                    absent.push(self.names[column].clone());
                    batch.push(&self.names[column], to, Ok(Cell::Null))?;
                }
            }
        }
        batch.cells.end_row();
        Ok(absent)
    }
}

/// The columns of a map, and whether it names them.
fn columns(map: &TableMapEvent<'_>, known: &Known<'_>) -> Result<(Vec<Column>, bool)> {
    let meta = OptionalMetaExtractor::new(map.iter_optional_meta()).map_err(unread)?;
    let names: Vec<String> = meta
        .iter_column_name()
        .map(|name| name.map(|name| name.name().into_owned()))
        .collect::<Result<_, _>>()
        .map_err(unread)?;
    let (mut enums, mut sets) = words(map)?;
    let (mut signs, mut charsets, mut word_charsets) =
        (meta.iter_signedness(), meta.iter_charset(), meta.iter_enum_and_set_charset());
    let count = usize::try_from(map.columns_count()).unwrap_or(usize::MAX);
    let written = if names.is_empty() { by_place(count, known)? } else { &[] };
    let mut found = Vec::with_capacity(count);
    for at in 0..count {
        let wrong = || {
            Error::data(
                format!("follow {}", known.table.shown()),
                format!("column {} of its map in the log is of an unknown type", at + 1),
            )
        };
        let kind = map.get_column_type(at).ok().flatten().ok_or_else(wrong)?;
        let signed = if kind.is_numeric_type() { signs.next() } else { None };
        let charset = match kind {
            kind if kind.is_character_type() => charsets.next().transpose().map_err(unread)?,
            kind if kind.is_enum_or_set_type() => word_charsets.next().transpose().map_err(unread)?,
            _ => None,
        };
        let labels = match kind {
            ColumnType::MYSQL_TYPE_ENUM => enums.next(),
            ColumnType::MYSQL_TYPE_SET => sets.next(),
            _ => None,
        };
        let charset = charset.filter(|number| *number > 0);
        let mut column =
            of_log(kind, map.get_column_metadata(at).unwrap_or_default(), charset == Some(BINARY)).ok_or_else(wrong)?;
        match (names.get(at), written.get(at)) {
            (Some(name), _) => {
                column.name.clone_from(name);
                if let Some(now) = known.table.column(name) {
                    adopt(&mut column, now);
                }
            }
            (None, Some(drawn)) => draw(&mut column, drawn, charset).ok_or_else(|| others(known))?,
            (None, None) => return Err(wrong()),
        }
        column.unsigned = signed.unwrap_or(column.unsigned);
        if let Some(name) = charset.filter(|number| *number != BINARY).and_then(|number| known.charsets.get(&number)) {
            column.charset.clone_from(name);
        }
        if let Some(labels) = labels {
            let reads = known.reads(&column.name);
            column.labels = if reads { words_of(&column, charset == Some(BINARY), &labels)? } else { Vec::new() };
        }
        if column.kind == Kind::Text && column.charset.is_empty() && known.reads(&column.name) {
            return Err(unknown(known));
        }
        found.push(column);
    }
    Ok((found, !names.is_empty()))
}

/// Lists of words, one for each column that has such, in its character set.
type Words = std::vec::IntoIter<Vec<Vec<u8>>>;

/// Of each enum and of each set the words, where the log has them.
fn words(map: &TableMapEvent<'_>) -> Result<(Words, Words)> {
    let (mut enums, mut sets) = (Vec::new(), Vec::new());
    for field in map.iter_optional_meta() {
        match field.map_err(unread)? {
            OptionalMetadataField::EnumStrValue(all) => {
                for words in all.iter_values() {
                    let words = words.map_err(unread)?;
                    enums.push(words.values().iter().map(|word| word.value_raw().to_vec()).collect());
                }
            }
            OptionalMetadataField::SetStrValue(all) => {
                for words in all.iter_values() {
                    let words = words.map_err(unread)?;
                    sets.push(words.values().iter().map(|word| word.value_raw().to_vec()).collect());
                }
            }
            _ => {}
        }
    }
    Ok((enums.into_iter(), sets.into_iter()))
}

/// The collation of bytes.
const BINARY: u16 = 63;

/// Without names the columns are those that the rows are known to be written with.
fn by_place<'k>(count: usize, known: &Known<'k>) -> Result<&'k [Drawn]> {
    let written = known.written.ok_or_else(|| unknown(known))?;
    if written.columns.len() != count {
        return Err(others(known));
    }
    Ok(&written.columns)
}

const REMEDY: &str =
    "set `binlog_row_metadata = FULL` on the server, and take the table anew by `refresh: <any new text>`";

fn unknown(known: &Known<'_>) -> Error {
    Error::data(
        format!("follow {}", known.table.shown()),
        format!(
            "with which columns its rows were written is not known, and the log does not name them: a statement altered the table in a way \
             that does not tell them, or the position is of an older version; {REMEDY}"
        ),
    )
}

fn others(known: &Known<'_>) -> Error {
    Error::data(
        format!("follow {}", known.table.shown()),
        format!("its columns were others when this was written, and the log does not name them: {REMEDY}"),
    )
}

/// What is known of a column that the log does not name; none where it is of another kind.
fn draw(column: &mut Column, drawn: &Drawn, charset: Option<u16>) -> Option<()> {
    let fits = match (column.kind, drawn.kind) {
        (Kind::Bit(log), Kind::Bit(own)) => log == own,
        (_, Kind::Text) => charset != Some(BINARY),
        (_, Kind::Bytes) => charset.is_none_or(|number| number == BINARY),
        _ => true,
    };
    if !fits || !like(column.kind, drawn.kind) {
        return None;
    }
    column.name.clone_from(&drawn.name);
    (column.kind, column.unsigned, column.octets) = (drawn.kind, drawn.unsigned, drawn.octets);
    column.labels.clone_from(&drawn.labels);
    column.charset.clone_from(&drawn.charset);
    column.is_virtual = drawn.is_virtual;
    Some(())
}

/// What the log does not tell of a column that is still there and of the same kind.
fn adopt(column: &mut Column, now: &Column) {
    if like(column.kind, now.kind) {
        let octets = if column.octets == 0 { now.octets } else { column.octets };
        let (precision, scale, bits) = (column.precision, column.scale, column.bits);
        *column = Column { name: std::mem::take(&mut column.name), octets, bits, ..now.clone() };
        if matches!(now.kind, Kind::Decimal | Kind::Time) {
            (column.precision, column.scale) = (precision, scale);
        }
    }
}

/// Whether the log may write values of one kind as those of the other.
fn like(log: Kind, now: Kind) -> bool {
    use Kind::{Bit, Bytes, Inet, Json, Text, Uuid};
    match (log, now) {
        (Text | Bytes, Text | Bytes | Json | Uuid | Inet) | (Bit(_), Bit(_)) => true,
        (log, now) => log == now,
    }
}

/// A column by what the log says of it alone.
fn of_log(kind: ColumnType, meta: &[u8], is_bytes: bool) -> Option<Column> {
    use ColumnType as C;
    let byte = |at: usize| meta.get(at).copied().unwrap_or_default();
    let bits = match kind {
        C::MYSQL_TYPE_TINY => 8,
        C::MYSQL_TYPE_SHORT => 16,
        C::MYSQL_TYPE_INT24 => 24,
        C::MYSQL_TYPE_LONG => 32,
        _ => 64,
    };
    let kind = match kind {
        C::MYSQL_TYPE_TINY
        | C::MYSQL_TYPE_SHORT
        | C::MYSQL_TYPE_INT24
        | C::MYSQL_TYPE_LONG
        | C::MYSQL_TYPE_LONGLONG => Kind::Int,
        C::MYSQL_TYPE_FLOAT => Kind::Float,
        C::MYSQL_TYPE_DOUBLE => Kind::Double,
        C::MYSQL_TYPE_NEWDECIMAL => Kind::Decimal,
        C::MYSQL_TYPE_BIT => Kind::Bit(u32::from(byte(1)) * 8 + u32::from(byte(0))),
        C::MYSQL_TYPE_DATE | C::MYSQL_TYPE_NEWDATE => Kind::Date,
        C::MYSQL_TYPE_DATETIME | C::MYSQL_TYPE_DATETIME2 => Kind::DateTime,
        C::MYSQL_TYPE_TIMESTAMP | C::MYSQL_TYPE_TIMESTAMP2 => Kind::Timestamp,
        // Not the one of old servers, whose sign and hours beyond 255 do not come through.
        C::MYSQL_TYPE_TIME2 => Kind::Time,
        C::MYSQL_TYPE_YEAR => Kind::Year,
        C::MYSQL_TYPE_ENUM => Kind::Enum,
        C::MYSQL_TYPE_SET => Kind::Set,
        C::MYSQL_TYPE_JSON => Kind::Json,
        C::MYSQL_TYPE_GEOMETRY | C::MYSQL_TYPE_VECTOR => Kind::Bytes,
        C::MYSQL_TYPE_STRING
        | C::MYSQL_TYPE_VARCHAR
        | C::MYSQL_TYPE_VAR_STRING
        | C::MYSQL_TYPE_BLOB
        | C::MYSQL_TYPE_TINY_BLOB
        | C::MYSQL_TYPE_MEDIUM_BLOB
        | C::MYSQL_TYPE_LONG_BLOB => {
            if is_bytes {
                Kind::Bytes
            } else {
                Kind::Text
            }
        }
        _ => return None,
    };
    Some(Column {
        name: String::new(),
        kind,
        unsigned: false,
        bits,
        is_flag: false,
        precision: byte(0),
        scale: byte(1),
        octets: 0,
        charset: "utf8mb4".into(),
        labels: Vec::new(),
        nullable: true,
        is_virtual: false,
        comment: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::contract::{OnPersonalData, OnViolation, SchemaChange};
    use mysql_async::binlog::BinlogVersion;
    use mysql_async::binlog::events::{Event, FormatDescriptionEvent};
    use serde_json::{Value, json};

    /// A map of enums and sets, each with the number of a collation and its words in that character set.
    fn map(columns: &[(&str, ColumnType, u8, &[&[u8]])]) -> TableMapEvent<'static> {
        let put = |into: &mut Vec<u8>, bytes: &[u8]| {
            into.push(bytes.len() as u8);
            into.extend_from_slice(bytes);
        };
        let (mut names, mut meta, mut charsets, mut enums, mut sets) = (vec![], vec![], vec![], vec![], vec![]);
        for (name, kind, collation, words) in columns {
            put(&mut names, name.as_bytes());
            meta.extend([*kind as u8, 1]);
            charsets.push(*collation);
            let list = if *kind == ColumnType::MYSQL_TYPE_ENUM { &mut enums } else { &mut sets };
            list.push(words.len() as u8);
            words.iter().for_each(|word| put(list, word));
        }
        let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0];
        for name in ["shop", "t"] {
            put(&mut body, name.as_bytes());
            body.push(0);
        }
        let kinds = vec![ColumnType::MYSQL_TYPE_STRING as u8; columns.len()];
        put(&mut body, &kinds);
        put(&mut body, &meta);
        body.extend(vec![0xff; columns.len().div_ceil(8)]);
        for (field, bytes) in [(4, names), (5, sets), (6, enums), (11, charsets)] {
            body.push(field);
            put(&mut body, &bytes);
        }
        let mut event = vec![0, 0, 0, 0, 19, 1, 0, 0, 0];
        event.extend((19 + body.len() as u32).to_le_bytes());
        event.extend([0; 6]);
        event.extend(body);
        let version = FormatDescriptionEvent::new(BinlogVersion::Version4);
        let event = Event::read(&version, &mut event.as_slice()).expect("an event");
        event.read_event::<TableMapEvent<'_>>().expect("a map").into_owned()
    }

    fn read(map: &TableMapEvent<'_>, more: Value) -> Result<Vec<Vec<String>>> {
        let mut given = json!({ "connection": "mysql://u@h/shop", "table": "t", "mode": "cdc" });
        given.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        let options = Options::read("t", &given).expect("options");
        let table = Table {
            database: "shop".into(),
            name: "t".into(),
            columns: Vec::new(),
            key: Vec::new(),
            unique: Vec::new(),
            engine: "InnoDB".into(),
        };
        let entity = Entity {
            name: "t".into(),
            description: None,
            properties: Vec::new(),
            rules: Vec::new(),
            on_violation: OnViolation::default(),
            schema_change: SchemaChange::default(),
            on_personal_data: OnPersonalData::default(),
        };
        let charsets = [(8, "latin1"), (45, "utf8mb4"), (51, "cp1251"), (63, "binary"), (32, "armscii8")];
        let charsets: Charsets = charsets.map(|(number, name)| (number, name.to_owned())).into();
        let known = Known {
            table: &table,
            written: None,
            charsets: &charsets,
            entity: &entity,
            options: &options,
            is_mariadb: true,
        };
        let layout = Layout::new(map, &known)?;
        Ok(layout.plan.columns.into_iter().map(|column| column.labels.into_iter().flatten().collect()).collect())
    }

    #[test]
    fn the_words_of_enums_and_sets_are_read_in_their_columns_character_sets() {
        use ColumnType::{MYSQL_TYPE_ENUM as ENUM, MYSQL_TYPE_SET as SET};
        let found = read(
            &map(&[
                ("latin_enum", ENUM, 8, &[b"\xe9", b"\xdf", b"\x80"]),
                ("latin_set", SET, 8, &[b"x", b"\xfc"]),
                ("utf8_enum", ENUM, 45, &["é".as_bytes(), "😀".as_bytes()]),
                ("cyrillic_set", SET, 51, &[b"\xe4\xe0", b"\xed\xe5\xf2"]),
                ("cyrillic_enum", ENUM, 51, &[b"\xe4"]),
                ("bytes_enum", ENUM, 63, &[b"a", "é".as_bytes()]),
            ]),
            json!({}),
        );
        let expected: [&[&str]; 6] = [&["é", "ß", "€"], &["x", "ü"], &["é", "😀"], &["да", "нет"], &["д"], &["a", "é"]];
        assert_eq!(found.expect("a layout"), expected);
    }

    #[test]
    fn a_column_that_only_the_log_has_is_left_out() {
        let hash = ("DB_ROW_HASH_1", ColumnType::MYSQL_TYPE_ENUM, 8, &[b"a".as_slice()][..]);
        let found = read(&map(&[("own", ColumnType::MYSQL_TYPE_ENUM, 8, &[b"b"]), hash]), json!({}));
        assert_eq!(found.expect("a layout"), [["b"]]);
    }

    #[test]
    fn words_that_can_not_be_read_are_refused_unless_nobody_wants_the_column() {
        for (collation, word) in [(45, b"\xe9".as_slice()), (63, b"\xe9"), (32, b"\xb2")] {
            let map = map(&[
                ("odd", ColumnType::MYSQL_TYPE_ENUM, collation, &[word]),
                ("good", ColumnType::MYSQL_TYPE_ENUM, 8, &[b"\xe9"]),
            ]);
            let error = read(&map, json!({})).expect_err("a refusal").to_string();
            assert!(error.contains("`odd`") && error.contains("`columns`"), "{error}");
            assert_eq!(read(&map, json!({ "columns": ["good"] })).expect("a layout"), [["é"]]);
        }
    }
}
