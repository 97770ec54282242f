//! Every logical type, from text and from typed arrays.

use super::*;
use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;

pub(super) const DECIMAL: DataType = DataType::Decimal128(12, 2);

/// What a column becomes: the text of each value; null where it was refused or absent. The number of refused ones.
pub(super) fn parsed(property: Property, column: ArrayRef) -> (Vec<String>, u64) {
    let mut entity = entity(vec![property]);
    entity.on_violation = OnViolation::DropValue;
    let name = entity.properties[0].name.clone();
    let expected = super::super::parse::kept_type(&entity.properties[0].data_type);
    let rows = column.len();
    let passed = pass(entity, vec![(&name, column)]);
    let batch = passed.safe.batch();
    assert_eq!((batch.column(0).data_type(), batch.num_rows()), (&expected, rows));
    let values = shown(batch, &name).into_iter().map(|value| value.unwrap_or_else(|| "-".into())).collect();
    (values, passed.tally.values_dropped)
}

pub(super) fn check(data_type: DataType, column: ArrayRef, expected: &[&str], refused: u64) {
    let about = format!("{} → {data_type}", column.data_type());
    let (values, dropped) = parsed(property("x", data_type), column);
    assert_eq!((values, dropped), (expected.iter().map(ToString::to_string).collect(), refused), "{about}");
}

#[test]
fn text_becomes_each_type_exactly_or_is_refused() {
    let check = |to, values: &[&str], expected: &[&str], refused| check(to, words(values), expected, refused);
    check(DataType::Utf8, &["a", "", " b "], &["a", "", " b "], 0);
    check(DataType::Int8, &["127", "-128", "128", "x"], &["127", "-128", "-", "-"], 2);
    check(DataType::Int16, &["32767", "32768"], &["32767", "-"], 1);
    check(DataType::Int32, &["2147483647", "2147483648", "1.0"], &["2147483647", "-", "-"], 2);
    check(DataType::Int64, &["9223372036854775807", "9223372036854775808"], &["9223372036854775807", "-"], 1);
    check(DataType::Float64, &["0.1", "1e3", "nan", "1e400"], &["0.1", "1000.0", "-", "-"], 2);
    check(DataType::Float32, &["0.5", "1e39"], &["0.5", "-"], 1);
    check(DECIMAL, &["1.5", "-0.01", "1.500", "1.505", "12345678901"], &["1.50", "-0.01", "1.50", "-", "-"], 2);
    check(
        DataType::Decimal128(38, 0),
        &["99999999999999999999999999999999999999"],
        &["99999999999999999999999999999999999999"],
        0,
    );
    check(DataType::Boolean, &["true", "NÃO", "1", "maybe"], &["true", "false", "true", "-"], 1);
    check(DataType::Date32, &["2024-02-29", "2023-02-29", "29/02/2024"], &["2024-02-29", "-", "-"], 2);
}

#[test]
fn timestamps_keep_their_zone_and_their_precision() {
    let values = ["2026-07-01T09:00:00-03:00", "2026-07-01T12:00:00", "2026-07-01", "2026-07-01T12:00:00.1234567Z"];
    let expected = ["2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z", "2026-07-01T00:00:00Z", "-"];
    check(MICROS_UTC(), words(&values), &expected, 1);
    let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
    check(naive, words(&values), &["-", "2026-07-01T12:00:00", "2026-07-01T00:00:00", "-"], 2);
}

#[test]
fn formats_and_commas_are_the_contracts() {
    let date = with("x", DataType::Date32, |p| p.format = Some("%d/%m/%Y".into()));
    assert_eq!(parsed(date, words(&["31/12/2026", "2026-12-31"])), (vec!["2026-12-31".into(), "-".into()], 1));
    let zoned = with("x", MICROS_UTC(), |p| p.format = Some("%d/%m/%Y %H:%M %z".into()));
    assert_eq!(parsed(zoned, words(&["01/07/2026 09:00 -0300"])), (vec!["2026-07-01T12:00:00Z".into()], 0));
    let comma = with("x", DECIMAL, |p| p.decimal_comma = true);
    assert_eq!(parsed(comma, words(&["1.234,56", "12.34"])), (vec!["1234.56".into(), "-".into()], 1));
    let form = with("x", DataType::Utf8, |p| p.format = Some("%Q".into()));
    assert_eq!(parsed(form, words(&["a"])), (vec!["a".into()], 0), "another kind of format");
    for format in ["%Q", "%H:%M %Z"] {
        let wrong = with("x", MICROS_UTC(), |p| p.format = Some(format.into()));
        assert_eq!(try_gate(entity(vec![wrong]), Vec::new()).err().map(|e| e.kind), Some(Kind::Project), "{format}");
    }
}

