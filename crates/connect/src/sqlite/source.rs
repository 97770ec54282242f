//! The sqlite connector as a source: one short statement a batch, each on a thread that may block.
//!
//! Rows come in the order of their numbers, or of cursor and number. In WAL mode all batches of a run see one state; else a
//! reader would keep writers out, so that each batch sees the state that is there then.

use super::database::{Column, Table, fault, is_open, open, quoted};
use super::options::{Mode, Options};
use crate::cells::{Cell, Cells, Form, write_text};
use crate::marks::{mark, read_token, write_token};
use crate::spec::Opening;
use async_trait::async_trait;
use kernel::gate::{Changes, Malformed, Op, Raw};
use kernel::source::{Pulled, Source};
use kernel::{Entity, Error, Kind, Point, Positions, Result};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Statement};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::sync::Arc;

/// Rows of one cursor that a position remembers by their numbers; of more it has the last number.
const SAME_MAX: usize = 10_000;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Token {
    /// The greatest cursor that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Json>,
    /// The number of the last row that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<i64>,
    /// All rows of this cursor that were taken; empty when they were too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    same: Vec<i64>,
}

pub struct Sqlite {
    opening: Arc<Opening>,
    options: Arc<Options>,
    partition: Arc<str>,
    /// Rows of the partition that were handed out, also those that could not be read.
    taken: u64,
    token: Token,
    done: bool,
    ended: bool,
    /// A connection with what it reads; gone while it is at work.
    reader: Option<Box<Reader>>,
    /// Whether it was looked for rows that no run takes.
    looked: bool,
}

struct Reader {
    conn: Connection,
    table: Table,
    columns: Vec<Column>,
    /// Rows may be committed before the last is read.
    whole: bool,
    /// Tells whether somebody wrote, where batches need one state.
    version: Option<i64>,
}

/// What one statement gave.
struct Chunk {
    cells: Cells,
    /// The number of each row in the partition.
    numbers: Vec<i64>,
    /// Rows between these that can't be read.
    malformed: Vec<Malformed>,
    token: Token,
    more: bool,
    whole: bool,
}

impl Chunk {
    fn len(&self) -> usize {
        self.numbers.len() + self.malformed.len()
    }
}

impl Sqlite {
    pub fn open(opening: Opening, options: Options) -> Result<Self> {
        check_same(&options, &opening.from)?;
        let partition = partition(&options);
        let (taken, token, done) = match mark(&opening.from, &partition) {
            Some((rows, token, done)) => (rows, read_token(&partition, token)?, done),
            None => (0, Token::default(), false),
        };
        Ok(Self {
            opening: Arc::new(opening),
            options: Arc::new(options),
            partition,
            taken,
            token,
            done,
            ended: false,
            reader: None,
            looked: false,
        })
    }

    async fn chunk(&mut self, bytes_max: usize) -> Result<Chunk> {
        let (opening, options, token, taken) =
            (self.opening.clone(), self.options.clone(), self.token.clone(), self.taken);
        let (reader, looked) = (self.reader.take(), self.looked);
        let work = move || {
            let mut reader = match reader {
                Some(reader) => reader,
                None => Box::new(Reader::open(&opening, &options)?),
            };
            if !looked {
                reader.look_for_untaken(&options)?;
            }
            let chunk = reader.read(&opening, &options, token, taken, bytes_max)?;
            Ok((reader, chunk))
        };
        let gone = |e| Error::internal("read a SQLite database", "the reading thread is gone").because(e);
        let (reader, chunk) = tokio::task::spawn_blocking(work).await.map_err(gone)??;
        (self.reader, self.looked) = (chunk.more.then_some(reader), true);
        Ok(chunk)
    }

