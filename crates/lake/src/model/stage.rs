//! Files of a result that nobody sees yet, and the files whose place they take.

use super::run::{Pinned, Workspace, quoted};
use crate::commit::{NewFile, OldFile};
use crate::sql::{failed, staged_files};
use crate::store::Store;
use crate::write::TableWriter;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use kernel::error::{Error, Result};
use kernel::name::TableName;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The column that tells which file a row is in.
const FILE: &str = "_lavra_file";

#[derive(Default)]
pub(super) struct Staged {
    /// Rows of the result itself, without those that are only carried over.
    pub rows: u64,
    pub adds: Vec<NewFile>,
    pub removes: Vec<OldFile>,
    /// Whether changes behind the first read of a table were applied, now or before.
    pub has_changed: bool,
    /// How many of `adds`, from the start, hold the result itself.
    pub(super) fresh: usize,
}

/// Runs a query and writes its rows aside, in the model's columns.
pub(super) async fn stage(pinned: &Pinned<'_>, frame: DataFrame) -> Result<Staged> {
    let adds = write(pinned, frame).await?;
    let rows = adds.iter().map(|file| file.rows).sum();
    Ok(Staged { rows, fresh: adds.len(), adds, ..Staged::default() })
}

async fn write(pinned: &Pinned<'_>, frame: DataFrame) -> Result<Vec<NewFile>> {
    let mut writer = TableWriter::new(pinned.run.engine.store(), &pinned.model.name, pinned.run.lanes);
    let mut batches = frame.execute_stream().await.map_err(failed)?;
    while let Some(batch) = batches.next().await {
        writer.write(batch.map_err(failed)?).await?;
    }
    Ok(writer.finish().await?.into_iter().map(|(file, _)| file).collect())
}

impl Staged {
    /// Takes the rows of the target that match a new row (`t` and `n` in `on`) out of it.
    pub async fn replace(&mut self, pinned: &Pinned<'_>, on: &str) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let rows = self.new_rows(pinned)?;
        let mut workspace = pinned.workspace().await?;
        workspace.give("n", rows)?;
        self.carry_over(pinned, workspace, on).await
    }

    /// The same with another relation as `n`.
    pub async fn replace_by(&mut self, pinned: &Pinned<'_>, matching: DataFrame, on: &str) -> Result<()> {
        let mut workspace = pinned.workspace().await?;
        workspace.give("n", matching.into_view())?;
        self.carry_over(pinned, workspace, on).await
    }

    /// Files that hold a matching row are removed; their other rows are carried over into new files.
    async fn carry_over(&mut self, pinned: &Pinned<'_>, mut workspace: Workspace, on: &str) -> Result<()> {
        workspace.give("t", Arc::new(with_file_column(pinned).await?))?;
        let touched = workspace.sql(&format!("select distinct t.{FILE} from t left semi join n on {on}")).await?;
        let mut names = BTreeSet::new();
        for batch in touched.collect().await.map_err(failed)? {
            let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)
                .map_err(|e| Error::internal("find touched files", &e))?;
            let column = arrow::array::AsArray::as_string::<i32>(&column);
            names.extend(column.iter().flatten().filter_map(|path| path.rsplit('/').next().map(str::to_owned)));
        }
        let removes: Vec<OldFile> =
            pinned.target_files()?.into_iter().filter(|file| names.contains(base(&file.path))).collect();
        if removes.is_empty() {
            return Ok(());
        }
        let paths = removes.iter().map(|file| file.path.clone()).collect();
        workspace.give("t", pinned.run.engine.provide(&pinned.target, Some(paths)).await?)?;
        let columns: Vec<String> =
            pinned.target.schema().fields().iter().map(|f| format!("t.{}", quoted(f.name()))).collect();
        let rest = workspace.sql(&format!("select {} from t left anti join n on {on}", columns.join(", "))).await?;
        self.adds.extend(write(pinned, rest).await?);
        self.removes = removes;
        Ok(())
    }

    /// The result's own rows, read back.
    pub fn new_rows(&self, pinned: &Pinned<'_>) -> Result<Arc<dyn TableProvider>> {
        staged_files(
            pinned.run.engine.store(),
            &pinned.model.name,
            &self.adds[..self.fresh],
            pinned.model.schema.clone(),
        )
    }

    /// The table as it will be.
    pub async fn as_committed(&self, pinned: &Pinned<'_>) -> Result<Arc<dyn TableProvider>> {
        let schema = pinned.target.evolved(&pinned.model.schema)?.unwrap_or_else(|| pinned.target.schema());
        let staged = staged_files(pinned.run.engine.store(), &pinned.model.name, &self.adds, schema.clone())?;
        let removed: BTreeSet<&str> = self.removes.iter().map(|file| file.path.as_str()).collect();
        let kept: Vec<String> = pinned
            .target_files()?
            .into_iter()
            .map(|file| file.path)
            .filter(|path| !removed.contains(path.as_str()))
            .collect();
        if kept.is_empty() {
            return Ok(staged);
        }
        beside(pinned, staged, &schema, kept).await
    }

    /// Deletes what was written; a file that stays is found by no reader.
    pub async fn discard(&self, store: &Store, name: &TableName) {
        for file in &self.adds {
            if let Err(error) = store.delete(&store.path(name, &file.path)).await {
                tracing::warn!(%error, "a file of a refused result was left behind");
            }
        }
    }
}

/// These rows and those of some of the target's files, in one schema; a column that the target has not is null there.
async fn beside(
    pinned: &Pinned<'_>,
    rows: Arc<dyn TableProvider>,
    schema: &SchemaRef,
    files: Vec<String>,
) -> Result<Arc<dyn TableProvider>> {
    let mut workspace = pinned.workspace().await?;
    let old = pinned.target.schema();
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|f| match old.field_with_name(f.name()) {
            Ok(_) => quoted(f.name()),
            Err(_) => format!("null as {}", quoted(f.name())),
        })
        .collect();
    let names: Vec<String> = schema.fields().iter().map(|f| quoted(f.name())).collect();
    workspace.give("t", pinned.run.engine.provide(&pinned.target, Some(files)).await?)?;
    workspace.give("n", rows)?;
    let sql = format!("select {} from n union all select {} from t", names.join(", "), columns.join(", "));
    Ok(workspace.sql(&sql).await?.into_view())
}

/// The target with all columns of the model, also those that it is about to gain.
pub(super) async fn grown(pinned: &Pinned<'_>) -> Result<Arc<dyn TableProvider>> {
    let schema = &pinned.model.schema;
    if pinned.target.evolved(schema)?.is_none() {
        return pinned.run.engine.provide(&pinned.target, None).await;
    }
    let files = pinned.target_files()?.into_iter().map(|file| file.path).collect();
    beside(pinned, Arc::new(EmptyTable::new(schema.clone())), schema, files).await
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

async fn with_file_column(pinned: &Pinned<'_>) -> Result<impl TableProvider + use<>> {
    pinned.target.provider_with_file(FILE).await
}
