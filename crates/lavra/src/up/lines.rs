//! Opens a source with its gate and its sink, all calls through the breakers of their systems.

use super::doors::Doors;
use crate::project::{COMMIT_EVERY, Source, SourceConfig, span};
use crate::relay::{self, Relay};
use crate::wiring::Wiring;
use crate::work::{ProjectWork, opening};
use async_trait::async_trait;
use kernel::broker::Places;
use kernel::clock::Timestamp;
use kernel::draft;
use kernel::error::{Error, Kind, Result};
use kernel::gate::Gate;
use kernel::sink::Sink;
use orchestrate::up::{Lag, Lines, Opened, Planned};
use orchestrate::{Breakers, Guard, Timetable};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub struct ProjectLines {
    wiring: Arc<Wiring>,
    work: Arc<ProjectWork>,
    lake: Guard,
    /// By name: a source's own, or `bronze.NAME` for the half behind the broker.
    lines: BTreeMap<String, Line>,
    pub doors: Arc<Doors>,
}

struct Line {
    source: Source,
    /// Calls of its outside system.
    system: Guard,
    way: Way,
}

enum Way {
    /// From the source to the table.
    Straight,
    /// From the source to its topic, through calls of the broker.
    IntoLog(Guard),
    /// From the topic to the table: the broker is the outside system.
    OutOfLog,
}

impl ProjectLines {
    pub fn new(
        wiring: Arc<Wiring>,
        work: Arc<ProjectWork>,
        breakers: &Arc<Breakers>,
        sources: &[Source],
    ) -> Result<Self> {
        let lake = wiring.environment.lake.as_deref().unwrap_or("lake");
        let lake = connect::of_place(lake, &wiring.environment.store);
        let is_pushed =
            |source: &&Source| connect::by_name(&source.config.connector).is_some_and(|spec| spec.listen.is_some());
        let doors = Doors::of(sources.iter().filter(is_pushed).map(|source| source.name.clone()));
        let mut lines = BTreeMap::new();
        for source in sources {
            let options = Value::Object(source.config.options.clone());
            let system = connect::system(&options, &wiring.source_options(), &source.config.connector);
            let system = breakers.guard(&system);
            let mut way = Way::Straight;
            if let Some(home) = relay::home(&wiring, source)? {
                let log = breakers.guard(&home.shown());
                let half = Line { source: source.clone(), system: log.clone(), way: Way::OutOfLog };
                lines.insert(relay::line(&source.name), half);
                way = Way::IntoLog(log);
            }
            lines.insert(source.name.clone(), Line { source: source.clone(), system, way });
        }
        Ok(Self { doors, lake: breakers.guard(lake.as_deref().unwrap_or("lake")), work, lines, wiring })
    }

    /// All lines, as they are planned.
    pub fn planned(&self) -> Vec<Planned> {
        let planned = |(name, line): (&String, &Line)| {
            let config = &line.source.config;
            let timetable = config.schedule.as_deref().and_then(|text| Timetable::parse(text).ok());
            Planned {
                source: name.clone(),
                // One without a schedule was asked for by name: then it goes on and on.
                timetable: match line.way {
                    Way::OutOfLog => Timetable::Continuous,
                    _ => timetable.unwrap_or(Timetable::Continuous),
                },
                commit_every: config.commit_every.as_deref().and_then(span).unwrap_or(COMMIT_EVERY),
                pace: match line.way {
                    Way::IntoLog(_) => Relay::pace,
                    _ => |pace| pace,
                },
                feeds_models: !matches!(line.way, Way::IntoLog(_)),
            }
        };
        self.lines.iter().map(planned).collect()
    }

    /// Each line with its schedule and its outside system.
    pub fn shown(&self) -> Vec<(String, String, String)> {
        let schedule = |line: &Line| match (&line.source.config.schedule, &line.way) {
            (Some(schedule), Way::Straight | Way::IntoLog(_)) => schedule.clone(),
            _ => "continuous".to_owned(),
        };
        let shown = self.lines.iter();
        shown.map(|(name, line)| (name.clone(), schedule(line), line.system.system().to_owned())).collect()
    }

    fn find(&self, name: &str) -> Result<(&Line, connect::Spec)> {
        let found =
            self.lines.get(name).and_then(|line| Some((line, connect::by_name(&line.source.config.connector)?)));
        found.ok_or_else(|| Error::internal("open a source", format!("`{name}` is none")))
    }

    async fn relay(&self, source: &Source) -> Result<Relay> {
        let relay = Relay::of(&self.wiring, source).await?;
        relay.ok_or_else(|| Error::internal("open a source", format!("`{}` has no broker", source.name)))
    }

