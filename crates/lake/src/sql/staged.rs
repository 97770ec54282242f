//! Files that no commit names yet, as a table; and results of one number.

use super::engine::failed;
use crate::commit::NewFile;
use crate::store::Store;
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::DataFrame;
use kernel::error::{Error, Result};
use kernel::name::TableName;
use std::sync::Arc;

/// Staged Parquet files of a table, read in this schema.
pub(crate) fn staged_files(
    store: &Store,
    name: &TableName,
    files: &[NewFile],
    schema: SchemaRef,
) -> Result<Arc<dyn TableProvider>> {
    if files.is_empty() {
        return Ok(Arc::new(EmptyTable::new(schema)));
    }
    let folder = store.table_url(name)?;
    let urls = files.iter().map(|file| {
        let url = folder.join(&file.path).map_err(|e| Error::internal("read staged files", e))?;
        ListingTableUrl::parse(url).map_err(failed)
    });
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config = ListingTableConfig::new_with_multi_paths(urls.collect::<Result<_>>()?);
    let config = config.with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config).map_err(failed)?))
}

/// The first value of the first row as a number; `None` when there is no row or no value.
pub(crate) async fn single_number(frame: DataFrame) -> Result<Option<f64>> {
    let batches = frame.collect().await.map_err(failed)?;
    let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(None) };
    let column = arrow::compute::cast(batch.column(0), &DataType::Float64)
        .map_err(|e| Error::project("a rule's query", format!("must give one number: {e}")))?;
    Ok(column.as_primitive::<Float64Type>().iter().next().flatten())
}
