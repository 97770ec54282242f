//! The ways of writing: which rows are new, and which files of the table they replace. Nothing is visible yet.

use super::follow;
use super::fresh::{self, News};
use super::header::{Grain, Write};
use super::run::{Pinned, join, quoted};
use super::scd2;
use super::stage::{Staged, grown, stage};
use crate::sql::failed;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::DataFrame;
use kernel::error::{Error, Result};
use kernel::name::TableName;
use std::collections::BTreeMap;
use std::sync::Arc;

const ONE_ROW_A_KEY: &str = "over all of its input the query must give one row a key: group by it, or keep the latest row \
                             of each by `row_number() over (partition by key order by … desc) = 1`";

impl Pinned<'_> {
    /// Computes the new rows and what they replace.
    pub(super) async fn stage(&self) -> Result<Staged> {
        let is_first = self.consumed.is_none() || self.run.full_refresh;
        if self.model.follows {
            return follow::stage(self, is_first).await;
        }
        match self.model.header.write {
            Write::Overwrite => self.stage_whole().await,
            Write::Scd2 => self.stage_history(is_first).await,
            Write::Merge if is_first => {
                let staged = self.stage_whole().await?;
                self.need_one_row_a_key(&staged).await?;
                Ok(staged)
            }
            Write::Append | Write::Incremental if is_first => self.stage_whole().await,
            Write::Append => self.stage_new().await,
            Write::Merge => self.stage_merge().await,
            Write::Incremental => self.stage_parts().await,
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
        if self.model.reads.is_empty() {
            return self.stage_whole().await;
        }
        let Some(first) = &self.model.shape.grows_with else {
            return Err(Error::project(
                "write: append",
                "the query groups, counts or orders rows, or joins so that new rows of its first table alone do not give its new results; use `merge`, `incremental` or `overwrite`",
            ));
        };
        let instead = match fresh::arrivals(self, first).await? {
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
        if let Some(staged) = self.merge_new().await? {
            return Ok(staged);
        }
        let mut context = self.workspace().await?;
        context.give("n", self.query(self.catalog(BTreeMap::new()).await?).await?.into_view())?;
        let key = &self.model.header.key;
        context.need_key(key, ONE_ROW_A_KEY).await?;
        let on = self.same_key();
        let rest: Vec<String> = self.model.schema.fields().iter().map(|f| f.name().clone()).collect();
        let grows = self.target.evolved(&self.model.schema)?.is_some();
        let differs = match grows {
            true => "true".to_owned(),
            false => join(&rest, |c| format!("(t.{c} is distinct from n.{c})"), " or "),
        };
        let first_key = quoted(&key[0]);
        let sql = format!("select n.* from n left join t on {on} where t.{first_key} is null or {differs}");
        let mut staged = stage(self, context.sql(&sql).await?).await?;
        staged.replace(self, &on).await?;
        Ok(staged)
    }

    /// The query over new rows alone, if it gives exactly what is new in the whole result and none of it has a key that the
    /// table holds. Else `None`, and the whole query is looked at: a key that comes again is refused there, however its rows
    /// came.
    async fn merge_new(&self) -> Result<Option<Staged>> {
        let changed: Vec<&TableName> = fresh::changed(self);
        let [only] = changed[..] else { return Ok(None) };
        if !self.is_same_model() || self.model.shape.grows_with.as_ref() != Some(only) {
            return Ok(None);
        }
        let News::Added(files) = fresh::arrivals(self, only).await? else { return Ok(None) };
        let added = self.run.engine.provide(&self.inputs[only], Some(files)).await?;
        let catalog = self.catalog(BTreeMap::from([(only.clone(), added)])).await?;
        let staged = stage(self, self.query(catalog).await?).await?;
        self.need_one_row_a_key(&staged).await?;
        let mut context = self.workspace().await?;
        context.give("n", staged.new_rows(self)?)?;
        if context.count(&format!("select 1 from n left semi join t on {}", self.same_key())).await? == 0 {
            return Ok(Some(staged));
        }
        staged.discard(self.run.engine.store(), &self.model.name).await;
        Ok(None)
    }

    fn same_key(&self) -> String {
        join(&self.model.header.key, |k| format!("t.{k} = n.{k}"), " and ")
    }

    /// Throws staged rows away that their key does not name.
    async fn need_one_row_a_key(&self, staged: &Staged) -> Result<()> {
        let mut context = self.workspace().await?;
        context.give("n", staged.new_rows(self)?)?;
        let held = context.need_key(&self.model.header.key, ONE_ROW_A_KEY).await;
        if held.is_err() {
            staged.discard(self.run.engine.store(), &self.model.name).await;
        }
        held
    }

    /// The parts of the table that changed rows touch, made anew.
    async fn stage_parts(&self) -> Result<Staged> {
        let (Some(time), Some(grain)) = (&self.model.header.time, self.model.header.grain) else {
            return self.stage_whole().await;
        };
        let part = |table: &str| part_of(table, time, grain);
        let Some(parts) = self.touched_parts(&part("n")).await? else { return self.stage_whole().await };
        let mut context = self.workspace().await?;
        let known = parts.distinct().map_err(failed)?.cache().await.map_err(failed)?;
        context.give("g", known.clone().into_view())?;
        context.give("n", self.query(self.catalog(BTreeMap::new()).await?).await?.into_view())?;
        let anew = context
            .sql(&format!("select n.* from n left semi join g on {} is not distinct from g.part", part("n")))
            .await?;
        let mut staged = stage(self, anew).await?;
        staged.replace_by(self, known, &format!("{} is not distinct from n.part", part("t"))).await?;
        Ok(staged)
    }

    /// The parts that changed rows touch; `None` when the changed rows don't tell, so that all parts are made anew.
    async fn touched_parts(&self, part: &str) -> Result<Option<DataFrame>> {
        if !self.is_same_model() {
            return Ok(None);
        }
        let mut parts: Option<DataFrame> = None;
        for name in fresh::changed(self) {
            if !self.model.shape.tells_parts.contains(name) {
                tracing::info!(
                    model = %self.model.name, input = %name,
                    "the query does not tell which parts the changed rows touch; all parts are made anew"
                );
                return Ok(None);
            }
            let Some(catalogs) = fresh::touched(self, name).await? else { return Ok(None) };
            for catalog in catalogs {
                let mut context = self.workspace().await?;
                context.give("n", self.query(catalog).await?.into_view())?;
                let found = context.sql(&format!("select distinct {part} as part from n")).await?;
                parts = Some(match parts {
                    Some(all) => all.union(found).map_err(failed)?,
                    None => found,
                });
            }
        }
        Ok(parts)
    }

    /// New versions of keys, and the versions that they change.
    async fn stage_history(&self, is_first: bool) -> Result<Staged> {
        let model = self.model;
        let mut context = self.workspace().await?;
        context.give("n", self.query(self.catalog(BTreeMap::new()).await?).await?.into_view())?;
        let held: Arc<dyn TableProvider> = match is_first {
            true => Arc::new(EmptyTable::new(model.schema.clone())),
            false => grown(self).await?,
        };
        context.give("t", held)?;
        let (names, help) = scd2::names_of_a_row(model);
        context.need_key(&names, help).await?;
        let versions = context.sql(&scd2::versions(model, self.run.clock.now())).await?;
        let mut staged = stage(self, versions).await?;
        if is_first {
            staged.removes = self.target.files()?;
            return Ok(staged);
        }
        let on = match model.header.time {
            Some(_) => self.same_key(),
            None => format!("t.is_current and {}", self.same_key()),
        };
        staged.replace(self, &on).await?;
        Ok(staged)
    }
}

fn part_of(table: &str, time: &str, grain: Grain) -> String {
    format!("date_trunc('{}', cast({table}.{} as timestamp))", grain.as_str(), quoted(time))
}