#[test]
fn text_is_read_in_every_encoding() {
    let plain: ArrayRef =
        Arc::new(StringArray::from(vec![Some("7"), None, Some("x"), Some("a long text that is no number")]));
    let dictionary = |value| DataType::Dictionary(Box::new(DataType::Int32), Box::new(value));
    for encoding in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary(DataType::Utf8)] {
        let column = cast(&plain, &encoding).expect("an encoding");
        check(DataType::Int64, column.clone(), &["7", "-", "-", "-"], 2);
        check(DataType::Utf8, column, &["7", "-", "x", "a long text that is no number"], 0);
    }
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![5, 5, 600]));
    check(DataType::Int8, cast(&numbers, &dictionary(DataType::Int64)).expect("a dictionary"), &["5", "5", "-"], 1);
    let runs =
        RunArray::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec![Some("7"), None])).expect("runs");
    check(DataType::Int64, Arc::new(runs), &["7", "7", "-"], 0);
    for to in [DataType::Utf8, DataType::Int64, DECIMAL, MICROS_UTC(), DataType::Boolean] {
        check(to, Arc::new(NullArray::new(2)), &["-", "-"], 0);
    }
}

#[test]
fn numbers_widen_and_narrow_only_when_nothing_is_lost() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(300), Some(1 << 60)]));
    check(DataType::Int8, ints.clone(), &["1", "-", "-", "-"], 2);
    check(DataType::Float64, Arc::new(Int64Array::from(vec![1, (1 << 53) + 1])), &["1.0", "-"], 1);
    check(DECIMAL, ints.clone(), &["1.00", "-", "300.00", "-"], 1);
    check(DataType::Utf8, ints, &["1", "-", "300", "1152921504606846976"], 0);
    check(DataType::Int64, Arc::new(Int32Array::from(vec![i32::MIN])), &["-2147483648"], 0);
    check(DataType::Int64, Arc::new(UInt64Array::from(vec![1, u64::MAX])), &["1", "-"], 1);
    let decimals = Decimal128Array::from(vec![150, 155]).with_precision_and_scale(12, 2).expect("a decimal");
    check(DataType::Decimal128(12, 1), Arc::new(decimals.clone()), &["1.5", "-"], 1);
    check(DataType::Decimal128(14, 4), Arc::new(decimals), &["1.5000", "1.5500"], 0);
}

#[test]
fn a_float_means_its_shortest_text() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![10.1, 1e-2, 0.125, f64::NAN, 1e300]));
    check(DECIMAL, floats, &["10.10", "0.01", "-", "-", "-"], 3);
    check(DECIMAL, Arc::new(Float32Array::from(vec![10.1_f32, 16_777_216.0])), &["10.10", "16777216.00"], 0);
    let whole: ArrayRef =
        Arc::new(Float64Array::from(vec![Some(10.0), Some(10.5), None, Some(f64::NAN), Some(9.3e18)]));
    check(DataType::Int64, whole, &["10", "-", "-", "-", "-"], 3);
    check(DataType::Float32, Arc::new(Float64Array::from(vec![0.5, 0.1])), &["0.5", "-"], 1);
}

