//! PostgreSQL: a table once, its new rows, or all of its changes by logical replication.

mod address;
mod cdc;
mod client;
mod column;
mod cursor;
mod discover;
mod incremental;
mod kinds;
mod list;
mod numeric;
mod options;
mod probe;
mod ranges;
mod rows;
mod setup;
mod snapshot;
mod table;
mod time;

use crate::marks;
use crate::spec::{Fault, Opening, Pending, Progress, Spec};
use async_trait::async_trait;
use cdc::{Cdc, Known};
use futures::FutureExt;
use incremental::Incremental;
use kernel::error::Result;
use kernel::source::{Pulled, Source};
use kernel::{Entity, Point, Positions};
use options::{Mode, Options};
use ranges::Range;
use serde_json::Value;
use setup::Setup;
use snapshot::Snapshot;
use std::sync::Arc;
use table::{Table, Wanted};

pub fn spec() -> Spec {
    Spec {
        name: "postgres",
        summary: "A table of PostgreSQL: as it is, its new rows, or every change by logical replication",
        schemes: &["postgres", "postgresql"],
        example: EXAMPLE,
        options_schema: || {
            let mut schema = schemars::schema_for!(Options).to_value();
            schema["required"] = serde_json::json!(options::REQUIRED);
            schema
        },
        check: |given| Options::check(given).err().unwrap_or_default(),
        fits,
        way: crate::way::of_table,
        repeats: |_, _| None,
        open: |opening| open(opening).boxed(),
        pending: |opening| pending(opening).boxed(),
        changes: |given| given.get("mode").and_then(|mode| mode.as_str()).is_some_and(|mode| mode != "snapshot"),
        probe: |opening| probe::probe(opening).boxed(),
        discover: Some(|opening| discover::discover(opening).boxed()),
        listen: None,
    }
}

const EXAMPLE: &str = "\
connector: postgres
connection: postgres://lavra:${PASSWORD}@db.example:5432/shop?sslmode=verify-full
table: sales.orders
mode: cdc                         # or snapshot, or incremental with a `cursor`
wal_budget: 10 GiB                # warns before the server keeps more of its log for us
schedule: continuous
";

/// A change log takes each key many times, rows take it once.
fn fits(given: &Value, entity: &Entity) -> Vec<Fault> {
    let is_set = Options::check(given).is_ok_and(|options| options.mode == Mode::Snapshot && options.refresh > 0);
    marks::again(is_set, entity, Some("mode: cdc"))
}

async fn open(opening: Opening) -> Result<Box<dyn Source>> {
    marks::demand(&opening.source, fits(&opening.options, &opening.entity))?;
    Ok(match Options::read(&opening.source, &opening.options)?.mode {
        Mode::Snapshot => Box::new(Once::open(&opening).await?),
        Mode::Incremental => Box::new(Incremental::open(&opening).await?),
        Mode::Cdc => Box::new(Cdc::open(&opening).await?),
    })
}

/// `mode: snapshot`. A second run takes nothing.
struct Once(Snapshot);

impl Once {
    async fn open(opening: &Opening) -> Result<Self> {
        let setup = Arc::new(Setup::read(opening)?);
        let client = setup.connect().await?;
        let table = Table::look(&client, setup.options.table(), &setup.entity).await?;
        table.warn_of_heirs();
        let (infinity, batch_rows_max) = (setup.options.infinity, setup.options.batch_rows_max);
        let wanted = Wanted { layout: table.layout(), infinity, batch_rows_max };
        Ok(Self(Snapshot::open(setup, &client, &table, wanted, false, &opening.from).await?))
    }
}

#[async_trait]
impl Source for Once {
    async fn next(&mut self, bytes_max: usize) -> Result<Option<Pulled>> {
        self.0.next(bytes_max).await
    }

    /// The table keeps its rows.
    async fn settled(&mut self, _upto: &Positions) -> Result<()> {
        Ok(())
    }
}

/// What a run would read, as far as that can be told without reading.
async fn pending(opening: &Opening) -> Result<Vec<Pending>> {
    let setup = Setup::read(opening)?;
    let client = setup.connect().await?;
    let table = Table::look(&client, setup.options.table(), &setup.entity).await?;
    let mode = setup.options.mode;
    let progress = |partition: &str| match opening.from.get(partition) {
        Some(Point::Mark { rows, .. }) => Progress::Partly(*rows),
        _ => Progress::New,
    };
    if mode == Mode::Incremental {
        let partition = incremental::partition(&table);
        return Ok(vec![Pending { bytes: None, progress: progress(&partition), partition }]);
    }
    let stream = if mode == Mode::Cdc { Some(Known::of(&opening.from, &table)?) } else { None };
    let reached = stream.as_ref().and_then(|known| known.reached).map(|(at, _)| at);
    let mut all = Vec::new();
    if reached.is_none_or(|at| at.snapshot == 0) {
        let heaps = table.heaps(&client).await?;
        let ranges = ranges::cut(&table, &heaps, setup.options.parallel, setup.options.refresh, &opening.from)?;
        let left = ranges.into_iter().filter(|range| !range.done);
        all.extend(left.map(|Range { partition, .. }| Pending {
            bytes: None,
            progress: progress(&partition),
            partition,
        }));
    }
    if let Some(Known { partition, .. }) = stream {
        let bytes = match reached {
            Some(at) => {
                let end = cdc::slot::log_end_behind(&client, &setup.slot(), at.reached()).await?;
                Some(end.saturating_sub(at.lsn))
            }
            None => None,
        };
        if bytes != Some(0) {
            all.push(Pending { bytes, progress: progress(&partition), partition: partition.to_string() });
        }
    }
    Ok(all)
}
