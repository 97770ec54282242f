//! Changes that wait to become a batch, and the look-up of what the server did not send.

use super::pgoutput::{Cell, Old, Tuple};
use crate::postgres::client::{Client, quoted, shown_columns};
use crate::postgres::rows::Rows;
use crate::postgres::table::{Layout, Table};
use bytes::Bytes;
use kernel::error::{Error, Result};
use kernel::gate::{Changes, Op};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One row of a change log to be.
pub struct Change {
    pub op: Op,
    /// Microseconds since 1970.
    pub at: i64,
    pub cells: Tuple,
    pub earlier: Earlier,
}

/// Whether the lake has an earlier row that has what was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    Known,
    /// It may have been missed, for it moved while the table was read.
    Missed,
    /// It has another key.
    OtherKey,
}

#[derive(Default)]
pub struct Pending {
    pub changes: Vec<Change>,
    pub bytes: usize,
    /// Values that were looked up for rows that have another key now: by their change, each with its column's place.
    found: Vec<(usize, Vec<(usize, Cell)>)>,
    /// Whether some of them are of a moment up to which the log may not have been read.
    pub is_unsure: bool,
}

/// An update as rows: one, or two when the row's key is another one now.
pub fn updated(old: Old, mut new: Tuple, key: &[usize], at: i64, earlier: Earlier) -> Vec<Change> {
    let (before, is_whole) = match old {
        Old::Nothing => return vec![Change { op: Op::Update, at, cells: new, earlier }],
        Old::Key(before) => (before, false),
        Old::Whole(before) => (before, true),
    };
    if is_whole {
        for (new, before) in new.iter_mut().zip(&before).filter(|(new, _)| **new == Cell::Unsent) {
            new.clone_from(before);
        }
    }
    let differs = |at: &usize| match (before.get(*at), new.get(*at)) {
        (Some(before), Some(new)) => *new != Cell::Unsent && before != new,
        _ => false,
    };
    if !key.iter().any(differs) {
        return vec![Change { op: Op::Update, at, cells: new, earlier }];
    }
    // The new key has no earlier row to have the rest from.
    let gone = Change { op: Op::Delete, at, cells: before, earlier: Earlier::Known };
    vec![gone, Change { op: Op::Create, at, cells: new, earlier: Earlier::OtherKey }]
}

impl Pending {
    pub fn push(&mut self, change: Change, bytes: usize) {
        self.changes.push(change);
        self.bytes += bytes;
    }

    /// Values that were not sent and that no earlier row has are asked for. What the table has now is right or is put
    /// right by a change that is still to come; for a row of another key, `settle` tells which. A row that is gone has nothing
    /// to be asked for.
    pub async fn complete(&mut self, client: &Client, table: &Table, layout: &Layout) -> Result<()> {
        let asks = |change: &Change| change.earlier != Earlier::Known && change.cells.contains(&Cell::Unsent);
        let alone: Vec<usize> = (0..self.changes.len()).filter(|at| asks(&self.changes[*at])).collect();
        if alone.is_empty() {
            return Ok(());
        }
        let by: Vec<(usize, &str, &str)> = table
            .columns
            .iter()
            .filter(|column| column.identifies)
            .filter_map(|column| {
                let place = layout.iter().position(|(name, _)| *name == column.name)?;
                Some((place, &*column.name, column.type_name.as_str()))
            })
            .collect();
        let known: Vec<(usize, &Arc<str>)> =
            layout.iter().map(|(name, _)| name).enumerate().filter(|(_, name)| table.column(name).is_some()).collect();
        for part in alone.chunks(LOOKED_UP_AT_ONCE) {
            let found = self.look_up(client, table, &by, &known, part).await?;
            self.take(found.into_iter().map(|(change, cells)| {
                let cell = |text: Option<String>| text.map_or(Cell::Null, |text| Cell::Text(Bytes::from(text)));
                (change, known.iter().map(|(place, _)| *place).zip(cells.into_iter().map(cell)).collect())
            }));
            part.iter().for_each(|change| self.changes[*change].earlier = Earlier::Known);
        }
        Ok(())
    }