#[test]
fn typed_times_keep_the_instant_or_are_refused() {
    let noon = 1_782_907_200_i64; // 2026-07-01T12:00:00Z
    let nanos: ArrayRef =
        Arc::new(TimestampNanosecondArray::from(vec![noon * 1_000_000_000, noon * 1_000_000_000 + 1]));
    check(MICROS_UTC(), nanos, &["2026-07-01T12:00:00Z", "-"], 1);
    let brazil = TimestampMillisecondArray::from(vec![noon * 1000]).with_timezone("America/Sao_Paulo");
    check(MICROS_UTC(), Arc::new(brazil.clone()), &["2026-07-01T12:00:00Z"], 0);
    check(DataType::Utf8, Arc::new(brazil.clone()), &["2026-07-01T12:00:00Z"], 0);
    // A time with a zone is no time without one, nor the other way about a date.
    check(DataType::Timestamp(TimeUnit::Microsecond, None), Arc::new(brazil.clone()), &["-"], 1);
    check(DataType::Date32, Arc::new(brazil), &["-"], 1);
    let days: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![(noon - 43_200) * 1_000_000, noon * 1_000_000]));
    check(DataType::Date32, days, &["2026-07-01", "-"], 1);
    check(DataType::Date32, Arc::new(Date64Array::from(vec![(noon - 43_200) * 1000])), &["2026-07-01"], 0);
    check(DataType::Int64, Arc::new(Date32Array::from(vec![1])), &["-"], 1);
    check(DataType::Date32, Arc::new(Int32Array::from(vec![1])), &["-"], 1);
    check(DataType::Boolean, Arc::new(Int32Array::from(vec![1])), &["-"], 1);
    check(DataType::Utf8, Arc::new(BooleanArray::from(vec![true])), &["true"], 0);
}

#[test]
fn nested_values_are_held_to_their_parts() {
    let list = |data_type| DataType::List(Arc::new(Field::new("item", data_type, true)));
    let longs = || {
        ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![Some(1 << 40)]),
        ])
    };
    check(list(DataType::Int64), Arc::new(longs()), &["[1,null]", "-", "[1099511627776]"], 0);
    check(list(DataType::Int32), Arc::new(longs()), &["[1,null]", "-", "-"], 1);
    check(DataType::Int64, Arc::new(longs()), &["-", "-", "-"], 2);
    check(DataType::Utf8, Arc::new(longs()), &["[1,null]", "-", "[1099511627776]"], 0);
    let fields = Fields::from(vec![Field::new("city", DataType::Utf8, true), Field::new("n", DataType::Int64, true)]);
    let cities = Arc::new(StringArray::from(vec![Some("São Paulo"), None]));
    let structs = StructArray::new(fields.clone(), vec![cities, Arc::new(Int64Array::from(vec![1, 2]))], None);
    let expected = ["{\"city\":\"São Paulo\",\"n\":1}", "{\"city\":null,\"n\":2}"];
    check(DataType::Struct(fields.clone()), Arc::new(structs), &expected, 0);
    check(
        DataType::Struct(fields),
        words(&[expected[0], "{}", "x", "{\"city\":1,\"n\":1}"]),
        &[expected[0], "-", "-", "-"],
        3,
    );
}

/// A struct of one text `x`, as nested JSON comes; null where there is none.
fn objects(values: &[Option<&str>]) -> ArrayRef {
    let fields = Fields::from(vec![Field::new("x", DataType::Utf8, true)]);
    let nulls = values.iter().map(Option::is_some).collect::<Vec<_>>();
    let texts = Arc::new(StringArray::from(values.to_vec()));
    Arc::new(StructArray::new(fields, vec![texts], Some(nulls.into())))
}

#[test]
fn a_text_inside_a_nested_value_is_read_as_a_column_of_text_is() {
    let object = |of: DataType| DataType::Struct(vec![Field::new("x", of, true)].into());
    let check = |of, values: &[&str], expected: &[&str], refused| {
        let values: Vec<_> = values.iter().map(|value| Some(*value)).chain([None]).collect();
        let shown = |value: &&str| if *value == "-" { "-".into() } else { format!("{{\"x\":{value}}}") };
        let shown: Vec<String> = expected.iter().map(shown).chain(["-".to_owned()]).collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        check(object(of), objects(&values), &shown, refused);
    };
    check(DataType::Decimal128(10, 2), &["1.1", "5", "1.125", "x"], &["1.10", "5.00", "-", "-"], 2);
    check(DataType::Float64, &["2", "1e3", "1.5"], &["2.0", "1000.0", "1.5"], 0);
    check(DataType::Decimal128(38, 9), &["1.5"], &["1.500000000"], 0);
    let times = ["2026-01-01T09:00:00-03:00", "2026-01-01 00:00:00", "2026-01-01T00:00:00.5Z", "yesterday"].map(Some);
    let mut entity = entity(vec![property("x", object(MICROS_UTC()))]);
    entity.on_violation = OnViolation::DropValue;
    let passed = pass(entity, vec![("x", objects(&times))]);
    let objects = passed.safe.batch().column(0).as_struct();
    let midnight = 1_767_225_600_000_000;
    let expected = [midnight + 43_200_000_000, midnight, midnight + 500_000];
    assert_eq!(objects.column(0).as_primitive::<TimestampMicrosecondType>().values()[..3], expected);
    assert!(objects.is_valid(2) && objects.is_null(3));
    check(DataType::Boolean, &["true", "maybe"], &["true", "-"], 1);
    check(DataType::Utf8, &["a"], &["\"a\""], 0);
}

