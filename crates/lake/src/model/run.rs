//! One run of one model: what changed, the query, the checks, one commit.

use super::checks;
use super::compile::Model;
use super::header::Write;
use super::stage::Staged;
use crate::commit::{Change, OldFile};
use crate::commits::{json, make};
use crate::origin::{Exposure, Input, Origin, of_version};
use crate::sql::{Catalog, SqlEngine, explain, failed};
use crate::store::Store;
use crate::table::{At, Table};
use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::catalog::TableProvider;
use datafusion::prelude::DataFrame;
use kernel::clock::Clock;
use kernel::error::{Error, Kind, Result};
use kernel::name::TableName;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a model is run with.
#[derive(Clone)]
pub struct ModelRun {
    pub engine: SqlEngine,
    pub run_id: String,
    pub clock: Arc<dyn Clock>,
    /// Makes everything anew, whatever was consumed.
    pub full_refresh: bool,
    /// Files written at once.
    pub lanes: usize,
    /// The model's columns about people, for whoever looks at the table later.
    pub exposes: Exposure,
}

/// What became of a model.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ModelReport {
    pub rows_written: u64,
    pub bytes_written: u64,
    pub files_removed: u64,
    pub version: Option<u64>,
    /// No input changed, and neither did the model: nothing was done.
    pub is_up_to_date: bool,
    pub checks_passed: u64,
}

/// The tables of one run, pinned: the inputs as they are now, the target as it is.
pub(super) struct Pinned<'a> {
    pub run: &'a ModelRun,
    pub model: &'a Model,
    pub inputs: BTreeMap<TableName, Table>,
    pub target: Table,
    /// What the target's last version consumed.
    pub consumed: Option<Origin>,
}

/// Runs a model. Either the whole result is visible afterwards, with the versions that it was made from, or nothing of it.
pub async fn run(run: &ModelRun, model: &Model) -> Result<ModelReport> {
    let pinned = pin(run, model).await?;
    if pinned.is_up_to_date() {
        let checks_passed = checks::hold_still(&pinned).await?;
        return Ok(ModelReport {
            is_up_to_date: true,
            version: Some(pinned.target.version()),
            checks_passed,
            ..ModelReport::default()
        });
    }
    let staged = match pinned.stage().await {
        Ok(staged) => staged,
        Err(e) => return Err(Error { what: format!("{}: {}", model.name, e.what), ..e }),
    };
    let checked = checks::hold(&pinned, &staged).await;
    match checked {
        Ok(passed) => pinned.commit(staged, passed).await,
        Err(e) => {
            staged.discard(run.engine.store(), &model.name).await;
            Err(e)
        }
    }
}

async fn pin<'a>(run: &'a ModelRun, model: &'a Model) -> Result<Pinned<'a>> {
    let store = run.engine.store();
    let mut inputs = BTreeMap::new();
    for name in &model.reads {
        let table = open_input(store, model, name).await?.ok_or_else(|| {
            Error::project(
                format!("{} reads {name}", model.name),
                format!("it has no data yet; run `lavra run +{}`", model.name),
            )
        })?;
        inputs.insert(name.clone(), table);
    }
    let target = match Table::open(store, &model.name, At::Latest).await? {
        Some(table) => table,
        None => make(store, &model.name, model.schema.clone(), &run.run_id, run.clock.as_ref()).await?,
    };
    let consumed = last_origin(&target).await?;
    Ok(Pinned { run, model, inputs, target, consumed })
}

/// An input as the query reads it: a version that the text pins stays what it is.
async fn open_input(store: &Store, model: &Model, name: &TableName) -> Result<Option<Table>> {
    Table::open(store, name, model.pinned.get(name).copied().unwrap_or(At::Latest)).await
}

/// Why a model would run now; `None` when it is up to date. Looks at versions only.
pub async fn why_run(store: &Store, model: &Model) -> Result<Option<String>> {
    let Some(target) = Table::open(store, &model.name, At::Latest).await? else { return Ok(Some("new table".into())) };
    let Some(origin) = last_origin(&target).await? else { return Ok(Some("was never made whole".into())) };
    if origin.model.as_ref() != Some(&model.fingerprint) {
        return Ok(Some("the model changed".into()));
    }
    for name in &model.reads {
        let now = open_input(store, model, name).await?.map(|table| table.as_input());
        if now.as_ref() != origin.inputs.get(&name.to_string()) {
            return Ok(Some(format!("{name} has new rows")));
        }
    }
    if model.follows && target.evolved(&model.schema)?.is_some() {
        return Ok(Some("the contract has another column".into()));
    }
    Ok(None)
}

