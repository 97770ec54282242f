use super::*;
use crate::clock::SystemClock;
use crate::commands::init;
use crate::commands::run::{Run, run_project};
use crate::wiring::{Ask, Failure};
use arrow::array::{ArrayRef, Int64Array, StringViewArray};
use kernel::clock::{Clock, ManualClock};
use kernel::engine::{Engine, Session};
use orchestrate::{Options, Status};
use std::path::{Path, PathBuf};

const DAY: i64 = 86_400_000_000;

const CONTRACT: &str = "apiVersion: v3.1.0
kind: DataContract
id: people
version: 1.0.0
status: active
slaProperties: [{ property: retention, value: 30, unit: d }]
schema:
  - name: people
    properties:
      - { name: cpf, logicalType: string, required: true, classification: personal.cpf,
          customProperties: [{ property: mask, value: pseudonym(person) }] }
";

/// A model that keeps rows of people, and one below it that keeps what that has.
const FILES: [(&str, &str); 6] = [
    ("lavra.yaml", "project: outlived\n"),
    ("sources/people.yaml", "connector: files\npath: data/*.csv\n"),
    ("contracts/people.yaml", CONTRACT),
    ("models/silver/above.sql", "-- write: append\nselect cpf from bronze.people\n"),
    ("models/silver/below.sql", "-- write: append\nselect cpf from silver.above\n"),
    ("data/1.csv", "cpf\n52998224725\n11144477735\n"),
];

/// A project's folder, which goes with the value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn told<T>(outcome: Result<T, Failure>) -> T {
    match outcome {
        Ok(done) => done,
        Err(Failure::Error(error)) => panic!("{error}"),
        Err(Failure::Faults(_, faults)) => panic!("{faults:?}"),
    }
}

async fn at(folder: &Path, time: i64) -> Arc<Wiring> {
    let ask = Ask {
        folder: folder.to_path_buf(),
        environment: "local".into(),
        memory: 256 << 20,
        jobs: 1,
        opens_sources: true,
    };
    let mut wiring = told(Wiring::open(ask).await);
    wiring.clock = Arc::new(ManualClock::at(time)) as Arc<dyn Clock>;
    Arc::new(wiring)
}

async fn make(work: &Arc<ProjectWork>, models: &[&str]) -> Vec<Status> {
    let names = models.iter().map(|model| (*model).to_owned()).collect();
    let dag = &work.wiring.project.dag;
    let work = work.clone() as Arc<dyn Work<Report>>;
    let outcome = orchestrate::run(dag, &names, work, &Options::default(), &|_| ()).await.expect("a run");
    outcome.nodes.iter().map(|node| node.end.status()).collect()
}

/// One `ProjectWork` makes models again and again in a process that goes on and on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_below_a_model_that_was_made_anew_is_made_anew_once() {
    let folder = Folder(std::env::temp_dir().join(format!("lavra-work-outlived-{}", std::process::id())));
    let _ = std::fs::remove_dir_all(&folder.0);
    init::make(&folder.0, &FILES).expect("a project");
    let start = SystemClock::default().now().0;
    let wiring = at(&folder.0, start).await;
    let all = wiring.project.dag.names();
    told(run_project(wiring, &Run::quiet(), all).await);
    // The source's table loses its rows by their age; the models are not made with it.
    let wiring = at(&folder.0, start + 31 * DAY).await;
    let ran = told(run_project(wiring.clone(), &Run::quiet(), BTreeSet::from(["people".to_owned()])).await);
    assert!(ran.upkept.aged.iter().any(|aged| aged.table == "bronze.people"), "{:?}", ran.upkept);
    let work = Arc::new(ProjectWork::new(&wiring, "r".into(), 1).await.expect("work"));
    // It is remembered from one time to the next, until it is done.
    assert_eq!(make(&work, &["silver.above"]).await, [Status::Done]);
    assert_eq!(make(&work, &["silver.above", "silver.below"]).await, [Status::UpToDate, Status::Done]);
    let mut rows = wiring.engine.query(&Session::owner("a test"), "select cpf from silver.below").await.expect("rows");
    while let Some(batch) = rows.batches.next().await {
        assert_eq!(batch.expect("rows").num_rows(), 0, "they are gone there too");
    }
    for _ in 0..2 {
        assert_eq!(make(&work, &["silver.above", "silver.below"]).await, [Status::UpToDate, Status::UpToDate]);
    }
}

#[test]
fn keys_of_rows_that_come_again_are_not_seen_yet() {
    let text = |values: [&str; 4]| -> ArrayRef { Arc::new(StringViewArray::from_iter_values(values)) };
    let rows = RecordBatch::try_from_iter([
        ("id", text(["a", "b", "c", "d"])),
        (" source", text(["s", "s", "other", "s"])),
        (" partition", text(["p", "p", "p", "q"])),
        (" offset", Arc::new(Int64Array::from(vec![1, 2, 2, 2])) as ArrayRef),
    ]);
    let again = Places::from([("p".to_owned(), BTreeSet::from([2, 3]))]);
    let left = without(&rows.expect("a batch"), "s", &again).expect("rows");
    let ids: Vec<Option<&str>> = left.column(0).as_string_view().iter().collect();
    assert_eq!(ids, [Some("a"), Some("c"), Some("d")]);
}
