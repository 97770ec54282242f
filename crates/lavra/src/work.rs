//! What the nodes of a run do: sources are taken in, models are made.

mod meter;
#[cfg(test)]
mod tests;

use crate::project::{Source, row_rules, set_rules};
use crate::relay::{self, Relay};
use crate::wiring::Wiring;
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt;
use kernel::TableName;
use kernel::broker::Places;
use kernel::contract::SchemaChange;
use kernel::error::{Error, Result};
use kernel::gate::{Forgotten, Gate, Stamp, Tally};
use kernel::position::Positions;
use kernel::sink::Sink;
use lake::{At, BronzeSink, Model, ModelReport, ModelRun, SinkOptions, Table};
use meter::Meter;
use orchestrate::{Finished, Ingested, Pace, Task, Told, Work, ingest};
use privacy::mask::Masks;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// What one node did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub table: String,
    /// Of a source its rows, good and bad; of a model the rows that its inputs hold.
    pub rows_read: u64,
    pub rows_written: u64,
    pub rows_quarantined: u64,
    /// Rows of people who were forgotten, which were let go.
    pub rows_forgotten: u64,
    /// Rows that came before, of a source that may give a row again: they were let go.
    pub rows_repeated: u64,
    pub values_dropped: u64,
    /// Masked values by kind of personal data.
    pub values_masked: BTreeMap<String, u64>,
    /// Quarantined rows by `column: rule`.
    pub quarantined_because: BTreeMap<String, u64>,
    pub bytes_written: u64,
    pub files_removed: u64,
    pub checks_passed: u64,
    /// The table's version after the run.
    pub version: Option<u64>,
    /// The versions of the tables that a model read.
    pub inputs: BTreeMap<String, u64>,
    /// What the user must know, though nothing failed.
    pub warning: Option<String>,
}

/// Runs nodes of a project.
pub struct ProjectWork {
    pub wiring: Arc<Wiring>,
    pub masks: Masks,
    pub run_id: String,
    pub full_refresh: bool,
    pub pace: Pace,
    /// Files written at once by one node.
    pub lanes: usize,
    /// People whose rows do not come in.
    pub forgotten: Option<Arc<dyn Forgotten>>,
    /// Models that read one that was made anew since they were, for rows that it kept were deleted by age.
    outdated: Mutex<BTreeSet<TableName>>,
}

#[async_trait]
impl Work<Report> for ProjectWork {
    async fn run(&self, task: Task<Report>) -> Result<Finished<Report>> {
        if let Some(source) = self.wiring.project.sources.iter().find(|s| s.name == task.node) {
            return self.take_in(source, &task).await;
        }
        let model = self.wiring.project.models.iter().find(|m| m.name.to_string() == task.node);
        let model =
            model.ok_or_else(|| Error::internal("run a node", format!("`{}` is no source and no model", task.node)))?;
        let run = ModelRun {
            engine: self.wiring.engine.clone(),
            run_id: self.run_id.clone(),
            clock: self.wiring.clock.clone(),
            full_refresh: self.full_refresh || self.must_refresh(model).await?,
            lanes: self.lanes,
            exposes: self.exposes(&task.node),
        };
        let known = self.known(model).await?;
        task.keep(known.clone());
        let done = tokio::select! {
            done = lake::run_model(&run, model) => done?,
            () = task.cancel.cancelled() => return Err(Error::new(kernel::Kind::Stopped, &task.node, "stopped on request")),
        };
        if run.full_refresh {
            self.outdated().remove(&model.name);
        }
        let is_up_to_date = done.is_up_to_date;
        let report = made(known, done);
        Ok(if is_up_to_date { Finished::UpToDate(report) } else { Finished::Done(report) })
    }
}

impl ProjectWork {
    /// With the keys of the tables, and without the people who were forgotten.
    pub async fn new(wiring: &Arc<Wiring>, run_id: String, lanes: usize) -> Result<Self> {
        Ok(Self {
            masks: wiring.masks().await?,
            forgotten: crate::subject::forgotten(wiring).await?,
            run_id,
            full_refresh: false,
            pace: Pace::default(),
            lanes,
            outdated: Mutex::default(),
            wiring: wiring.clone(),
        })
    }

    /// Whether a model has to be made anew, for it keeps rows that its inputs have lost by their age.
    async fn must_refresh(&self, model: &Model) -> Result<bool> {
        let is_behind = self.outdated().contains(&model.name);
        let must = crate::upkeep::can_refresh(&self.wiring, model)
            && (is_behind || crate::upkeep::outlives(&self.wiring, model).await?);
        if must {
            tracing::info!(model = %model.name, "made anew: rows that it was made of were deleted by their age");
            // Noted before it is made: of one whose commit is there though its answer is not, nobody could tell it later.
            let readers = self.wiring.project.models.iter().filter(|reader| reader.reads.contains(&model.name));
            self.outdated().extend(readers.map(|reader| reader.name.clone()));
        }
        Ok(must)
    }