    fn hand_out(&mut self, mut chunk: Chunk) -> Result<Pulled> {
        let broken = |e| Error::internal("put a batch together", "its columns do not fit its schema").because(e);
        let (count, good) = (chunk.len() as u64, chunk.numbers.len());
        let batch = chunk.cells.finish().map_err(broken)?;
        let rows = Raw::new(batch, self.partition.clone(), chunk.numbers.into())?;
        let mut rows = rows.with_malformed(chunk.malformed);
        if self.options.mode == Mode::Incremental {
            // A row that comes once more has changed; whether it was new the first time, nobody tells.
            let mut changes = Changes::default();
            (0..good).for_each(|_| changes.push(Op::Update, None, Vec::new()));
            rows = rows.with_changes(changes)?;
        }
        (self.taken, self.token) = (self.taken + count, chunk.token);
        let mark = Point::Mark { rows: self.taken, token: write_token(&self.token)?, done: self.done };
        let mut upto = Positions::new();
        upto.set(&*self.partition, mark);
        Ok(Pulled { rows: rows.into(), upto, whole: chunk.whole || self.done })
    }
}

impl Reader {
    fn open(opening: &Opening, options: &Options) -> Result<Self> {
        let conn = open(opening, options)?;
        let table = Table::read(&conn, options)?;
        let columns = table.chosen(options)?;
        let whole = table.has_open_rowid(&opening.entity);
        if options.mode == Mode::Incremental {
            may_page(&table, options, &opening.entity)?;
        }
        let what = format!("read the table {}", table.name);
        let journal: String =
            conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(|e| fault(&what, &e))?;
        let is_wal = journal.eq_ignore_ascii_case("wal");
        if is_wal {
            conn.execute_batch("BEGIN").map_err(|e| fault(&what, &e))?;
        }
        let version = (!is_wal && !whole).then(|| version(&conn, &what)).transpose()?;
        Ok(Self { conn, table, columns, whole, version })
    }

    fn read(
        &mut self,
        opening: &Opening,
        options: &Options,
        token: Token,
        taken: u64,
        bytes_max: usize,
    ) -> Result<Chunk> {
        let what = format!("read the table {}", self.table.name);
        if let Some(before) = self.version
            && version(&self.conn, &what)? != before
        {
            let detail = "it was written to meanwhile, and without a number of its rows that may be written down they can't be told apart";
            return Err(Error::new(Kind::Unreachable, what, detail));
        }
        let (sql, params) = self.statement(options, &token, taken)?;
        let mut statement = self.conn.prepare(&sql).map_err(|e| fault(&what, &e))?;
        let mut same = self.same_cursor(options).map_err(|e| fault(&what, &e))?;
        let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(|e| fault(&what, &e))?;
        let forms: Vec<Form> = self.columns.iter().map(|column| column.form(&opening.entity)).collect();
        let cells = Cells::new(self.columns.iter().map(|column| column.name.as_str()).zip(forms.iter().copied()));
        let (numbers, malformed) = (Vec::new(), Vec::new());
        let mut chunk = Chunk { cells, numbers, malformed, token, more: true, whole: self.whole };
        while chunk.len() == 0 || (chunk.len() < options.batch_rows_max && chunk.cells.bytes() < bytes_max) {
            let Some(row) = rows.next().map_err(|e| fault(&what, &e))? else {
                chunk.more = false;
                break;
            };
            let beside = self.columns.len();
            let value = |at: usize| row.get_ref(at).map_err(|e| fault(&what, &e));
            let number = value(beside)?.as_i64().ok();
            let is_taken = match options.mode {
                Mode::Snapshot => {
                    chunk.token.row = number;
                    false
                }
                Mode::Incremental => {
                    let (number, at) = cursor(options, number, value(beside + 1)?)?;
                    let is_same = |known: &Json| is_same(known, &at, &mut same, number).map_err(|e| fault(&what, &e));
                    !remember(&mut chunk.token, number, &at, is_same)?
                }
            };
            if is_taken {
                continue;
            }
            let number = taken as i64 + chunk.len() as i64 + 1;
            match read_row(value, &forms)? {
                Ok(row) => {
                    put(&mut chunk.cells, row, &what)?;
                    chunk.numbers.push(number);
                }
                Err(at) => {
                    let place = value(beside)?.as_i64().ok().filter(|_| self.whole);
                    let place = place.map(|number| format!(" (rowid {number})")).unwrap_or_default();
                    let reason = format!("the text of column `{}` is no UTF-8{place}", self.columns[at].name);
                    chunk.malformed.push(Malformed { offset: number, reason });
                }
            }
        }
        Ok(chunk)
    }

