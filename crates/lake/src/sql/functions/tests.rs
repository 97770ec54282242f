use super::*;
use crate::sql::{EngineOptions, SqlEngine};
use crate::store::Store;
use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use futures::StreamExt;
use kernel::audit::Audit;
use kernel::engine::{Engine, Session};
use kernel::{Kind, Result as Outcome};
use std::collections::HashMap;
use std::sync::Mutex;

/// `unhide(text, 'scope')`: what was written backwards, for who may.
struct Unhide;

impl ScalarFunction for Unhide {
    fn name(&self) -> &str {
        "unhide"
    }

    fn output(&self, arguments: &[DataType]) -> Outcome<DataType> {
        if arguments.len() == 2 { Ok(DataType::Utf8) } else { Err(Error::project("unhide", "it takes two")) }
    }

    fn grant(&self, constants: &[Option<String>]) -> Outcome<Option<String>> {
        let scope = constants[1].as_ref().ok_or_else(|| Error::refused("unhide", "name the scope in the query"))?;
        Ok(Some(format!("unhide({scope})")))
    }

    fn call(&self, arguments: &[ArrayRef]) -> Outcome<ArrayRef> {
        let text = arrow::compute::cast(&arguments[0], &DataType::Utf8).map_err(|e| Error::internal("unhide", e))?;
        let back = |text: Option<&str>| text.map(|text| text.chars().rev().collect::<String>());
        Ok(Arc::new(text.as_string::<i32>().iter().map(back).collect::<StringArray>()))
    }
}

/// `add_up(x)`
struct AddUp;

struct Adding(i64);

impl AggregateFunction for AddUp {
    fn name(&self) -> &str {
        "add_up"
    }

    fn output(&self, argument: &DataType) -> Outcome<DataType> {
        if argument.is_integer() { Ok(DataType::Int64) } else { Err(Error::project("add_up", "it takes numbers")) }
    }

    fn start(&self) -> Box<dyn function::Accumulator> {
        Box::new(Adding(0))
    }
}

impl function::Accumulator for Adding {
    fn take(&mut self, values: &ArrayRef) -> Outcome<()> {
        self.0 += values.as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        Ok(())
    }

    fn state(&mut self) -> Outcome<Vec<u8>> {
        Ok(self.0.to_be_bytes().to_vec())
    }

    fn merge(&mut self, state: &[u8]) -> Outcome<()> {
        self.0 += i64::from_be_bytes(state.try_into().map_err(|e| Error::internal("add_up", e))?);
        Ok(())
    }

    fn finish(&mut self) -> Outcome<ArrayRef> {
        Ok(Arc::new(Int64Array::from(vec![self.0])))
    }

    fn size(&self) -> usize {
        8
    }
}

/// Remembers what it was told; or can't.
#[derive(Default)]
struct Book {
    told: Mutex<Vec<String>>,
    is_full: bool,
}

impl Book {
    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

#[async_trait]
impl Audit for Book {
    async fn begin(&self, session: &Session, sql: &str, grants: &[String]) -> Outcome<u64> {
        if self.is_full {
            return Err(Error::new(Kind::Storage, "write the audit", "the disk is full"));
        }
        self.told.lock().unwrap().push(format!("{} for {}: {sql} {grants:?}", session.user, session.purpose));
        Ok(7)
    }