/// The columns about people as of a table's last commit by a source, a model or a rewrite: such a commit says them all, and says
/// nothing when there are none. Other commits (a table made empty, a replay, an OPTIMIZE) don't speak of them.
pub async fn exposure(table: &Table) -> Result<Exposure> {
    let mut version = table.version();
    loop {
        if let Some(origin) = of_version(table.store(), table.name(), version).await?
            && (origin.model.is_some() || origin.source.is_some() || origin.rewrite.is_some())
        {
            return Ok(origin.exposes);
        }
        match version {
            0 => return Ok(Exposure::new()),
            _ => version -= 1,
        }
    }
}

/// The versions of its inputs that a model's table was made from; none for a table that no model made.
pub async fn consumed(table: &Table) -> Result<BTreeMap<String, Input>> {
    Ok(last_origin(table).await?.map(|origin| origin.inputs).unwrap_or_default())
}

/// The newest commit of ours; other programs' commits (an OPTIMIZE) are stepped over.
async fn last_origin(target: &Table) -> Result<Option<Origin>> {
    let mut version = target.version();
    loop {
        if let Some(origin) = of_version(target.store(), target.name(), version).await? {
            return Ok(origin.model.is_some().then_some(origin));
        }
        match version {
            0 => return Ok(None),
            _ => version -= 1,
        }
    }
}

impl Pinned<'_> {
    fn versions(&self) -> BTreeMap<String, Input> {
        self.inputs.iter().map(|(name, table)| (name.to_string(), table.as_input())).collect()
    }

    pub fn is_same_model(&self) -> bool {
        self.consumed.as_ref().is_some_and(|origin| origin.model.as_ref() == Some(&self.model.fingerprint))
    }

    fn is_up_to_date(&self) -> bool {
        let same_inputs = self.consumed.as_ref().is_some_and(|origin| origin.inputs == self.versions());
        // A column more shows in the table at once, for others may read it.
        let grows = self.model.follows && self.target.evolved(&self.model.schema).is_ok_and(|grown| grown.is_some());
        !self.run.full_refresh && same_inputs && self.is_same_model() && !grows
    }

    /// What the last commit consumed of an input, if its rows can still be told apart from newer ones.
    pub fn consumed_of(&self, name: &TableName) -> Option<&Input> {
        self.consumed.as_ref()?.inputs.get(&name.to_string())
    }

    /// A catalog of the pinned inputs, some of them replaced.
    pub async fn catalog(&self, instead: BTreeMap<TableName, Arc<dyn TableProvider>>) -> Result<Catalog> {
        self.catalog_of(&self.inputs, instead).await
    }

    /// The same of other versions of the inputs.
    pub async fn catalog_of(
        &self,
        inputs: &BTreeMap<TableName, Table>,
        instead: BTreeMap<TableName, Arc<dyn TableProvider>>,
    ) -> Result<Catalog> {
        let mut catalog = Catalog::of_lake(self.run.engine.store()).await?;
        for (name, table) in inputs {
            let provider = match instead.get(name) {
                Some(given) => given.clone(),
                None => self.run.engine.provide(table, None).await?,
            };
            catalog.give(name.clone(), provider);
        }
        Ok(catalog)
    }

    /// The model's query over these tables.
    pub async fn query(&self, catalog: Catalog) -> Result<DataFrame> {
        self.run.engine.frame_over(catalog, &self.model.sql).await
    }

    /// Names `t` (the target) and what else is given, for the SQL that a way of writing is made of.
    pub async fn workspace(&self) -> Result<Workspace> {
        let mut workspace = Workspace { engine: self.run.engine.clone(), tables: BTreeMap::new() };
        workspace.give("t", self.run.engine.provide(&self.target, None).await?)?;
        Ok(workspace)
    }

    /// Names nothing yet, and holds so many bytes.
    pub fn workspace_within(&self, memory_bytes: usize) -> Result<Workspace> {
        Ok(Workspace { engine: self.run.engine.within(memory_bytes)?, tables: BTreeMap::new() })
    }

    async fn commit(&self, staged: Staged, checks_passed: u64) -> Result<ModelReport> {
        let schema = self.target.evolved(&self.model.schema)?;
        let origin = Origin {
            run_id: self.run.run_id.clone(),
            inputs: self.versions(),
            model: Some(self.model.fingerprint.clone()),
            has_changed: staged.has_changed,
            exposes: self.run.exposes.clone(),
            ..Origin::default()
        };
        let report = ModelReport {
            rows_written: staged.rows,
            bytes_written: staged.adds.iter().map(|file| file.bytes).sum(),
            files_removed: staged.removes.len() as u64,
            checks_passed,
            ..ModelReport::default()
        };
        let operation = match self.model.header.write {
            Write::Overwrite => "OVERWRITE",
            Write::Append => "APPEND",
            Write::Merge | Write::Scd2 => "MERGE",
            Write::Incremental => "REPLACE PARTS",
        };
        let change =
            Change { operation, adds: staged.adds, removes: staged.removes, schema, txn: None, origin: json(&origin)? };
        let version = self.target.commit(&change, self.run.clock.now()).await?;
        Ok(ModelReport { version: Some(version), ..report })
    }

    pub fn target_files(&self) -> Result<Vec<OldFile>> {
        self.target.files()
    }
}

