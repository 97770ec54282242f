//! Rows out of the quarantine into bronze, each once, whenever the process dies.
//!
//! Bronze is committed first and names the quarantine's version that it took from; then the quarantine is written without
//! them. A replay that finds its version taken already does the second step only. Rows of a replay that died in between are
//! known by their run and position: both stay theirs.

use crate::commit::{Change, NewFile};
use crate::commits::json;
use crate::origin::Origin;
use crate::sink::{BronzeSink, SinkOptions};
use crate::sql::{Catalog, SqlEngine, failed};
use crate::table::{At, Table};
use crate::write::TableWriter;
use arrow::record_batch::RecordBatch;
use kernel::clock::Clock;
use kernel::error::{Error, Result};
use kernel::gate::{Gate, Tally};
use kernel::name::TableName;
use kernel::position::{Point, Positions};
use kernel::sink::{Commit, Sink};
use std::sync::Arc;

/// The partition under which bronze remembers which quarantine it took from.
pub(crate) const PARTITION: &str = "quarantine";

/// Tries one source's rows of a table's quarantine again.
pub async fn replay(
    engine: &SqlEngine,
    mut options: SinkOptions,
    gate: &mut Gate,
    clock: Arc<dyn Clock>,
) -> Result<Tally> {
    let (bronze, source) = (options.table.clone(), options.source.clone());
    let name = bronze.quarantine();
    let Some(table) = Table::open(engine.store(), &name, At::Latest).await? else { return Ok(Tally::default()) };
    let upto = {
        let mut upto = Positions::new();
        upto.set(PARTITION, Point::Offset(table.version()));
        upto
    };
    let run_id = options.run_id.clone();
    options.source = format!("{source}/replay");
    let mut sink = BronzeSink::open(engine, options, clock.clone()).await?;
    if sink.positions().await?.reaches(&upto) {
        let rows = select(engine, &untaken(engine, &name, &bronze).await?).await?;
        rewrite(engine, &table, rows.into_iter().collect(), &run_id, clock.as_ref()).await?;
        return Ok(Tally::default());
    }
    let (own, untaken) = (literal(&source), untaken(engine, &name, &bronze).await?);
    let rows = select(engine, &format!("select * from ({untaken}) where _source = {own}")).await?;
    let Some(rows) = rows else { return Ok(Tally::default()) };
    let replayed = gate.replay(&rows)?;
    let tally = replayed.passed.tally.clone();
    if replayed.passed.safe.num_rows() == 0 {
        return Ok(tally);
    }
    sink.write(replayed.passed).await?;
    if let Commit::Conflict(found) = sink.commit(&upto).await? {
        return Err(Error::new(kernel::Kind::Conflict, format!("replay {name}"), found));
    }
    let mut left = vec![replayed.staying];
    left.extend(select(engine, &format!("select * from ({untaken}) where _source is distinct from {own}")).await?);
    rewrite(engine, &table, left, &run_id, clock.as_ref()).await?;
    Ok(tally)
}

/// A query for the quarantine's rows that are not in bronze.
async fn untaken(engine: &SqlEngine, name: &TableName, bronze: &TableName) -> Result<String> {
    if Table::open(engine.store(), bronze, At::Latest).await?.is_none() {
        return Ok(format!("select * from {name}"));
    }
    Ok(format!(
        "select q.* from {name} q left anti join {bronze} b on q._source = b._source and q._run_id = b._run_id \
         and q._position['partition'] = b._position['partition'] and q._position['offset'] = b._position['offset']"
    ))
}

async fn select(engine: &SqlEngine, sql: &str) -> Result<Option<RecordBatch>> {
    let catalog = Catalog::of_lake(engine.store()).await?;
    let frame = engine.frame_over(catalog, sql).await?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.map_err(failed)?;
    let all =
        arrow::compute::concat_batches(&schema, &batches).map_err(|e| Error::internal("read the quarantine", e))?;
    Ok((all.num_rows() > 0).then_some(all))
}

async fn rewrite(
    engine: &SqlEngine,
    table: &Table,
    rows: Vec<RecordBatch>,
    run_id: &str,
    clock: &dyn Clock,
) -> Result<()> {
    let mut writer = TableWriter::new(engine.store(), table.name(), 1);
    for batch in rows {
        writer.write(batch).await?;
    }
    let adds: Vec<NewFile> = writer.finish().await?.into_iter().map(|(file, _)| file).collect();
    let origin = Origin { run_id: run_id.to_owned(), ..Origin::default() };
    let change =
        Change { operation: "REPLAY", adds, removes: table.files()?, origin: json(&origin)?, ..Change::default() };
    table.commit(&change, clock.now()).await.map(drop)
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