    /// Takes what was looked up.
    fn take(&mut self, found: impl Iterator<Item = (usize, Vec<(usize, Cell)>)>) {
        for (at, mut cells) in found {
            let change = &mut self.changes[at];
            cells.retain(|(place, _)| change.cells[*place] == Cell::Unsent);
            match change.earlier {
                Earlier::OtherKey => {
                    self.found.push((at, cells));
                    self.is_unsure = true;
                }
                Earlier::Missed | Earlier::Known => {
                    cells.into_iter().for_each(|(place, cell)| change.cells[place] = cell);
                }
            }
        }
    }

    /// Gives rows of another key what was looked up for them, but no value that a later change has written: what such a row
    /// had before, the table does not tell any more. The changes must reach to the moment of the look-up.
    pub fn settle(&mut self, key: &[usize]) {
        if self.found.is_empty() {
            return;
        }
        let own =
            |change: &Change| -> Vec<Option<Cell>> { key.iter().map(|at| change.cells.get(*at).cloned()).collect() };
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(at, _)| *at);
        // Of each key, the columns that were written later; none where the row went, and what has the key now is another.
        let mut written: HashMap<Vec<Option<Cell>>, Option<HashSet<usize>>> = HashMap::new();
        found.iter().for_each(|(at, _)| drop(written.insert(own(&self.changes[*at]), Some(HashSet::new()))));
        for at in (0..self.changes.len()).rev() {
            let name = own(&self.changes[at]);
            if let Some((_, cells)) = found.pop_if(|(change, _)| *change == at) {
                let is_sure = |place: &usize| {
                    written.get(&name).is_some_and(|columns| columns.as_ref().is_some_and(|all| !all.contains(place)))
                };
                let cells = cells.into_iter().filter(|(place, _)| is_sure(place));
                cells.for_each(|(place, cell)| self.changes[at].cells[place] = cell);
            }
            let change = &self.changes[at];
            match (change.op, written.get_mut(&name)) {
                (Op::Truncate, _) => written.values_mut().for_each(|columns| *columns = None),
                (Op::Update, Some(Some(columns))) => {
                    let sent = change.cells.iter().enumerate().filter(|(_, cell)| **cell != Cell::Unsent);
                    columns.extend(sent.map(|(place, _)| place));
                }
                (Op::Read | Op::Create | Op::Delete, Some(columns)) => *columns = None,
                (Op::Read | Op::Create | Op::Update | Op::Delete, _) => {}
            }
        }
    }

    async fn look_up(
        &self,
        client: &Client,
        table: &Table,
        by: &[(usize, &str, &str)],
        known: &[(usize, &Arc<str>)],
        changes: &[usize],
    ) -> Result<Vec<(usize, Vec<Option<String>>)>> {
        let texts = |place: usize| -> Vec<Option<String>> {
            changes.iter().map(|at| text(&self.changes[*at].cells[place])).collect()
        };
        let keys: Vec<Vec<Option<String>>> = by.iter().map(|(place, ..)| texts(*place)).collect();
        let given: Vec<String> = (1..=by.len()).map(|at| format!("${at}::text[]")).collect();
        let names: Vec<String> = (1..=by.len()).map(|at| format!("k{at}")).collect();
        let same = by.iter().enumerate();
        let same: Vec<String> =
            same.map(|(at, (_, name, of))| format!("t.{} = w.k{}::{of}", quoted(name), at + 1)).collect();
        let selected = shown_columns("t", known.iter().map(|(_, name)| &***name));
        let sql = format!(
            "SELECT w.n, {selected} FROM unnest({}) WITH ORDINALITY AS w({}, n) JOIN {} t ON {}",
            given.join(", "),
            names.join(", "),
            table.own_rows(),
            same.join(" AND ")
        );
        let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            keys.iter().map(|key| key as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
        let what = format!("look up values of {}", table.shown());
        let rows = client.ask(&what, client.query(sql.as_str(), &parameters)).await?;
        let place = |row: &tokio_postgres::Row| usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or_default();
        let cells = |row: &tokio_postgres::Row| (0..known.len()).map(|at| row.get(at + 1)).collect();
        Ok(rows.iter().filter_map(|row| Some((*changes.get(place(row))?, cells(row)))).collect())
    }

    /// Takes the changes out, as columns and as what they did.
    pub fn columns(&mut self, layout: &Layout, rows: &mut Rows) -> Result<Changes> {
        let mut told = Changes::default();
        for change in &self.changes {
            let mut unchanged = Vec::new();
            if change.cells.len() != rows.columns.len() {
                return Err(Error::data("read a change", "it has other columns than its table was announced with"));
            }
            for ((cell, column), (name, _)) in change.cells.iter().zip(&mut rows.columns).zip(layout) {
                let bytes = match cell {
                    Cell::Text(text) => Some(&text[..]),
                    Cell::Null => None,
                    Cell::Unsent => {
                        unchanged.push(name.clone());
                        None
                    }
                };
                column.push_text(bytes)?;
            }
            rows.count += 1;
            told.push(change.op, Some(change.at), unchanged);
        }
        self.changes.clear();
        self.found.clear();
        (self.bytes, self.is_unsure) = (0, false);
        Ok(told)
    }
}

