//! The source as a whole: exactly once, whatever happens to the files.

mod changes;

use super::source::Files;
use super::testing::{entity, opening, pull, pull_into};
use crate::spec::Progress;
use kernel::clock::ManualClock;
use kernel::source::Source;
use kernel::{Kind, Point, Positions, Result};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// A project folder with files in it.
struct Project(tempfile::TempDir);

impl Project {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let project = Self(tempfile::tempdir().expect("a folder"));
        files.iter().for_each(|(name, bytes)| project.write(name, bytes));
        project
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, bytes).expect("a file");
    }

    /// A run: pulls all there is behind `taken`.
    async fn run(&self, options: Value, taken: &mut Positions) -> Result<Vec<String>> {
        let opening = opening(self.path(), options, entity(&["id", "v"]), taken.clone());
        pull(&mut Files::open(opening)?, taken).await
    }

    /// A run so many seconds after the file was written to.
    async fn run_after(&self, seconds: i64, file: &str, taken: &mut Positions) -> Result<Vec<String>> {
        let written = std::fs::metadata(self.path().join(file)).and_then(|meta| meta.modified()).expect("a time");
        let written = written.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros() as i64;
        let mut opening = opening(self.path(), json!({ "path": "*" }), entity(&["id", "v"]), taken.clone());
        opening.clock = Arc::new(ManualClock::at(written + seconds * 1_000_000));
        pull(&mut Files::open(opening)?, taken).await
    }

    /// Another time of writing, and so another etag.
    fn touch(&self, name: &str, seconds: u64) {
        let file = std::fs::File::options().write(true).open(self.path().join(name)).expect("the file");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000 + seconds);
        file.set_modified(time).expect("another time");
    }
}

fn is_done(taken: &Positions, file: &str) -> bool {
    matches!(taken.get(file), Some(Point::File { done: true, .. }))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

fn lines(rows: std::ops::Range<usize>) -> Vec<u8> {
    let mut text = String::from("id,v\n");
    rows.for_each(|i| text.push_str(&format!("{i},value number {i} of many\n")));
    text.into_bytes()
}

#[tokio::test]
async fn files_are_taken_once_in_the_order_of_their_names() {
    let project = Project::new(&[("data/b.csv", b"id,v\n2,b\n"), ("data/a.csv", b"id,v\n1,a\n"), ("data/c.csv", b"")]);
    let (options, mut taken) = (json!({ "path": "data/*.csv" }), Positions::new());
    assert_eq!(project.run(options.clone(), &mut taken).await.expect("rows"), ["1|a|", "2|b|"]);
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|(_, point)| matches!(point, Point::File { done: true, .. })), "{taken:?}");
    assert_eq!(project.run(options.clone(), &mut taken).await.expect("rows"), [""; 0]);
    project.write("data/aa.csv", b"id;v\n3;c\n");
    assert_eq!(project.run(options, &mut taken).await.expect("rows"), ["3|c|"]);
}

#[tokio::test]
async fn an_open_source_sees_new_files_after_it_ran_dry() {
    let project = Project::new(&[("a.csv", b"id,v\n1,a\n")]);
    let mut taken = Positions::new();
    let opening = opening(project.path(), json!({ "path": "*.csv" }), entity(&[]), Positions::new());
    let mut source = Files::open(opening).expect("a source");
    assert_eq!(pull(&mut source, &mut taken).await.expect("rows"), ["1|a|"]);
    project.write("b.csv", b"id,v\n2,b\n");
    assert_eq!(pull(&mut source, &mut taken).await.expect("rows"), ["2|b|"]);
}

/// Every format, compressed and not, with malformed records, quotes over lines and nested values.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connector_obeys_the_laws_of_sources() {
    let csv: String = (0..300).map(|i| format!("{i},{}\n", ["x", "\"a\nb\"", "", "1,2"][i % 4])).collect();
    let json: String =
        (0..60).map(|i| format!("{{\"id\":{i},\"v\":[{i}]}}\n{}", if i % 9 == 0 { "{\n" } else { "" })).collect();
    let project = Project::new(&[
        ("a.csv", &lines(0..100)),
        ("b.csv.gz", &gzip(format!("id,v\n{csv}").as_bytes())),
        ("c.ndjson", json.as_bytes()),
        ("d.json", b"[{\"id\":1},{\"id\":2},3,{\"id\":4}]"),
        ("e.csv", b""),
        ("f.csv", b"id,v\n"),
        ("g.csv", b"id,v\n1,caf\xe9\n2,\"open\n3,x\n"),
    ]);
    for name in ["pyarrow.parquet", "polars.arrow", "fastavro-snappy.avro"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        std::fs::copy(from, project.path().join(name)).expect("copied");
    }
    kernel::laws::source::obeys(async |from| {
        let opening = opening(project.path(), json!({ "path": "*" }), entity(&["id", "v"]), from);
        Box::new(Files::open(opening).expect("a source")) as Box<dyn Source>
    })
    .await;
}