#[test]
fn a_refused_part_costs_its_value_only() {
    let list = |data_type| DataType::List(Arc::new(Field::new("item", data_type, true)));
    let mut texts = ListBuilder::new(StringBuilder::new());
    for row in [&["7"][..], &["1", "2"], &[], &["3", "x"], &["4"]] {
        row.iter().for_each(|text| texts.values().append_value(text));
        texts.append(true);
    }
    texts.append_null();
    let texts: ArrayRef = Arc::new(texts.finish());
    let expected = ["[7]", "[1,2]", "[]", "-", "[4]", "-"];
    check(list(DataType::Int64), texts.clone(), &expected, 1);
    check(list(DataType::Int64), texts.slice(1, 3), &expected[1..4], 1);
    let large = DataType::LargeList(Arc::new(Field::new("item", DataType::Int64, true)));
    check(large, texts, &expected, 1);
    let inner = Fields::from(vec![Field::new("x", DataType::Utf8, true), Field::new("y", DataType::Int64, true)]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(vec!["1", "2"])), Arc::new(Int64Array::from(vec![None, Some(1)]))];
    let more = StructArray::new(inner, columns, None);
    let to = DataType::Struct(vec![Field::new("x", DataType::Int64, true)].into());
    check(to, Arc::new(more), &["{\"x\":1}", "-"], 1);
}

#[test]
fn a_slice_is_parsed_as_the_rows_it_shows() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(999), Some(1), None, Some(300), Some(999)]));
    check(DataType::Int8, ints.slice(1, 3), &["1", "-", "-"], 1);
    check(DataType::Int8, text(&[Some("x"), Some("1"), None, Some("300")]).slice(1, 3), &["1", "-", "-"], 1);
    let times: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![Some(1), None, Some(2000)]));
    check(DataType::Timestamp(TimeUnit::Microsecond, None), times.slice(1, 2), &["-", "1970-01-01T00:00:00.000002"], 0);
}

/// Days since 1970 of 0001-01-01 and 9999-12-31.
const YEARS: [i32; 2] = [-719_162, 2_932_896];