    /// Asks whether the row with a number has a cursor that SQLite takes for the same as another.
    fn same_cursor(&self, options: &Options) -> rusqlite::Result<Option<Statement<'_>>> {
        let Some(cursor) = options.cursor.as_deref().map(quoted) else { return Ok(None) };
        let (table, rowid) = (quoted(&self.table.name), self.table.rowid());
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {rowid} = ?1 AND {cursor} = ?2)");
        self.conn.prepare(&sql).map(Some)
    }

    /// Tells of rows that have no place among the others by their cursor, so that no run ever takes them.
    fn look_for_untaken(&self, options: &Options) -> Result<()> {
        let Some(cursor) = &options.cursor else { return Ok(()) };
        if self.table.has_null(&self.conn, cursor)? {
            tracing::warn!(
                table = self.table.name.as_str(),
                cursor = cursor.as_str(),
                "some rows have no value in the cursor's column, and `mode: incremental` never takes them: fill the column and declare it NOT NULL, \
                 or read by another `cursor`"
            );
        }
        if self.table.has_bytes(&self.conn, cursor)? {
            tracing::warn!(
                table = self.table.name.as_str(),
                cursor = cursor.as_str(),
                "some rows have bytes (a blob) in the cursor's column, and `mode: incremental` never takes them: write numbers or text there, or \
                 read by another `cursor`"
            );
        }
        Ok(())
    }

    fn statement(&self, options: &Options, token: &Token, taken: u64) -> Result<(String, Vec<Value>)> {
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        let (names, table) = (names.join(", "), quoted(&self.table.name));
        let rowid = self.table.rowid();
        let row = Value::Integer(token.row.unwrap_or(i64::MIN));
        if let Some(cursor) = options.cursor.as_deref().map(quoted) {
            let from = |at: &Json, sign: &str| Ok::<_, Error>((format!("{cursor} {sign} ?1"), vec![bound(at)?]));
            let (condition, params) = match &token.at {
                None => (format!("{cursor} IS NOT NULL"), Vec::new()),
                // Rows may be given a cursor again that others had before.
                Some(at) if !token.same.is_empty() => from(at, ">=")?,
                Some(at) => (format!("{cursor} > ?1 OR ({cursor} = ?1 AND {rowid} > ?2)"), vec![bound(at)?, row]),
            };
            return Ok((
                format!(
                    "SELECT {names}, {rowid}, {cursor} FROM {table} WHERE ({condition}) AND typeof({cursor}) <> 'blob' ORDER BY {cursor}, {rowid}"
                ),
                params,
            ));
        }
        if self.whole {
            let first = if token.row.is_some() { ">" } else { ">=" };
            return Ok((
                format!("SELECT {names}, {rowid} FROM {table} WHERE {rowid} {first} ?1 ORDER BY {rowid}"),
                vec![row],
            ));
        }
        let key: Vec<String> = self.table.key().iter().map(|column| quoted(&column.name)).collect();
        let order = if key.is_empty() { "1".to_owned() } else { key.join(", ") };
        let (taken, order) = (taken as i64, if self.table.has_rowid { rowid } else { order.as_str() });
        Ok((
            format!("SELECT {names}, NULL FROM {table} ORDER BY {order} LIMIT -1 OFFSET ?1"),
            vec![Value::Integer(taken)],
        ))
    }
}