/// A few named relations to run a way of writing over.
pub(super) struct Workspace {
    engine: SqlEngine,
    tables: BTreeMap<String, Arc<dyn TableProvider>>,
}

impl Workspace {
    pub fn give(&mut self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        self.tables.insert(name.to_owned(), table);
        Ok(())
    }

    pub async fn sql(&self, sql: &str) -> Result<DataFrame> {
        let mut catalog = Catalog::default();
        for (name, table) in &self.tables {
            catalog.give(TableName::new("silver", name)?, table.clone());
        }
        let context = self.engine.context(catalog);
        context.sql(sql).await.map_err(|e| explain(&e, sql, &[]).into_error())
    }

    pub async fn count(&self, sql: &str) -> Result<u64> {
        let count = self.sql(sql).await?.count().await.map_err(failed)?;
        Ok(count as u64)
    }

    /// Refuses `n` unless these columns name each of its rows: no null in them, and no two rows alike.
    pub async fn need_key(&self, names: &[String], help: &str) -> Result<()> {
        let key = join(names, |name| name.to_owned(), ", ");
        let nulls = join(names, |name| format!("{name} is null"), " or ");
        let counted = format!("select {key}, count(*) as _lavra_rows from n group by {key}");
        let wrong = format!(
            "select sum(case when not ({nulls}) and _lavra_rows > 1 then 1 else 0 end),
               sum(case when {nulls} then _lavra_rows else 0 end) from ({counted})"
        );
        let [doubled, missing] = two_numbers(self.sql(&wrong).await?).await?;
        if doubled + missing == 0 {
            return Ok(());
        }
        let found = format!("{doubled} keys come more than once and {missing} rows have a null in it");
        Err(Error::new(Kind::Contract, format!("key ({})", names.join(", ")), format!("{found}; {help}")))
    }
}

/// The two numbers of a result's first row; nothing counts as none.
pub(super) async fn two_numbers(frame: DataFrame) -> Result<[u64; 2]> {
    let batches = frame.collect().await.map_err(failed)?;
    let mut found = [0; 2];
    if let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) {
        for (number, column) in found.iter_mut().zip(batch.columns()) {
            let column = cast(column, &DataType::UInt64).map_err(|e| Error::internal("count rows", &e))?;
            *number = column.as_primitive::<UInt64Type>().iter().next().flatten().unwrap_or(0);
        }
    }
    Ok(found)
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes each name, writes it by `each` and joins them.
pub(super) fn join(names: &[String], each: impl Fn(&str) -> String, separator: &str) -> String {
    let written: Vec<String> =
        names.iter().map(|name| if name.starts_with('"') { each(name) } else { each(&quoted(name)) }).collect();
    written.join(separator)
}

#[cfg(test)]
mod tests {
    use super::super::compile::{ModelFile, compile};
    use super::*;
    use crate::sql::EngineOptions;
    use kernel::clock::ManualClock;
    use std::collections::{BTreeSet, HashMap};

    #[tokio::test]
    async fn a_table_that_gets_no_new_rows_is_not_fresh_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("lake").to_string_lossy(), &HashMap::new()).expect("a lake");
        let options = EngineOptions { memory_bytes: 64 << 20, spill_folder: folder.path().to_owned(), partitions: 1 };
        let engine = SqlEngine::new(store, &options).expect("an engine");
        let text = "-- checks: { freshness: { column: at, within: 2 hours } }\n\
            select timestamp '1970-01-01 00:00:00' as at";
        let name = TableName::parse("silver.made").expect("a name");
        let file = ModelFile { name, file: "made.sql".into(), text: text.into(), follows: false };
        let (models, faults) = compile(&engine, &BTreeMap::new(), &BTreeSet::new(), &[file], &|_| None).await;
        assert!(faults.is_empty(), "{faults:?}");
        let clock = Arc::new(ManualClock::at(0));
        let once = ModelRun {
            engine,
            run_id: "r".into(),
            clock: clock.clone(),
            full_refresh: false,
            lanes: 1,
            exposes: Exposure::new(),
        };
        assert_eq!(run(&once, &models[0]).await.expect("a fresh table").checks_passed, 1);
        clock.advance(3_600_000_000);
        assert!(run(&once, &models[0]).await.expect("still fresh").is_up_to_date);
        clock.advance(7_200_000_000);
        let stale = run(&once, &models[0]).await.expect_err("three hours old");
        assert!(stale.kind == Kind::Contract && stale.detail.contains("freshness"), "{stale}");
    }
}
