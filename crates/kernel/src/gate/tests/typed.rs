//! Typed values that arrow takes for more, or shows as less, than they are.

use super::parse::{DECIMAL, check, parsed};
use super::*;
use arrow::array::*;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::*;

fn object(values: ArrayRef) -> ArrayRef {
    let fields = Fields::from(vec![Field::new("x", values.data_type().clone(), true)]);
    Arc::new(StructArray::new(fields, vec![values], None))
}

/// Lists of one item each.
fn lists(values: ArrayRef) -> ArrayRef {
    let offsets = arrow::buffer::OffsetBuffer::from_lengths(vec![1; values.len()]);
    Arc::new(ListArray::new(Arc::new(Field::new("item", values.data_type().clone(), true)), offsets, values, None))
}

fn object_of(data_type: DataType) -> DataType {
    DataType::Struct(vec![Field::new("x", data_type, true)].into())
}

#[test]
fn a_time_that_nobody_can_write_is_no_text() {
    let clock: ArrayRef = Arc::new(Time32MillisecondArray::from(vec![Some(1000), None, Some(86_400_000), Some(-1)]));
    let days: ArrayRef = Arc::new(Date32Array::from(vec![0, i32::MAX]));
    let moments = TimestampMillisecondArray::from(vec![0, i64::MAX]);
    let zoned: ArrayRef = Arc::new(moments.clone().with_timezone("UTC"));
    check(DataType::Utf8, clock.clone(), &["00:00:01", "-", "-", "-"], 2);
    check(DataType::Utf8, days.clone(), &["1970-01-01", "-"], 1);
    check(DataType::Utf8, Arc::new(moments), &["1970-01-01T00:00:00", "-"], 1);
    check(DataType::Utf8, zoned.clone(), &["1970-01-01T00:00:00Z", "-"], 1);
    let told = ["{\"x\":\"00:00:01\"}", "{\"x\":null}", "-", "-"];
    check(DataType::Utf8, object(clock.clone()), &told, 2);
    check(object_of(DataType::Utf8), object(clock.clone()), &told, 2);
    check(DataType::Utf8, lists(days), &["[\"1970-01-01\"]", "-"], 1);
    check(DataType::Utf8, lists(zoned), &["[\"1970-01-01T00:00:00Z\"]", "-"], 1);
    let brazil = TimestampMillisecondArray::from(vec![1]).with_timezone("America/Sao_Paulo");
    check(DataType::Utf8, object(Arc::new(brazil)), &["{\"x\":\"1970-01-01T00:00:00.001Z\"}"], 0);
    for property in [property("x", DataType::Utf8), masked("x", DataType::Utf8, "pseudonym(a)")] {
        let passed = pass(entity(vec![property]), vec![("x", clock.clone())]);
        assert_eq!(causes(&passed), ["x: type @ 3", "x: type @ 4"]);
        assert_eq!(shown(aside(&passed), "row"), some(&[r#"{"x":"***"}"#, r#"{"x":"***"}"#]));
        assert_eq!(
            shown(aside(&passed), "reason")[0].as_deref(),
            Some("not text, nor anything that text can tell exactly")
        );
    }
}

#[test]
fn a_column_that_is_taken_in_unknown_keeps_to_what_text_can_tell() {
    let clock: ArrayRef = Arc::new(Time32MillisecondArray::from(vec![1000, 86_400_000]));
    let mut open = entity(vec![property("x", DataType::Int64)]);
    open.schema_change = SchemaChange::Evolve;
    let passed = pass(open, vec![("extra", clock), ("x", Arc::new(Int64Array::from(vec![1, 2])))]);
    assert_eq!(shown(passed.safe.batch(), "extra"), some(&["00:00:01"]));
    assert_eq!(causes(&passed), ["extra: type @ 2"]);
    assert_eq!(shown(aside(&passed), "row"), some(&[r#"{"extra":"***","x":"2"}"#]));
}

fn decimals(values: Vec<i128>, precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).expect("a decimal"))
}

#[test]
fn a_decimal_has_no_more_digits_than_its_type() {
    let amounts = || decimals(vec![150, 99_999, -99_999, 100_000, -100_000, 1_000_000_000], 5, 2);
    let shown = ["1.50", "999.99", "-999.99", "-", "-", "-"];
    check(DataType::Decimal128(5, 2), amounts(), &shown, 3);
    check(DataType::Decimal128(38, 2), amounts(), &shown, 3);
    check(DataType::Utf8, amounts(), &shown, 3);
    check(DataType::Float64, amounts(), &["1.5", "999.99", "-999.99", "-", "-", "-"], 3);
    check(DataType::Decimal128(5, 2), amounts().slice(2, 2), &["-999.99", "-"], 1);
    check(DataType::Decimal128(20, 4), decimals(vec![1, 10i128.pow(25)], 20, 4), &["0.0001", "-"], 1);
    check(DataType::Decimal128(38, 0), decimals(vec![5, i128::MAX], 38, 0), &["5", "-"], 1);
    let wide = Decimal256Array::from(vec![i256::from_i128(150), i256::from_i128(10i128.pow(30))]);
    let wide: ArrayRef = Arc::new(wide.with_precision_and_scale(20, 2).expect("a decimal"));
    check(DataType::Decimal128(38, 2), wide.clone(), &["1.50", "-"], 1);
    check(DataType::Utf8, wide, &["1.50", "-"], 1);
}

#[test]
fn a_decimal_inside_of_a_value_has_no_more_digits_either() {
    let amounts = || decimals(vec![150, 1_000_000_000], 5, 2);
    let listed = DataType::List(Arc::new(Field::new("item", DataType::Decimal128(5, 2), true)));
    check(listed.clone(), lists(amounts()), &["[1.50]", "-"], 1);
    check(listed, lists(amounts()).slice(1, 1), &["-"], 1);
    for to in [object_of(DataType::Decimal128(5, 2)), object_of(DataType::Decimal128(20, 2)), DataType::Utf8] {
        check(to, object(amounts()), &["{\"x\":1.50}", "-"], 1);
    }
    let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(
        Arc::new(Field::new("item", DataType::Decimal128(5, 2), true)),
        1,
        amounts(),
        None,
    ));
    check(DataType::Utf8, fixed, &["[1.50]", "-"], 1);
    let passed = pass(entity(vec![property("x", DataType::Decimal128(5, 2))]), vec![("x", amounts())]);
    assert_eq!(shown(passed.safe.batch(), "x"), some(&["1.50"]));
    assert_eq!(shown(aside(&passed), "row"), some(&[r#"{"x":"***"}"#]), "not with some of its digits");
}

/// A text, nothing, a whole number and a text that is one.
fn union() -> ArrayRef {
    let fields = [("null", DataType::Null), ("string", DataType::Utf8), ("long", DataType::Int64)];
    let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
    let branches: Vec<ArrayRef> = vec![
        Arc::new(NullArray::new(1)),
        Arc::new(StringArray::from(vec!["a", "7"])),
        Arc::new(Int64Array::from(vec![5])),
    ];
    let (ids, places) = (ScalarBuffer::from(vec![1_i8, 0, 2, 1]), ScalarBuffer::from(vec![0, 0, 0, 1]));
    let fields = UnionFields::try_new(vec![0, 1, 2], fields).expect("fields");
    Arc::new(UnionArray::try_new(fields, ids, Some(places), branches).expect("a union"))
}

#[test]
fn a_value_of_a_union_is_read_as_what_it_is() {
    check(DataType::Utf8, union(), &["a", "-", "5", "7"], 0);
    check(DataType::Int64, union(), &["-", "-", "5", "7"], 1);
    check(DECIMAL, union(), &["-", "-", "5.00", "7.00"], 1);
    check(DataType::Boolean, union(), &["-", "-", "-", "-"], 3);
    check(DataType::Int64, union().slice(1, 2), &["-", "5"], 0);
    let told = ["{\"x\":\"a\"}", "{\"x\":null}", "{\"x\":5}", "{\"x\":\"7\"}"];
    check(DataType::Utf8, object(union()), &told, 0);
    check(object_of(DataType::Int64), object(union()), &["-", "{\"x\":null}", "{\"x\":5}", "{\"x\":7}"], 1);
    let listed = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    check(listed, lists(union()), &["[\"a\"]", "[null]", "[\"5\"]", "[\"7\"]"], 0);
}

#[test]
fn a_null_of_a_union_breaks_no_type_and_is_missing_where_one_is_required() {
    let number = with("x", DataType::Int64, |p| p.required = true);
    let passed = pass(entity(vec![number]), vec![("x", union())]);
    assert_eq!(causes(&passed), ["x: type @ 1", "x: required @ 2"]);
    assert_eq!(shown(aside(&passed), "row"), some(&[r#"{"x":"***"}"#, r#"{"x":null}"#]));
}

#[test]
fn reasons_are_in_the_words_of_contracts() {
    let reason = |data_type: DataType, column: ArrayRef| {
        let passed = pass(entity(vec![property("x", data_type)]), vec![("x", column)]);
        shown(aside(&passed), "reason")[0].clone().expect("a reason")
    };
    let number = || -> ArrayRef { Arc::new(Int64Array::from(vec![1])) };
    let list = |of| DataType::List(Arc::new(Field::new("item", of, true)));
    assert_eq!(reason(list(DataType::Int64), number()), "not an array of whole numbers");
    assert_eq!(reason(object_of(DataType::Utf8), number()), "not an object with `x` (text)");
    let timed = "not an array of dates, or a time in it is not of the years 0001 to 9999";
    assert_eq!(reason(list(DataType::Date32), number()), timed);
    let months: ArrayRef = Arc::new(IntervalYearMonthArray::from(vec![1]));
    assert_eq!(reason(DataType::Utf8, months), "not text, nor anything that text can tell exactly");
}

#[test]
fn a_map_is_an_array_of_objects_with_key_and_value_or_the_text_of_an_object() {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    for row in [Some(&[("a", 1), ("b", 2)][..]), None, Some(&[]), Some(&[("c", 300)])] {
        for (key, value) in row.unwrap_or_default() {
            maps.keys().append_value(key);
            maps.values().append_value(*value);
        }
        maps.append(row.is_some()).expect("as many keys as values");
    }
    let maps: ArrayRef = Arc::new(maps.finish());
    let pairs = |value| {
        let pair = vec![Field::new("key", DataType::Utf8, true), Field::new("value", value, true)];
        DataType::List(Arc::new(Field::new("item", DataType::Struct(pair.into()), true)))
    };
    let [first, last] = [r#"[{"key":"a","value":1},{"key":"b","value":2}]"#, r#"[{"key":"c","value":300}]"#];
    check(pairs(DataType::Int64), maps.clone(), &[first, "-", "[]", last], 0);
    check(pairs(DataType::Int64), maps.slice(2, 2), &["[]", last], 0);
    check(pairs(DataType::Int8), maps.clone(), &[first, "-", "[]", "-"], 1);
    check(DataType::Utf8, maps, &[r#"{"a":1,"b":2}"#, "-", "{}", r#"{"c":300}"#], 0);
}

#[test]
fn bytes_are_told_in_hexadecimal_digits() {
    let plain: Vec<&[u8]> = vec![b"plain", b"\xff\0", b""];
    let shown = ["706c61696e", "ff00", ""];
    check(DataType::Utf8, Arc::new(BinaryArray::from(plain.clone())), &shown, 0);
    check(DataType::Utf8, Arc::new(BinaryViewArray::from(plain.clone())), &shown, 0);
    check(
        object_of(DataType::Utf8),
        object(Arc::new(BinaryArray::from(plain))),
        &shown.map(|text| format!("{{\"x\":\"{text}\"}}")).each_ref().map(String::as_str),
        0,
    );
    let fixed = FixedSizeBinaryArray::try_from_iter([b"\x01\x02", b"\x03\x04"].into_iter()).expect("bytes");
    check(DataType::Utf8, Arc::new(fixed), &["0102", "0304"], 0);
    // Its digits would be another number.
    let number =
        pass(entity(vec![property("x", DataType::Int64)]), vec![("x", Arc::new(BinaryArray::from(vec![&b"1"[..]])))]);
    assert_eq!(shown_row(&number), r#"{"x":"***"}"#);
}

fn shown_row(passed: &Passed) -> String {
    shown(aside(passed), "row")[0].clone().expect("a row")
}

#[test]
fn floats_that_are_no_numbers_are_taken_typed_and_by_their_one_spelling() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5];
    let typed: ArrayRef = Arc::new(Float64Array::from(odd.to_vec()));
    let shown = ["NaN", "Infinity", "-Infinity", "1.5"];
    check(DataType::Float64, typed.clone(), &shown, 0);
    check(DataType::Float32, typed.clone(), &shown, 0);
    check(DataType::Utf8, typed.clone(), &shown, 0);
    check(DataType::Float64, words(&shown), &shown, 0);
    check(DataType::Float32, words(&shown), &shown, 0);
    check(DataType::Float64, words(&["nan", "inf", "-inf", "NULL"]), &["-", "-", "-", "-"], 4);
    check(DECIMAL, typed.clone(), &["-", "-", "-", "1.50"], 3);
    check(DataType::Int64, typed.clone(), &["-", "-", "-", "-"], 4);
    let listed = DataType::List(Arc::new(Field::new("item", DataType::Float64, true)));
    let told = ["[\"NaN\"]", "[\"Infinity\"]", "[\"-Infinity\"]", "[1.5]"];
    check(listed.clone(), lists(typed.clone()), &told, 0);
    check(DataType::Utf8, lists(typed), &told, 0);
    // As the quarantine keeps them.
    assert_eq!(parsed(property("x", listed), words(&told)).0, told);
}
