use super::{Format, Records, Rows};
use crate::files::testing_entity as entity;
use crate::registry::Registry;
use apache_avro::types::Value as Avro;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use arrow::util::display::array_value_to_string;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, Value};
use std::sync::Arc;
use std::time::Duration;

const ORDER: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"n","type":"long"},
    {"name":"note","type":["null","string"],"default":null},
    {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}}]}"#;
const NEWER: &str =
    r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"extra","type":"int"}]}"#;
const IDS: &str = r#"{"type":"record","name":"Ids","fields":[{"name":"id","type":{"type":"string","logicalType":"uuid"}},
    {"name":"own","type":{"type":"fixed","name":"Id","size":16,"logicalType":"uuid"}},
    {"name":"all","type":{"type":"array","items":"Id"}},{"name":"none","type":["null","Id"],"default":null},
    {"name":"any","type":["null","long","Id"],"default":null},{"name":"by_id","type":{"type":"map","values":"Id"}},
    {"name":"raw","type":{"type":"fixed","name":"Raw","size":16}}]}"#;
const BARE: &str = r#"{"type":"record","name":"Bare","fields":[{"name":"id","type":"string"},
    {"name":"none","type":{"type":"record","name":"None","fields":[]}},{"name":"in","type":{"type":"record","name":"In","fields":[
        {"name":"x","type":"long"},{"name":"nil","type":"null"},{"name":"nothing","type":{"type":"record","name":"Nothing","fields":[]}}]}},
    {"name":"n","type":"long"}]}"#;
const ANY: &str = r#"{"type":"record","name":"Any","fields":[
    {"name":"any","type":["null",{"type":"record","name":"None","fields":[]}]}]}"#;
const AGAIN: &str = r#"{"type":"record","name":"Again","namespace":"shop","fields":[
    {"name":"first","type":{"type":"record","name":"None","fields":[]}},{"name":"again","type":"None"},
    {"name":"id","type":"string"},{"name":"whole","type":"shop.None"},{"name":"any","type":["null","string","None"]},
    {"name":"all","type":{"type":"array","items":"None"}},{"name":"by_name","type":{"type":"map","values":"None"}},
    {"name":"maybe","type":["None","null"]},{"name":"n","type":"long"}]}"#;
const NONE: &str = r#"{"type":"record","name":"None","fields":[{"name":"nil","type":"null"}]}"#;
const RING: &str = r#"{"type":"record","name":"Node","fields":[{"name":"id","type":"string"},
    {"name":"next","type":["null","Node"],"default":null}]}"#;
const PROTO: &str = r#"syntax = "proto3"; package shop; import "google/protobuf/timestamp.proto"; import "kind.proto";
    message Unused { string x = 1; }
    message Order { string id = 1; int64 n = 2; optional string note = 3; repeated string tags = 4; shop.Kind kind = 5;
        map<string, int32> counts = 6; bytes seal = 7; google.protobuf.Timestamp at = 8; Line line = 9;
        message Line { double price = 1; } }"#;
const KIND: &str = r#"syntax = "proto3"; package shop; enum Kind { NONE = 0; GIFT = 1; }"#;