    /// The rows' end, and how far they are taken; and rows that come again though the table may have them.
    async fn sink(&self, line: &Line, gate: &Gate) -> Result<(Box<dyn Sink>, Option<u64>, Places)> {
        let source = &line.source;
        if let Way::IntoLog(log) = &line.way {
            let relay = self.relay(source).await?;
            let mut sink = log.open("the topic", relay.sink(&self.wiring, source, &self.work.run_id)).await?;
            if !gate.unique_columns().is_empty() {
                self.wait_for_table(&relay, source).await?;
            }
            let again = sink.unfinished();
            return Ok((log.sink(Box::new(sink)), None, again));
        }
        let sink = self.lake.open("the table", self.work.bronze(source, gate)).await?;
        let warnings = sink.warning().map(str::to_owned).into_iter();
        for warning in warnings.chain(crate::subject::changed(&self.wiring, source).await?) {
            tracing::warn!(source = source.name, "{warning}");
        }
        if let Way::Straight = line.way {
            relay::refuse_detour(source, &sink.positions().await?)?;
        }
        let version = Some(sink.version());
        Ok((self.lake.sink(Box::new(sink)), version, Places::new()))
    }

    /// Keys are unique over runs as far as the table knows them, so rows that are on their way to it are waited for.
    async fn wait_for_table(&self, relay: &Relay, source: &Source) -> Result<()> {
        let mut waited = Duration::ZERO;
        while relay.behind(&self.wiring, source).await?.0 > 0 {
            if waited > TABLE_PATIENCE {
                let what = format!("look for keys of `{}`", source.name);
                let detail = format!("rows of {} are not in {} yet", relay.topic(), source.table);
                return Err(Error::new(Kind::Unreachable, what, detail));
            }
            tokio::time::sleep(TABLE_STEP).await;
            waited += TABLE_STEP;
        }
        Ok(())
    }
}

const TABLE_PATIENCE: Duration = Duration::from_secs(30);
const TABLE_STEP: Duration = Duration::from_millis(200);

impl ProjectLines {
    /// The source with the options that its file has now, so that one who mends them need not stop the others. A file that
    /// has faults is told and counts for nothing; so does another connector, which is another source.
    fn as_it_is_now(&self, source: &Source, spec: &connect::Spec) -> Source {
        let text = std::fs::read_to_string(self.wiring.ask.folder.join(&source.file)).unwrap_or_default();
        let env = |name: &str| std::env::var(name).ok();
        let read = draft::read::<SourceConfig>(&source.file, &text, &env).ok().map(|draft| draft.value);
        let is_good = |config: &SourceConfig| {
            let options = Value::Object(config.options.clone());
            config.connector == source.config.connector
                && (spec.check)(&options).is_empty()
                && (spec.fits)(&options, &source.entity).is_empty()
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
        let (line, spec) = self.find(name)?;
        let (source, guard) = (&line.source, &line.system);
        let mut gate = self.work.gate(source)?;
        let (sink, version, again) = self.sink(line, &gate).await?;
        let from = sink.positions().await?;
        if let Way::OutOfLog = line.way {
            let relay = self.relay(source).await?;
            let rows = guard.open("the topic", relay.source(&from)).await?;
            return Ok(Opened { source: guard.source(Box::new(rows)), gate, sink, version });
        }
        let opening = opening(&self.wiring, &self.as_it_is_now(source, &spec), from);
        let opened = match spec.listen {
            Some(listen) => {
                let listening = listen(&opening, self.wiring.screen.clone())?;
                self.doors.open(name, listening.path, listening.router)?;
                listening.source
            }
            None => guard.sign_in("the source", spec.open(opening)).await?,
        };
        self.work.remember_keys_but(source, &mut gate, &again).await?;
        Ok(Opened { source: guard.source(opened), gate, sink, version })
    }

    async fn lag(&self, name: &str) -> Result<Lag> {
        let (line, spec) = self.find(name)?;
        let source = &line.source;
        if let Way::OutOfLog = line.way {
            let (partitions, _) = self.relay(source).await?.behind(&self.wiring, source).await?;
            return Ok(Lag { partitions, bytes: 0 });
        }
        let opening = opening(&self.wiring, source, relay::reached(&self.wiring, source).await?);
        let pending = spec.pending(&opening).await?;
        let waits = pending.iter().filter(|one| one.progress != connect::Progress::Settling);
        let (partitions, bytes) = waits.fold((0, 0), |(n, bytes), one| (n + 1, bytes + one.bytes.unwrap_or(0)));
        Ok(Lag { partitions, bytes })
    }

    async fn are_left(&self) {
        self.doors.are_left().await
    }

    fn retry_at(&self, name: &str) -> Option<Timestamp> {
        let line = self.lines.get(name);
        let of_source = line.and_then(|line| line.system.retry_at());
        // What ends in the log needs no lake.
        let of_end = match line.map(|line| &line.way) {
            Some(Way::IntoLog(log)) => log.retry_at(),
            _ => self.lake.retry_at(),
        };
        of_source.max(of_end)
    }
}
