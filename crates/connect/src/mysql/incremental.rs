//! `mode: incremental`: rows whose cursor grew.
//!
//! Rows come in the order of cursor and key, and the position is the last of both. With a `lookback`, rows are looked for
//! again from so far behind the last cursor, and those that were taken are known by cursor and a hash of the key.

use super::key;
use super::login::{connect, fault};
use super::options::{Lookback, Options};
use super::patience::Patience;
use super::plan::Plan;
use super::scan::{Beside, Scan, Which};
use super::snapshot::{is_mariadb, partition};
use super::table::{Column, Kind, Table, is_open, quoted};
use crate::cells::{days, micros};
use crate::marks::{Batch, mark, read_token, write_token};
use crate::spec::Opening;
use async_trait::async_trait;
use kernel::gate::Op;
use kernel::source::{Pulled, Source};
use kernel::{Error, Positions, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

/// Rows of the lookback that a position remembers; more make it shorter.
const SEEN_MAX: usize = 50_000;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Token {
    /// The greatest cursor that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Json>,
    /// The last key of that cursor: without a lookback, or when too many rows have it to remember each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key: Vec<Json>,
    /// By cursor, in units or microseconds, the rows that were taken: with a lookback.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    seen: BTreeMap<i128, BTreeSet<String>>,
    /// Of cursors below this one, not all rows are remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<i128>,
}

pub struct Incremental {
    opening: Opening,
    options: Options,
    scan: Option<Scan>,
    batch: Batch,
    token: Token,
    /// The token of the last batch that was handed out.
    handed: Token,
    /// Of the table: the cursor, then the key.
    columns: Vec<Column>,
    /// The statement has ended, which is told once.
    ended: bool,
    /// Whether it was looked for rows that no run takes.
    looked: bool,
}

impl Incremental {
    pub fn open(opening: Opening, options: Options) -> Result<Self> {
        let partition = partition(&opening, &options)?;
        let (taken, token) = match mark(&opening.from, &partition) {
            Some((rows, token, _)) => (rows, read_token(&partition, token)?),
            None => (0, Token::default()),
        };
        let batch = Batch::new(partition, taken, true);
        Ok(Self {
            opening,
            options,
            scan: None,
            batch,
            handed: token.clone(),
            token,
            columns: Vec::new(),
            ended: false,
            looked: false,
        })
    }

    async fn start(&mut self) -> Result<(Scan, Vec<Column>)> {
        let mut conn = connect(&self.opening, &self.options).await?;
        let table = Table::read(&mut conn, &self.opening.source, &self.options).await?;
        let is_mariadb = is_mariadb(&mut conn).await?;
        let columns = self.bounds(&table)?;
        if !std::mem::replace(&mut self.looked, true) && columns[0].nullable {
            look_for_nulls(&mut conn, &table, &columns[0].name).await?;
        }
        let chosen = table.chosen(&self.options)?;
        let plan = Plan::new(table, chosen, &self.opening.entity, &self.options, is_mariadb);
        let which = Which {
            condition: self.condition(&columns)?,
            order: key::order(&columns),
            beside: columns.clone(),
            // A row that comes once more has changed; whether it was new the first time, nobody tells.
            op: Some(Op::Update),
            ..Which::default()
        };
        Ok((Scan::start(conn, plan, which, Patience::of(&self.options)).await?, columns))
    }

    /// The cursor and the key, which tell rows apart.
    fn bounds(&self, table: &Table) -> Result<Vec<Column>> {
        let name = self.options.cursor.as_deref().unwrap_or_default();
        let refuse = |detail: String| Err(Error::project(format!("the cursor `{name}` of {}", table.shown()), detail));
        let Some(cursor) = table.column(name) else {
            let hint = kernel::suggest::hint(name, table.columns.iter().map(|c| c.name.as_str())).unwrap_or_default();
            return refuse(format!("the table has no such column; {hint}"));
        };
        let kinds = [Kind::Int, Kind::Decimal, Kind::Date, Kind::DateTime, Kind::Timestamp];
        if !kinds.contains(&cursor.kind) {
            return refuse("it is neither a whole number, nor a decimal, nor a time".into());
        }
        if !is_open(&self.opening.entity, name) {
            return refuse(
                "its last value is kept in the clear, so the contract must name it, without a mask or a personal class"
                    .into(),
            );
        }
        match (self.options.lookback, cursor.kind) {
            (Some(Lookback::Micros(_)), Kind::Int | Kind::Decimal) => {
                return refuse("it is a number: write `lookback` as one".into());
            }
            (Some(Lookback::Units(_)), Kind::Date | Kind::DateTime | Kind::Timestamp) => {
                return refuse("it is a time: write `lookback` as a span, such as `15 minutes`".into());
            }
            _ => {}
        }
        let mut columns = vec![cursor.clone()];
        if table.unique.iter().any(|column| column == name) {
            return Ok(columns);
        }
        match table.open_key(&self.opening.entity) {
            Some(key) => columns.extend(key.into_iter().filter(|column| column.name != name)),
            None => {
                return refuse(
                    "several rows may have one value of it, and nothing tells them apart: the table needs a primary key, of whole \
                     columns, that the contract names, without a mask or a personal class, or the cursor an own unique index; else use `mode: cdc`"
                        .into(),
                );
            }
        }
        Ok(columns)
    }

    fn condition(&self, columns: &[Column]) -> Result<Option<(String, Vec<mysql_async::Value>)>> {
        let Some(at) = &self.token.at else { return Ok(None) };
        let wrong = || {
            Error::data(
                format!("go on with {}", self.batch.partition),
                "its position is of another cursor or key; set another `refresh`",
            )
        };
        let condition = match self.options.lookback.filter(|_| self.token.key.is_empty()) {
            None => {
                let values: Vec<Json> = std::iter::once(at.clone()).chain(self.token.key.iter().cloned()).collect();
                key::behind(columns, &values)
            }
            Some(_) => {
                let from = self.low(&columns[0], at).ok_or_else(wrong)?;
                key::from(&columns[0], &from)
            }
        };
        condition.map(Some).ok_or_else(wrong)
    }

    /// From which cursor on rows are looked for.
    fn low(&self, cursor: &Column, at: &Json) -> Option<Json> {
        let back = match self.options.lookback? {
            Lookback::Units(units) => i128::from(units) * 10_i128.checked_pow(u32::from(scale(cursor)))?,
            Lookback::Micros(micros) => i128::from(micros),
        };
        let mut low = number(cursor, at)? - back;
        low = low.max(self.token.cut.unwrap_or(low));
        shown(cursor, low)
    }

    /// Whether a row is new; it is remembered then.
    fn take(token: &mut Token, options: &Options, columns: &[Column], beside: &Beside<'_>) -> Result<bool> {
        let fault = |column: &Column, why: &str| {
            let detail = format!("a value of column `{}` can't be a place to go on from: {why}", column.name);
            Error::data("read a table by its cursor", detail)
        };
        let no_bound = "follow the table by `mode: cdc`, or read it by `mode: snapshot`";
        // A row without a cursor is before all others and has no place.
        let Some(at) = beside.kept(0) else { return Ok(false) };
        let kept = |place: usize| beside.kept(place).ok_or_else(|| fault(&columns[place], no_bound));
        let key: Vec<Json> = (1..columns.len()).map(kept).collect::<Result<_>>()?;
        let Some(lookback) = options.lookback else {
            (token.at, token.key) = (Some(at), key);
            return Ok(true);
        };
        let value = number(&columns[0], &at).ok_or_else(|| fault(&columns[0], unreckoned(&columns[0])))?;
        if !token.key.is_empty() {
            if token.at.as_ref() == Some(&at) {
                token.key = key;
                return Ok(true);
            }
            token.key.clear();
            token.cut = Some(value);
        }
        if !token.seen.entry(value).or_default().insert(hash(&key)) {
            return Ok(false);
        }
        let last = token.at.as_ref().and_then(|last| number(&columns[0], last));
        if last.is_none_or(|last| value > last) {
            token.at = Some(at);
        }
        forget(token, &columns[0], lookback);
        let count = token.seen.get(&value).map_or(0, BTreeSet::len);
        if count > SEEN_MAX
            && token.at.as_ref().and_then(|at| number(&columns[0], at)) == Some(value)
            && !key.is_empty()
        {
            token.seen.clear();
            token.key = key;
        }
        Ok(true)
    }

    async fn pull(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        let scan = match &mut self.scan {
            Some(scan) => scan,
            None => {
                let (what, patience) = (format!("read the table {}", self.options.table), Patience::of(&self.options));
                let (scan, columns) = patience.beginning(&what, self.start()).await?;
                scan.plan().begin(&mut self.batch);
                self.columns = columns;
                self.scan.insert(scan)
            }
        };
        let (token, options, columns) = (&mut self.token, &self.options, &self.columns);
        let size = (bytes_max, options.batch_rows_max);
        let more = scan.fill(&mut self.batch, size, |beside| Self::take(token, options, columns, &beside)).await?;
        if !more {
            self.scan = None;
            self.ended = true;
        }
        match self.batch.cells.rows() {
            0 => Ok(None),
            _ => {
                self.handed = self.token.clone();
                self.batch.finish(write_token(&self.handed)?, false, true).map(Some)
            }
        }
    }
}

/// Why no span reaches back from a value of the cursor.
fn unreckoned(cursor: &Column) -> &'static str {
    match cursor.kind {
        Kind::Decimal => {
            "`lookback` reckons with at most 38 digits, those behind the point of its type among them: leave `lookback` out, take a cursor \
             with fewer digits, or follow the table by `mode: cdc`"
        }
        _ => {
            "`lookback` does not reckon with dates that are none (`0000-00-00`): write another date there, leave `lookback` out, or follow \
             the table by `mode: cdc`"
        }
    }
}

