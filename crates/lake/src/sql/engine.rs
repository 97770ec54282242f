//! The embedded engine: DataFusion in this process, within a memory budget, spilling to a folder that is the project's.

use super::catalog::{Catalog, provide};
use super::fault::explain;
use super::functions::{Registered, grants};
use super::pin::pin_versions;
use super::pool::Budget;
use super::values::without_values;
use crate::store::Store;
use crate::table::Table;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SQLOptions, SessionConfig, SessionContext};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kernel::audit::Audit;
use kernel::engine::{Engine, Rows, Session};
use kernel::error::{Error, Kind, Result};
use kernel::function::Functions;
use kernel::name::LAYERS;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Bytes that all queries of this engine may hold; beyond, sorts and groups spill.
    pub memory_bytes: usize,
    /// Where they spill to. What is spilled is masked: only bronze and what is made of it is queried.
    pub spill_folder: PathBuf,
    /// Cores that one query uses.
    pub partitions: usize,
}

/// A hash join holds one side as a whole and can't spill. Below this budget joins sort, which can.
const HASH_JOIN_MEMORY_MIN: usize = 1 << 30;

#[derive(Clone)]
pub struct SqlEngine {
    store: Store,
    runtime: Arc<RuntimeEnv>,
    config: SessionConfig,
    functions: Registered,
    audit: Option<Arc<dyn Audit>>,
}

impl SqlEngine {
    pub fn new(store: Store, options: &EngineOptions) -> Result<Self> {
        let disk =
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![options.spill_folder.clone()]));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(Budget::new(options.memory_bytes)))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|e| Error::new(Kind::Storage, "start the engine", &e))?;
        let is_small = options.memory_bytes < HASH_JOIN_MEMORY_MIN;
        // Over one partition the planner knows no sorting join.
        let partitions = options.partitions.max(if is_small { 2 } else { 1 });
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema("lake", "silver")
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            .with_target_partitions(partitions);
        config.options_mut().sql_parser.collect_spans = true;
        config.options_mut().execution.time_zone = Some("UTC".into());
        config.options_mut().optimizer.prefer_hash_join = !is_small;
        // Each sort keeps this aside for merging what it spilled; several of them must fit beside each other.
        config.options_mut().execution.sort_spill_reservation_bytes = reservation(options.memory_bytes);
        Ok(Self { store, runtime, config, functions: Registered::default(), audit: None })
    }

    /// With functions of other rooms, known to every query and every model.
    pub fn with_functions(self, functions: Functions) -> Self {
        Self { functions: Registered::new(functions), ..self }
    }

    /// With a record of what is opened; without one nothing can be.
    pub fn with_audit(self, audit: Arc<dyn Audit>) -> Self {
        Self { audit: Some(audit), ..self }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Bytes that all queries of this engine may hold.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self.runtime.memory_pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes,
            MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
        }
    }

    /// The same engine with so many bytes of its own, for a query beside which something else needs the rest.
    pub(crate) fn within(&self, memory_bytes: usize) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::from_runtime_env(&self.runtime)
            .with_memory_pool(Arc::new(Budget::new(memory_bytes)))
            .build_arc()
            .map_err(|e| Error::new(Kind::Storage, "start the engine", &e))?;
        let mut config = self.config.clone();
        config.options_mut().execution.sort_spill_reservation_bytes = reservation(memory_bytes);
        Ok(Self { runtime, config, ..self.clone() })
    }

    /// A context over these tables.
    pub fn context(&self, catalog: Catalog) -> SessionContext {
        let state = SessionStateBuilder::new()
            .with_config(self.config.clone())
            .with_runtime_env(self.runtime.clone())
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_catalog("lake", catalog.into_provider(self.runtime.clone()));
        self.functions.register(&context);
        context
    }

    /// A provider of a table's snapshot, or of some of its files.
    pub(crate) async fn provide(
        &self,
        table: &Table,
        files: Option<Vec<String>>,
    ) -> Result<Arc<dyn datafusion::catalog::TableProvider>> {
        provide(table, files, &self.runtime).await
    }

    /// Plans one `SELECT` over the lake's tables. No plan without a session; gives also what of its grants it uses.
    async fn frame(&self, session: &Session, sql: &str) -> Result<(DataFrame, Vec<String>)> {
        let catalog = Catalog::of_lake(&self.store).await?;
        self.planned(catalog, sql, Some(&session.grants)).await
    }

    /// Plans one `SELECT` over a given catalog, for nobody's eyes: one that opens what is hidden is refused.
    pub async fn frame_over(&self, catalog: Catalog, sql: &str) -> Result<DataFrame> {
        self.planned(catalog, sql, None).await.map(|(frame, _)| frame)
    }

    async fn planned(&self, catalog: Catalog, sql: &str, held: Option<&[String]>) -> Result<(DataFrame, Vec<String>)> {
        let names = catalog.names();
        let context = self.context(catalog);
        let planned = plan_for(&context, &pin_versions(sql)?, held).await;
        let (plan, used) = planned.map_err(|e| explain(&e, sql, &names).into_error())?;
        let frame = context.execute_logical_plan(plan).await;
        Ok((frame.map_err(|e| explain(&e, sql, &names).into_error())?, used))
    }

    /// Writes down that something will be opened. From here on it may be.
    async fn write_down(&self, session: &Session, sql: &str, used: &[String]) -> Result<Opened> {
        let what = || format!("open what is hidden ({})", used.join(", "));
        if session.purpose.trim().is_empty() {
            return Err(Error::refused(what(), "it must be said why: `lavra query --reason \"chargeback 4711\" …`"));
        }
        let Some(audit) = self.audit.clone() else {
            return Err(Error::refused(what(), "nothing here writes down who does it"));
        };
        let number = audit.begin(session, &without_values(sql), used).await?;
        Ok(Opened { audit, number })
    }
}