#[test]
fn times_are_of_the_years_1_to_9999_however_they_come() {
    let [first, last] = YEARS;
    let days = [Some(first - 1), Some(first), None, Some(last), Some(last + 1), Some(i32::MAX), Some(i32::MIN)];
    let days: ArrayRef = Arc::new(Date32Array::from(days.to_vec()));
    check(DataType::Date32, days.clone(), &["-", "0001-01-01", "-", "9999-12-31", "-", "-", "-"], 4);
    check(DataType::Date32, days.slice(1, 3), &["0001-01-01", "-", "9999-12-31"], 0);
    check(DataType::Date32, words(&["0000-12-31", "0001-01-01", "9999-12-31"]), &["-", "0001-01-01", "9999-12-31"], 1);
    let form = with("x", DataType::Date32, |p| p.format = Some("%d/%m/%Y".into()));
    let texts = words(&["15/03/-0043", "01/01/+12024", "01/01/2024", "x"]);
    assert_eq!(parsed(form, texts), (["-", "-", "2024-01-01", "-"].map(String::from).into(), 3));
    let ends = |per_day: i64| {
        let (first, end) = (i64::from(first) * per_day, (i64::from(last) + 1) * per_day);
        vec![first - 1, first, end - 1, end]
    };
    let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
    for (zone, to) in [("Z", MICROS_UTC()), ("", naive)] {
        let expect = |end: &str| ["-".into(), format!("0001-01-01T00:00:00{zone}"), format!("{end}{zone}"), "-".into()];
        let read = |values: ArrayRef, end: &str| {
            let expected = expect(end);
            check(to.clone(), values, &expected.each_ref().map(String::as_str), 2);
        };
        read(Arc::new(TimestampSecondArray::from(ends(86_400))), "9999-12-31T23:59:59");
        read(Arc::new(TimestampMillisecondArray::from(ends(86_400_000))), "9999-12-31T23:59:59.999");
        read(Arc::new(TimestampMicrosecondArray::from(ends(86_400_000_000))), "9999-12-31T23:59:59.999999");
    }
    let same: ArrayRef = Arc::new(TimestampMicrosecondArray::from(ends(86_400_000_000)).with_timezone("UTC"));
    check(MICROS_UTC(), same, &["-", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "-"], 2);
    // In UTC it is the year 10000.
    check(MICROS_UTC(), words(&["9999-12-31T23:00:00-03:00"]), &["-"], 1);
}

#[test]
fn a_time_inside_of_a_value_is_of_these_years_too() {
    let list = DataType::List(Arc::new(Field::new("item", DataType::Date32, true)));
    let rows = vec![Some(vec![Some(i32::MAX)]), Some(vec![Some(0), None]), None, Some(vec![Some(0), Some(i32::MAX)])];
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Date32Type, _, _>(rows));
    check(list.clone(), lists.clone(), &["-", "[\"1970-01-01\",null]", "-", "-"], 2);
    check(list, lists.slice(1, 2), &["[\"1970-01-01\",null]", "-"], 0);
    let fields = Fields::from(vec![Field::new("at", DataType::Date32, true)]);
    let days: ArrayRef = Arc::new(Date32Array::from(vec![0, i32::MAX, i32::MAX]));
    let there = arrow::buffer::NullBuffer::from(vec![true, false, true]);
    let structs = StructArray::new(fields.clone(), vec![days], Some(there));
    check(DataType::Struct(fields), Arc::new(structs), &["{\"at\":\"1970-01-01\"}", "-", "-"], 1);
}

#[test]
fn a_row_of_another_year_is_set_aside_alone_whatever_its_neighbours_are() {
    let reason = "not a date of the years 0001 to 9999 (ISO 8601)";
    let days: ArrayRef = Arc::new(Date32Array::from(vec![YEARS[0] - 1, 0, YEARS[1] + 1]));
    for column in [days, words(&["0000-12-31", "1970-01-01", "infinity"])] {
        let passed = pass(entity(vec![property("day", DataType::Date32)]), vec![("day", column)]);
        assert_eq!(shown(passed.safe.batch(), "day"), some(&["1970-01-01"]));
        assert_eq!(causes(&passed), ["day: type @ 1", "day: type @ 3"]);
        assert_eq!(shown(aside(&passed), "reason"), some(&[reason, reason]));
        assert_eq!(shown(aside(&passed), "row"), some(&[r#"{"day":"0000-12-31"}"#, r#"{"day":"***"}"#]));
    }
}

#[test]
fn a_mask_moves_no_time_out_of_these_years() {
    let days: ArrayRef = Arc::new(Date32Array::from(vec![0, YEARS[1]]));
    let day = || masked("day", DataType::Date32, "later");
    let passed = pass(entity(vec![day()]), vec![("day", days.clone())]);
    assert_eq!(shown(passed.safe.batch(), "day"), some(&["1970-01-02"]));
    assert_eq!(causes(&passed), ["day: mask @ 2"]);
    assert_eq!(shown(aside(&passed), "row"), some(&[r#"{"day":"***"}"#]));
    let mut drops = entity(vec![day()]);
    drops.on_violation = OnViolation::DropValue;
    assert_eq!(shown(pass(drops, vec![("day", days)]).safe.batch(), "day"), [Some("1970-01-02".to_owned()), None]);
}
