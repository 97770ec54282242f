//! Rows of the table put together: each from its base, and what patches tell over it.

use super::fates::Slice;
use super::fold::{Patch, Place};
use super::key::{column, fault};
use super::log::Log;
use super::read::{Part, read};
use crate::model::scd2::VALIDITY;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{concat_batches, interleave};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::StreamExt;
use kernel::error::Result;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Bytes of a batch of patches.
const BATCH_BYTES: usize = 1 << 20;
/// A column may hold on to so many bytes that none of its rows shows.
const IDLE_BYTES_MAX: usize = 256 << 10;

/// Since when a row of a history holds, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// As the base says.
    Kept,
    Of {
        from: i64,
        to: Option<i64>,
    },
}

/// One row to be made.
pub struct Pick<'s> {
    /// Of the base's batch; without one nobody told the columns that the patches do not tell.
    pub row: Option<usize>,
    pub over: &'s [Patch],
    pub validity: Validity,
}

impl Pick<'_> {
    pub fn kept(row: usize) -> Self {
        Self { row: Some(row), over: &[], validity: Validity::Kept }
    }
}

/// The patches of a slice, in memory.
pub struct Patches {
    rows: HashMap<Place, usize>,
    batch: RecordBatch,
}

impl Patches {
    /// Reads them; `None` when they are more than so many bytes.
    pub async fn load(log: &Log, slice: &Slice, schema: &SchemaRef, bytes_max: usize) -> Result<Option<Self>> {
        let mut wanted: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        for patch in slice.fates.iter().flat_map(|fate| &fate.versions).flat_map(|version| &version.chain.over) {
            wanted.entry(patch.place.file).or_default().insert(patch.place.row);
        }
        let (mut batches, mut rows, mut bytes) = (Vec::new(), HashMap::new(), 0);
        let columns = names(schema);
        for (file, wanted) in wanted {
            let wanted: Vec<u64> = wanted.into_iter().collect();
            let part = Part { columns: Some(&columns), rows: Some(&wanted), batch_bytes: BATCH_BYTES };
            let mut found = read(log.table(), &log.files()[file].path, part).await?;
            let mut numbers = wanted.iter();
            while let Some(batch) = found.next().await {
                let batch = compacted(in_schema(&batch?, schema)?)?;
                bytes += batch.get_array_memory_size();
                if bytes > bytes_max && slice.fates.len() > 1 {
                    return Ok(None);
                }
                for row in numbers.by_ref().take(batch.num_rows()) {
                    rows.insert(Place { file, row: *row }, rows.len());
                }
                batches.push(batch);
            }
        }
        Ok(Some(Self { rows, batch: concat_batches(schema, &batches).map_err(fault)? }))
    }

    /// Makes the rows of these picks.
    pub fn over(&self, base: &RecordBatch, picks: &[Pick<'_>], schema: &SchemaRef) -> Result<RecordBatch> {
        let is_base = |(place, pick): (usize, &Pick)| {
            pick.row == Some(place) && pick.over.is_empty() && pick.validity == Validity::Kept
        };
        if picks.len() == base.num_rows() && picks.iter().enumerate().all(is_base) {
            return in_schema(base, schema);
        }
        let mut columns = Vec::new();
        for (at, field) in schema.fields().iter().enumerate() {
            let own = column(base, field.name(), field.data_type())?;
            let none = new_null_array(field.data_type(), 1);
            let from: [&dyn Array; 3] = [&own, self.batch.column(at), &none];
            let places: Vec<(usize, usize)> = picks.iter().map(|pick| self.place(pick, at)).collect();
            let made = interleave(&from, &places).map_err(fault)?;
            columns.push(match VALIDITY.iter().position(|name| name == field.name()) {
                Some(which) => validity(which, made, picks),
                None => made,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
        compacted(RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(fault)?)
    }

    /// Which of base, patches and nothing tells a column, and in which row.
    fn place(&self, pick: &Pick<'_>, column: usize) -> (usize, usize) {
        let told = pick.over.iter().rev().find(|patch| patch.unchanged.binary_search(&column).is_err());
        match (told.and_then(|patch| self.rows.get(&patch.place)), pick.row) {
            (Some(row), _) => (1, *row),
            (None, Some(row)) => (0, row),
            (None, None) => (2, 0),
        }
    }
}

/// One of the columns that say when a row holds; the base's where the pick does not say.
fn validity(which: usize, base: ArrayRef, picks: &[Pick<'_>]) -> ArrayRef {
    if which == 2 {
        let old = base.as_boolean();
        let flag = |(at, pick): (usize, &Pick)| match pick.validity {
            Validity::Kept => old.is_valid(at).then(|| old.value(at)),
            Validity::Of { to, .. } => Some(to.is_none()),
        };
        return Arc::new(picks.iter().enumerate().map(flag).collect::<BooleanArray>());
    }
    let old = base.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    let time = |(at, pick): (usize, &Pick)| match (pick.validity, which) {
        (Validity::Kept, _) => old.is_valid(at).then(|| old.value(at)),
        (Validity::Of { from, .. }, 0) => Some(from),
        (Validity::Of { to, .. }, _) => to,
    };
    let times: TimestampMicrosecondArray = picks.iter().enumerate().map(time).collect();
    Arc::new(times.with_timezone("UTC"))
}

/// The columns of a schema, in the log and in the table; with them when a change came, where it does not say when it was.
pub fn names(schema: &SchemaRef) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).chain(["_ingested_at".to_owned()]).collect()
}

fn in_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| column(batch, field.name(), field.data_type()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<_>>()?, &options).map_err(fault)
}

/// Text points into the pages that it was read from: a few rows must not hold on to many.
fn compacted(batch: RecordBatch) -> Result<RecordBatch> {
    let compact = |column: &ArrayRef| -> ArrayRef {
        let idle = |held: usize, shown: usize| held > 2 * shown + IDLE_BYTES_MAX;
        match column.data_type() {
            DataType::Utf8View => {
                let texts = column.as_string_view();
                let held = texts.data_buffers().iter().map(|buffer| buffer.len()).sum();
                let shown = texts.lengths().map(|length| length as usize).sum();
                if idle(held, shown) { Arc::new(texts.gc()) } else { column.clone() }
            }
            DataType::BinaryView => {
                let bytes = column.as_binary_view();
                let held = bytes.data_buffers().iter().map(|buffer| buffer.len()).sum();
                let shown = bytes.lengths().map(|length| length as usize).sum();
                if idle(held, shown) { Arc::new(bytes.gc()) } else { column.clone() }
            }
            _ => column.clone(),
        }
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().iter().map(compact).collect();
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).map_err(fault)
}
