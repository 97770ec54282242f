//! What is new in an input since it was consumed.

use super::run::Pinned;
use crate::origin::of_version;
use crate::sql::Catalog;
use crate::table::{At, Table};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use kernel::error::Result;
use kernel::name::TableName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// New rows of an input, by file.
pub(super) enum News {
    Nothing,
    /// Files were only added: these.
    Added(Vec<String>),
    /// Files were also taken away.
    Rewritten {
        before: Option<Box<Table>>,
        added: Vec<String>,
        removed: Vec<String>,
    },
}

/// The inputs whose version moved since they were consumed, in the order the model names them.
pub(super) fn changed<'a>(pinned: &'a Pinned<'_>) -> Vec<&'a TableName> {
    let moved = |name: &&TableName| pinned.consumed_of(name) != Some(&pinned.inputs[*name].as_input());
    pinned.model.reads.iter().filter(moved).collect()
}

/// What came into an input since it was consumed. Rows of it that were only written anew, with some erased, did not come.
pub(super) async fn arrivals(pinned: &Pinned<'_>, name: &TableName) -> Result<News> {
    compare(pinned, name, true).await
}

/// Compares an input with the version that was consumed.
async fn news(pinned: &Pinned<'_>, name: &TableName) -> Result<News> {
    compare(pinned, name, false).await
}

async fn compare(pinned: &Pinned<'_>, name: &TableName, follows_rewrites: bool) -> Result<News> {
    let now = &pinned.inputs[name];
    let Some(consumed) = pinned.consumed_of(name).filter(|input| input.id == now.id()) else {
        return Ok(News::Rewritten { before: None, added: Vec::new(), removed: Vec::new() });
    };
    if consumed.version == now.version() {
        return Ok(News::Nothing);
    }
    let Some(before) = Table::open(pinned.run.engine.store(), name, At::Version(consumed.version)).await? else {
        return Ok(News::Rewritten { before: None, added: Vec::new(), removed: Vec::new() });
    };
    let paths =
        |table: &Table| -> Result<BTreeSet<String>> { Ok(table.files()?.into_iter().map(|file| file.path).collect()) };
    let (mut old, new) = (paths(&before)?, paths(now)?);
    if follows_rewrites {
        follow(now, consumed.version, &mut old).await?;
    }
    let added: Vec<String> = new.difference(&old).cloned().collect();
    let removed: Vec<String> = old.difference(&new).cloned().collect();
    Ok(match (added.is_empty(), removed.is_empty()) {
        (true, true) => News::Nothing,
        (_, true) => News::Added(added),
        _ => News::Rewritten { before: Some(Box::new(before)), added, removed },
    })
}

/// Puts, in the place of files that were consumed, those that they were rewritten to since.
async fn follow(now: &Table, consumed: u64, files: &mut BTreeSet<String>) -> Result<()> {
    for version in consumed + 1..=now.version() {
        let origin = of_version(now.store(), now.name(), version).await?;
        for (old, new) in origin.and_then(|origin| origin.rewrite).into_iter().flat_map(|rewrite| rewrite.files) {
            if files.remove(&old) {
                files.extend(new);
            }
        }
    }
    Ok(())
}

/// Catalogs over which the query gives what an input's changed rows touch: with the rows that came beside the other inputs
/// as they are, and with the rows that went beside the others as they were, for these are what they met. `None` when that
/// can't be told.
pub(super) async fn touched(pinned: &Pinned<'_>, name: &TableName) -> Result<Option<Vec<Catalog>>> {
    let now = &pinned.inputs[name];
    let engine = &pinned.run.engine;
    let instead = |rows| BTreeMap::from([(name.clone(), rows)]);
    Ok(match news(pinned, name).await? {
        News::Nothing => Some(Vec::new()),
        News::Added(files) => Some(vec![pinned.catalog(instead(engine.provide(now, Some(files)).await?)).await?]),
        News::Rewritten { before: None, .. } => None,
        News::Rewritten { before: Some(before), added, removed } => {
            let Some(others) = as_consumed(pinned).await? else { return Ok(None) };
            let came = pinned.catalog(instead(engine.provide(now, Some(added)).await?)).await?;
            let went = engine.provide(&before, Some(removed)).await?;
            Some(vec![came, pinned.catalog_of(&others, instead(went)).await?])
        }
    })
}

/// All inputs at the versions that were consumed; `None` if one of them was made anew since.
async fn as_consumed(pinned: &Pinned<'_>) -> Result<Option<BTreeMap<TableName, Table>>> {
    let mut tables = BTreeMap::new();
    for (name, now) in &pinned.inputs {
        let Some(consumed) = pinned.consumed_of(name).filter(|input| input.id == now.id()) else { return Ok(None) };
        let then = Table::open(pinned.run.engine.store(), name, At::Version(consumed.version)).await?;
        let Some(then) = then else { return Ok(None) };
        tables.insert(name.clone(), then);
    }
    Ok(Some(tables))
}

/// An input without a row.
pub(super) fn nothing(table: &Table) -> Arc<dyn TableProvider> {
    Arc::new(EmptyTable::new(table.schema()))
}
