//! Some rows of a data file, in batches of about so many bytes, however wide the rows are.

use crate::kept::open_file;
use crate::table::Table;
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use kernel::error::{Error, Result};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

const BATCH_ROWS_MAX: usize = 8 << 10;
/// About what is decoded at once of a column.
const PAGE_BYTES: u64 = 1 << 20;

/// What of a file is read.
#[derive(Default)]
pub struct Part<'p> {
    /// Columns by their names, those that the file has; all where `None`.
    pub columns: Option<&'p [String]>,
    /// Rows by their numbers from 0, growing; all where `None`.
    pub rows: Option<&'p [u64]>,
    pub batch_bytes: usize,
}

pub async fn read(table: &Table, path: &str, part: Part<'_>) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let (store, name) = (table.store(), table.name());
    let what = format!("read {path} of {name}");
    let mut builder = open_file(store, name, path)
        .await?
        .ok_or_else(|| Error::data(what.clone(), "the log names the file, and it is gone: restore it"))?;
    if let Some(columns) = part.columns {
        let fields = builder.schema().fields().iter().enumerate();
        let roots: Vec<usize> = fields.filter(|(_, f)| columns.contains(f.name())).map(|(at, _)| at).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        builder = builder.with_projection(mask);
    }
    let groups = builder.metadata().row_groups();
    let width = |group: &parquet::file::metadata::RowGroupMetaData| {
        let read = group.columns().iter().filter(|column| {
            let root = column.column_path().parts().first();
            part.columns.is_none_or(|columns| root.is_some_and(|root| columns.contains(root)))
        });
        let bytes: i64 = read.map(|column| column.uncompressed_size()).sum();
        bytes.unsigned_abs() / group.num_rows().unsigned_abs().max(1)
    };
    let mut row_bytes = groups.iter().map(width).max().unwrap_or_default().max(1);
    if let Some(rows) = part.rows {
        // A row that is read alone holds on to the page that it was read from.
        let all: u64 = groups.iter().map(|group| group.num_rows().unsigned_abs()).sum();
        let alone = row_bytes.saturating_mul(all / (rows.len() as u64).max(1));
        row_bytes = row_bytes.max(alone.min(PAGE_BYTES));
    }
    let batch_rows = usize::try_from(part.batch_bytes as u64 / row_bytes).unwrap_or(BATCH_ROWS_MAX);
    if let Some(rows) = part.rows {
        builder = builder.with_row_selection(selection(rows));
    }
    let fault = move |e: parquet::errors::ParquetError| Error::data(what.clone(), &e).because(e);
    let batches = builder.with_batch_size(batch_rows.clamp(1, BATCH_ROWS_MAX)).build().map_err(fault.clone())?;
    Ok(batches.map_err(fault).boxed())
}

fn selection(rows: &[u64]) -> RowSelection {
    let (mut selectors, mut at) = (Vec::<RowSelector>::new(), 0);
    let length = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    for row in rows {
        match selectors.last_mut().filter(|last| !last.skip && *row == at) {
            Some(last) => last.row_count += 1,
            None => {
                if *row > at {
                    selectors.push(RowSelector::skip(length(row - at)));
                }
                selectors.push(RowSelector::select(1));
            }
        }
        at = row + 1;
    }
    selectors.into()
}