/// Number and cursor of a row.
fn cursor(options: &Options, number: Option<i64>, value: ValueRef<'_>) -> Result<(i64, Json)> {
    let name = options.cursor.as_deref().unwrap_or_default();
    let what = format!("read {} by its cursor `{name}`", options.table);
    let number = number.ok_or_else(|| Error::data(&what, "a row has no number"))?;
    let wrong = |why: &str| {
        let detail = format!(
            "the cursor of the row with rowid {number} {why}: give it another value, or read by another `cursor`"
        );
        Error::data(&what, detail)
    };
    let at = match value {
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(real) => {
            serde_json::Number::from_f64(real).map(Json::Number).ok_or_else(|| wrong("is infinite"))?
        }
        ValueRef::Text(text) => std::str::from_utf8(text).map_err(|_| wrong("is text that is no UTF-8"))?.into(),
        ValueRef::Null | ValueRef::Blob(_) => return Err(wrong("is neither a number nor text")),
    };
    Ok((number, at))
}

/// Whether two cursors are the same to SQLite: by the column's collation, and 1 is 1.0. It is asked only where its own
/// collations could say so.
fn is_same(known: &Json, at: &Json, same: &mut Option<Statement<'_>>, number: i64) -> rusqlite::Result<bool> {
    let could_be = match (known, at) {
        (Json::String(known), Json::String(at)) => {
            known.trim_end_matches(' ').eq_ignore_ascii_case(at.trim_end_matches(' '))
        }
        (Json::Number(known), Json::Number(at)) => known.as_f64() == at.as_f64(),
        _ => false,
    };
    match same {
        _ if known == at => Ok(true),
        Some(same) if could_be => match known {
            Json::String(known) => same.query_row((number, known), |row| row.get(0)),
            Json::Number(known) => match known.as_i64() {
                Some(known) => same.query_row((number, known), |row| row.get(0)),
                None => same.query_row((number, known.as_f64()), |row| row.get(0)),
            },
            _ => Ok(false),
        },
        Some(_) | None => Ok(false),
    }
}

/// Writes down how far a row is; false when it was taken before.
fn remember(token: &mut Token, number: i64, at: &Json, is_same: impl FnOnce(&Json) -> Result<bool>) -> Result<bool> {
    if !token.at.as_ref().map(is_same).transpose()?.unwrap_or_default() {
        *token = Token { at: Some(at.clone()), row: Some(number), same: vec![number] };
        return Ok(true);
    }
    if token.same.contains(&number) {
        return Ok(false);
    }
    token.row = token.row.max(Some(number));
    if !token.same.is_empty() {
        token.same.push(number);
    }
    if token.same.len() > SAME_MAX {
        token.same.clear();
    }
    Ok(true)
}

/// Makes sure that what was read before was this table.
fn check_same(options: &Options, from: &Positions) -> Result<()> {
    let is_own =
        |name: &str| name.strip_prefix(&options.table).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'));
    let mut names = from.iter().filter(|(_, point)| matches!(point, Point::Mark { .. })).map(|(name, _)| name);
    match names.find(|name| !is_own(name)) {
        None => Ok(()),
        Some(other) => Err(Error::project(
            format!("read the table {}", options.table),
            format!(
                "the lake has this source's rows of {other}, and those of two tables would be mixed in one. Set `table` to what it \
                 was and name the other table in a source of its own. If the lake is to have this one instead: move the folder \
                 of the bronze table away, and run again"
            ),
        )),
    }
}

/// What else than the file may stand against reading the table.
pub fn may_read(table: &Table, options: &Options, opening: &Opening) -> Result<()> {
    check_same(options, &opening.from)?;
    match options.mode {
        Mode::Snapshot => Ok(()),
        Mode::Incremental => may_page(table, options, &opening.entity),
    }
}