/// Opens the source behind each batch of a straight read: the rows before and the rows after are all rows.
#[tokio::test]
async fn a_run_that_dies_after_any_batch_goes_on_behind_it() {
    let json: String = (0..40).map(|i| format!("{{\"id\":{i},\"v\":\"x\"}}\n")).collect();
    let project =
        Project::new(&[("a.csv", &lines(0..50)), ("b.csv.gz", &gzip(&lines(50..90))), ("c.ndjson", json.as_bytes())]);
    let options = json!({ "path": ["*.csv", "*.gz", "*.ndjson"], "batch_rows_max": 7 });
    let all = project.run(options.clone(), &mut Positions::new()).await.expect("rows");
    assert_eq!(all.len(), 130);
    for batches in 0..25 {
        let mut taken = Positions::new();
        let opening = opening(project.path(), options.clone(), entity(&["id", "v"]), Positions::new());
        let mut source = Files::open(opening).expect("a source");
        let mut count = 0;
        for _ in 0..batches {
            let Some(pulled) = source.next(1 << 20).await.expect("a batch") else { break };
            count += pulled.rows.num_rows();
            taken.advance(&pulled.upto);
        }
        drop(source);
        let rest = project.run(options.clone(), &mut taken).await.expect("rows");
        assert_eq!(rest, all[count..], "after {batches} batches");
    }
}

#[tokio::test]
async fn a_dropped_call_has_taken_nothing() {
    let project = Project::new(&[("a.csv", &lines(0..500)), ("b.csv", &lines(500..600))]);
    let options = json!({ "path": "*.csv", "batch_rows_max": 50 });
    let opening = opening(project.path(), options, entity(&["id", "v"]), Positions::new());
    let mut source = Files::open(opening).expect("a source");
    let mut rows = 0;
    loop {
        // A call that is polled once and dropped.
        let _ = futures::FutureExt::now_or_never(async { std::future::pending::<()>().await });
        let polled = {
            let mut call = Box::pin(source.next(1 << 20));
            futures::future::poll_immediate(&mut call).await
        };
        let pulled = match polled {
            Some(done) => done,
            None => source.next(1 << 20).await,
        };
        match pulled.expect("a batch") {
            Some(pulled) => rows += pulled.rows.num_rows(),
            None => break,
        }
    }
    assert_eq!(rows, 600);
}

#[tokio::test]
async fn a_replaced_file_follows_the_policy() {
    let project = Project::new(&[("a.csv", b"id,v\n1,a\n"), ("b.csv", b"id,v\n2,b\n")]);
    let with = |policy: &str| json!({ "path": "*.csv", "on_replaced": policy });
    let mut taken = Positions::new();
    project.run(with("error"), &mut taken).await.expect("rows");
    project.write("b.csv", b"id,v\n3,new\n");
    let error = project.run(with("error"), &mut taken).await.expect_err("replaced");
    assert_eq!(error.kind, Kind::Data);
    assert!(error.to_string().contains("`b.csv`"), "{error}");
    assert_eq!(project.run(with("ignore"), &mut taken).await.expect("rows"), [""; 0]);
    assert_eq!(project.run(with("new_version"), &mut taken).await.expect("rows"), ["3|new|"]);
    assert_eq!(project.run(with("error"), &mut taken).await.expect("rows"), [""; 0]);
}

#[tokio::test]
async fn half_a_gzip_file_stores_nothing_and_is_taken_when_it_is_whole() {
    let whole = gzip(&lines(0..1000));
    let project = Project::new(&[("a.csv.gz", &whole[..whole.len() / 2])]);
    let (options, mut taken) = (json!({ "path": "*.gz" }), Positions::new());
    let error = project.run(options.clone(), &mut taken).await.expect_err("half a file");
    assert_eq!(error.kind, Kind::Data);
    assert!(error.to_string().contains("a.csv.gz") && error.to_string().contains("gzip stream breaks off"), "{error}");
    assert!(taken.is_empty(), "{taken:?}");
    project.write("a.csv.gz", &whole);
    assert_eq!(project.run(options, &mut taken).await.expect("rows").len(), 1000);
}