/// Tells of rows that have no cursor: they have no place among the others, so that no run ever takes them.
async fn look_for_nulls(conn: &mut Conn, table: &Table, cursor: &str) -> Result<()> {
    let sql = format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", table.quoted(), quoted(cursor));
    let found: Option<u8> = conn.query_first(sql).await.map_err(|e| fault("look for rows without a cursor", e))?;
    if found.is_some() {
        tracing::warn!(
            table = table.shown(),
            cursor,
            "some rows have no value in the cursor's column, and `mode: incremental` never takes them: fill the column and declare it NOT NULL, \
             read by another `cursor`, or follow the table by `mode: cdc`"
        );
    }
    Ok(())
}

/// Lets go what is further back than rows are looked for.
fn forget(token: &mut Token, cursor: &Column, lookback: Lookback) {
    let Some(at) = token.at.as_ref().and_then(|at| number(cursor, at)) else { return };
    let back = match lookback {
        Lookback::Units(units) => i128::from(units) * 10_i128.checked_pow(u32::from(scale(cursor))).unwrap_or(1),
        Lookback::Micros(micros) => i128::from(micros),
    };
    token.seen = token.seen.split_off(&(at - back));
    let mut count: usize = token.seen.values().map(BTreeSet::len).sum();
    while count > SEEN_MAX && token.seen.len() > 1 {
        count -= token.seen.pop_first().map_or(0, |(_, rows)| rows.len());
        token.cut = token.seen.keys().next().copied();
    }
}

