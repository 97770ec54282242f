use super::{assert_caught, verdict};
use crate::engine::{Engine, Rows, Session};
use crate::error::{Error, Result};
use crate::laws::engine::obeys;
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt;
use futures::executor::block_on;
use futures::stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Knows the answers to the law's questions, but for one.
#[derive(Default)]
struct Toy {
    fault: &'static str,
    asked: AtomicI64,
}

fn numbers(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

fn decimals(values: Vec<i128>, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(18, scale).expect("a decimal"))
}

fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("a batch")
}

impl Toy {
    fn answer(&self, sql: &str) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let has = |fault| self.fault == fault;
        let batch = match sql {
            _ if sql.starts_with("select max(a)") => {
                rows(vec![("range", decimals(vec![0], 2)), ("third", decimals(vec![33], 2))])
            }
            _ if sql.starts_with("select n, cast(n") => {
                let n = if has("order") { vec![2, 1, 3] } else { vec![1, 2, 3] };
                let amount = match has("decimals") {
                    true => decimals(n.iter().map(|n| i128::from(*n) * 10).collect(), 1),
                    false => decimals(n.iter().map(|n| i128::from(*n) * 100).collect(), 2),
                };
                rows(vec![("n", numbers(n)), ("amount", amount), ("word", Arc::new(StringArray::from(vec!["x"; 3])))])
            }
            "select 1 as one where false" => {
                let none = rows(vec![("one", numbers(vec![]))]);
                let schema = if has("columns") { Arc::new(Schema::empty()) } else { none.schema() };
                return Ok((schema, Vec::new()));
            }
            _ if sql.starts_with("select * from (values (1), (") => {
                let least: i64 = sql.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number");
                let least = match has("meet") {
                    true => self.asked.fetch_add(least, Ordering::SeqCst),
                    false => least,
                };
                rows(vec![("n", numbers([1, least].into_iter().filter(|n| *n >= least).collect()))])
            }
            _ if has("writes") && sql.starts_with("drop") => rows(vec![("done", numbers(vec![1]))]),
            _ if has("kind") => return Err(Error::internal("plan", "it is no query")),
            _ => return Err(Error::project("plan", "it is no query")),
        };
        let schema = match has("schema") {
            true => rows(vec![("n", numbers(vec![]))]).schema(),
            false => batch.schema(),
        };
        Ok((schema, vec![batch]))
    }
}

#[async_trait]
impl Engine for Toy {
    async fn query(&self, _: &Session, sql: &str) -> Result<Rows> {
        let (schema, batches) = self.answer(sql)?;
        Ok(Rows { schema, batches: stream::iter(batches.into_iter().map(Ok)).boxed() })
    }
}

fn law(fault: &'static str) -> impl FnOnce() {
    move || block_on(obeys(&Toy { fault, ..Toy::default() }))
}

#[test]
fn a_good_engine_obeys() {
    assert_eq!(verdict(law("")), None);
}

#[test]
fn broken_engines_are_caught() {
    for (fault, word) in [
        ("schema", "the schema it announced"),
        ("order", "the order is the one asked for"),
        ("decimals", "decimals stay exact"),
        ("columns", "has its columns"),
        ("writes", "must be refused"),
        ("kind", "the asker's mistake"),
        ("meet", "two queries at once"),
    ] {
        assert_caught(fault, word, law(fault));
    }
}
