use crate::files::testing::{entity, read, resumes, typed};
use arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};
use std::sync::Arc;

fn ndjson(text: &str) -> crate::files::testing::Read {
    read("a.ndjson", text.as_bytes(), json!({}), entity(&["id", "name"])).expect("a read")
}

fn struct_of(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(fields.iter().map(|(name, of)| Field::new(*name, of.clone(), true)).collect())
}

#[test]
fn fields_keep_their_text_and_their_order() {
    let found = ndjson(
        "{\"name\":\"a\\u00e7\\n\",\"id\":1.50}\n\n{\"id\":12345678901234567890.10,\"x\":[1, 2]}\r\n{\"x\":\"\",\"name\":null}\n{\"id\":true}",
    );
    assert_eq!(found.names, ["id", "name", "x"]);
    let expected = [
        vec![Some("1.50"), Some("aç\n"), None],
        vec![Some("12345678901234567890.10"), None, Some("[1, 2]")],
        vec![None, None, Some("")],
        vec![Some("true"), None, None],
    ];
    assert_eq!(found.values(), expected);
    assert_eq!(found.offsets(), [1, 3, 4, 5]);
}

#[test]
fn a_bad_line_is_one_bad_record() {
    let found = ndjson(
        "{\"id\":1}\n{\"id\":\nnull\n{\"id\":1,\"id\":2}\n{\"id\":2} {}\n{\"id\":\"\0\"}\n{\"id\":\"\\u0000\"}\n{\"id\":3}\n",
    );
    let reasons = [
        (2, "the object breaks off"),
        (3, "it is not a JSON object"),
        (4, "a field occurs twice"),
        (5, "something follows the object on its line"),
        (6, "it holds a NUL byte"),
        (7, "a text holds a NUL character"),
    ];
    assert_eq!(found.reasons(), reasons);
    assert_eq!(found.values(), [[Some("1"), None], [Some("3"), None]]);
}

#[test]
fn a_column_of_a_bad_record_is_no_column() {
    let found = ndjson("{\"zzz\":1,\"id\":}\n{\"id\":1}\n");
    assert_eq!(found.names, ["id", "name"]);
}

#[test]
fn long_lines_are_passed_over() {
    let long = "x".repeat(3 << 20);
    let text = format!("{{\"id\":1}}\n{{\"id\":\"{long}\"}}\n{{\"id\":2}}\n");
    let found =
        read("a.ndjson", text.as_bytes(), json!({ "line_bytes_max": 1 << 20 }), entity(&["id"])).expect("a read");
    assert_eq!(found.reasons(), [(2, "the line is longer than `line_bytes_max`")]);
    assert_eq!(found.offsets(), [1, 3]);
    let whole = read("a.ndjson", text.as_bytes(), json!({}), entity(&["id"])).expect("a read");
    assert_eq!(whole.offsets(), [1, 2, 3]);
    for more in 0..4 {
        let text = format!("{{\"id\":1}}\n{}", "x".repeat((1 << 20) - 9 + more));
        let found =
            read("a.ndjson", text.as_bytes(), json!({ "line_bytes_max": 1000 }), entity(&["id"])).expect("a read");
        assert_eq!((found.reasons().len(), found.upto.last()), (1, Some(&2)));
    }
}

#[test]
fn arrays_and_sequences_are_split() {
    let expected = [vec![Some("1")], vec![Some("{\"a\":[\"}\"]}")]];
    for text in [
        "[{\"id\":1},{\"id\":{\"a\":[\"}\"]}}]",
        " [\n  {\n    \"id\": 1\n  },\n  { \"id\": {\"a\":[\"}\"]} }\n]\n",
        "{\"id\":1}\n{\"id\":{\"a\":[\"}\"]}}\n",
        "{\n \"id\":1\n}\n{\n \"id\":{\"a\":[\"}\"]}}",
    ] {
        let found = read("a.json", text.as_bytes(), json!({}), entity(&["id"])).expect("a read");
        assert_eq!((found.values(), found.offsets()), (expected.to_vec(), vec![1, 2]), "{text}");
    }
    for (empty, names) in [("", vec!["id"]), ("[]", vec!["id"]), (" \n", vec!["id"])] {
        let found = read("a.json", empty.as_bytes(), json!({}), entity(&["id"])).expect("a read");
        assert_eq!((found.names, found.rows.len()), (names.iter().map(|s| (*s).to_owned()).collect(), 0));
    }
}