    async fn end(&self, number: u64, rows: u64, whole: bool) -> Outcome<()> {
        self.told.lock().unwrap().push(format!("{number}: {rows} {whole}"));
        Ok(())
    }
}

fn engine(folder: &std::path::Path) -> SqlEngine {
    let store = Store::open(&folder.join("lake").to_string_lossy(), &HashMap::new()).unwrap();
    let options = EngineOptions { memory_bytes: 16 << 20, spill_folder: folder.join("spill"), partitions: 2 };
    std::fs::create_dir_all(&options.spill_folder).unwrap();
    let functions = Functions { scalar: vec![Arc::new(Unhide)], aggregate: vec![Arc::new(AddUp)] };
    SqlEngine::new(store, &options).unwrap().with_functions(functions)
}

fn session(purpose: &str, grants: &[&str]) -> Session {
    let grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
    Session { user: "ana".into(), purpose: purpose.into(), grants }
}

async fn ask(engine: &SqlEngine, session: &Session, sql: &str) -> Outcome<Vec<String>> {
    let mut rows = engine.query(session, sql).await?;
    let mut shown = Vec::new();
    while let Some(batch) = rows.batches.next().await {
        let batch = batch?;
        let cell = |column: &ArrayRef, row| array_value_to_string(column, row).unwrap();
        let line = |row| batch.columns().iter().map(|column| cell(column, row)).collect::<Vec<_>>().join("|");
        shown.extend((0..batch.num_rows()).map(line));
    }
    Ok(shown)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_opens_for_who_may_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let book = Arc::new(Book::default());
    let engine = engine(folder.path()).with_audit(book.clone());
    let sql = "select unhide(t, 'person') as x from (values ('ana', 1), ('ivo', 2)) as v(t, n) /* ana */ where n > 1";
    assert_eq!(ask(&engine, &session("chargeback 4711", &["unhide(person)"]), sql).await.unwrap(), ["ovi"]);
    let cleaned = "select unhide(t, ?) as x from (values (?, ?), (?, ?)) as v(t, n)   where n > ?";
    assert_eq!(
        book.told(),
        [format!("ana for chargeback 4711: {cleaned} [\"unhide(person)\"]"), "7: 1 true".to_owned()]
    );
    // What opens nothing is not written down.
    ask(&engine, &session("", &[]), "select 1").await.unwrap();
    assert_eq!(book.told().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_refused_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let book = Arc::new(Book::default());
    let engine = engine(folder.path()).with_audit(book.clone());
    let other = session("why", &["unhide(payer)", "open(person)"]);
    for sql in [
        "select unhide('a', 'person')",
        "select 1 where unhide('a', 'person') = 'a'",
        "with c as (select unhide('a', 'person') as x) select 1 from c",
        "select (select unhide('a', 'person'))",
        "select 1 where exists (select 1 where unhide('a', 'person') = 'a')",
        "select 1 where 'a' in (select unhide('a', 'person'))",
        "select count(*) from (values (1)) as v(n) group by unhide('a', 'person')",
        "select max(n) over (order by unhide('a', 'person')) from (values (1)) as v(n)",
        "select * from (values (1)) as v(n) order by unhide('a', 'person')",
        "select 1 from (values (1)) as v(n) join (values (2)) as w(m) on unhide('a', 'person') = 'a'",
        "select case when true then lower(unhide('a', 'person')) end union all select 'b'",
        "explain analyze select unhide('a', 'person')",
        // A literal with alias or case is the same scope or another one, never none.
        "select unhide('a', arrow_cast('person', 'Utf8'))",
        "select unhide('a', 'per' || 'son')",
        "select unhide('a', t) from (values ('person')) as v(t)",
    ] {
        let error = ask(&engine, &other, sql).await.unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{sql}: {error}");
    }
    let error = ask(&engine, &session("", &["unhide(person)"]), "select unhide('a', 'person')").await.unwrap_err();
    assert!(error.kind == Kind::Refused && error.detail.contains("--reason"), "{error}");
    let error = ask(&engine, &other, "select unhide('a', 'person')").await.unwrap_err();
    assert!(error.to_string().contains("unhide(person)") && error.detail.contains("policies/users.yaml"), "{error}");
    assert_eq!(book.told(), Vec::<String>::new(), "nothing was opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_audit_nothing_opens() {
    let folder = tempfile::tempdir().unwrap();
    let allowed = session("why", &["unhide(person)"]);
    let engine = engine(folder.path());
    assert_eq!(ask(&engine, &allowed, "select unhide('a', 'person')").await.unwrap_err().kind, Kind::Refused);
    let full = engine.with_audit(Arc::new(Book { is_full: true, ..Book::default() }));
    assert_eq!(ask(&full, &allowed, "select unhide('a', 'person')").await.unwrap_err().kind, Kind::Storage);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_added_up_whatever_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let nobody = session("", &[]);
    let rows = "(select unnest(range(0, 200000)) as n)";
    let sql =
        format!("select count(*), sum(a) from (select n % 50000 as g, add_up(n) as a from {rows} t group by 1) t");
    assert_eq!(ask(&engine, &nobody, &sql).await.unwrap(), ["50000|19999900000"]);
    let sql = format!("select add_up(n), add_up(n) filter (where n < 3) from {rows} t where n < 10");
    assert_eq!(ask(&engine, &nobody, &sql).await.unwrap(), ["45|3"]);
    assert_eq!(ask(&engine, &nobody, "select add_up(n) from (values (1)) as v(n) where n > 1").await.unwrap(), ["0"]);
    let window = "select add_up(n) over () from (values (1), (2)) as v(n)";
    assert_eq!(ask(&engine, &nobody, window).await.unwrap(), ["3", "3"]);
    assert_eq!(ask(&engine, &nobody, "select add_up('a')").await.unwrap_err().kind, Kind::Project);
}
