//! One run of one model: what changed, the query, the checks, one commit.

use super::checks;
use super::compile::Model;
use super::fresh::{self, News};
use super::header::{Grain, Write};
use super::scd2;
use super::stage::{Staged, stage};
use crate::commit::{Change, OldFile};
use crate::origin::{Exposure, Input, Origin, of_version};
use crate::sink::{json, make};
use crate::sql::{Catalog, SqlEngine, explain};
use crate::store::Store;
use crate::table::{At, Table};
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
        return Ok(ModelReport {
            is_up_to_date: true,
            version: Some(pinned.target.version()),
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
    for name in &model.inputs {
        let table = Table::open(store, name, At::Latest).await?.ok_or_else(|| {
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

/// Why a model would run now; `None` when it is up to date. Looks at versions only.
pub async fn why_run(store: &Store, model: &Model) -> Result<Option<String>> {
    let Some(target) = Table::open(store, &model.name, At::Latest).await? else { return Ok(Some("new table".into())) };
    let Some(origin) = last_origin(&target).await? else { return Ok(Some("was never made whole".into())) };
    if origin.model.as_ref() != Some(&model.fingerprint) {
        return Ok(Some("the model changed".into()));
    }
    for name in &model.inputs {
        let now = Table::open(store, name, At::Latest).await?.map(|table| table.as_input());
        if now.as_ref() != origin.inputs.get(&name.to_string()) {
            return Ok(Some(format!("{name} has new rows")));
        }
    }
    Ok(None)
}

/// The columns about people as of a table's last commit.
pub async fn exposure(table: &Table) -> Result<Exposure> {
    let mut version = table.version();
    loop {
        if let Some(origin) = of_version(table.store(), table.name(), version).await?
            && !origin.exposes.is_empty()
        {
            return Ok(origin.exposes);
        }
        match version {
            0 => return Ok(Exposure::new()),
            _ => version -= 1,
        }
    }
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

    fn is_same_model(&self) -> bool {
        self.consumed.as_ref().is_some_and(|origin| origin.model.as_ref() == Some(&self.model.fingerprint))
    }

    fn is_up_to_date(&self) -> bool {
        let same_inputs = self.consumed.as_ref().is_some_and(|origin| origin.inputs == self.versions());
        !self.run.full_refresh && same_inputs && self.is_same_model()
    }

    /// What the last commit consumed of an input, if its rows can still be told apart from newer ones.
    pub fn consumed_of(&self, name: &TableName) -> Option<&Input> {
        self.consumed.as_ref()?.inputs.get(&name.to_string())
    }

    /// A catalog of the pinned inputs, some of them replaced.
    pub async fn catalog(&self, instead: BTreeMap<TableName, Arc<dyn TableProvider>>) -> Result<Catalog> {
        let mut catalog = Catalog::of_lake(self.run.engine.store()).await?;
        for (name, table) in &self.inputs {
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

    /// Computes the new rows and what they replace; nothing is visible yet.
    async fn stage(&self) -> Result<Staged> {
        let is_first = self.consumed.is_none() || self.run.full_refresh;
        match self.model.header.write {
            Write::Overwrite => self.stage_whole().await,
            _ if is_first => match self.model.header.write {
                Write::Scd2 => self.stage_history(true).await,
                Write::Merge => {
                    let staged = self.stage_whole().await?;
                    self.need_unique_key(&staged).await?;
                    Ok(staged)
                }
                _ => self.stage_whole().await,
            },
            Write::Append => self.stage_new().await,
            Write::Merge => self.stage_merge().await,
            Write::Incremental => self.stage_parts().await,
            Write::Scd2 => self.stage_history(false).await,
        }
    }

    /// The whole query in the place of the whole table.
    async fn stage_whole(&self) -> Result<Staged> {
        let frame = self.query(self.catalog(BTreeMap::new()).await?).await?;
        let mut staged = stage(self, frame).await?;
        staged.removes = self.target.files()?;
        Ok(staged)
    }

    /// The query over the new rows of the first table.
    async fn stage_new(&self) -> Result<Staged> {
        let Some(first) = self.model.inputs.first() else { return self.stage_whole().await };
        if !self.model.is_row_wise {
            return Err(Error::project(
                "write: append",
                "the query groups, counts or orders rows, so new rows alone do not give its new results; use `merge`, `incremental` or `overwrite`",
            ));
        }
        let instead = match fresh::news(self, first).await? {
            News::Nothing => fresh::nothing(&self.inputs[first]),
            News::Added(files) => self.run.engine.provide(&self.inputs[first], Some(files)).await?,
            News::Rewritten { .. } => {
                return Err(Error::project(
                    "write: append",
                    format!(
                        "{first} was rewritten, so its new rows can't be told from its old ones; use `merge`, `incremental` or `overwrite`"
                    ),
                ));
            }
        };
        let catalog = self.catalog(BTreeMap::from([(first.clone(), instead)])).await?;
        stage(self, self.query(catalog).await?).await
    }

    /// Rows that are new or differ, in the place of those with the same key.
    async fn stage_merge(&self) -> Result<Staged> {
        let mut instead = BTreeMap::new();
        let changed: Vec<&TableName> = fresh::changed(self);
        if self.model.is_row_wise
            && self.is_same_model()
            && let [only] = changed[..]
            && self.model.inputs.first() == Some(only)
            && let News::Added(files) = fresh::news(self, only).await?
        {
            instead.insert(only.clone(), self.run.engine.provide(&self.inputs[only], Some(files)).await?);
        }
        let frame = self.query(self.catalog(instead).await?).await?;
        let key = &self.model.header.key;
        let on = join(key, |k| format!("t.{k} = n.{k}"), " and ");
        let rest: Vec<String> = self.model.schema.fields().iter().map(|f| quoted(f.name())).collect();
        let grows = self.target.evolved(&self.model.schema)?.is_some();
        let differs = match grows {
            true => "true".to_owned(),
            false => join(&rest, |c| format!("(t.{c} is distinct from n.{c})"), " or "),
        };
        let first_key = quoted(&key[0]);
        let sql = format!("select n.* from n left join t on {on} where t.{first_key} is null or {differs}");
        let mut context = self.workspace().await?;
        context.give("n", frame.into_view())?;
        let changed = context.sql(&sql).await?;
        let mut staged = stage(self, changed).await?;
        self.need_unique_key(&staged).await?;
        staged.replace(self, &on).await?;
        Ok(staged)
    }

    /// The parts of the table that changed rows touch, made anew.
    async fn stage_parts(&self) -> Result<Staged> {
        let (Some(time), Some(grain)) = (&self.model.header.time, self.model.header.grain) else {
            return self.stage_whole().await;
        };
        if !self.is_same_model() {
            return self.stage_whole().await;
        }
        let part = |table: &str| part_of(table, time, grain);
        let mut parts: Option<DataFrame> = None;
        for name in fresh::changed(self) {
            for provider in fresh::touched(self, name).await? {
                let Some(provider) = provider else { return self.stage_whole().await };
                let catalog = self.catalog(BTreeMap::from([(name.clone(), provider)])).await?;
                let mut context = self.workspace().await?;
                context.give("n", self.query(catalog).await?.into_view())?;
                let found = context.sql(&format!("select distinct {} as part from n", part("n"))).await?;
                parts = Some(match parts {
                    Some(all) => all.union(found).map_err(crate::sql::failed)?,
                    None => found,
                });
            }
        }
        let Some(parts) = parts else { return self.stage_whole().await };
        let mut context = self.workspace().await?;
        let known = parts.distinct().map_err(crate::sql::failed)?.cache().await.map_err(crate::sql::failed)?;
        context.give("g", known.clone().into_view())?;
        context.give("n", self.query(self.catalog(BTreeMap::new()).await?).await?.into_view())?;
        let anew = context
            .sql(&format!("select n.* from n left semi join g on {} is not distinct from g.part", part("n")))
            .await?;
        let mut staged = stage(self, anew).await?;
        staged.replace_by(self, known, &format!("{} is not distinct from n.part", part("t"))).await?;
        Ok(staged)
    }

    /// New versions of keys, and an end to the versions before them.
    async fn stage_history(&self, is_first: bool) -> Result<Staged> {
        let frame = self.query(self.catalog(BTreeMap::new()).await?).await?;
        let mut context = self.workspace().await?;
        context.give("n", frame.into_view())?;
        if is_first {
            context.give("t", Arc::new(datafusion::datasource::empty::EmptyTable::new(self.model.schema.clone())))?;
        }
        scd2::refuse_doubles(self.model, &context).await?;
        let versions = context.sql(&scd2::versions(self.model, self.run.clock.now())).await?;
        let mut staged = stage(self, versions).await?;
        if is_first {
            staged.removes = self.target.files()?;
        } else {
            let on = join(&self.model.header.key, |k| format!("t.{k} = n.{k}"), " and ");
            staged.replace(self, &format!("t.is_current and {on}")).await?;
        }
        Ok(staged)
    }

    async fn need_unique_key(&self, staged: &Staged) -> Result<()> {
        let key = &self.model.header.key;
        let names = join(key, |k| k.to_owned(), ", ");
        let mut context = self.workspace().await?;
        context.give("n", staged.new_rows(self)?)?;
        let nulls = join(key, |k| format!("{k} is null"), " or ");
        let doubled = context.count(&format!("select {names} from n group by {names} having count(*) > 1")).await?;
        let missing = context.count(&format!("select 1 from n where {nulls}")).await?;
        if doubled + missing == 0 {
            return Ok(());
        }
        staged.discard(self.run.engine.store(), &self.model.name).await;
        Err(Error::new(
            Kind::Contract,
            format!("key ({})", key.join(", ")),
            format!(
                "{doubled} keys come more than once and {missing} rows have a null in it; a merge needs one row a key"
            ),
        ))
    }

    /// Names `t` (the target) and what else is given, for the SQL that a way of writing is made of.
    pub async fn workspace(&self) -> Result<Workspace> {
        let mut workspace = Workspace { engine: self.run.engine.clone(), tables: BTreeMap::new() };
        workspace.give("t", self.run.engine.provide(&self.target, None).await?)?;
        Ok(workspace)
    }

    async fn commit(&self, staged: Staged, checks_passed: u64) -> Result<ModelReport> {
        let schema = self.target.evolved(&self.model.schema)?;
        let origin = Origin {
            run_id: self.run.run_id.clone(),
            inputs: self.versions(),
            model: Some(self.model.fingerprint.clone()),
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
        let count = self.sql(sql).await?.count().await.map_err(crate::sql::failed)?;
        Ok(count as u64)
    }
}

fn part_of(table: &str, time: &str, grain: Grain) -> String {
    format!("date_trunc('{}', cast({table}.{} as timestamp))", grain.as_str(), quoted(time))
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
