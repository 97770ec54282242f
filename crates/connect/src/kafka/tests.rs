//! Records as they are polled, without a cluster.

use super::Options;
use super::empty;
use super::keys::Keys;
use super::part::Part;
use crate::files::testing_entity as entity;
use crate::records::{Format, Rows};
use arrow::array::{Array, ArrayRef, Int64Array, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use kernel::Entity;
use rdkafka::message::{OwnedMessage, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// A key and a value, both as bytes or missing.
type Given<'g> = (Option<&'g str>, Option<&'g str>);

fn options(more: Value) -> Options {
    let mut all = json!({ "connection": "kafka://a:9092", "topic": "t" });
    all.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
    Options::read("s", &all).expect("options")
}

/// Text columns, and those with another type; the first `keys` are the primary key.
fn contract(keys: u32, columns: &[(&str, DataType)]) -> Arc<Entity> {
    let mut entity = entity(columns);
    for (place, property) in (1..=keys).zip(&mut entity.properties) {
        property.primary_key = Some(place);
    }
    Arc::new(entity)
}

fn message(offset: usize, key: Option<&[u8]>, value: Option<&[u8]>) -> OwnedMessage {
    let bytes = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    OwnedMessage::new(bytes(value), bytes(key), "t".into(), Timestamp::CreateTime(1), 0, offset as i64, None)
}

/// What becomes of records at the offsets 0, 1, …: rows as text, and what is wrong with others.
fn taken(entity: &Arc<Entity>, options: &Options, records: &[Given]) -> (Vec<String>, Vec<String>) {
    let mut decoder = options.format.reader(entity.clone(), None).expect("a reader");
    let mut keys = match options.mode {
        super::options::Mode::Upsert => Keys::new(entity).expect("keys"),
        super::options::Mode::Append => None,
    };
    let mut part = Part::new("t", 0, 0, entity);
    for (offset, (key, value)) in records.iter().enumerate() {
        part.take(&message(offset, key.map(str::as_bytes), value.map(str::as_bytes)), options, keys.as_ref());
    }
    let all = part.rows(decoder.as_mut(), keys.as_mut()).expect("rows");
    let malformed = all.iter().flat_map(|rows| &rows.malformed);
    let bad = malformed.map(|bad| format!("{}: {}", bad.offset, bad.reason)).collect();
    (all.iter().flat_map(shown).collect(), bad)
}

/// `0: id=1 note=null`
fn shown(rows: &Rows) -> Vec<String> {
    let show = FormatOptions::default().with_null("null");
    let cell = |column: &ArrayRef, row: usize| {
        ArrayFormatter::try_new(column, &show).expect("a column that can be shown").value(row).to_string()
    };
    let line = |row: usize| {
        let schema = rows.batch.schema();
        let cells = schema.fields().iter().zip(rows.batch.columns());
        let cells: Vec<String> =
            cells.map(|(field, column)| format!("{}={}", field.name(), cell(column, row))).collect();
        format!("{}: {}", rows.offsets.value(row), cells.join(" "))
    };
    (0..rows.offsets.len()).map(line).collect()
}

#[test]
fn in_a_compacted_topic_the_primary_key_is_the_records_key() {
    let entity = contract(1, &[("id", DataType::Int64), ("name", DataType::Utf8)]);
    let records: [Given; 12] = [
        (Some(r#"{"id":1}"#), Some(r#"{"name":"noid"}"#)),
        (Some(r#"{"id":2}"#), Some(r#"{"id":2,"name":"both"}"#)),
        (Some(r#"{"id":8}"#), Some(r#"{"id":88,"name":"other"}"#)),
        (Some(r#"{"id":8}"#), None),
        (Some("9"), Some(r#"{"id":9,"name":"text"}"#)),
        (Some(r#""10""#), Some(r#"{"name":"quoted"}"#)),
        (None, Some(r#"{"id":11}"#)),
        (Some(r#"{"other":1}"#), Some(r#"{"id":12}"#)),
        (Some(r#"{"id":"#), Some(r#"{"id":13}"#)),
        (Some(r#"{"id":14}"#), Some("no json")),
        (None, None),
        (Some(r#"{"id":null,"more":1}"#), None),
    ];
    let (rows, bad) = taken(&entity, &options(json!({ "mode": "upsert" })), &records);
    let expected =
        ["0: id=1 name=noid", "1: id=2 name=both", "3: id=8 name=null", "4: id=9 name=text", "5: id=10 name=quoted"];
    assert_eq!(rows, expected);
    let no_key = "it has no key, and with `mode: upsert` the key is the contract's primary key";
    let expected = [
        "2: its value has another `id` than its key".to_owned(),
        format!("6: {no_key}"),
        "7: its key has no `id`, which is of the contract's primary key".to_owned(),
        "8: its key: the object breaks off".to_owned(),
        "9: it is not a JSON object".to_owned(),
        format!("10: {no_key}"),
        "11: its key has no `id`, which is of the contract's primary key".to_owned(),
    ];
    assert_eq!(bad, expected);
}

#[test]
fn a_key_of_several_columns_is_an_object_of_all_of_them() {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let entity = contract(2, &[("shop", DataType::Utf8), ("at", time), ("n", DataType::Int64)]);
    let records: [Given; 5] = [
        (Some(r#" {"at":"2026-01-02T00:00:00Z","shop":"a","x":1} "#), Some(r#"{"n":1}"#)),
        (Some(r#"{"shop":"a","at":"2026-01-02T00:00:00Z"}"#), Some(r#"{"n":2,"at":"2026-01-02T00:00:00.000Z"}"#)),
        (Some(r#"{"shop":"a","at":"2026-01-02T00:00:00Z"}"#), Some(r#"{"n":3,"shop":"A"}"#)),
        (Some(r#"{"shop":"a"}"#), Some(r#"{"shop":"a","at":"2026-01-02T00:00:00Z"}"#)),
        (Some("a"), Some(r#"{"shop":"a","at":"2026-01-02T00:00:00Z"}"#)),
    ];
    let (rows, bad) = taken(&entity, &options(json!({ "mode": "upsert" })), &records);
    let expected = ["0: shop=a at=2026-01-02T00:00:00Z n=1", "1: shop=a at=2026-01-02T00:00:00Z n=2"];
    assert_eq!(rows, expected);
    let expected = [
        "2: its value has another `shop` than its key",
        "3: its key has no `at`, which is of the contract's primary key",
        "4: its key is not the contract's primary key",
    ];
    assert_eq!(bad, expected);
}

#[test]
fn numbers_of_key_and_value_are_one_however_they_are_written() {
    let entity = contract(2, &[("tenant", DataType::Utf8), ("no", DataType::Int64)]);
    let key = Some(r#"{"tenant":"c","no":3}"#);
    let values =
        [r#"{"no":3.0}"#, r#"{"no":"3"}"#, r#"{"no":30e-1}"#, r#"{"no":3.5}"#, r#"{"no":-3.0}"#, r#"{"no":30}"#];
    let records: Vec<Given> = values.iter().map(|value| (key, Some(*value))).collect();
    let (rows, bad) = taken(&entity, &options(json!({ "mode": "upsert" })), &records);
    assert_eq!(rows, [0, 1, 2].map(|row| format!("{row}: tenant=c no=3")));
    assert_eq!(bad, [3, 4, 5].map(|row| format!("{row}: its value has another `no` than its key")));
}

#[test]
fn keys_are_read_with_a_registrys_frame_and_other_bytes_are_none() {
    let entity = contract(1, &[("id", DataType::Utf8)]);
    let keys = Keys::new(&entity).expect("keys").expect("a primary key");
    let object = |key: &[u8]| keys.object(key).ok().map(|object| String::from_utf8_lossy(&object).into_owned());
    assert_eq!(object(b"\0\0\0\0\x07{\"id\":1}").as_deref(), Some(r#"{"id":1}"#));
    assert_eq!(object(b"\0\0\0\0\x07\"a\"").as_deref(), Some(r#"{"id":"a"}"#));
    assert_eq!(object(b"a\"b").as_deref(), Some(r#"{"id":"a\"b"}"#));
    assert_eq!(object(br#" "a\nb" "#).as_deref(), Some(r#"{"id":"a\nb" }"#));
    assert_eq!(object(b"\"a").as_deref(), Some(r#"{"id":"\"a"}"#));
    assert_eq!(object(b"[1]").as_deref(), Some(r#"{"id":"[1]"}"#));
    // A long of eight bytes, and what is no text.
    assert_eq!(object(b"\0\0\0\0\0\0\0\x08"), None);
    assert_eq!(object(b"\xff\xfe"), None);
    // No key at all, unless it is the text in quotes.
    for nothing in [&b""[..], b" ", b"null", b" null\n", b"\0\0\0\0\x07null"] {
        assert!(keys.object(nothing).is_err_and(|reason| reason.contains("empty or `null`")), "{nothing:?}");
    }
    assert_eq!(object(b"\"null\"").as_deref(), Some(r#"{"id":"null"}"#));
    assert_eq!(object(b"\"\"").as_deref(), Some(r#"{"id":""}"#));
}

#[test]
fn without_a_primary_key_values_are_all_there_is() {
    let entity = contract(0, &[("id", DataType::Utf8)]);
    let records: [Given; 2] = [(Some("k"), Some(r#"{"id":"a"}"#)), (Some("k"), None)];
    let (rows, bad) = taken(&entity, &options(json!({ "mode": "upsert" })), &records);
    assert_eq!(rows, ["0: id=a"]);
    assert_eq!(bad, ["1: it deletes, and the contract has no primary key"]);
}

#[test]
fn a_tombstone_that_is_kept_is_a_row_of_nulls_in_every_format() {
    let entity = contract(0, &[]);
    let records: [Given; 4] =
        [(Some("k"), None), (Some("k"), Some(r#"{"a":"x"}"#)), (Some("k"), None), (Some("k"), Some(r#"{"a":""}"#))];
    let taken = |format: &str, records: &[Given]| {
        taken(&entity, &options(json!({ "tombstones": "keep", "format": format })), records)
    };
    let none = Vec::<String>::new();
    assert_eq!(
        taken("json", &records),
        (["0: a=null", "1: a=x", "2: a=null", "3: a="].map(str::to_owned).into(), none.clone())
    );
    let text = ["0: value=null", r#"1: value={"a":"x"}"#, "2: value=null", r#"3: value={"a":""}"#];
    assert_eq!(taken("text", &records), (text.map(str::to_owned).into(), none.clone()));
    let (bytes, bad) = taken("bytes", &records);
    assert_eq!((bytes[0].as_str(), bytes[2].as_str(), bytes.len()), ("0: value=null", "2: value=null", 4));
    assert_eq!(bad, none);
    assert_eq!(taken("text", &records[..1]), (vec!["0: value=null".to_owned()], none));
}

/// As Avro and Protobuf give them: a batch for each schema, and one without columns where no record has a value.
#[test]
fn rows_without_values_stand_where_their_offsets_are() {
    let inner = Field::new("x", DataType::Utf8, false);
    let texts = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let of = |offsets: &[i64]| {
        let values = vec!["v"; offsets.len()];
        let nested = StructArray::from(vec![(Arc::new(inner.clone()), texts(&values))]);
        let fields = vec![Field::new("a", DataType::Utf8, false), Field::new("s", nested.data_type().clone(), false)];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![texts(&values), Arc::new(nested)]);
        Rows { batch: batch.expect("a batch"), offsets: Int64Array::from(offsets.to_vec()), malformed: Vec::new() }
    };
    let mut all = vec![of(&[1, 3]), of(&[5])];
    empty::put(&mut all, &[0, 2, 4, 6]).expect("rows");
    let offsets: Vec<Vec<i64>> = all.iter().map(|rows| rows.offsets.values().to_vec()).collect();
    assert_eq!(offsets, [vec![0, 1, 2, 3], vec![4, 5, 6]]);
    for rows in &all {
        let nulls: Vec<bool> = (0..rows.offsets.len()).map(|row| rows.offsets.value(row) % 2 == 0).collect();
        for column in rows.batch.columns() {
            assert_eq!((0..column.len()).map(|row| column.is_null(row)).collect::<Vec<_>>(), nulls);
        }
    }
    let no_columns = RecordBatchOptions::new().with_row_count(Some(0));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &no_columns).expect("a batch");
    let mut all = vec![Rows { batch, offsets: Int64Array::from(Vec::<i64>::new()), malformed: Vec::new() }];
    empty::put(&mut all, &[7, 9]).expect("rows");
    assert_eq!((all[0].batch.num_rows(), all[0].offsets.values().to_vec()), (2, vec![7, 9]));
}

#[test]
fn fields_of_a_key_beside_the_primary_key_are_no_columns() {
    let entity = contract(1, &[("id", DataType::Utf8)]);
    let options = options(json!({ "mode": "upsert" }));
    let mut decoder = Format::Json.reader(entity.clone(), None).expect("a reader");
    let mut keys = Keys::new(&entity).expect("keys");
    let mut part = Part::new("t", 0, 0, &entity);
    for (offset, key) in [r#"{"id":"a","x":1}"#, r#"{"id":"b"}"#].into_iter().enumerate() {
        assert!(part.take(&message(offset, Some(key.as_bytes()), Some(b"{\"n\":1}")), &options, keys.as_ref()) > 0);
        let pulled = part.give(decoder.as_mut(), keys.as_mut(), &options).expect("a batch");
        let kernel::source::Rows::Raw(raw) = &pulled[0].rows else { panic!("rows as they came") };
        assert_eq!((raw.num_rows(), raw.num_malformed(), raw.has_changes()), (1, 0, true));
        let names: Vec<String> = raw.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["id", "n"]);
    }
    assert!(!part.has_any() && part.next == 2);
}
