//! What sources of rows by number have in common: the batch that grows, and positions of a count and a token.

use crate::cells::{Cell, Cells};
use crate::spec::Fault;
use arrow::array::{BooleanArray, Int64Array};
use arrow::compute::filter_record_batch;
use kernel::gate::{Changes, Malformed, Op, Raw};
use kernel::source::Pulled;
use kernel::{Entity, Error, Point, Positions, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why there is no cell; says nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// This value can't be read: its row is set aside.
    Value(&'static str),
    /// What the source gives can't be read as long as it is set up like this: it stops.
    Source(&'static str),
}

/// Rows on their way out, numbered in their partition.
pub struct Batch {
    pub partition: Arc<str>,
    pub cells: Cells,
    /// Of a source of changes.
    pub changes: Option<Changes>,
    /// Rows of the partition that were handed out, also those that could not be read.
    pub taken: u64,
    /// Rows with a value that can't be read, by their place in the batch, and why.
    refused: BTreeMap<usize, String>,
}

impl Batch {
    pub fn new(partition: Arc<str>, taken: u64, has_changes: bool) -> Self {
        Self {
            partition,
            cells: Cells::new([]),
            changes: has_changes.then(Changes::default),
            taken,
            refused: BTreeMap::new(),
        }
    }

    /// Lets go what was not handed out, and goes on with other columns.
    pub fn restart(&mut self, cells: Cells) {
        self.cells = cells;
        self.changes = self.changes.as_ref().map(|_| Changes::default());
        self.refused.clear();
    }

    /// Puts a cell in. A row with a value that can't be read is set aside, and the others come.
    pub fn push(&mut self, name: &str, at: usize, cell: Result<Cell<'_>, Refused>) -> Result<()> {
        let refused = match cell {
            Ok(cell) => match self.cells.push(at, cell) {
                true => return Ok(()),
                false => "is not of its column's type",
            },
            Err(Refused::Value(refused)) if self.cells.push(at, Cell::Null) => {
                self.refused.entry(self.cells.rows()).or_insert_with(|| format!("column `{name}` {refused}"));
                return Ok(());
            }
            Err(Refused::Value(refused) | Refused::Source(refused)) => refused,
        };
        let row = self.taken + self.cells.rows() as u64 + 1;
        Err(Error::data(format!("read {}", self.partition), format!("column `{name}` of row {row} {refused}")))
    }

    pub fn is_full(&self, bytes_max: usize, rows_max: usize) -> bool {
        self.cells.rows() >= rows_max || (self.cells.rows() > 0 && self.cells.bytes() >= bytes_max)
    }

    /// What was gathered, and the position behind it.
    pub fn finish(&mut self, token: String, done: bool, whole: bool) -> Result<Pulled> {
        let rows = self.cells.rows();
        self.finish_first(rows, token, done, whole)
    }

    /// The first rows of what was gathered, and the position behind them; the others are let go.
    pub fn finish_first(&mut self, count: usize, token: String, done: bool, whole: bool) -> Result<Pulled> {
        let broken = |e| Error::internal("put a batch together", "its columns do not fit its schema").because(e);
        let batch = self.cells.finish().map_err(broken)?;
        let rows = batch.num_rows();
        let batch = batch.slice(0, count.min(rows));
        let mut changes = self.changes.as_mut().map(std::mem::take);
        let mut refused = std::mem::take(&mut self.refused);
        // Of a row that goes nothing but its key matters.
        let goes = |row: &usize| changes.as_ref().is_some_and(|changes| changes.ops.get(*row) == Some(&Op::Delete));
        refused.retain(|row, _| *row < batch.num_rows() && !goes(row));
        let first = self.taken as i64 + 1;
        self.taken += batch.num_rows() as u64;
        let is_kept = |row: &usize| !refused.contains_key(row);
        let kept = BooleanArray::from_iter((0..batch.num_rows()).map(|row| Some(is_kept(&row))));
        let offsets = Int64Array::from_iter_values((0..batch.num_rows()).filter(is_kept).map(|row| first + row as i64));
        if let Some(changes) = changes.as_mut().filter(|_| !refused.is_empty() || batch.num_rows() < rows) {
            *changes = only(std::mem::take(changes), &kept);
        }
        let batch = if refused.is_empty() { batch } else { filter_record_batch(&batch, &kept).map_err(broken)? };
        let malformed = refused.into_iter().map(|(row, reason)| Malformed { offset: first + row as i64, reason });
        let mut raw = Raw::new(batch, self.partition.clone(), offsets)?.with_malformed(malformed.collect());
        if let Some(changes) = changes {
            raw = raw.with_changes(changes)?;
        }
        let mut upto = Positions::new();
        upto.set(&*self.partition, Point::Mark { rows: self.taken, token, done });
        Ok(Pulled { rows: raw.into(), upto, whole })
    }
}

/// What happened to the rows that are kept.
fn only(changes: Changes, kept: &BooleanArray) -> Changes {
    let mut only = Changes { own: changes.own, ..Changes::default() };
    let rows = changes.ops.into_iter().zip(changes.at).zip(changes.unchanged).zip(kept.values());
    for (((op, at), unchanged), _) in rows.filter(|(_, is_kept)| *is_kept) {
        only.push(op, at, unchanged);
    }
    only
}

/// Rows taken, token and end of a partition that was begun.
pub fn mark<'p>(from: &'p Positions, partition: &str) -> Option<(u64, &'p str, bool)> {
    match from.get(partition)? {
        Point::Mark { rows, token, done } => Some((*rows, token, *done)),
        Point::Offset(_) | Point::File { .. } => None,
    }
}

/// A token as it was written, or what to do about one that can't be read.
pub fn read_token<T: serde::de::DeserializeOwned>(partition: &str, token: &str) -> Result<T> {
    serde_json::from_str(token).map_err(|e| {
        let detail = format!(
            "its position can't be read ({:?} at {}): it was written by another version or mode",
            e.classify(),
            e.column()
        );
        Error::data(format!("go on with {partition}"), detail)
    })
}

pub fn write_token<T: serde::Serialize>(token: &T) -> Result<String> {
    serde_json::to_string(token).map_err(|e| Error::internal("write a position", e))
}

/// What makes a table that is taken again, as further rows, unfit for a contract: of a key that is there already, the gate
/// sets each further row aside. `follow` says by which modes changes come.
pub fn again(is_set: bool, entity: &Entity, follow: Option<&str>) -> Vec<Fault> {
    let columns = entity.properties.iter().filter(|column| column.unique || column.primary_key.is_some());
    let columns: Vec<String> = columns.map(|column| format!("`{}`", column.name)).collect();
    if !is_set || columns.is_empty() {
        return Vec::new();
    }
    let why = format!(
        "`refresh` takes all rows again, as further ones, and by the contract no two rows have the same {}: each row that is \
         there already would be set aside, changed or not",
        columns.join(", ")
    );
    let mut help = "for one reading behind the other, leave `primaryKey` and `unique` out of the contract".to_owned();
    if let Some(follow) = follow {
        help.push_str(&format!(
            "; for the rows as they are now, `{follow}` with `materialize: current`, without `refresh`"
        ));
    }
    vec![Fault { help: Some(help), ..Fault::new("refresh", why) }]
}

/// The same faults as one error.
pub fn demand(source: &str, faults: Vec<Fault>) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let told = faults.into_iter().flat_map(|fault| [Some(fault.message), fault.help]).flatten();
    Err(Error::project(format!("source `{source}`"), told.collect::<Vec<_>>().join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::Form;
    use crate::files::testing::entity;
    use serde_json::{Value, json};

    /// Rows of an id and a text that can be read where it is there; of changes if they say what happened.
    fn batch(rows: &[(i64, Option<&str>, Option<Op>)]) -> Batch {
        let mut batch = Batch::new("shop.orders".into(), 10, rows.iter().any(|(.., op)| op.is_some()));
        batch.restart(Cells::new([("id", Form::Int), ("name", Form::Text)]));
        for (id, name, op) in rows {
            batch.push("id", 0, Ok(Cell::Int(*id))).expect("a cell");
            batch
                .push("name", 1, name.map(|name| Cell::Text(name.into())).ok_or(Refused::Value("is no UTF-8")))
                .expect("a cell");
            batch.cells.end_row();
            if let (Some(changes), Some(op)) = (&mut batch.changes, op) {
                changes.push(*op, None, Vec::new());
            }
        }
        batch
    }

    fn told(pulled: Pulled) -> (Vec<String>, usize, u64) {
        let rows = pulled.rows.into_raw().expect("raw rows");
        let malformed = rows.num_malformed();
        let mut gate = kernel::laws::source::as_text(rows.has_changes());
        let batch = gate.pass(rows, kernel::clock::Timestamp(0)).expect("a pass").safe.into_batch();
        let text = |column: &str, row: usize| {
            let column = batch.column_by_name(column);
            column.map_or(String::new(), |column| {
                arrow::util::display::array_value_to_string(column, row).expect("a text")
            })
        };
        let rows =
            (0..batch.num_rows()).map(|row| format!("{} {} {}", text("_op", row), text("id", row), text("name", row)));
        let Some(Point::Mark { rows: taken, .. }) = pulled.upto.get("shop.orders") else { panic!("a mark") };
        (rows.collect(), malformed, *taken)
    }

    #[test]
    fn a_row_with_a_value_that_can_not_be_read_is_set_aside_and_the_others_come() {
        let mut plain = batch(&[(1, Some("a"), None), (2, None, None), (3, Some("c"), None)]);
        let (rows, malformed, taken) = told(plain.finish(String::new(), true, true).expect("a batch"));
        assert_eq!((rows, malformed, taken), (vec![" 1 a".to_owned(), " 3 c".to_owned()], 1, 13));
        plain.push("id", 0, Ok(Cell::Int(4))).expect("a cell");
        plain.push("name", 1, Ok(Cell::Text("d".into()))).expect("a cell");
        plain.cells.end_row();
        let (rows, malformed, taken) = told(plain.finish(String::new(), true, true).expect("a batch"));
        assert_eq!((rows, malformed, taken), (vec![" 4 d".to_owned()], 0, 14), "it is forgotten then");
    }

    #[test]
    fn what_no_row_can_be_read_with_stops_the_source() {
        let mut begun = batch(&[(1, Some("a"), None)]);
        let told = begun.push("name", 1, Err(Refused::Source("comes in parts"))).expect_err("a stop").to_string();
        assert!(told.contains("column `name` of row 12 comes in parts"), "{told}");
        let told = begun.push("id", 0, Ok(Cell::Text("x".into()))).expect_err("a stop").to_string();
        assert!(told.contains("column `id` of row 12 is not of its column's type"), "{told}");
    }

    #[test]
    fn a_row_that_goes_is_told_by_its_key_whatever_else_can_not_be_read_of_it() {
        use Op::{Create, Delete, Update};
        let all =
            [(1, None, Some(Delete)), (2, None, Some(Update)), (3, Some("c"), Some(Create)), (4, None, Some(Create))];
        let (rows, malformed, taken) = told(batch(&all).finish(String::new(), false, true).expect("a batch"));
        assert_eq!((rows, malformed, taken), (vec!["d 1 ".to_owned(), "c 3 c".to_owned()], 2, 14));
        let (rows, malformed, taken) = told(batch(&all).finish_first(2, String::new(), false, true).expect("a batch"));
        assert_eq!((rows, malformed, taken), (vec!["d 1 ".to_owned()], 1, 12), "what is let go is not set aside");
        let mut begun = batch(&all);
        begun.restart(Cells::new([("id", Form::Int)]));
        begun.push("id", 0, Ok(Cell::Int(5))).expect("a cell");
        begun.cells.end_row();
        begun.changes.as_mut().expect("changes").push(Create, None, Vec::new());
        let (rows, malformed, _) = told(begun.finish(String::new(), false, true).expect("a batch"));
        assert_eq!((rows, malformed), (vec!["c 5 ".to_owned()], 0));
    }

    #[test]
    fn a_table_is_not_taken_again_into_one_whose_keys_are_unique() {
        let (bare, mut keyed, mut unique) = (entity(&["id"]), entity(&["id"]), entity(&["id"]));
        (keyed.properties[0].primary_key, unique.properties[0].unique) = (Some(1), true);
        let told = |connector: &str, more: Value, entity: &Entity| {
            let scheme =
                if connector == "sqlite" { "sqlite:a.db".to_owned() } else { format!("{connector}://u@h/shop") };
            let mut options = json!({ "connection": scheme, "table": "orders" });
            options.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
            (crate::by_name(connector).expect("a connector").fits)(&options, entity)
        };
        for (connector, refresh) in
            [("postgres", json!(1)), ("mysql", json!("2026")), ("mongodb", json!("2026")), ("sqlite", json!("2026"))]
        {
            let given = json!({ "refresh": refresh });
            for entity in [&keyed, &unique] {
                let faults = told(connector, given.clone(), entity);
                assert!(faults.len() == 1 && faults[0].option == "refresh" && faults[0].help.is_some(), "{faults:?}");
                assert!(demand("orders", faults).expect_err("an error").detail.contains("`primaryKey`"));
                assert!(told(connector, json!({}), entity).is_empty(), "{connector}");
            }
            assert!(told(connector, given, &bare).is_empty(), "{connector}");
        }
        let follows = json!({ "mode": "cdc", "refresh": "2026" });
        assert!(told("mysql", follows, &keyed).is_empty(), "it empties the table first");
        let grows = json!({ "mode": "incremental", "cursor": "id", "refresh": "2026" });
        assert!(told("sqlite", grows, &keyed).is_empty(), "a change log has each key many times");
    }
}