fn hash(key: &[Json]) -> String {
    let mut hasher = twox_hash::XxHash64::with_seed(0);
    for value in key {
        hasher.write(value.to_string().as_bytes());
        hasher.write_u8(0);
    }
    format!("{:016x}", hasher.finish())
}

fn scale(cursor: &Column) -> u8 {
    if cursor.kind == Kind::Decimal { cursor.scale } else { 0 }
}

/// A cursor as a whole number: of units, of the last digit, or of microseconds.
fn number(cursor: &Column, value: &Json) -> Option<i128> {
    let text = match value {
        Json::Number(number) => return number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)),
        Json::String(text) => text,
        _ => return None,
    };
    if cursor.kind == Kind::Decimal {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        return format!("{whole}{fraction:0<width$}", width = usize::from(cursor.scale)).parse().ok();
    }
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
    let day = days(i32::try_from(part(0..4)?).ok()?, part(5..7)?, part(8..10)?)?;
    if cursor.kind == Kind::Date {
        return Some(i128::from(micros(day, 0, 0, 0, 0)));
    }
    Some(i128::from(micros(day, part(11..13)?, part(14..16)?, part(17..19)?, part(20..26)?)))
}

/// The reverse of [`number`].
fn shown(cursor: &Column, number: i128) -> Option<Json> {
    let mut text = String::new();
    match cursor.kind {
        Kind::Int if cursor.unsigned => return Some(u64::try_from(number.max(0)).ok()?.into()),
        Kind::Int => return Some(i64::try_from(number.max(i64::MIN.into())).ok()?.into()),
        Kind::Decimal => {
            let (sign, digits) = (if number < 0 { "-" } else { "" }, number.unsigned_abs().to_string());
            let digits = format!("{digits:0>width$}", width = usize::from(cursor.scale) + 1);
            let (whole, fraction) = digits.split_at(digits.len() - usize::from(cursor.scale));
            text = format!("{sign}{whole}.{fraction}");
        }
        // The first day that MySQL has.
        kind => {
            let first = days(1, 1, 1).map(|day| micros(day, 0, 0, 0, 0))?;
            let micros = i64::try_from(number).ok()?.max(first);
            crate::cells::write_text(&mut text, &crate::cells::Cell::Micros(micros));
            if kind == Kind::Date {
                text.truncate(10);
            }
        }
    }
    Some(text.trim_end_matches('.').into())
}

