//! What every `Engine` must pass: that it reads and never writes, that a schema is true before the first row, and that
//! who asks wrongly is told so.
#![allow(clippy::panic, reason = "a law speaks by failing the test that calls it")]

use crate::engine::{Engine, Rows, Session};
use crate::error::{Kind, Result};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;

const THREE: &str =
    "select n, cast(n as decimal(12,2)) as amount, 'x' as word from (values (1), (2), (3)) as t(n) order by n";

/// Holds an engine to its contract. It may have tables or none.
pub async fn obeys(engine: &dyn Engine) {
    gives_rows_of_the_schema_it_announced(engine).await;
    has_a_schema_without_a_row(engine).await;
    refuses_what_writes(engine).await;
    tells_who_asks_wrongly(engine).await;
    two_at_once_do_not_meet(engine).await;
}

async fn ask(engine: &dyn Engine, sql: &str) -> Result<Rows> {
    engine.query(&Session::owner("law"), sql).await
}

async fn all(engine: &dyn Engine, sql: &str) -> Vec<RecordBatch> {
    let rows = ask(engine, sql).await.unwrap_or_else(|e| panic!("`{sql}` failed: {e}"));
    let schema = rows.schema;
    let batches: Vec<Result<RecordBatch>> = rows.batches.collect().await;
    let of_schema = |batch: Result<RecordBatch>| {
        let batch = batch.unwrap_or_else(|e| panic!("`{sql}` failed while it ran: {e}"));
        let types = |schema: &arrow::datatypes::Schema| -> Vec<DataType> {
            schema.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        assert_eq!(types(&batch.schema()), types(&schema), "`{sql}`: the schema it announced");
        batch
    };
    batches.into_iter().map(of_schema).collect()
}

async fn gives_rows_of_the_schema_it_announced(engine: &dyn Engine) {
    // Computed decimals are where a planner's word and its batches part.
    all(engine, "select max(a) - min(a) as range, sum(a) / 3 as third from (select cast(1 as decimal(18,2)) as a) t")
        .await;
    let batches = all(engine, THREE).await;
    let options = FormatOptions::default();
    let mut shown = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cell = |column: &arrow::array::ArrayRef| match ArrayFormatter::try_new(column, &options) {
                Ok(text) => text.value(row).to_string(),
                Err(e) => panic!("`{THREE}` gives a type that can't be shown: {e}"),
            };
            shown.push(batch.columns().iter().map(cell).collect::<Vec<_>>().join("|"));
        }
    }
    assert_eq!(shown, ["1|1.00|x", "2|2.00|x", "3|3.00|x"], "decimals stay exact, and the order is the one asked for");
}

async fn has_a_schema_without_a_row(engine: &dyn Engine) {
    let sql = "select 1 as one where false";
    let rows = ask(engine, sql).await.unwrap_or_else(|e| panic!("`{sql}` failed: {e}"));
    assert_eq!(rows.schema.fields().len(), 1, "a result without rows has its columns");
    assert_eq!(all(engine, sql).await.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
}

/// Whatever it may be called: only a `SELECT` is planned.
async fn refuses_what_writes(engine: &dyn Engine) {
    for sql in [
        "create table silver.law as select 1 as n",
        "create view silver.law as select 1 as n",
        "insert into silver.law values (1)",
        "delete from silver.law",
        "update silver.law set n = 1",
        "drop table silver.law",
        "copy (select 1) to 'law.csv'",
        "set datafusion.execution.batch_size = 1",
        "select 1; drop table silver.law",
        "create external table silver.law stored as csv location 'law.csv'",
    ] {
        assert!(ask(engine, sql).await.is_err(), "`{sql}` must be refused");
    }
}

async fn tells_who_asks_wrongly(engine: &dyn Engine) {
    for sql in ["selekt 1", "select nothing_of_the_kind", "select * from silver.nothing_of_the_kind", ""] {
        match ask(engine, sql).await {
            Ok(_) => panic!("`{sql}` is no query, and was taken"),
            Err(e) => assert_eq!(e.kind, Kind::Project, "`{sql}` is the asker's mistake, and the error says: {e}"),
        }
    }
}

async fn two_at_once_do_not_meet(engine: &dyn Engine) {
    let count = async |n: u32| {
        let batches = all(engine, &format!("select * from (values (1), ({n})) as t(n) where n >= {n}")).await;
        batches.iter().map(RecordBatch::num_rows).sum::<usize>()
    };
    assert_eq!(futures::join!(count(1), count(7)), (2, 1), "two queries at once");
}
