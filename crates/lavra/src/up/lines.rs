//! Opens a source with its gate and its sink, all calls through the breakers of their systems.

use super::doors::Doors;
use crate::project::{Source, SourceConfig};
use crate::wiring::Wiring;
use crate::work::{ProjectWork, opening};
use async_trait::async_trait;
use kernel::clock::Timestamp;
use kernel::draft;
use kernel::error::{Error, Result};
use kernel::sink::Sink;
use lake::BronzeSink;
use orchestrate::up::{Lag, Lines, Opened};
use orchestrate::{Breakers, Guard};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct ProjectLines {
    wiring: Arc<Wiring>,
    work: Arc<ProjectWork>,
    lake: Guard,
    sources: BTreeMap<String, (Source, Guard)>,
    pub doors: Arc<Doors>,
}

impl ProjectLines {
    pub fn new(wiring: Arc<Wiring>, work: Arc<ProjectWork>, breakers: Arc<Breakers>, sources: &[Source]) -> Self {
        let lake = wiring.environment.lake.as_deref().unwrap_or("lake");
        let lake = connect::of_place(lake, &wiring.environment.store);
        let guarded = |source: &Source| {
            let options = serde_json::Value::Object(source.config.options.clone());
            let system = connect::system(&options, &wiring.source_options(), &source.config.connector);
            (source.name.clone(), (source.clone(), breakers.guard(&system)))
        };
        let is_pushed =
            |source: &&Source| connect::by_name(&source.config.connector).is_some_and(|spec| spec.listen.is_some());
        let doors = Doors::of(sources.iter().filter(is_pushed).map(|source| source.name.clone()));
        let sources = sources.iter().map(guarded).collect();
        Self { doors, lake: breakers.guard(lake.as_deref().unwrap_or("lake")), work, sources, wiring }
    }

    /// The outside system of a source.
    pub fn system(&self, source: &str) -> &str {
        self.sources.get(source).map_or("", |(_, guard)| guard.system())
    }

    fn find(&self, name: &str) -> Result<(&Source, &Guard, connect::Spec)> {
        let found = self.sources.get(name).and_then(|(source, guard)| {
            let spec = connect::by_name(&source.config.connector)?;
            Some((source, guard, spec))
        });
        found.ok_or_else(|| Error::internal("open a source", format!("`{name}` is none")))
    }
}

impl ProjectLines {
    /// The source with the options that its file has now, so that one who mends them need not stop the others. A file that
    /// has faults is told and counts for nothing; so does another connector, which is another source.
    fn as_it_is_now(&self, source: &Source, spec: &connect::Spec) -> Source {
        let text = std::fs::read_to_string(self.wiring.ask.folder.join(&source.file)).unwrap_or_default();
        let env = |name: &str| std::env::var(name).ok();
        let read = draft::read::<SourceConfig>(&source.file, &text, &env).ok().map(|draft| draft.value);
        let is_good = |config: &SourceConfig| {
            config.connector == source.config.connector
                && (spec.check)(&Value::Object(config.options.clone())).is_empty()
        };
        match read.filter(is_good) {
            Some(config) => {
                Source { config: SourceConfig { options: config.options, ..source.config.clone() }, ..source.clone() }
            }
            None => {
                tracing::warn!("{} has faults now, and is read as it was; `lavra check` tells them", source.file);
                source.clone()
            }
        }
    }
}

#[async_trait]
impl Lines for ProjectLines {
    async fn open(&self, name: &str) -> Result<Opened> {
        let (source, guard, spec) = self.find(name)?;
        let mut gate = self.work.gate(source)?;
        let options = self.work.sink_options(source, &gate);
        let sink = BronzeSink::open(&self.wiring.engine, options, self.wiring.clock.clone());
        let sink = self.lake.call("the table", sink).await?;
        if let Some(warning) = sink.warning() {
            tracing::warn!(source = name, "{warning}");
        }
        let opening = opening(&self.wiring, &self.as_it_is_now(source, &spec), sink.positions().await?);
        let opened = match spec.listen {
            Some(listen) => {
                let listening = listen(&opening)?;
                self.doors.open(name, listening.path, listening.router)?;
                listening.source
            }
            None => guard.sign_in("the source", (spec.open)(opening)).await?,
        };
        self.work.remember_keys(source, &mut gate).await?;
        let version = Some(sink.version());
        Ok(Opened { source: guard.source(opened), gate, sink: self.lake.sink(Box::new(sink)), version })
    }

    async fn lag(&self, name: &str) -> Result<Lag> {
        let (source, _, spec) = self.find(name)?;
        let from = BronzeSink::progress_of(&self.wiring.store, &source.table, name).await?;
        let opening = opening(&self.wiring, source, from);
        let pending = (spec.pending)(&opening).await?;
        let waits = pending.iter().filter(|one| one.progress != connect::Progress::Settling);
        let (partitions, bytes) = waits.fold((0, 0), |(n, bytes), one| (n + 1, bytes + one.bytes.unwrap_or(0)));
        Ok(Lag { partitions, bytes })
    }

    fn retry_at(&self, name: &str) -> Option<Timestamp> {
        let of_source = self.sources.get(name).and_then(|(_, guard)| guard.retry_at());
        of_source.max(self.lake.retry_at())
    }
}