/// What a sort keeps aside, of so many bytes for all.
fn reservation(memory_bytes: usize) -> usize {
    (memory_bytes / 256).clamp(256 << 10, 10 << 20)
}

/// Text to a plan; anything that writes, makes or sets is refused, and so is what opens what is hidden.
pub(crate) async fn plan(context: &SessionContext, sql: &str) -> datafusion::common::Result<LogicalPlan> {
    plan_for(context, sql, None).await.map(|(plan, _)| plan)
}

/// The same for a session that holds grants; gives those that the plan uses. This is before anything of the plan is
/// evaluated, its constants too.
async fn plan_for(
    context: &SessionContext,
    sql: &str,
    held: Option<&[String]>,
) -> datafusion::common::Result<(LogicalPlan, Vec<String>)> {
    let plan = context.state().create_logical_plan(sql).await?;
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(&plan)?;
    let needed = grants(&plan)?;
    match needed.iter().find(|grant| !held.unwrap_or_default().contains(grant)) {
        None => Ok((plan, needed.into_iter().collect())),
        Some(missing) => Err(DataFusionError::External(Box::new(lacking(missing, held.is_some())))),
    }
}

fn lacking(grant: &str, is_asked: bool) -> Error {
    let detail = match is_asked {
        true => format!(
            "the grant `{grant}` is not held: policies/users.yaml gives it to a user, and `lavra query --reason` says why it \
             is used"
        ),
        false => "what is stored stays hidden: leave it closed here, and open it when it is asked for, by \
                  `lavra query --reason`"
            .into(),
    };
    Error::refused(format!("open what is hidden ({grant})"), detail)
}

/// A query that was written down, and whose end is to be.
struct Opened {
    audit: Arc<dyn Audit>,
    number: u64,
}

type Batches = BoxStream<'static, Result<RecordBatch>>;

/// A result on its way, and the rows of it that were given.
struct Giving {
    opened: Opened,
    batches: Batches,
    rows: u64,
}

impl Opened {
    /// Counts the rows that are given. If their end can't be written down, the result ends in an error.
    fn count(self, batches: Batches) -> Batches {
        stream::unfold(Some(Giving { opened: self, batches, rows: 0 }), Giving::next).boxed()
    }
}