    fn outdated(&self) -> MutexGuard<'_, BTreeSet<TableName>> {
        self.outdated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_in(&self, source: &Source, task: &Task<Report>) -> Result<Finished<Report>> {
        let gate = self.gate(source)?;
        let mut bronze = self.bronze(source, &gate).await?;
        let before = bronze.version();
        let mut warnings: Vec<String> = bronze.warning().map(str::to_owned).into_iter().collect();
        warnings.extend(crate::subject::changed(&self.wiring, source).await?);
        // What is known should the source fail before its first commit.
        task.keep(report(source, &Ingested::default(), 0, before));
        let (done, outcome) = match Relay::of(&self.wiring, source).await? {
            None => {
                let from = bronze.positions().await?;
                relay::refuse_detour(source, &from)?;
                let none = Places::new();
                let done = self.read(source, gate, from, &none, &mut bronze, self.pace, before, task).await;
                (done?, Ok(()))
            }
            Some(relay) => self.relayed(source, gate, &relay, &mut bronze, before, task).await?,
        };
        warnings.extend(drifted(&done));
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        let report = Report { warning, ..report(source, &done, bronze.bytes_written(), before) };
        task.keep(report.clone());
        outcome?;
        Ok(if done.version.is_none() { Finished::UpToDate(report) } else { Finished::Done(report) })
    }

    /// Through the broker: what waits there goes into the table, then the source into its topic, then that into the table. What
    /// the source gave before it failed comes to the table all the same.
    async fn relayed(
        &self,
        source: &Source,
        gate: Gate,
        relay: &Relay,
        bronze: &mut BronzeSink,
        before: u64,
        task: &Task<Report>,
    ) -> Result<(Ingested, Result<()>)> {
        let mut table = self.drain(source, relay, bronze, &task.cancel).await?;
        let mut sink = relay.sink(&self.wiring, source, &self.run_id).await?;
        let (from, pace) = (sink.positions().await?, Relay::pace(self.pace));
        let again = sink.unfinished();
        let read = self.read(source, gate, from, &again, &mut sink, pace, before, task).await;
        let rest = self.drain(source, relay, bronze, &task.cancel).await;
        if let Ok(rest) = &rest {
            table.tally.add(&rest.tally);
            table.version = rest.version.or(table.version);
        }
        let (read, outcome) = match read {
            Ok(read) => (read.tally, rest.map(drop)),
            Err(error) => (Tally::default(), Err(error)),
        };
        Ok((Ingested { tally: of_halves(read, table.tally), version: table.version }, outcome))
    }

    /// Brings what waits in a source's topic into its table.
    async fn drain(
        &self,
        source: &Source,
        relay: &Relay,
        bronze: &mut BronzeSink,
        cancel: &CancellationToken,
    ) -> Result<Ingested> {
        let rows = relay.source(&bronze.positions().await?).await?;
        let told = Told { read: &|_, _, _| {}, committed: &|_| {}, idle: &|| {} };
        let clock = self.wiring.clock.as_ref();
        ingest(Box::new(rows), self.gate(source)?, bronze, self.pace, clock, cancel, told).await
    }

    /// Opens a source behind `from` and takes in all that it has now; rows of `again` are in the table already.
    #[allow(clippy::too_many_arguments, reason = "each is another part of one act")]
    async fn read(
        &self,
        source: &Source,
        mut gate: Gate,
        from: Positions,
        again: &Places,
        sink: &mut dyn Sink,
        pace: Pace,
        before: u64,
        task: &Task<Report>,
    ) -> Result<Ingested> {
        let opening = opening(&self.wiring, source, from);
        let spec = connect::by_name(&source.config.connector);
        let spec = spec
            .ok_or_else(|| Error::internal("open a source", format!("no connector `{}`", source.config.connector)))?;
        let meter = Mutex::new(Meter::new(spec.pending(&opening).await?));
        task.expect_bytes(meter.lock().unwrap_or_else(PoisonError::into_inner).total());
        let opened = spec.open(opening).await?;
        self.remember_keys_but(source, &mut gate, again).await?;
        let read = |rows, bytes, upto: &Positions| {
            task.progress(rows, meter.lock().unwrap_or_else(PoisonError::into_inner).read(bytes, upto))
        };
        let committed = |done: &Ingested| task.keep(report(source, done, 0, before));
        let told = Told { read: &read, committed: &committed, idle: &|| {} };
        ingest(opened, gate, sink, pace, self.wiring.clock.as_ref(), &task.cancel, told).await
    }