#[test]
fn a_broken_array_says_where() {
    let array = |text: &str| read("a.json", text.as_bytes(), json!({}), entity(&["id"]));
    assert_eq!(array("[{\"id\":1}, 5, {\"id\":}, {\"id\":2}]").expect("a read").reasons().len(), 2);
    for (text, detail) in [
        ("[{\"id\":1}", "not closed"),
        ("[{\"id\":1},{\"id\":", "record 2 breaks off"),
        ("[{\"id\":1}] x", "follows the array"),
        ("[{\"id\":1}}]", "record 2"),
    ] {
        let error = array(text).expect_err(text).to_string();
        assert!(error.contains(detail), "{error}");
    }
}

#[test]
fn an_object_whose_names_are_data_is_an_array_of_pairs_where_the_contract_says_so() {
    let pairs = |of| DataType::new_list(struct_of(&[("key", DataType::Utf8), ("value", of)]), true);
    let inner = pairs(pairs(DataType::Int64));
    let entity = typed(&[("counts", pairs(DataType::Int64)), ("at", struct_of(&[("by", inner)]))]);
    let lines = [
        r#"{"counts":{"a":1, "b \"c":2}}"#,
        r#"{"counts":[{"key":"a","value":1}]}"#,
        r#"{"counts":{},"at":{"by":{"x":{"y":3}}}}"#,
        r#"{"counts":null}"#,
        r#"{"counts":{"a":[1]}}"#,
        r#"{"at":{"b\u0079":{"x":{"y":3}}}}"#,
    ];
    let found = read("a.ndjson", lines.join("\n").as_bytes(), json!({}), entity).expect("a read");
    assert_eq!(found.names, ["counts", "at"]);
    assert_eq!(found.offsets(), [1, 2, 3, 4, 6]);
    assert_eq!(found.reasons(), [(5, "`counts` is not of the nested type that the contract gives it")]);
    let values = found.values();
    let shown = |row: usize, column: usize| values[row][column];
    assert_eq!(shown(0, 0), Some("[{key: a, value: 1}, {key: b \"c, value: 2}]"));
    assert_eq!(shown(1, 0), Some("[{key: a, value: 1}]"));
    assert_eq!((shown(2, 0), shown(3, 0)), (Some("[]"), None));
    for row in [2, 4] {
        assert_eq!(shown(row, 1), Some("{by: [{key: x, value: [{key: y, value: 3}]}]}"));
    }
}

#[test]
fn nested_columns_have_the_contracts_shape() {
    let item = struct_of(&[("sku", DataType::Utf8), ("price", DataType::Decimal128(10, 2))]);
    let items = DataType::List(Arc::new(Field::new("item", item, true)));
    let address = struct_of(&[("city", DataType::Utf8)]);
    let entity = typed(&[("id", DataType::Int64), ("items", items), ("address", address)]);
    let lines = [
        r#"{"id":1,"items":[{"sku":"a","price":1.10},{"sku":"b","price":null}],"address":{"city":"São"}}"#,
        r#"{"id":2,"items":null,"address":"nowhere"}"#,
        r#"{"id":3,"items":[],"address":{"city":"X","zip":1.50,"geo":{"lat":1}}}"#,
        r#"{"id":4,"items":[{"sku":"c","discount":0.10},{"discount":0.20}]}"#,
    ];
    let found = read("a.ndjson", lines.join("\n").as_bytes(), json!({}), entity).expect("a read");
    assert_eq!(found.names, ["id", "items", "items.discount", "address", "address.geo", "address.zip"]);
    assert_eq!(found.reasons(), [(2, "`address` is not of the nested type that the contract gives it")]);
    assert_eq!(found.offsets(), [1, 3, 4]);
    let values = found.values();
    assert_eq!(values[0][1..4], [Some("[{sku: a, price: 1.10}, {sku: b, price: }]"), None, Some("{city: São}")]);
    assert_eq!(values[1][3..], [Some("{city: X}"), Some("{\"lat\":1}"), Some("1.50")]);
    assert_eq!(values[2][2], Some("[0.10,0.20]"));
}

