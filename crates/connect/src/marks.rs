//! What sources of rows by number have in common: the batch that grows, and positions of a count and a token.

use crate::cells::{Cell, Cells};
use crate::spec::Fault;
use arrow::array::Int64Array;
use kernel::gate::{Changes, Raw};
use kernel::source::Pulled;
use kernel::{Entity, Error, Point, Positions, Result};
use std::sync::Arc;

/// Rows on their way out, numbered in their partition.
pub struct Batch {
    pub partition: Arc<str>,
    pub cells: Cells,
    /// Of a source of changes.
    pub changes: Option<Changes>,
    /// Rows of the partition that were handed out.
    pub taken: u64,
}

impl Batch {
    pub fn new(partition: Arc<str>, taken: u64, has_changes: bool) -> Self {
        Self { partition, cells: Cells::new([]), changes: has_changes.then(Changes::default), taken }
    }

    /// Lets go what was not handed out, and goes on with other columns.
    pub fn restart(&mut self, cells: Cells) {
        self.cells = cells;
        self.changes = self.changes.as_ref().map(|_| Changes::default());
    }

    /// Puts a cell in, or says which column and row it is that can't be read.
    pub fn push(&mut self, name: &str, at: usize, cell: Result<Cell<'_>, &str>) -> Result<()> {
        let refused = match cell {
            Ok(cell) => match self.cells.push(at, cell) {
                true => return Ok(()),
                false => "is not of its column's type",
            },
            Err(refused) => refused,
        };
        let row = self.taken + self.cells.rows() as u64 + 1;
        Err(Error::data(format!("read {}", self.partition), format!("column `{name}` of row {row} {refused}")))
    }

    pub fn is_full(&self, bytes_max: usize, rows_max: usize) -> bool {
        self.cells.rows() >= rows_max || (self.cells.rows() > 0 && self.cells.bytes() >= bytes_max)
    }

    /// What was gathered, and the position behind it.
    pub fn finish(&mut self, token: String, done: bool, whole: bool) -> Result<Pulled> {
        let broken = |e| Error::internal("put a batch together", "its columns do not fit its schema").because(e);
        let batch = self.cells.finish().map_err(broken)?;
        let first = self.taken as i64 + 1;
        let offsets = Int64Array::from_iter_values(first..first + batch.num_rows() as i64);
        self.taken += batch.num_rows() as u64;
        let mut rows = Raw::new(batch, self.partition.clone(), offsets)?;
        if let Some(changes) = &mut self.changes {
            rows = rows.with_changes(std::mem::take(changes))?;
        }
        let mut upto = Positions::new();
        upto.set(&*self.partition, Point::Mark { rows: self.taken, token, done });
        Ok(Pulled { rows: rows.into(), upto, whole })
    }
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
    use crate::files::testing::entity;
    use serde_json::{Value, json};

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