    pub async fn bronze(&self, source: &Source, gate: &Gate) -> Result<BronzeSink> {
        // What is refused leaves no table behind that would be in the way of the one that is to be put back.
        if Table::open(&self.wiring.store, &source.table, At::Latest).await?.is_none()
            && let Some(relay) = Relay::of(&self.wiring, source).await?
        {
            relay.refuse_other_table(&self.wiring, source).await?;
        }
        let options = self.sink_options(source, gate);
        BronzeSink::open(&self.wiring.engine, options, self.wiring.clock.clone()).await
    }

    /// What can be said of a model before it runs: the tables as they are now, and their rows by statistics.
    async fn known(&self, model: &Model) -> Result<Report> {
        let store = &self.wiring.store;
        let mut known = Report { table: model.name.to_string(), ..Report::default() };
        for name in &model.reads {
            if let Some(table) = Table::open(store, name, At::Latest).await? {
                known.rows_read += table.num_rows().unwrap_or_default();
                known.inputs.insert(name.to_string(), table.version());
            }
        }
        known.version = Table::open(store, &model.name, At::Latest).await?.map(|table| table.version());
        Ok(known)
    }

    pub fn sink_options(&self, source: &Source, gate: &Gate) -> SinkOptions {
        let masks = || source.entity.properties.iter().filter_map(|property| property.mask.as_ref());
        SinkOptions {
            table: source.table.clone(),
            source: source.name.clone(),
            run_id: self.run_id.clone(),
            schema: gate.output_schema(),
            lanes: self.lanes,
            // Of a change log they are held in the table that is kept from it.
            rules: set_rules(&source.entity).filter(|_| !source.changes).cloned().collect(),
            exposes: self.exposes(&source.table.to_string()),
            keys: self.masks.fingerprint().filter(|_| masks().next().is_some()),
            vault: masks().any(privacy::mask::needs_vault).then(|| self.wiring.vault.clone()),
        }
    }

    /// Ends what a run that died began between two commits, and brings in what waits in logs: whoever writes files anew must
    /// not be in between, for it knows files by their names, and rows that come later would be as they were. Also refuses
    /// other keys than those of the tables.
    pub async fn settle(&self) -> Result<()> {
        for source in &self.wiring.project.sources {
            self.settle_source(source).await?;
        }
        Ok(())
    }

    /// The same of one source.
    pub async fn settle_source(&self, source: &Source) -> Result<()> {
        let relay = Relay::of(&self.wiring, source).await?;
        if Table::open(&self.wiring.store, &source.table, At::Latest).await?.is_none() && relay.is_none() {
            return Ok(());
        }
        let gate = self.gate(source)?;
        let mut bronze = self.bronze(source, &gate).await?;
        if let Some(relay) = relay {
            self.drain(source, &relay, &mut bronze, &CancellationToken::new()).await?;
            // Rows that were set aside before others came into the log come again.
            relay.sink(&self.wiring, source, &self.run_id).await?;
        }
        Ok(())
    }

    fn exposes(&self, table: &str) -> lake::Exposure {
        self.wiring.project.exposures.get(table).cloned().unwrap_or_default()
    }

    pub fn gate(&self, source: &Source) -> Result<Gate> {
        let stamp = Stamp {
            source: source.name.clone(),
            contract_version: source.contract_version.clone(),
            run_id: self.run_id.clone(),
            changes: source.changes,
        };
        let (rules, _) = row_rules(&source.entity);
        let gate = Gate::new(source.entity.clone(), &self.masks, rules, stamp, self.wiring.screen.clone())?;
        Ok(match &self.forgotten {
            Some(forgotten) => gate.without(forgotten.clone()),
            None => gate,
        })
    }

    /// Shows the gate the keys that the table holds, so that keys stay unique over runs, and what `evolve` has made columns
    /// of.
    pub async fn remember_keys(&self, source: &Source, gate: &mut Gate) -> Result<()> {
        self.remember_keys_but(source, gate, &Places::new()).await
    }