#[async_trait]
impl Source for Incremental {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        if std::mem::take(&mut self.ended) {
            return Ok(None);
        }
        match self.pull(bytes_max).await {
            Ok(Some(pulled)) => Ok(Some(pulled)),
            Ok(None) => {
                self.ended = false;
                Ok(None)
            }
            Err(error) => {
                (self.scan, self.token) = (None, self.handed.clone());
                Err(error)
            }
        }
    }

    /// Nothing to forget: a table stays where it is.
    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cursor(kind: Kind) -> Column {
        Column {
            name: "c".into(),
            kind,
            unsigned: false,
            bits: 64,
            is_flag: false,
            precision: 10,
            scale: 2,
            octets: 0,
            charset: String::new(),
            labels: Vec::new(),
            nullable: false,
            is_virtual: false,
            comment: String::new(),
        }
    }

    #[test]
    fn cursors_are_numbers_and_come_back() {
        for (kind, value, expected) in [
            (Kind::Int, json!(-7), -7),
            (Kind::Decimal, json!("-1.05"), -105),
            (Kind::Decimal, json!("0.05"), 5),
            (Kind::Date, json!("1970-01-02"), 86_400_000_000),
        ] {
            assert_eq!(number(&cursor(kind), &value), Some(expected));
            assert_eq!(shown(&cursor(kind), expected), Some(value));
        }
        let time = cursor(Kind::Timestamp);
        assert_eq!(number(&time, &json!("1970-01-01 00:00:01.000002")), Some(1_000_002));
        assert_eq!(shown(&time, 1_000_002), Some(json!("1970-01-01 00:00:01.000002")));
    }

    #[test]
    fn a_value_that_no_lookback_reckons_with_is_told_by_its_kind() {
        let wide = Column { precision: 65, scale: 30, ..cursor(Kind::Decimal) };
        assert_eq!(number(&wide, &json!("12345678.5")), Some(123_456_785 * 10_i128.pow(29)));
        assert_eq!(number(&wide, &json!("999999999.5")), None, "39 digits");
        assert!(unreckoned(&wide).contains("38 digits"));
        let time = cursor(Kind::DateTime);
        assert_eq!(number(&time, &json!("0000-00-00 00:00:00.000000")), None);
        assert!(unreckoned(&time).contains("0000-00-00"));
    }

    #[test]
    fn what_is_out_of_sight_is_forgotten() {
        let rows = |n: usize| (0..n).map(|row| row.to_string()).collect::<BTreeSet<_>>();
        let seen = BTreeMap::from([(1, rows(1)), (5, rows(SEEN_MAX)), (9, rows(2))]);
        let mut token = Token { at: Some(json!(9)), seen, ..Token::default() };
        forget(&mut token, &cursor(Kind::Int), Lookback::Units(4));
        assert_eq!(token.seen.keys().copied().collect::<Vec<_>>(), [9], "too many are let go from the back");
        assert_eq!(token.cut, Some(9));
        let kept = write_token(&token).expect("a token");
        assert_eq!(read_token::<Token>("t", &kept).expect("the same"), token);
    }
}
