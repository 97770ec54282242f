//! What is written is read back by the `parquet` crate's own reader: the same values, bounds that hold.

use super::*;
use arrow::array::{
    BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array, Int32Array, Int64Array,
    ListArray, StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Fields, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::statistics::Statistics;
use proptest::prelude::*;

fn file(batches: &[RecordBatch]) -> (Vec<u8>, ParquetMetaData) {
    let mut file = ParquetFile::new(batches[0].schema()).expect("a file");
    let mut bytes = Vec::new();
    for batch in batches {
        file.write(batch.clone()).expect("rows that can be encoded");
        bytes.extend(file.take());
    }
    let (rest, length, footer) = file.finish().expect("an end");
    bytes.extend(rest);
    assert_eq!(bytes.len() as u64, length);
    (bytes, footer)
}

fn read(bytes: Vec<u8>) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("a Parquet file");
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().expect("a reader").map(|b| b.expect("rows")).collect();
    concat_batches(&schema, &batches).expect("one schema")
}

fn comes_back(batches: &[RecordBatch]) {
    let written = concat_batches(&batches[0].schema(), batches).expect("one schema");
    let found = read(file(batches).0);
    for (field, (a, b)) in written.schema().fields().iter().zip(written.columns().iter().zip(found.columns())) {
        assert!(a == b, "column {field:?} of {} rows differs", written.num_rows());
    }
}

/// How a column's values are spread.
#[derive(Debug, Clone, Copy)]
struct Spread {
    distinct: u64,
    /// One in so many is missing; 0 for none.
    missing: u64,
    /// Values come in runs of about this length.
    run: u64,
}

fn numbers(rows: usize, spread: Spread, dice: &mut fastrand::Rng) -> Vec<Option<i64>> {
    let mut current = 0;
    let one = |dice: &mut fastrand::Rng| match dice.u64(..spread.distinct) {
        0 => i64::MIN,
        1 => i64::MAX,
        value => (value as i64 - spread.distinct as i64 / 2).wrapping_mul(1_000_003),
    };
    (0..rows)
        .map(|_| {
            if dice.u64(..spread.run) == 0 {
                current = one(dice);
            }
            (spread.missing == 0 || dice.u64(..spread.missing) > 0).then_some(current)
        })
        .collect()
}

fn words(rows: usize, spread: Spread, dice: &mut fastrand::Rng) -> Vec<Option<String>> {
    let text = |number: i64| match number.rem_euclid(7) {
        0 => String::new(),
        1 => "á".repeat(number.rem_euclid(90) as usize),
        2 => format!("{number:012}"),
        _ => format!("{number}"),
    };
    numbers(rows, spread, dice).into_iter().map(|number| number.map(text)).collect()
}

fn batch(rows: usize, spread: Spread, seed: u64) -> RecordBatch {
    let dice = &mut fastrand::Rng::with_seed(seed);
    let narrow = |numbers: Vec<Option<i64>>| numbers.into_iter().map(|n| n.map(|n| n as i32));
    let some: Vec<bool> = (0..rows).map(|_| spread.missing == 0 || dice.u64(..spread.missing) > 0).collect();
    let pair =
        Fields::from(vec![Field::new("word", DataType::Utf8View, true), Field::new("number", DataType::Int64, true)]);
    let pairs = StructArray::new(
        pair,
        vec![
            Arc::new(StringViewArray::from_iter(words(rows, spread, dice))),
            Arc::new(Int64Array::from(numbers(rows, spread, dice))),
        ],
        (spread.missing > 0).then(|| NullBuffer::from(some.clone())),
    );
    let items = Int64Array::from(numbers(rows * 2, spread, dice));
    let item = Arc::new(Field::new("element", DataType::Int64, true));
    let lists = ListArray::new(item, OffsetBuffer::from_lengths((0..rows).map(|_| 2)), Arc::new(items), None);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("long", Arc::new(Int64Array::from(numbers(rows, spread, dice)))),
        ("int", Arc::new(Int32Array::from_iter(narrow(numbers(rows, spread, dice))))),
        ("byte", Arc::new(Int8Array::from_iter(numbers(rows, spread, dice).into_iter().map(|n| n.map(|n| n as i8))))),
        ("day", Arc::new(Date32Array::from_iter(narrow(numbers(rows, spread, dice))))),
        ("at", Arc::new(TimestampMicrosecondArray::from(numbers(rows, spread, dice)).with_timezone("UTC"))),
        ("small", Arc::new(decimals(numbers(rows, spread, dice), 9))),
        ("amount", Arc::new(decimals(numbers(rows, spread, dice), 18))),
        ("wide", Arc::new(decimals(numbers(rows, spread, dice), 38))),
        ("word", Arc::new(StringViewArray::from_iter(words(rows, spread, dice)))),
        (
            "bytes",
            Arc::new(BinaryViewArray::from_iter(words(rows, spread, dice).into_iter().map(|w| w.map(Vec::from)))),
        ),
        (
            "float",
            Arc::new(Float64Array::from_iter(numbers(rows, spread, dice).into_iter().map(|n| n.map(|n| n as f64)))),
        ),
        ("flag", Arc::new(BooleanArray::from(some))),
        ("pair", Arc::new(pairs)),
        ("list", Arc::new(lists)),
        ("none", Arc::new(Int64Array::from(vec![None; rows]))),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, values)| values).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