#[test]
fn a_field_that_occurs_twice_inside_is_as_bad_as_one_at_the_top() {
    let item = DataType::List(Arc::new(Field::new("item", struct_of(&[("k", DataType::Int64)]), true)));
    let entity = typed(&[("id", DataType::Int64), ("o", struct_of(&[("k", DataType::Int64)])), ("all", item)]);
    let lines = [
        r#"{"id":1,"o":{"k":1,"k":2}}"#,
        r#"{"id":2,"o":{"k":1},"all":[{"k":1},{"k":1}]}"#,
        r#"{"id":3,"all":[{"k":1},{"k":1,"k":1}]}"#,
    ];
    let found = read("a.ndjson", lines.join("\n").as_bytes(), json!({}), entity).expect("a read");
    assert_eq!(found.offsets(), [2]);
    let told = |name: &str| format!("`{name}` is not of the nested type that the contract gives it");
    assert_eq!(found.reasons(), [(1, &*told("o")), (3, &*told("all"))]);
}

#[test]
fn a_name_inside_is_one_name_however_it_is_written() {
    let inner = struct_of(&[("k", DataType::Int64)]);
    let entity = typed(&[("id", DataType::Int64), ("o", struct_of(&[("k", DataType::Int64), ("in", inner)]))]);
    let lines = [
        r#"{"id":1,"o":{"k":1,"\u006b":2}}"#,
        r#"{"id":2,"o":{"\u006b":1,"i\u006e":{"k":3}}}"#,
        r#"{"id":3,"o":{"i\u006e":{"k":1,"\u006B":2}}}"#,
        r#"{"id":4,"o":{"\u006b":1,"mor\u0065":2}}"#,
        r#"{"id":5,"o":{"mor\u0065":1,"more":2}}"#,
        r#"{"id":6,"o":{"k":1,"\\u006b":2}}"#,
    ];
    let found = read("a.ndjson", lines.join("\n").as_bytes(), json!({}), entity).expect("a read");
    let told = "`o` is not of the nested type that the contract gives it";
    assert_eq!(found.reasons(), [(1, told), (3, told), (5, told)]);
    assert_eq!(found.names, ["id", "o", "o.\\u006b", "o.more"]);
    let expected = [
        [Some("2"), Some("{k: 1, in: {k: 3}}"), None, None],
        [Some("4"), Some("{k: 1, in: }"), None, Some("2")],
        [Some("6"), Some("{k: 1, in: }"), Some("2"), None],
    ];
    assert_eq!(found.values(), expected);
}

#[test]
fn json_is_resumed_behind_any_record() {
    let lines: String =
        (0..40).map(|i| format!("{{\"id\":{i}}}\n{}", if i % 3 == 0 { "{bad\n" } else { "" })).collect();
    resumes("a.ndjson", lines.as_bytes(), &json!({ "batch_rows_max": 3 }), &entity(&["id"]));
    let array: Vec<Value> = (0..40).map(|i| json!({ "id": i })).collect();
    let array = serde_json::to_string_pretty(&array).expect("JSON");
    resumes("a.json", array.as_bytes(), &json!({ "batch_rows_max": 3 }), &entity(&["id"]));
}

#[test]
fn blocks_are_cut_anywhere() {
    let value = "x".repeat(700);
    let lines: String = (0..2000).map(|i| format!("{{\"id\":{i},\"v\":\"{value}\"}}\n")).collect();
    let found = read("a.ndjson", lines.as_bytes(), json!({}), entity(&["id"])).expect("a read");
    let ids: Vec<_> = (0..2000).map(|i| Some(i.to_string())).collect();
    assert_eq!(found.rows.iter().map(|(_, row)| row[0].clone()).collect::<Vec<_>>(), ids);
    let array = format!("[{}]", lines.trim_end().replace('\n', ","));
    let found = read("a.json", array.as_bytes(), json!({}), entity(&["id"])).expect("a read");
    assert_eq!(found.rows.iter().map(|(_, row)| row[0].clone()).collect::<Vec<_>>(), ids);
}
