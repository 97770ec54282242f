//! `layer.table` to providers: tables given for this query first, then the lake's.

use super::pin::unpin;
use crate::store::Store;
use crate::table::{At, Table};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::runtime_env::RuntimeEnv;
use kernel::name::{LAYERS, TableName};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a query may name.
#[derive(Clone, Default)]
pub struct Catalog {
    /// Tables given by whoever runs the query; they hide the latest version of the lake's of the same name.
    given: BTreeMap<TableName, Arc<dyn TableProvider>>,
    lake: Option<(Store, Vec<TableName>)>,
}

impl Catalog {
    /// The lake's tables.
    pub async fn of_lake(store: &Store) -> kernel::Result<Self> {
        Ok(Self { given: BTreeMap::new(), lake: Some((store.clone(), store.tables().await?)) })
    }

    pub fn give(&mut self, name: TableName, provider: Arc<dyn TableProvider>) {
        self.given.insert(name, provider);
    }

    /// The columns of a table that was given.
    pub(crate) fn given_schema(&self, name: &TableName) -> Option<SchemaRef> {
        self.given.get(name).map(|table| table.schema())
    }

    /// All names, for suggestions and completion.
    pub fn names(&self) -> Vec<TableName> {
        let lake = self.lake.iter().flat_map(|(_, names)| names.iter().cloned());
        let mut names: Vec<TableName> = self.given.keys().cloned().chain(lake).collect();
        names.sort();
        names.dedup();
        names
    }

    pub(super) fn into_provider(self, runtime: Arc<RuntimeEnv>) -> Arc<dyn CatalogProvider> {
        Arc::new(Layers { catalog: Arc::new(self), runtime })
    }
}

struct Layers {
    catalog: Arc<Catalog>,
    runtime: Arc<RuntimeEnv>,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layers")
    }
}

impl CatalogProvider for Layers {
    fn schema_names(&self) -> Vec<String> {
        LAYERS.iter().map(|layer| (*layer).to_owned()).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let layer = LAYERS.iter().find(|layer| **layer == name)?;
        Some(Arc::new(Layer { layer, catalog: self.catalog.clone(), runtime: self.runtime.clone() }))
    }
}

struct Layer {
    layer: &'static str,
    catalog: Arc<Catalog>,
    runtime: Arc<RuntimeEnv>,
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.layer)
    }
}

#[async_trait]
impl SchemaProvider for Layer {
    fn table_names(&self) -> Vec<String> {
        let names = self.catalog.names().into_iter();
        names.filter(|name| name.layer() == self.layer).map(|name| name.table().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let external = |e: kernel::Error| DataFusionError::External(Box::new(e));
        let (table, at) = unpin(name);
        let Ok(table) = TableName::new(self.layer, table) else { return Ok(None) };
        let given = self.catalog.given.get(&table);
        let Some((store, _)) = &self.catalog.lake else { return Ok(given.cloned()) };
        // What is given stands for the table as it is now; a version of it that the query names is the lake's.
        if let (Some(given), At::Latest) = (given, at) {
            return Ok(Some(given.clone()));
        }
        let Some(opened) = Table::open(store, &table, at).await.map_err(external)? else { return Ok(None) };
        Ok(Some(provide(&opened, None, &self.runtime).await.map_err(external)?))
    }

    fn table_exist(&self, name: &str) -> bool {
        let (table, _) = unpin(name);
        self.table_names().iter().any(|known| known == table)
    }
}

/// A table's provider, with its store known to the runtime. `files` takes some of its files only.
pub(crate) async fn provide(
    table: &Table,
    files: Option<Vec<String>>,
    runtime: &RuntimeEnv,
) -> kernel::Result<Arc<dyn TableProvider>> {
    let log_store = table.delta().log_store();
    runtime.register_object_store(log_store.object_store_url().as_ref(), log_store.object_store(None));
    runtime.register_object_store(log_store.root_url(), log_store.root_object_store(None));
    Ok(Arc::new(table.provider(files).await?))
}