fn decimals(numbers: Vec<Option<i64>>, precision: u8) -> Decimal128Array {
    let limit = 10i128.pow(u32::from(precision));
    let values = numbers.into_iter().map(|n| n.map(|n| i128::from(n) % limit));
    Decimal128Array::from_iter(values).with_precision_and_scale(precision, 2).expect("a decimal")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_value_comes_back(
        sizes in prop::collection::vec(1usize..20_000, 1..5),
        distinct in prop::sample::select(vec![1u64, 2, 3, 9, 300, 5_000, 1 << 40]),
        missing in prop::sample::select(vec![0u64, 1, 2, 1_000]),
        run in prop::sample::select(vec![1u64, 2, 20, 5_000]),
        seed: u64,
    ) {
        let spread = Spread { distinct, missing, run };
        let batches: Vec<RecordBatch> = sizes.iter().zip(seed..).map(|(rows, seed)| batch(*rows, spread, seed)).collect();
        comes_back(&batches);
    }
}

#[test]
fn a_part_of_a_batch_and_no_row_at_all_come_back() {
    let whole = batch(20_000, Spread { distinct: 50, missing: 3, run: 4 }, 1);
    comes_back(&[whole.slice(7, 9_000), whole.slice(0, 0), whole.slice(10_003, 41)]);
    let (bytes, footer) = file(&[whole.slice(0, 0)]);
    assert_eq!((read(bytes).num_rows(), footer.num_row_groups()), (0, 0));
}

#[test]
fn a_row_group_ends_at_a_million_rows_and_each_has_its_own_dictionary() {
    let rows = GROUP_ROWS_MAX / 2 + 100;
    let column =
        |from: i64| -> ArrayRef { Arc::new((0..rows as i64).map(|row| Some(from + row % 77)).collect::<Int64Array>()) };
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let batches: Vec<RecordBatch> =
        (0..3).map(|part| RecordBatch::try_new(schema.clone(), vec![column(part * 1000)]).expect("a batch")).collect();
    let (bytes, footer) = file(&batches);
    assert_eq!(footer.num_row_groups(), 2);
    assert_eq!(footer.row_group(0).num_rows(), GROUP_ROWS_MAX as i64);
    let Some(Statistics::Int64(first)) = footer.row_group(0).column(0).statistics() else { panic!("statistics") };
    assert_eq!((first.min_opt(), first.max_opt(), first.null_count_opt()), (Some(&0), Some(&1076), Some(0)));
    assert!(read(bytes) == concat_batches(&schema, &batches).expect("one schema"));
}

#[test]
fn a_column_whose_values_hardly_repeat_has_no_dictionary_and_one_that_stops_repeating_ends_it() {
    let one = |values: Vec<i64>| {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(values))]).expect("a batch");
        let (bytes, footer) = file(std::slice::from_ref(&batch));
        assert!(read(bytes) == batch);
        footer.row_group(0).column(0).clone()
    };
    let unique = one((0..50_000).map(|n: i64| n.wrapping_mul(0x1e37_79b9_7f4a_7c15)).collect());
    assert_eq!(unique.dictionary_page_offset(), None);
    let repeated = one((0..50_000).map(|n| n % 1000).collect());
    assert!(repeated.dictionary_page_offset().is_some() && repeated.compressed_size() < 80_000);
    let turning = one((0..400_000).map(|n| if n < 50_000 { n % 10 } else { n }).collect());
    assert!(turning.dictionary_page_offset().is_some());
    assert!(turning.encodings().any(|encoding| encoding == parquet::basic::Encoding::DELTA_BINARY_PACKED));
}

#[test]
fn values_far_from_the_first_ones_find_their_codes() {
    let value = |n: i64| if n % 1000 == 999 { n * 1_000_003 } else { n % 500 };
    let column = Arc::new(Int64Array::from_iter_values((0..300_000).map(value).chain([i64::MIN, i64::MAX, -1])));
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let batch = RecordBatch::try_new(schema, vec![column]).expect("a batch");
    let (bytes, footer) = file(std::slice::from_ref(&batch));
    assert!(footer.row_group(0).column(0).dictionary_page_offset().is_some() && read(bytes) == batch);
}

#[test]
fn numbers_in_order_take_next_to_nothing() {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let column = Arc::new(Int64Array::from_iter_values(1_700_000_000_000..1_700_000_000_000 + 100_000));
    let batch = RecordBatch::try_new(schema, vec![column]).expect("a batch");
    let (bytes, _) = file(std::slice::from_ref(&batch));
    assert!(bytes.len() < 4_000 && read(bytes) == batch);
}

#[test]
fn bounds_hold_also_where_they_are_cut() {
    let bounds = |words: &[&str]| {
        let schema = Arc::new(Schema::new(vec![Field::new("w", DataType::Utf8View, true)]));
        let column = Arc::new(StringViewArray::from_iter_values(words));
        let (_, footer) = file(&[RecordBatch::try_new(schema, vec![column]).expect("a batch")]);
        let statistics = footer.row_group(0).column(0).statistics().expect("statistics").clone();
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"));
        (text(statistics.min_bytes_opt()), text(statistics.max_bytes_opt()))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(bounds(&["b", "", "ab", "abc"]), (some(""), some("b")));
    assert_eq!(bounds(&["Customer#2", "Customer#1", "Customer#10"]), (some("Customer#1"), some("Customer#2")));
    let long = "a".repeat(70);
    assert_eq!(bounds(&[&long]), (some(&"a".repeat(64)), some(&format!("{}b", "a".repeat(63)))));
    let accents = "é".repeat(40);
    assert_eq!(bounds(&[&accents]), (some(&"é".repeat(32)), some(&format!("{}ê", "é".repeat(31)))));
    assert_eq!(bounds(&[&"\u{10ffff}".repeat(20)]).1, None);
}
