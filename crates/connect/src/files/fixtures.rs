//! Files that other programs wrote (`tests/fixtures/write.py`): whatever the format, the rows are the same.

use super::bytes::Opened;
use super::list::list;
use super::options::Options;
use super::place::Place;
use super::rows::Job;
use super::testing::{Read, Reading, entity, read, resumes, typed};
use arrow::datatypes::{DataType, Field};
use object_store::path::Path;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("a fixture")
}

fn fixture(name: &str, options: Value) -> Read {
    let entity = entity(&["id", "name", "amount", "paid_at"]);
    Reading { path: &path(name), options, entity, behind: 0, bytes_max: 1 << 20 }.read().expect("a read")
}

const TYPED: [&str; 9] = [
    "pyarrow.parquet",
    "polars.parquet",
    "pyarrow.feather",
    "polars.arrow",
    "pyarrow.arrows",
    "fastavro-null.avro",
    "fastavro-deflate.avro",
    "fastavro-snappy.avro",
    "fastavro-zstandard.avro",
];

#[test]
fn typed_files_hold_the_same_rows() {
    for name in TYPED {
        let found = fixture(name, json!({}));
        assert_eq!(found.names, ["id", "name", "amount", "paid_at", "tags"], "{name}");
        assert_eq!(found.offsets(), (1..=40).collect::<Vec<_>>(), "{name}");
        let values = found.values();
        assert_eq!(values[0], [Some("1"), None, Some("0.00"), Some("2026-01-01T00:00:00Z"), Some("[]")], "{name}");
        let last = [Some("40"), Some("José 39"), Some("390.39"), Some("2026-01-02T15:00:00Z"), Some("[]")];
        assert_eq!(values[39], last, "{name}");
        assert_eq!(values[38][4], Some("[t0, t1]"), "{name}");
        assert_eq!(found.upto.last(), Some(&40));
    }
}

#[tokio::test]
async fn files_read_the_same_from_an_object_store() {
    let store = Arc::new(object_store::memory::InMemory::new());
    for name in TYPED.into_iter().chain(["polars.csv.zst"]) {
        let place = Path::from(format!("in/{name}"));
        object_store::ObjectStoreExt::put(store.as_ref(), &place, bytes(name).into()).await.expect("stored");
    }
    let place = Arc::new(Place::of_store(store, "in/*"));
    for found in list(&[place]).await.expect("a list") {
        let job = Job {
            opened: Arc::new(Opened::open(&found).await.expect("opened").expect("there")),
            options: Arc::new(Options::default()),
            entity: Arc::new(entity(&[])),
            behind: 3,
            mark: None,
            young: false,
            bytes_max: 1 << 20,
        };
        let count = move || {
            let (mut rows, mut count) = (job.rows().expect("a reader"), 0);
            loop {
                let piece = rows.next().expect("a piece");
                count += piece.batch.num_rows();
                if piece.last {
                    return count;
                }
            }
        };
        // Of the CSV file, three lines are a header and two rows.
        let expected = if found.partition.ends_with(".csv.zst") { 38 } else { 37 };
        assert_eq!(tokio::task::spawn_blocking(count).await.expect("done"), expected, "{}", found.partition);
    }
}

#[test]
fn text_files_hold_the_same_rows() {
    let plain = fixture("polars.csv", json!({}));
    assert_eq!(plain.rows.len(), 40);
    for name in ["polars.csv.zst", "python.csv.gz"] {
        let found = fixture(name, json!({ "null_values": [""] }));
        assert_eq!(found.names, plain.names, "{name}");
        for (row, expected) in found.values().iter().zip(plain.values()) {
            // Here every field is quoted, so none is null.
            let row: Vec<_> = row.iter().map(|value| value.filter(|text| !text.is_empty())).collect();
            assert_eq!(row, expected, "{name}");
        }
    }
    let json = fixture("polars.ndjson", json!({}));
    assert_eq!((json.names.clone(), json.rows.len()), (plain.names.clone(), 40));
    assert_eq!((json.values()[39][1], json.values()[39][2]), (Some("José 39"), plain.values()[39][2]));
}

#[test]
fn typed_files_are_resumed_behind_any_batch() {
    for name in TYPED {
        resumes(name, &bytes(name), &json!({ "batch_rows_max": 4 }), &entity(&[]));
    }
}

/// Half a file is an error wherever it was cut. In an Arrow stream and an Avro container an end between two batches is
/// as good as another, and nothing tells that more was to come.
#[test]
fn half_a_file_is_an_error() {
    for name in TYPED {
        let whole = bytes(name);
        for cut in (1..whole.len()).step_by(37) {
            let found = read(name, &whole[..cut], json!({}), entity(&[]));
            match found {
                Err(error) => assert_eq!(error.kind, kernel::Kind::Data, "{name} cut at {cut}: {error}"),
                Ok(found) => {
                    assert!(between_batches(name, &whole, cut) && found.rows.len() < 40, "{name} cut at {cut}")
                }
            }
        }
    }
}

fn between_batches(name: &str, whole: &[u8], cut: usize) -> bool {
    let mark = &whole[whole.len() - 16..];
    name == "pyarrow.arrows" || name.ends_with(".avro") && whole[..cut].ends_with(mark)
}

#[test]
fn a_type_that_drifts_comes_as_it_is() {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::record_batch::RecordBatch;
    let file = |column: ArrayRef| {
        let batch = RecordBatch::try_from_iter([("id", column)]).expect("a batch");
        let mut out = Vec::new();
        let mut writer = parquet::arrow::ArrowWriter::try_new(&mut out, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
        out
    };
    let of = || typed(&[("id", DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))))]);
    let number = read("a.parquet", &file(Arc::new(Int64Array::from(vec![1]))), json!({}), of()).expect("a read");
    let text = read("b.parquet", &file(Arc::new(StringArray::from(vec!["x"]))), json!({}), of()).expect("a read");
    assert_eq!((number.values(), text.values()), (vec![vec![Some("1")]], vec![vec![Some("x")]]));
}