impl Giving {
    async fn next(giving: Option<Self>) -> Option<(Result<RecordBatch>, Option<Self>)> {
        let Self { opened, mut batches, rows } = giving?;
        match batches.next().await {
            Some(Ok(batch)) => {
                let rows = rows + batch.num_rows() as u64;
                Some((Ok(batch), Some(Self { opened, batches, rows })))
            }
            end => match (opened.audit.end(opened.number, rows, end.is_none()).await, end) {
                (Err(error), None) => Some((Err(error), None)),
                (_, end) => end.map(|failed| (failed, None)),
            },
        }
    }
}

#[async_trait]
impl Engine for SqlEngine {
    async fn query(&self, session: &Session, sql: &str) -> Result<Rows> {
        let (frame, used) = self.frame(session, sql).await?;
        let opened = match used.is_empty() {
            true => None,
            false => Some(self.write_down(session, sql, &used).await?),
        };
        let stream = frame.execute_stream().await.map_err(failed)?;
        // The stream's schema, for the planner's has other precisions where a decimal is computed.
        let schema = short_names(&stream.schema());
        let batches = stream.map(|batch| {
            let batch = batch.map_err(failed)?;
            let named = short_names(&batch.schema());
            RecordBatch::try_new(named, batch.columns().to_vec())
                .map_err(|e| Error::internal("name a result's columns", e))
        });
        let batches = match opened {
            Some(opened) => opened.count(batches.boxed()),
            None => batches.boxed(),
        };
        Ok(Rows { schema, batches })
    }
}

/// `sum(amount)`, where the planner says `sum(bronze.orders.amount)`.
fn short_names(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_name(short(field.name())));
    // What an expression gives is null where its batches say so; the planner's word is kept for types alone.
    Arc::new(Schema::new(fields.map(|field| field.with_nullable(true)).collect::<Vec<_>>()))
}

fn short(name: &str) -> String {
    let mut rest = name;
    let mut out = String::new();
    while let Some((at, layer)) =
        LAYERS.iter().filter_map(|layer| Some((rest.find(&format!("{layer}."))?, layer))).min()
    {
        let behind = &rest[at + layer.len() + 1..];
        let table = behind.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(behind.len());
        let is_qualifier = table > 0
            && behind[table..].starts_with('.')
            && !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let keep = if is_qualifier { at } else { at + layer.len() + 1 };
        out.push_str(&rest[..keep]);
        rest = if is_qualifier { &behind[table + 1..] } else { behind };
    }
    out + rest
}

/// A query's failure while it runs.
pub(crate) fn failed(error: datafusion::common::DataFusionError) -> Error {
    explain(&error, "", &[]).into_error()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_column_of_a_result_is_named_without_its_table() {
        assert_eq!(short("sum(bronze.orders.amount)"), "sum(amount)");
        assert_eq!(short("silver.a.x + gold.b_2.y"), "x + y");
        for own in ["count(*)", "tungsten.silver", "o.amount", "Utf8(\"gold.\")", "mybronze.a.b"] {
            assert_eq!(short(own), own);
        }
    }

    /// The plan of a join under a budget.
    async fn plan_of_a_join(memory_bytes: usize) -> Result<String> {
        let folder = tempfile::tempdir().map_err(|e| kernel::error::io("make a folder", e))?;
        let store = Store::open(&folder.path().to_string_lossy(), &HashMap::new())?;
        let options = EngineOptions { memory_bytes, spill_folder: folder.path().to_path_buf(), partitions: 1 };
        let engine = SqlEngine::new(store, &options)?;
        let rows = "select unnest(range(0, 10)) as k";
        let sql = format!("select a.k from ({rows}) a join ({rows}) b on a.k = b.k");
        let frame = engine.frame_over(Catalog::default(), &sql).await?;
        let plan = frame.create_physical_plan().await.map_err(failed)?;
        Ok(datafusion::physical_plan::displayable(plan.as_ref()).indent(true).to_string())
    }

    #[tokio::test]
    async fn joins_spill_when_memory_is_small_and_hash_when_it_is_not() -> Result<()> {
        let (small, large) = (plan_of_a_join(128 << 20).await?, plan_of_a_join(2 << 30).await?);
        assert!(small.contains("SortMergeJoin") && !small.contains("HashJoin"), "{small}");
        assert!(large.contains("HashJoin"), "{large}");
        Ok(())
    }
}
