//! What depends on the sources, made after their commits.

use super::state::{ModelView, failure};
use super::tell::Teller;
use crate::relay;
use crate::work::{ProjectWork, Report};
use async_trait::async_trait;
use kernel::error::{Error, Result};
use lake::{At, Table};
use orchestrate::up::Refine;
use orchestrate::{Claim, Dag, End, Ended, Leases, NodeKind, Options, Outcome, Retry, Work};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

pub struct Models {
    work: Arc<ProjectWork>,
    leases: Arc<Leases>,
    teller: Arc<Teller>,
    /// Those that are made here.
    below: Below,
    views: Mutex<BTreeMap<String, ModelView>>,
    /// Tables of sources that are known to be there.
    made: Mutex<BTreeSet<String>>,
    /// Tables of sources with the version that all below them was made of.
    seen: Mutex<BTreeMap<String, u64>>,
}

impl Models {
    pub fn new(work: Arc<ProjectWork>, leases: Arc<Leases>, teller: Arc<Teller>, below: Below) -> Self {
        Self { work, leases, teller, below, views: Mutex::default(), made: Mutex::default(), seen: Mutex::default() }
    }

    /// Sources that are not taken in here, whose commits nobody tells of and have to be looked for.
    pub fn others(&self) -> Vec<String> {
        self.below.others.iter().cloned().collect()
    }

    pub fn views(&self) -> Vec<ModelView> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Of these lines the sources whose tables have moved, each with its table and that one's version.
    async fn moved(&self, lines: &BTreeSet<String>) -> Result<BTreeMap<String, (String, u64)>> {
        let wiring = &self.work.wiring;
        let is_meant = |name: &str| lines.contains(name) || lines.contains(&relay::line(name));
        let mut moved = BTreeMap::new();
        for source in wiring.project.sources.iter().filter(|source| is_meant(&source.name)) {
            let Some(table) = Table::open(&wiring.store, &source.table, At::Latest).await? else { continue };
            let (name, version) = (source.table.to_string(), table.version());
            if self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&name) != Some(&version) {
                moved.insert(source.name.clone(), (name, version));
            }
        }
        Ok(moved)
    }

    /// The models downstream of sources that nobody else makes, and whose sources all have a table; whether those are all.
    async fn due(&self, sources: impl Iterator<Item = &String>) -> Result<(BTreeSet<String>, bool)> {
        let below = sources.flat_map(|source| models_below(&self.work.wiring.project.dag, source));
        // A model of a source of others alone is left to them.
        let names: BTreeSet<String> = below.filter(|name| self.below.models.contains(name)).collect();
        let (mut due, count) = (BTreeSet::new(), names.len());
        for name in names {
            if self.has_input(&name).await? && self.leases.claim(&name).await? == Claim::Mine {
                due.insert(name);
            }
        }
        let is_all = due.len() == count;
        Ok((due, is_all))
    }

    async fn has_input(&self, model: &str) -> Result<bool> {
        let project = &self.work.wiring.project;
        for node in project.dag.ancestors(model).into_iter().filter(|node| node.kind == NodeKind::Source) {
            let source = project.sources.iter().find(|source| source.name == node.name);
            let Some(table) = source.map(|source| &source.table) else { continue };
            let is_known = |made: &BTreeSet<String>| made.contains(&table.to_string());
            if is_known(&self.made.lock().unwrap_or_else(PoisonError::into_inner)) {
                continue;
            }
            if !self.work.wiring.store.has_log(table).await? {
                return Ok(false);
            }
            self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(table.to_string());
        }
        Ok(true)
    }

    /// Keeps what became of each; answers the first failure.
    fn keep(&self, outcome: &Outcome<Report>) -> Result<()> {
        let now = self.work.wiring.clock.now().0;
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        for ended in &outcome.nodes {
            let before = views.remove(&ended.node);
            views.insert(ended.node.clone(), view(ended, before, now));
        }
        match outcome.errors().next() {
            None => Ok(()),
            Some((node, error)) => Err(Error::new(error.kind, format!("make {node}"), error)),
        }
    }
}

/// What is to be made in a process.
pub struct Below {
    models: BTreeSet<String>,
    /// Sources that these models read, near or far, and that the process does not take in.
    others: BTreeSet<String>,
}