/// Makes sure that a cursor tells how far the table was read.
fn may_page(table: &Table, options: &Options, entity: &Entity) -> Result<()> {
    let name = options.cursor.as_deref().unwrap_or_default();
    table.column(name)?;
    let refuse = |detail: &str| Err(Error::project(format!("the cursor `{name}` of {}", table.name), detail));
    if !is_open(entity, name) {
        return refuse(
            "its last value is kept in the clear, so the contract must name it, without a mask or a personal class",
        );
    }
    if !table.has_rowid {
        return refuse(
            "rows of one cursor are told apart by their rowid, which views and tables `WITHOUT ROWID` lack: read it by \
             `mode: snapshot`, or make the table anew without that word",
        );
    }
    if !table.has_open_rowid(entity) {
        return refuse(
            "rows of one cursor are told apart by their rowid, which is kept in the clear: name the column that is it in the \
             contract, without a mask or a personal class, or read the table by `mode: snapshot`",
        );
    }
    Ok(())
}

fn bound(at: &Json) -> Result<Value> {
    match at {
        Json::String(text) => Ok(Value::Text(text.clone())),
        Json::Number(number) => Ok(match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Real(number.as_f64().unwrap_or_default()),
        }),
        _ => Err(Error::data("go on by a cursor", "its position is of an unknown type; set another `refresh`")),
    }
}

/// The cells of a row, or the place of the first that can't be read.
fn read_row<'r>(value: impl Fn(usize) -> Result<ValueRef<'r>>, forms: &[Form]) -> Result<Result<Vec<Cell<'r>>, usize>> {
    let mut row = Vec::with_capacity(forms.len());
    for (at, form) in forms.iter().enumerate() {
        match cell(value(at)?, *form == Form::Bytes) {
            Some(cell) => row.push(cell),
            None => return Ok(Err(at)),
        }
    }
    Ok(Ok(row))
}

fn put(cells: &mut Cells, row: Vec<Cell<'_>>, what: &str) -> Result<()> {
    for (at, cell) in row.into_iter().enumerate() {
        if !cells.push(at, cell) {
            return Err(Error::internal(what, "a value does not fit its column"));
        }
    }
    cells.end_row();
    Ok(())
}

/// `None` for text that is no UTF-8.
fn cell(value: ValueRef<'_>, as_bytes: bool) -> Option<Cell<'_>> {
    Some(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Blob(bytes) => Cell::Bytes(Cow::Borrowed(bytes)),
        ValueRef::Text(text) if as_bytes => Cell::Bytes(Cow::Borrowed(text)),
        ValueRef::Text(text) => Cell::Text(Cow::Borrowed(std::str::from_utf8(text).ok()?)),
        ValueRef::Integer(number) if as_bytes => Cell::Bytes(number.to_string().into_bytes().into()),
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Real(number) if as_bytes => {
            let mut text = String::new();
            write_text(&mut text, &Cell::Double(number));
            Cell::Bytes(text.into_bytes().into())
        }
        ValueRef::Real(number) => Cell::Double(number),
    })
}

fn version(conn: &Connection, what: &str) -> Result<i64> {
    conn.query_row("PRAGMA data_version", [], |row| row.get(0)).map_err(|e| fault(what, &e))
}

/// The name of what is read: another `refresh` is another one.
pub fn partition(options: &Options) -> Arc<str> {
    match &options.refresh {
        Some(refresh) => format!("{}@{refresh}", options.table).into(),
        None => options.table.as_str().into(),
    }
}

#[async_trait]
impl Source for Sqlite {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if self.done || std::mem::take(&mut self.ended) {
            return Ok(None);
        }
        let chunk = self.chunk(bytes_max).await?;
        let is_snapshot = self.options.mode == Mode::Snapshot;
        (self.done, self.ended) = (is_snapshot && !chunk.more, !is_snapshot && !chunk.more && chunk.len() > 0);
        if !is_snapshot && chunk.len() == 0 {
            return Ok(None);
        }
        self.hand_out(chunk).map(Some)
    }

    /// Nothing to forget: a table stays where it is.
    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}