    /// The same without the keys of rows of this source that come again and are known by where they are.
    pub async fn remember_keys_but(&self, source: &Source, gate: &mut Gate, again: &Places) -> Result<()> {
        if source.entity.schema_change == SchemaChange::Evolve
            && let Some(table) = Table::open(&self.wiring.store, &source.table, At::Latest).await?
        {
            gate.remember_columns(&table.schema());
        }
        for columns in gate.unique_columns() {
            let table = Table::open(&self.wiring.store, &source.table, At::Latest).await?;
            if table.is_none_or(|table| table.num_rows() == Some(0)) {
                continue;
            }
            let mut list: Vec<String> = columns.iter().map(|c| format!("\"{c}\"")).collect();
            if !again.is_empty() {
                // No column of a contract has a name with a blank in front.
                list.push(r#"_source as " source""#.to_owned());
                list.push(r#"_position['partition'] as " partition""#.to_owned());
                list.push(r#"_position['offset'] as " offset""#.to_owned());
            }
            let sql = format!("select {} from {}", list.join(", "), source.table);
            let session = kernel::engine::Session::owner("unique keys");
            let mut rows = kernel::engine::Engine::query(&self.wiring.engine, &session, &sql).await?;
            while let Some(batch) = rows.batches.next().await {
                let batch = batch?;
                gate.remember(&if again.is_empty() { batch } else { without(&batch, &source.name, again)? })?;
            }
        }
        Ok(())
    }
}

/// The rows but for those of this source in these places; the last columns say whose each is and where.
fn without(rows: &RecordBatch, source: &str, places: &Places) -> Result<RecordBatch> {
    let fault = |e| Error::internal("read keys", "the table's stamps can't be read").because(e);
    let [.., of, partition, offset] = rows.columns() else {
        return Err(Error::internal("read keys", "the table's stamps are missing"));
    };
    let (of, partition) = (cast(of, &DataType::Utf8).map_err(fault)?, cast(partition, &DataType::Utf8).map_err(fault)?);
    let offset = cast(offset, &DataType::Int64).map_err(fault)?;
    let (of, partition) = (of.as_string::<i32>(), partition.as_string::<i32>());
    let offset = offset.as_primitive::<Int64Type>();
    let stays = |row: usize| {
        let is_known = of.is_valid(row) && partition.is_valid(row) && offset.is_valid(row) && of.value(row) == source;
        let offsets = if is_known { places.get(partition.value(row)) } else { None };
        offsets.is_none_or(|offsets| !offsets.contains(&offset.value(row)))
    };
    let stays: BooleanArray = (0..rows.num_rows()).map(|row| Some(stays(row))).collect();
    filter_record_batch(rows, &stays).map_err(fault)
}

/// What a source is opened with, behind `from`.
pub fn opening(wiring: &Wiring, source: &Source, from: Positions) -> connect::Opening {
    connect::Opening {
        source: source.name.clone(),
        project: format!("{}_{}", wiring.project.config.project, wiring.ask.environment),
        options: serde_json::Value::Object(source.config.options.clone()),
        base: wiring.ask.folder.clone(),
        entity: source.entity.clone(),
        from,
        store: wiring.source_options(),
        clock: wiring.clock.clone(),
    }
}

/// Rows are counted where they came in, and as written where they are in the table; there, too, records that nobody of ours
/// wrote.
fn of_halves(mut of_source: Tally, of_table: Tally) -> Tally {
    let rows_passed = of_table.rows_passed;
    of_source.add(&Tally { rows_read: of_table.rows_quarantined, rows_passed: 0, ..of_table });
    Tally { rows_passed, ..of_source }
}

fn made(known: Report, done: ModelReport) -> Report {
    Report {
        rows_read: if done.is_up_to_date { 0 } else { known.rows_read },
        rows_written: done.rows_written,
        bytes_written: done.bytes_written,
        files_removed: done.files_removed,
        checks_passed: done.checks_passed,
        version: done.version,
        ..known
    }
}

/// Columns in which personal data was found though their contract doesn't call them personal.
fn drifted(done: &Ingested) -> Option<String> {
    let found = done.tally.undeclared.iter().map(|(what, count)| format!("`{what}` ({count} values)"));
    let found: Vec<String> = found.collect();
    (!found.is_empty()).then(|| {
        format!(
            "personal data in columns that the contract does not call personal: {}; classify them, or state \
             `classification: public` or `holds_personal_data: false`",
            found.join(", ")
        )
    })
}

fn report(source: &Source, done: &Ingested, bytes_written: u64, before: u64) -> Report {
    let tally = done.tally.clone();
    Report {
        table: source.table.to_string(),
        rows_read: tally.rows_read,
        rows_written: tally.rows_passed,
        rows_quarantined: tally.rows_quarantined,
        rows_forgotten: tally.rows_forgotten,
        rows_repeated: tally.rows_repeated,
        values_dropped: tally.values_dropped,
        values_masked: tally.masked,
        quarantined_because: tally.causes,
        bytes_written,
        version: Some(done.version.unwrap_or(before)),
        ..Report::default()
    }
}