/// Half of a large file was stored before it broke off: what comes back whole is taken on behind that.
#[tokio::test]
async fn a_mended_file_is_taken_on_where_it_broke_off() {
    let (text, options) = (lines(0..60_000), json!({ "path": "*.gz", "batch_rows_max": 1000 }));
    let whole = gzip(&text);
    let project = Project::new(&[("a.csv.gz", &whole[..whole.len() / 2])]);
    let mut taken = Positions::new();
    let opening = opening(project.path(), options.clone(), entity(&[]), Positions::new());
    let mut source = Files::open(opening).expect("a source");
    let mut rows = Vec::new();
    let error = pull_into(&mut source, &mut taken, &mut rows).await.expect_err("half a file");
    assert!(error.to_string().contains("breaks off") && rows.len() > 1000, "{error}, {} rows", rows.len());
    project.write("a.csv.gz", &whole);
    let from = taken.clone();
    rows.extend(project.run(options.clone(), &mut taken).await.expect("the rest"));
    let ids: Vec<_> = rows.iter().map(|row| row.split('|').next().expect("an id").to_owned()).collect();
    assert_eq!(ids, (0..60_000).map(|i| i.to_string()).collect::<Vec<_>>());

    // Another file under that name is a replaced one.
    project.write("a.csv.gz", &gzip(&lines(1..60_000)));
    let error = project.run(options.clone(), &mut from.clone()).await.expect_err("replaced");
    assert!(error.to_string().contains("the content changed"), "{error}");
    let mut policy = options.clone();
    policy["on_replaced"] = json!("new_version");
    assert_eq!(project.run(policy.clone(), &mut from.clone()).await.expect("rows").len(), 59_999);
    policy["on_replaced"] = json!("ignore");
    assert_eq!(project.run(policy, &mut from.clone()).await.expect("rows"), [""; 0]);
    project.write("a.csv.gz", &gzip(b"id,v\n"));
    project.run(options, &mut from.clone()).await.expect_err("shorter than what was taken");
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_read_is_not_done() {
    let project = Project::new(&[("a.csv", &lines(0..200_000))]);
    let options = json!({ "path": "*.csv", "batch_rows_max": 1000 });
    let opening = opening(project.path(), options, entity(&[]), Positions::new());
    let mut source = Files::open(opening).expect("a source");
    source.next(1 << 20).await.expect("a batch").expect("rows");
    let mut file = std::fs::OpenOptions::new().append(true).open(project.path().join("a.csv")).expect("the file");
    file.write_all(b"1,more\n").expect("written");
    let mut taken = Positions::new();
    let mut rows = Vec::new();
    let error = pull_into(&mut source, &mut taken, &mut rows).await.expect_err("it grew");
    assert!(error.to_string().contains("still being written"), "{error}");
    assert!(taken.iter().all(|(_, point)| matches!(point, Point::File { done: false, .. })), "{taken:?}");
    // Whole, it begins with what was taken.
    rows.extend(project.run(json!({ "path": "*.csv" }), &mut taken).await.expect("the rest"));
    assert_eq!(rows.len(), 199_001);
}

#[tokio::test]
async fn a_file_renamed_in_is_taken_once_and_an_unfinished_one_is_not() {
    let project =
        Project::new(&[("data/a.csv.tmp", b"id,v\n1,a\n"), ("data/_b.csv", b"id,v\n"), ("data/.c.csv", b"x")]);
    let (options, mut taken) = (json!({ "path": "data/*" }), Positions::new());
    assert_eq!(project.run(options.clone(), &mut taken).await.expect("rows"), [""; 0]);
    std::fs::rename(project.path().join("data/a.csv.tmp"), project.path().join("data/a.csv")).expect("renamed");
    assert_eq!(project.run(options.clone(), &mut taken).await.expect("rows"), ["1|a|"]);
    assert_eq!(project.run(options, &mut taken).await.expect("rows"), [""; 0]);
}

#[tokio::test]
async fn a_file_moved_away_while_it_is_read_is_read_to_its_end() {
    let project = Project::new(&[("a.csv", &lines(0..1000)), ("b.csv", b"id,v\n1,b\n")]);
    let opening =
        opening(project.path(), json!({ "path": "*.csv", "batch_rows_max": 100 }), entity(&[]), Positions::new());
    let mut source = Files::open(opening).expect("a source");
    let mut rows = source.next(1 << 20).await.expect("a batch").expect("rows").rows.num_rows();
    std::fs::rename(project.path().join("a.csv"), project.path().join("a.csv.old")).expect("renamed");
    std::fs::remove_file(project.path().join("b.csv")).expect("removed");
    rows += pull(&mut source, &mut Positions::new()).await.expect("rows").len();
    assert_eq!(rows, 1000);
}

#[tokio::test]
async fn a_bad_file_does_not_stop_its_neighbours_and_is_told_at_the_end() {
    let project = Project::new(&[
        ("a.csv", b"id,v\n1,a\n"),
        ("b.parquet", b"no parquet"),
        ("c.csv", b"id,v\n3,c\n"),
        ("d.parquet", b"PAR1"),
        ("e.csv.gz", &gzip(&lines(0..1000))[..500]),
        ("f.csv", b"id,v\n6,f\n"),
    ]);
    let (options, mut taken) = (json!({ "path": "*" }), Positions::new());
    let opening = opening(project.path(), options, entity(&[]), Positions::new());
    let mut source = Files::open(opening).expect("a source");
    let mut rows = Vec::new();
    for _ in 0..2 {
        let error = pull_into(&mut source, &mut taken, &mut rows).await.expect_err("no parquet");
        let told = error.to_string();
        assert!(["3 files", "b.parquet", "d.parquet", "e.csv.gz"].iter().all(|part| told.contains(part)), "{told}");
        assert_eq!(error.kind, Kind::Data);
        assert_eq!(rows, ["1|a|", "3|c|", "6|f|"]);
    }
    assert_eq!(taken.len(), 3);
    for bad in ["b.parquet", "d.parquet"] {
        std::fs::remove_file(project.path().join(bad)).expect("removed");
    }
    project.write("e.csv.gz", &gzip(b"id,v\n5,e\n"));
    assert_eq!(pull(&mut source, &mut taken).await.expect("rows"), ["5|e|"]);
}

#[tokio::test]
async fn a_replaced_file_does_not_stop_its_neighbours() {
    let project = Project::new(&[("a.csv", b"id,v\n1,a\n"), ("b.csv", b"id,v\n2,b\n")]);
    let (options, mut taken) = (json!({ "path": "*" }), Positions::new());
    project.run(options.clone(), &mut taken).await.expect("rows");
    project.write("a.csv", b"id,v\n7,other\n");
    project.write("c.csv", b"id,v\n3,c\n");
    let error = project.run(options.clone(), &mut taken).await.expect_err("replaced");
    assert!(error.to_string().contains("`a.csv`: the content changed"), "{error}");
    assert!(is_done(&taken, "c.csv"), "{taken:?}");
    // Its old content put back, all is well.
    project.write("a.csv", b"id,v\n1,a\n");
    assert_eq!(project.run(options, &mut taken).await.expect("rows"), [""; 0]);
}

#[tokio::test]
async fn a_file_that_was_written_on_is_taken_on_where_it_ended() {
    let header: (Vec<u8>, Vec<u8>) = (b"id,v\n".to_vec(), b"id,v\n1,a\n".to_vec());
    let zip = |(before, after): (&[u8], &[u8])| (gzip(before), [gzip(before), gzip(&after[before.len()..])].concat());
    let quoted: (&[u8], &[u8]) = (b"id,v\n1,\"a\nb\"\n\n", b"id,v\n1,\"a\nb\"\n\n2,b\n");
    for (name, (before, after), expected) in [
        ("a.csv", header, vec!["1|a|"]),
        ("a.csv", (Vec::new(), b"id,v\n1,a\n".to_vec()), vec!["1|a|"]),
        ("a.csv", (quoted.0.to_vec(), quoted.1.to_vec()), vec!["2|b|"]),
        ("a.csv", (b"id,v\n1,a".to_vec(), b"id,v\n1,a\n2,b\n".to_vec()), vec!["2|b|"]),
        ("a.csv", (b"id,v\r\n1,a".to_vec(), b"id,v\r\n1,a\r\n2,b".to_vec()), vec!["2|b|"]),
        ("a.csv.gz", zip(quoted), vec!["2|b|"]),
        ("a.ndjson", (b"{\"id\":1}\n".to_vec(), b"{\"id\":1}\n{\"id\":2}\n".to_vec()), vec!["2|∅|"]),
        ("a.json", (b"[{\"id\":1}]".to_vec(), b"[\n {\"id\":1},\n {\"id\":2}\n]".to_vec()), vec!["2|∅|"]),
        ("a.json", (b"{\n\"id\":1}".to_vec(), b"{\n\"id\":1} {\"id\":2}".to_vec()), vec!["2|∅|"]),
    ] {
        let project = Project::new(&[(name, &before)]);
        let (options, mut taken) = (json!({ "path": "*" }), Positions::new());
        project.run(options.clone(), &mut taken).await.expect("rows");
        assert!(is_done(&taken, name));
        project.write(name, &after);
        assert_eq!(project.run(options.clone(), &mut taken).await.expect("rows"), expected, "{name}");
        assert_eq!(project.run(options, &mut taken).await.expect("rows"), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn a_file_that_grows_between_runs_is_taken_once() {
    let text = lines(0..100);
    let project = Project::new(&[]);
    let (options, mut taken, mut rows) = (json!({ "path": "*", "batch_rows_max": 3 }), Positions::new(), Vec::new());
    for length in (5..text.len()).step_by(137) {
        let whole = text[..length].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        project.write("a.csv", &text[..whole]);
        rows.extend(project.run(options.clone(), &mut taken).await.expect("rows"));
    }
    project.write("a.csv", &text);
    rows.extend(project.run(options.clone(), &mut taken).await.expect("rows"));
    let ids: Vec<_> = rows.iter().map(|row| row.split('|').next().expect("an id").to_owned()).collect();
    assert_eq!(ids, (0..100).map(|id| id.to_string()).collect::<Vec<_>>());

    // A line that was taken as whole and then goes on is another line.
    let (project, mut taken) = (Project::new(&[("a.csv", &text[..15])]), Positions::new());
    project.run(options.clone(), &mut taken).await.expect("rows");
    project.write("a.csv", &text);
    project.run(options, &mut taken).await.expect_err("a cut line was taken");
}

#[tokio::test]
async fn the_same_content_is_nothing_new_and_no_error() {
    let names = ["pyarrow.parquet", "polars.arrow", "pyarrow.arrows", "fastavro-snappy.avro"];
    let project = Project::new(&[
        ("a.csv", &lines(0..100)),
        ("b.csv.gz", &gzip(b"id,v\n1,a\n2,b")),
        ("c.ndjson", b"{\"id\":1}\n{\n"),
        ("d.json", b"[{\"id\":1},{\"id\":2}]"),
        ("e.csv", b""),
        ("f.csv", b"id,v\n"),
        ("g.csv", b"\n\n"),
        ("h.csv", b"id,v\n1,caf\xe9\n2,\"open\n3,x\n"),
    ]);
    for name in names {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        std::fs::copy(from, project.path().join(name)).expect("copied");
    }
    let files: Vec<_> = std::fs::read_dir(project.path()).expect("the folder").map(|e| e.expect("an entry")).collect();
    let (options, mut taken) = (json!({ "path": "*", "batch_rows_max": 7 }), Positions::new());
    assert!(project.run(options.clone(), &mut taken).await.expect("rows").len() > 100);
    for times in 1..3 {
        files.iter().for_each(|file| project.touch(file.file_name().to_str().expect("a name"), times));
        let opening = opening(project.path(), options.clone(), entity(&["id", "v"]), taken.clone());
        let files_with_nothing = ["e.csv", "g.csv"];
        let pending = super::source::pending(&opening).await.expect("a plan");
        assert!(pending.iter().all(|p| files_with_nothing.contains(&p.partition.as_str())), "{pending:?}");
        assert_eq!(project.run(options.clone(), &mut taken).await.expect("rows"), [""; 0]);
        // The new etag is known from then on, and nothing is read again.
        let opening = super::testing::opening(project.path(), options.clone(), entity(&["id", "v"]), taken.clone());
        assert!(Files::open(opening).expect("a source").next(1 << 20).await.expect("no batch").is_none());
    }
}

#[tokio::test]
async fn a_last_line_without_an_end_waits_when_the_file_is_young() {
    for (name, cut, whole, first, rest) in [
        ("a.csv", "id,v\n1,aaa\n2,b", "id,v\n1,aaa\n2,bbbb\n3,c\n", vec!["1|aaa|"], vec!["2|bbbb|", "3|c|"]),
        ("a.csv", "id,v\n1,aaa\n2,\"b\n", "id,v\n1,aaa\n2,\"b\n\"\n", vec!["1|aaa|"], vec!["2|b\n|"]),
        ("a.csv", "id,va", "id,vaa\n1,a\n", vec![], vec!["1|a|"]),
        ("a.csv", "id,v\n1", "id,v\n1,a\n", vec![], vec!["1|a|"]),
        ("a.ndjson", "{\"id\":1}\n{\"id\":2", "{\"id\":1}\n{\"id\":22}\n", vec!["1|∅|"], vec!["22|∅|"]),
    ] {
        let project = Project::new(&[(name, cut.as_bytes())]);
        let mut taken = Positions::new();
        for expected in [first, vec![]] {
            assert_eq!(project.run_after(1, name, &mut taken).await.expect("rows"), expected, "{cut:?}");
            assert!(!is_done(&taken, name), "{taken:?}");
        }
        project.write(name, whole.as_bytes());
        assert_eq!(project.run_after(1, name, &mut taken).await.expect("rows"), rest, "{cut:?}");
        assert!(is_done(&taken, name), "{taken:?}");
    }
}

#[tokio::test]
async fn an_old_file_is_whole_without_a_last_line_end() {
    let project = Project::new(&[("a.csv", b"id,v\n1,a\n2,b")]);
    let mut taken = Positions::new();
    assert_eq!(project.run_after(1, "a.csv", &mut taken).await.expect("rows"), ["1|a|"]);
    assert_eq!(project.run_after(3, "a.csv", &mut taken).await.expect("rows"), ["2|b|"]);
    assert!(is_done(&taken, "a.csv"));
    // Touched, it is young again, and still has nothing new.
    project.touch("a.csv", 0);
    assert_eq!(project.run_after(1, "a.csv", &mut taken).await.expect("rows"), [""; 0]);
    let project = Project::new(&[("a.csv.gz", &gzip(b"id,v\n1,a"))]);
    assert_eq!(project.run_after(0, "a.csv.gz", &mut Positions::new()).await.expect("rows"), ["1|a|"]);
}

#[tokio::test]
async fn a_plan_tells_what_would_be_read() {
    let project =
        Project::new(&[("a.csv", b"id,v\n1,a\n"), ("b.csv", b"id,v\n"), ("c.csv", b"id,v\n"), ("d.csv", b"id\n")]);
    let (options, mut taken) = (json!({ "path": "*.csv" }), Positions::new());
    project.run(options.clone(), &mut taken).await.expect("rows");
    project.write("b.csv", b"v,id\nchanged,x\n");
    let etag = match taken.get("c.csv") {
        Some(Point::File { etag, .. }) => etag.clone(),
        other => unreachable!("{other:?}"),
    };
    taken.set("c.csv", Point::File { etag, row: 1, done: false });
    project.write("e.csv", b"id,v\n1,new\n");
    let opening = opening(project.path(), options, entity(&[]), taken);
    let pending = super::source::pending(&opening).await.expect("a plan");
    let found: Vec<_> = pending.iter().map(|p| (p.partition.as_str(), p.bytes, p.progress)).collect();
    let expected = [
        ("b.csv", Some(15), Progress::Replaced),
        ("c.csv", Some(5), Progress::Partly(1)),
        ("e.csv", Some(11), Progress::New),
    ];
    assert_eq!(found, expected);
}

#[test]
fn options_are_checked_all_at_once() {
    let check = |options: Value| (super::spec().check)(&options);
    let faults = check(json!({ "pth": "x", "format": "cvs", "delimiter": "ab", "header": 3 }));
    let about: Vec<&str> = faults.iter().map(|fault| fault.option.as_str()).collect();
    assert_eq!(about, ["pth", "format", "delimiter", "header", ""], "{faults:?}");
    assert_eq!(faults[0].help.as_deref(), Some("did you mean `path`?"));
    assert!(check(json!({ "path": "ftp://x/y" }))[0].message.contains("s3"));
    assert!(check(json!({ "path": ["a.csv", "s3://b/*.parquet"], "header": true, "delimiter": "tab" })).is_empty());
    assert!(!check(json!({ "path": "a", "line_bytes_max": 0 })).is_empty() && !check(json!({ "path": [] })).is_empty());
}