impl Below {
    /// The models of sources that are taken in here, and of those that were left to another process by name.
    pub fn new(dag: &Dag, taken: &[String], left: &[String]) -> Self {
        let models: BTreeSet<String> = taken.iter().chain(left).flat_map(|source| models_below(dag, source)).collect();
        let above = models.iter().flat_map(|model| dag.ancestors(model));
        let sources = above.filter(|node| node.kind == NodeKind::Source).map(|node| node.name.clone());
        let others = sources.chain(left.iter().cloned()).filter(|source| !taken.contains(source)).collect();
        Self { models, others }
    }
}

fn models_below(dag: &Dag, source: &str) -> Vec<String> {
    let below = dag.descendants(source).into_iter().filter(|node| node.kind == NodeKind::Model);
    below.map(|node| node.name.clone()).collect()
}

fn view(ended: &Ended<Report>, before: Option<ModelView>, now: i64) -> ModelView {
    let last_failure = match &ended.end {
        End::Failed { error, .. } => Some(failure(error, now)),
        End::Done { .. } | End::UpToDate { .. } | End::Skipped { .. } | End::Cancelled { .. } => None,
    };
    let made_at = match &ended.end {
        End::Done { .. } => Some(now),
        _ => before.as_ref().and_then(|before| before.made_at),
    };
    ModelView {
        model: ended.node.clone(),
        status: ended.end.status().word().to_owned(),
        version: ended.end.report().and_then(|report| report.version),
        made_at,
        looked_at: now,
        elapsed_ms: ended.elapsed_ms,
        last_failure: last_failure.or(before.and_then(|before| before.last_failure)),
    }
}

#[async_trait]
impl Refine for Models {
    async fn refine(&self, sources: &BTreeSet<String>, cancel: &CancellationToken) -> Result<bool> {
        let moved = self.moved(sources).await?;
        let (due, is_all) = self.due(moved.keys()).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let wiring = &self.work.wiring;
        let options = Options {
            jobs: NonZeroUsize::new(wiring.ask.jobs).unwrap_or(NonZeroUsize::MIN),
            retry: Retry { attempts_max: 2, ..Retry::default() },
            seed: fastrand::u64(..),
            cancel: cancel.child_token(),
            ..Options::default()
        };
        let work = self.work.clone() as Arc<dyn Work<Report>>;
        let tell = |event: orchestrate::Event<Report>| self.teller.model(&event);
        let outcome = orchestrate::run(&wiring.project.dag, &due, work, &options, &tell).await?;
        self.keep(&outcome)?;
        if is_all && !cancel.is_cancelled() {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(moved.into_values());
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestrate::Node;

    fn node(name: &str, upstream: &[&str]) -> Node {
        let kind = if name.contains('.') { NodeKind::Model } else { NodeKind::Source };
        let layer = name.split_once('.').map_or("bronze", |(layer, _)| layer).to_owned();
        let upstream = upstream.iter().map(|name| (*name).to_owned()).collect();
        Node { name: name.into(), layer, tags: Vec::new(), kind, upstream }
    }

    #[test]
    fn sources_of_others_are_looked_at_where_a_model_of_ours_reads_them() {
        let dag = Dag::new(vec![
            node("ours", &[]),
            node("theirs", &[]),
            node("far", &[]),
            node("alone", &[]),
            node("silver.far", &["far"]),
            node("silver.both", &["ours", "theirs"]),
            node("silver.alone", &["alone"]),
            node("gold.all", &["silver.both", "silver.far"]),
        ])
        .expect("a good graph");
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let found = |taken: &[&str], left: &[&str]| {
            let Below { models, others } = Below::new(&dag, &names(taken), &names(left));
            (Vec::from_iter(models), Vec::from_iter(others))
        };
        let ours = names(&["gold.all", "silver.both"]);
        assert_eq!(found(&["ours"], &[]), (ours, names(&["far", "theirs"])));
        let with_alone = names(&["gold.all", "silver.alone", "silver.both"]);
        assert_eq!(found(&["ours"], &["alone"]), (with_alone, names(&["alone", "far", "theirs"])));
        assert_eq!(found(&["alone"], &[]), (names(&["silver.alone"]), Vec::new()));
    }
}
