//! Changes that wait to become a batch, and the look-up of what the server did not send.

use super::pgoutput::{Cell, Old, Tuple};
use crate::postgres::client::{Client, fault, quoted, shown_columns};
use crate::postgres::rows::Rows;
use crate::postgres::table::{Layout, Table};
use bytes::Bytes;
use kernel::error::{Error, Result};
use kernel::gate::{Changes, Op};
use std::sync::Arc;

/// One row of a change log to be.
pub struct Change {
    pub op: Op,
    /// Microseconds since 1970.
    pub at: i64,
    pub cells: Tuple,
    /// Whether no earlier row has what was not sent.
    pub is_alone: bool,
}

#[derive(Default)]
pub struct Pending {
    pub changes: Vec<Change>,
    pub bytes: usize,
}

/// An update as rows: one, or two when the row's key is another one now.
pub fn updated(old: Old, mut new: Tuple, key: &[usize], at: i64, is_alone: bool) -> Vec<Change> {
    let (before, is_whole) = match old {
        Old::Nothing => return vec![Change { op: Op::Update, at, cells: new, is_alone }],
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
        return vec![Change { op: Op::Update, at, cells: new, is_alone }];
    }
    // The new key has no earlier row to have the rest from.
    let gone = Change { op: Op::Delete, at, cells: before, is_alone: false };
    vec![gone, Change { op: Op::Create, at, cells: new, is_alone: true }]
}

impl Pending {
    pub fn push(&mut self, change: Change, bytes: usize) {
        self.changes.push(change);
        self.bytes += bytes;
    }

    /// Values that were not sent and that no earlier row has are asked for. What the table has now is right or is put
    /// right by a change that is still to come. A row that is gone has nothing to be asked for.
    pub async fn complete(&mut self, client: &Client, table: &Table, layout: &Layout) -> Result<()> {
        let asks = |change: &Change| change.is_alone && change.cells.contains(&Cell::Unsent);
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
            for (change, cells) in found {
                for ((place, _), text) in known.iter().zip(cells) {
                    let cell = &mut self.changes[change].cells[*place];
                    if *cell == Cell::Unsent {
                        *cell = text.map_or(Cell::Null, |text| Cell::Text(Bytes::from(text)));
                    }
                }
            }
        }
        Ok(())
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
            table.quoted(),
            same.join(" AND ")
        );
        let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            keys.iter().map(|key| key as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
        let rows = client.query(sql.as_str(), &parameters).await;
        let rows = rows.map_err(|e| fault(&format!("look up values of {}", table.shown()), &e))?;
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
        self.bytes = 0;
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
        let rows = updated(old, vec![cell("2"), Cell::Unsent], &[0], 9, false);
        assert_eq!(
            rows.iter().map(|row| (row.op, row.is_alone)).collect::<Vec<_>>(),
            [(Op::Delete, false), (Op::Create, true)]
        );
        let old = Old::Key(vec![cell("1"), Cell::Null]);
        assert_eq!(
            updated(old, vec![cell("1"), cell("x")], &[0], 9, false).len(),
            1,
            "a key that was sent and is the same"
        );
    }

    #[test]
    fn a_whole_old_row_tells_what_was_not_sent() {
        let old = Old::Whole(vec![cell("1"), cell("large")]);
        let rows = updated(old, vec![cell("1"), Cell::Unsent], &[0], 9, false);
        assert_eq!((rows.len(), &rows[0].cells[1]), (1, &cell("large")));
    }
}