const LOOKED_UP_AT_ONCE: usize = 500;

fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        Cell::Null | Cell::Unsent => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &'static str) -> Cell {
        Cell::Text(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_row_with_another_key_is_two_rows() {
        let old = Old::Key(vec![cell("1"), Cell::Null]);
        let rows = updated(old, vec![cell("2"), Cell::Unsent], &[0], 9, Earlier::Known);
        assert_eq!(
            rows.iter().map(|row| (row.op, row.earlier)).collect::<Vec<_>>(),
            [(Op::Delete, Earlier::Known), (Op::Create, Earlier::OtherKey)]
        );
        let old = Old::Key(vec![cell("1"), Cell::Null]);
        assert_eq!(
            updated(old, vec![cell("1"), cell("x")], &[0], 9, Earlier::Known).len(),
            1,
            "a key that was sent and is the same"
        );
    }

    #[test]
    fn a_whole_old_row_tells_what_was_not_sent() {
        let old = Old::Whole(vec![cell("1"), cell("large")]);
        let rows = updated(old, vec![cell("1"), Cell::Unsent], &[0], 9, Earlier::Known);
        assert_eq!((rows.len(), &rows[0].cells[1]), (1, &cell("large")));
    }

    fn change(op: Op, cells: Tuple) -> Change {
        Change { op, at: 0, cells, earlier: Earlier::Known }
    }

    /// What the row of the new key is told to have had, where the table has `now` in the end.
    fn settled(later: Vec<Change>) -> Cell {
        let moved =
            Change { earlier: Earlier::OtherKey, ..change(Op::Create, vec![cell("12"), cell("7"), Cell::Unsent]) };
        let mut pending = Pending { changes: vec![moved], ..Pending::default() };
        pending.changes.extend(later);
        pending.take([(0, vec![(1, cell("8")), (2, cell("now"))])].into_iter());
        assert!(pending.is_unsure);
        pending.settle(&[0]);
        assert_eq!(pending.changes[0].cells[1], cell("7"), "what was sent stays");
        pending.changes[0].cells[2].clone()
    }

    #[test]
    fn a_row_of_another_key_never_has_what_was_written_later() {
        let (own, other) = (|| cell("12"), || cell("13"));
        assert_eq!(settled(vec![]), cell("now"));
        assert_eq!(settled(vec![change(Op::Update, vec![own(), cell("8"), Cell::Unsent])]), cell("now"));
        assert_eq!(settled(vec![change(Op::Update, vec![other(), cell("8"), cell("now")])]), cell("now"));
        assert_eq!(settled(vec![change(Op::Update, vec![own(), cell("8"), cell("now")])]), Cell::Unsent);
        let gone = change(Op::Delete, vec![own(), Cell::Null, Cell::Null]);
        let again = change(Op::Create, vec![own(), cell("8"), cell("now")]);
        assert_eq!(settled(vec![gone, again]), Cell::Unsent, "another row has the key now");
        assert_eq!(settled(vec![change(Op::Truncate, vec![Cell::Null, Cell::Null, Cell::Null])]), Cell::Unsent);
    }

    #[test]
    fn a_row_that_may_have_been_missed_has_what_the_table_has() {
        let missed = Change { earlier: Earlier::Missed, ..change(Op::Update, vec![cell("1"), Cell::Unsent]) };
        let mut pending = Pending { changes: vec![missed], ..Pending::default() };
        pending.take([(0, vec![(1, cell("now"))])].into_iter());
        assert!(!pending.is_unsure);
        assert_eq!(pending.changes[0].cells[1], cell("now"));
    }
}