/// A registry with the schemas above: 1, 2 and 4 to 12 of Avro, 3 of Protobuf.
async fn registry() -> Registry {
    let answer = |schema: &str, kind: &str, references: serde_json::Value| {
        serde_json::json!({ "schema": schema, "schemaType": kind, "references": references }).to_string()
    };
    let by_id = move |Path(id): Path<u32>| async move {
        let kind = serde_json::json!([{ "name": "kind.proto", "subject": "kinds/all", "version": 4 }]);
        match id {
            1 => (StatusCode::OK, answer(ORDER, "AVRO", serde_json::json!([]))),
            2 => (StatusCode::OK, answer(NEWER, "AVRO", serde_json::json!([]))),
            3 => (StatusCode::OK, answer(PROTO, "PROTOBUF", kind)),
            4 => (StatusCode::OK, answer(IDS, "AVRO", serde_json::json!([]))),
            5 => (StatusCode::OK, answer(RING, "AVRO", serde_json::json!([]))),
            6 => (StatusCode::OK, answer("\"string\"", "AVRO", serde_json::json!([]))),
            7 => (StatusCode::OK, answer(r#"["null","long"]"#, "AVRO", serde_json::json!([]))),
            8 => (StatusCode::OK, answer(BARE, "AVRO", serde_json::json!([]))),
            9 => (StatusCode::OK, answer(ANY, "AVRO", serde_json::json!([]))),
            10 => (StatusCode::OK, answer(AGAIN, "AVRO", serde_json::json!([]))),
            11 => (StatusCode::OK, answer(NONE, "AVRO", serde_json::json!([]))),
            12 => (StatusCode::OK, answer(&format!("[{NONE},\"string\"]"), "AVRO", serde_json::json!([]))),
            99 => (StatusCode::NOT_FOUND, r#"{"error_code":40403,"message":"Schema 99 not found"}"#.into()),
            _ => (StatusCode::NOT_FOUND, String::new()),
        }
    };
    let by_subject = move || async move { answer(KIND, "PROTOBUF", serde_json::json!([])) };
    let app = axum::Router::new()
        .route("/schemas/ids/{id}", get(by_id))
        .route("/subjects/kinds%2Fall/versions/4", get(by_subject))
        .route("/subjects/{subject}/versions/4", get(by_subject));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    Registry::new(&format!("http://{address}"), Duration::from_secs(5)).expect("a client")
}

fn framed(id: u32, value: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], value].concat()
}

async fn decode(format: Format, columns: &[(&str, DataType)], values: &[Vec<u8>]) -> kernel::Result<Vec<Rows>> {
    let (entity, registry) = (Arc::new(entity(columns)), registry().await);
    let mut records = Records::default();
    values.iter().enumerate().for_each(|(place, value)| records.push(place as i64, value));
    let read = move || {
        let mut reader = format.reader(entity, Some(registry))?;
        reader.decode(records)
    };
    tokio::task::spawn_blocking(read).await.expect("rows")
}

fn reasons(rows: &Rows) -> Vec<(i64, &str)> {
    rows.malformed.iter().map(|bad| (bad.offset, bad.reason.as_str())).collect()
}

fn column(rows: &Rows, name: &str) -> Vec<String> {
    let column = rows.batch.column_by_name(name).unwrap_or_else(|| panic!("{name} in {:?}", rows.batch.schema()));
    (0..column.len()).map(|row| array_value_to_string(column, row).expect("a value")).collect()
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn json_records_are_rows_framed_or_not_and_bad_ones_are_told() {
    let values = [
        br#"{"id":"a","n":1.50}"#.to_vec(),
        framed(7, br#" {"id":"b", "more": {"x": [1]}} "#),
        b"[1]".to_vec(),
        b"{\"id\":\"\xff\"}".to_vec(),
        br#"{"id":"a\u00e3"} {}"#.to_vec(),
        b"".to_vec(),
        br#"{"id":"c\n"}"#.to_vec(),
    ];
    let rows = decode(Format::Json, &[("id", DataType::Utf8)], &values).await.expect("rows");
    assert_eq!(rows.len(), 1);
    assert_eq!(column(&rows[0], "id"), ["a", "b", "c\n"]);
    assert_eq!(column(&rows[0], "n"), ["1.50", "", ""]);
    assert_eq!(column(&rows[0], "more"), ["", r#"{"x": [1]}"#, ""]);
    assert_eq!(rows[0].offsets.values(), &[0, 1, 6]);
    let told = reasons(&rows[0]);
    let expected = [
        (2, "it is not a JSON object"),
        (3, "it is not valid UTF-8"),
        (4, "something follows the object"),
        (5, "the object breaks off"),
    ];
    assert_eq!(told, expected);
    assert_eq!(rows[0].last(), Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_records_are_read_with_the_schema_they_were_written_with() {
    let (order, newer) = (
        apache_avro::Schema::parse_str(ORDER).expect("a schema"),
        apache_avro::Schema::parse_str(NEWER).expect("a schema"),
    );
    let datum = |schema: &apache_avro::Schema, fields: Vec<(&str, Avro)>| {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let writer = apache_avro::writer::datum::GenericDatumWriter::builder(schema).build().expect("a writer");
        writer.write_value_to_vec(Avro::Record(fields)).expect("bytes")
    };
    let one = |id: &str, n: i64| {
        let amount = Avro::Decimal(apache_avro::Decimal::from((n * 100 + 25).to_be_bytes().to_vec()));
        let note = match n < 0 {
            true => Avro::Union(0, Box::new(Avro::Null)),
            false => Avro::Union(1, Box::new(Avro::String("é".into()))),
        };
        framed(1, &datum(&order, vec![("id", id.into()), ("n", n.into()), ("note", note), ("amount", amount)]))
    };
    let mut cut = one("cut", 3);
    cut.truncate(cut.len() - 3);
    let longer = [one("longer", 4), vec![1, 2]].concat();
    let new = framed(2, &datum(&newer, vec![("id", "c".into()), ("extra", 5.into())]));
    let values = [one("a", 1), cut, b"plain".to_vec(), one("b", -2), longer, new, one("d", 7)];
    let rows = decode(Format::Avro, &[], &values).await.expect("rows");
    let offsets: Vec<&[i64]> = rows.iter().map(|rows| &rows.offsets.values()[..]).collect();
    assert_eq!(offsets, [&[0, 3][..], &[5], &[6]]);
    assert_eq!(column(&rows[0], "id"), ["a", "b"]);
    assert_eq!(rows[0].batch.column_by_name("n").expect("n").as_primitive::<Int64Type>().values(), &[1, -2]);
    assert_eq!(
        rows[0].batch.column_by_name("amount").expect("amount").as_primitive::<Decimal128Type>().values(),
        &[125, -175]
    );
    assert_eq!(column(&rows[0], "note"), ["é", ""]);
    assert!(rows[0].batch.column_by_name("note").expect("note").is_null(1), "null is no empty text");
    assert_eq!((column(&rows[1], "id"), column(&rows[1], "extra")), (vec!["c".to_owned()], vec!["5".to_owned()]));
    let broken = "its bytes are no value of the Avro schema that it names";
    let expected = [(1, broken), (2, "it does not begin with a schema's id of a registry"), (4, broken)];
    assert_eq!(reasons(&rows[0]), expected);
    assert!(reasons(&rows[1]).is_empty() && reasons(&rows[2]).is_empty());
    let unsure = decode(Format::Avro, &[], &[framed(98, b"x")]).await.err().expect("an error");
    assert!(unsure.to_string().contains("schema 98") && unsure.to_string().contains("no such schema"), "{unsure}");
    let other = decode(Format::Avro, &[], &[framed(3, b"x")]).await.err().expect("an error");
    assert!(other.to_string().contains("schema of PROTOBUF"), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_schema_the_registry_says_it_does_not_have_is_malformed() {
    let newer = apache_avro::Schema::parse_str(NEWER).expect("a schema");
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&newer).build().expect("a writer");
    let fields = vec![("id".to_owned(), Avro::from("a")), ("extra".to_owned(), Avro::from(1))];
    let good = framed(2, &writer.write_value_to_vec(Avro::Record(fields)).expect("bytes"));
    let values = [good.clone(), framed(99, b"x"), b"plain".to_vec(), framed(99, b""), good];
    let rows = decode(Format::Avro, &[], &values).await.expect("rows");
    let offsets: Vec<&[i64]> = rows.iter().map(|rows| &rows.offsets.values()[..]).collect();
    assert_eq!(offsets, [&[0][..], &[], &[4]]);
    let told = "it names schema 99, which the registry does not have";
    let plain = "it does not begin with a schema's id of a registry";
    assert_eq!(reasons(&rows[1]), [(1, told), (2, plain), (3, told)]);
    let rows = decode(Format::Protobuf, &[], &[framed(99, &[0])]).await.expect("rows");
    assert_eq!(reasons(&rows[0]), [(0, told)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn uuids_of_avro_are_their_canonical_text_wherever_they_are() {
    let (text, id) = ("00010203-0405-0607-0809-0A0B0C0D0E0F", (0..16).collect::<Vec<u8>>());
    let canonical = text.to_lowercase();
    // Lengths and places are written doubled; an array and a map are blocks, and one of nothing ends them.
    let record = [
        &[72][..],
        text.as_bytes(),
        &id,
        &[&[2][..], &id, &[0]].concat(),
        &[0],
        &[&[4][..], &id].concat(),
        &[&[2, 2, b'k'][..], &id, &[0]].concat(),
        &id,
    ];
    let rows = decode(Format::Avro, &[], &[framed(4, &record.concat())]).await.expect("rows");
    let batch = &rows[0].batch;
    assert_eq!((batch.num_rows(), reasons(&rows[0]).len()), (1, 0));
    assert_eq!((&column(&rows[0], "id")[0], &column(&rows[0], "own")[0]), (&canonical, &canonical));
    assert_eq!(column(&rows[0], "all"), [format!("[{canonical}]")]);
    assert!(batch.column_by_name("none").expect("none").is_null(0));
    for name in ["any", "by_id"] {
        let shown = &column(&rows[0], name)[0];
        assert!(shown.contains(&canonical), "{name}: {shown}");
    }
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(column(&rows[0], "raw"), [digits], "what is no UUID is left as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_records_are_the_messages_that_they_name() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("order.proto"), PROTO).expect("a file");
    std::fs::write(folder.path().join("kind.proto"), KIND).expect("a file");
    let files = protox::compile(["order.proto"], [folder.path()]).expect("compiled");
    let pool = prost_reflect::DescriptorPool::from_file_descriptor_set(files).expect("a pool");
    let kind = pool.get_message_by_name("shop.Order").expect("a message");
    let mut message = DynamicMessage::new(kind.clone());
    message.set_field_by_name("id", Value::String("a \"quoted\" é".into()));
    message.set_field_by_name("n", Value::I64(1 << 60));
    message.set_field_by_name("tags", Value::List(vec![Value::String("x".into()), Value::String("y".into())]));
    message.set_field_by_name("kind", Value::EnumNumber(1));
    message.set_field_by_name("seal", Value::Bytes(vec![0xde, 0xad].into()));
    let time = pool.get_message_by_name("google.protobuf.Timestamp").expect("a message");
    let mut at = DynamicMessage::new(time);
    at.set_field_by_name("seconds", Value::I64(1_700_000_000));
    at.set_field_by_name("nanos", Value::I32(5_000));
    message.set_field_by_name("at", Value::Message(at.clone()));
    let at_second = |seconds: i64| {
        let (mut at, mut message) = (at.clone(), DynamicMessage::new(kind.clone()));
        at.set_field_by_name("seconds", Value::I64(seconds));
        message.set_field_by_name("at", Value::Message(at));
        framed(3, &[vec![2, 2], message.encode_to_vec()].concat())
    };
    let times = [-62_135_596_800, 253_402_300_799, i64::MAX].map(at_second);
    let line = pool.get_message_by_name("shop.Order.Line").expect("a message");
    let mut inner = DynamicMessage::new(line);
    inner.set_field_by_name("price", Value::F64(2.5));
    message.set_field_by_name("line", Value::Message(inner.clone()));
    // The second message of the file; the first message inside of it; a message that is not there; bytes that are none.
    let order = framed(3, &[vec![2, 2], message.encode_to_vec()].concat());
    let nested = framed(3, &[vec![4, 2, 0], inner.encode_to_vec()].concat());
    let values = [order, nested, framed(3, &[2, 18]), framed(3, &[2, 2, 0xff]), framed(3, &[2, 2])];
    let tags = DataType::List(Arc::new(arrow::datatypes::Field::new_list_field(DataType::Utf8, true)));
    let rows = decode(Format::Protobuf, &[("id", DataType::Utf8), ("tags", tags)], &values).await.expect("rows");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].offsets.values(), &[0, 1, 4]);
    assert_eq!(column(&rows[0], "id"), ["a \"quoted\" é", "", ""]);
    assert_eq!(column(&rows[0], "n")[0], (1i64 << 60).to_string());
    assert_eq!(column(&rows[0], "tags"), ["[x, y]", "", "[]"]);
    assert_eq!((&*column(&rows[0], "kind")[0], &*column(&rows[0], "seal")[0]), ("GIFT", "dead"));
    assert_eq!(column(&rows[0], "at")[0], "2023-11-14T22:13:20.000005Z");
    assert_eq!(column(&rows[0], "line")[0], r#"{"price":2.5}"#);
    assert_eq!(column(&rows[0], "price")[1], "2.5");
    assert_eq!(column(&rows[0], "kind")[2], "NONE", "what is not in the bytes has its default");
    assert!(rows[0].batch.column_by_name("note").is_none(), "what can be absent is");
    let broken = "its bytes are no message of the Protobuf schema that it names";
    assert_eq!(reasons(&rows[0]), [(2, broken), (3, broken)]);
    let rows = decode(Format::Protobuf, &[], &times).await.expect("rows");
    let far = ["0001-01-01T00:00:00.000005Z", "9999-12-31T23:59:59.000005Z", "9223372036854775807s 5000ns"];
    assert_eq!(column(&rows[0], "at"), far, "the last is for the contract to set aside");
    let price = |value: f64| {
        let mut line = DynamicMessage::new(pool.get_message_by_name("shop.Order.Line").expect("a message"));
        line.set_field_by_name("price", Value::F64(value));
        framed(3, &[vec![4, 2, 0], line.encode_to_vec()].concat())
    };
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5].map(price);
    let rows = decode(Format::Protobuf, &[], &odd).await.expect("rows");
    assert_eq!(column(&rows[0], "price"), ["NaN", "Infinity", "-Infinity", "1.5"], "as the gate reads them");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_and_bytes_are_one_column() {
    let values = [b"plain".to_vec(), b"\xff\0".to_vec(), b"".to_vec()];
    let text = decode(Format::Text, &[], &values).await.expect("rows");
    assert_eq!((column(&text[0], "value"), reasons(&text[0]).len()), (vec!["plain".into(), String::new()], 1));
    let bytes = decode(Format::Bytes, &[], &values).await.expect("rows");
    assert_eq!(column(&bytes[0], "value"), ["706c61696e", "ff00", ""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_that_contains_itself_is_malformed_and_its_neighbours_are_taken() {
    // Lengths and places are written doubled.
    let good = framed(2, &[2, b'a', 10]);
    let values = [good.clone(), framed(5, &[2, b'x', 0]), framed(5, &[2, b'y', 2, 2, b'z', 0]), good];
    let rows = decode(Format::Avro, &[], &values).await.expect("rows");
    let offsets: Vec<&[i64]> = rows.iter().map(|rows| &rows.offsets.values()[..]).collect();
    assert_eq!(offsets, [&[0][..], &[], &[3]]);
    let told = "it names schema 5, which no columns can hold: does it contain itself, or has it no fields?";
    assert_eq!(reasons(&rows[1]), [(1, told), (2, told)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_fields_that_have_no_bytes_are_passed_over() {
    // Numbers are written doubled.
    let rows = decode(Format::Avro, &[], &[framed(8, &[2, b'a', 14, 18]), framed(8, &[2, b'b', 2, 4])]).await;
    let rows = rows.expect("rows");
    assert!(rows[0].malformed.is_empty(), "{:?}", reasons(&rows[0]));
    assert_eq!(
        (column(&rows[0], "id"), column(&rows[0], "n")),
        (vec!["a".into(), "b".into()], vec!["9".into(), "2".into()])
    );
    assert_eq!(column(&rows[0], "in"), ["{x: 7}", "{x: 1}"]);
    let rows = decode(Format::Avro, &[], &[framed(11, &[])]).await.expect("rows");
    let told = "it names schema 11, which no columns can hold: does it contain itself, or has it no fields?";
    assert_eq!(reasons(&rows[0]), [(0, told)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_records_without_fields_are_a_text_where_it_matters_that_they_are_there() {
    let values = [framed(9, &[0]), framed(9, &[2]), framed(9, &[4]), framed(9, &[2, 0]), framed(9, &[])];
    let rows = decode(Format::Avro, &[], &values).await.expect("rows");
    assert_eq!(
        (rows[0].offsets.values().to_vec(), column(&rows[0], "any")),
        (vec![0, 1], vec!["".into(), "{}".into()])
    );
    assert!(rows[0].batch.column_by_name("any").expect("any").is_null(0));
    let broken = "its bytes are no value of the Avro schema that it names";
    assert_eq!(reasons(&rows[0]), [2, 3, 4].map(|offset| (offset, broken)));
    let values = [framed(12, &[0]), framed(12, &[2, 2, b'x'])];
    let rows = decode(Format::Avro, &[], &values).await.expect("rows");
    let shown = column(&rows[0], "value");
    assert!(shown[0].ends_with("={}}") && shown[1].ends_with("=x}"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_may_name_a_record_without_fields_again() {
    // Two items, and one in a block that tells its size; one entry.
    let full: &[u8] = &[2, b'a', 4, 4, 1, 0, 0, 2, 2, b'k', 0, 0, 14];
    let bare: &[u8] = &[2, b'b', 0, 0, 0, 2, 16];
    let values = [full, bare, &full[1..], &[2, b'c', 2, 2, b'x', 0, 0, 2, 18]].map(|value| framed(10, value));
    let rows = decode(Format::Avro, &[], &values).await.expect("rows");
    assert_eq!(rows[0].offsets.values(), &[0, 1, 3]);
    assert_eq!(reasons(&rows[0]), [(2, "its bytes are no value of the Avro schema that it names")]);
    let names: Vec<String> = rows[0].batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "any", "all", "by_name", "maybe", "n"]);
    assert_eq!((column(&rows[0], "id"), column(&rows[0], "n")), (texts(["a", "b", "c"]), texts(["7", "8", "9"])));
    assert_eq!(column(&rows[0], "all"), ["[{}, {}, {}]", "[]", "[]"]);
    assert_eq!(column(&rows[0], "by_name"), ["{k: {}}", "{}", "{}"]);
    assert_eq!(column(&rows[0], "maybe"), ["{}", "", ""]);
    let any = column(&rows[0], "any");
    assert!(any[0].ends_with("={}}") && any[1].ends_with("=}") && any[2].ends_with("=x}"), "{any:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_with_a_nul_in_a_text_is_malformed_as_in_other_formats() {
    let one = |id: &[u8]| framed(2, &[&[id.len() as u8 * 2], id, &[10]].concat());
    let rows = decode(Format::Avro, &[], &[one(b"a"), one(b"b\0c"), one(b"d")]).await.expect("rows");
    assert_eq!((column(&rows[0], "id"), rows[0].offsets.values().to_vec()), (vec!["a".into(), "d".into()], vec![0, 2]));
    assert_eq!(reasons(&rows[0]), [(1, "a text holds a NUL character")]);
    let json = decode(Format::Json, &[], &[br#"{"id":"b\u0000c"}"#.to_vec()]).await.expect("rows");
    assert_eq!(reasons(&json[0]), [(0, "a text holds a NUL character")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn avro_that_is_no_record_is_one_column() {
    let values = [framed(6, &[4, b'h', b'i']), framed(6, &[0]), framed(7, &[2, 14]), framed(7, &[0])];
    let rows = decode(Format::Avro, &[], &values).await.expect("rows");
    assert_eq!((rows.len(), column(&rows[0], "value")), (2, vec!["hi".to_owned(), String::new()]));
    assert_eq!(column(&rows[1], "value"), ["7", ""]);
    assert!(rows[1].batch.column_by_name("value").expect("value").is_null(1));
    assert!(rows.iter().all(|rows| rows.malformed.is_empty()));
}
