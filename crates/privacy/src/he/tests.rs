use super::*;
use crate::keys::FixedKeys;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Decimal128Array, Int64Array, ListArray, StringArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type};
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use kernel::Kind;
use kernel::error::Result;
use kernel::function::Accumulator;
use kernel::keys::{Key, KeyProvider};
use proptest::prelude::*;
use std::sync::Arc;

const SCOPE: &str = "amounts";
const UNIT: i128 = 10_000_000_000;

fn keys() -> FixedKeys {
    FixedKeys::new(&[7])
}

fn sealed(column: ArrayRef, keys: &dyn KeyProvider) -> ArrayRef {
    mask(SCOPE, None, keys).unwrap().apply(&column).unwrap()
}

fn whole(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn decimals(values: &[Option<i128>], scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values.to_vec()).with_precision_and_scale(18, scale).unwrap())
}

fn start(name: &str) -> Box<dyn Accumulator> {
    let all = functions(Arc::new(keys())).aggregate;
    all.iter().find(|function| function.name() == name).unwrap().start()
}

fn grouped(name: &str, columns: &[ArrayRef]) -> Result<ArrayRef> {
    let mut group = start(name);
    columns.iter().try_for_each(|column| group.take(column))?;
    group.finish()
}

fn opened_with(total: &ArrayRef, scope: &str, keys: FixedKeys) -> Result<Vec<Option<i128>>> {
    let scopes: ArrayRef = Arc::new(StringArray::from(vec![scope; total.len()]));
    let open = functions(Arc::new(keys)).scalar[0].call(&[total.clone(), scopes])?;
    assert_eq!(open.data_type(), &DataType::Decimal128(38, 10));
    Ok(open.as_primitive::<Decimal128Type>().iter().collect())
}

fn opened(total: &ArrayRef) -> Result<Option<i128>> {
    opened_with(total, SCOPE, keys()).map(|all| all[0])
}

/// RFC 9496, appendix A.1: multiples of the generator.
#[test]
fn points_are_those_of_rfc_9496() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (multiple, encoding) in [
        (0, "0000000000000000000000000000000000000000000000000000000000000000"),
        (1, "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"),
        (2, "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919"),
        (3, "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259"),
        (4, "da80862773358b466ffadfe0b3293ab3d9fd53c5ea6c955358f568322daf6a57"),
        (5, "e882b131016b52c1d3337080187cf768423efccbb517bb495ab812c4160ff44e"),
    ] {
        let point = RISTRETTO_BASEPOINT_TABLE * &log::scalar(multiple);
        assert_eq!(hex(point.compress().as_bytes()), encoding);
        assert_eq!(log::of(&point, TOTAL_MAX), Some(multiple));
    }
}

#[test]
fn the_mask_obeys_the_laws() {
    let numbers = [Some(123_456), None, Some(-123_456), Some(0), Some(123_456), Some(ROW_MAX), Some(i64::MIN)];
    let samples: Vec<ArrayRef> = vec![
        whole(&numbers),
        decimals(&[Some(1_234_567), None, Some(-5), Some(1_234_567)], 2),
        Arc::new(UInt64Array::from(vec![1, u64::MAX])),
    ];
    kernel::laws::mask::obeys(&|| mask(SCOPE, None, &keys()).unwrap(), &samples);
    let built = mask(SCOPE, None, &keys()).unwrap();
    for refused in [DataType::Utf8, DataType::Float64, DataType::Decimal128(38, 11), DataType::Decimal128(10, -1)] {
        assert!(built.output(&refused).is_err(), "{refused}");
    }
}

#[test]
fn what_is_too_large_is_out_of_the_limits_and_null() {
    let built = mask(SCOPE, None, &keys()).unwrap();
    let column = built.apply(&whole(&[Some(ROW_MAX), Some(ROW_MAX + 1), Some(-ROW_MAX - 1), Some(i64::MIN)])).unwrap();
    assert_eq!((0..4).map(|row| column.is_null(row)).collect::<Vec<_>>(), [false, true, true, true]);
    let max = |input: DataType| built.limits(&input).and_then(|limits| limits.max).map(|bound| bound.value);
    assert_eq!(max(DataType::Int64).as_deref(), Some("1099511627775"));
    assert_eq!(max(DataType::Decimal128(18, 2)).as_deref(), Some("10995116277.75"));
    assert_eq!(max(DataType::Decimal128(38, 10)).as_deref(), Some("109.9511627775"));
    assert_eq!((max(DataType::Int32), max(DataType::Decimal128(12, 2))), (None, None));
}

#[test]
fn a_published_key_is_enough_to_encrypt_and_opens_nothing() {
    struct Published(String, Option<FixedKeys>);
    impl KeyProvider for Published {
        fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
            let none = || kernel::Error::project("take a key", "there is none");
            self.1.as_ref().ok_or_else(none)?.key(scope, version)
        }
        fn published(&self, _: &str) -> Option<String> {
            Some(self.0.clone())
        }
    }
    let text = public_key(SCOPE, &keys()).unwrap().to_string();
    let total = sealed(whole(&[Some(5), Some(-7)]), &Published(text.clone(), None));
    assert_eq!(opened(&grouped("he_sum", std::slice::from_ref(&total)).unwrap()).unwrap(), Some(-2 * UNIT));
    let scopes: ArrayRef = Arc::new(StringArray::from(vec![SCOPE; 2]));
    assert!(functions(Arc::new(Published(text.clone(), None))).scalar[0].call(&[total, scopes]).is_err());
    // Beside other secret keys it is a mistake; beside newer ones of its own it is not.
    let other = mask(SCOPE, None, &Published(text.clone(), Some(FixedKeys::new(&[9])))).err();
    assert_eq!(other.map(|e| e.kind), Some(Kind::Refused));
    assert_eq!(public_key(SCOPE, &Published(text.clone(), Some(FixedKeys::new(&[7, 8])))).unwrap().version, 2);
    for broken in ["", "1", "x.AAAA", "1.AAAA", &format!("1.{}", "A".repeat(43)), &format!("{text}A")] {
        assert!(PublicKey::parse(SCOPE, broken).is_err(), "{broken}");
    }
}

#[test]
fn nothing_but_its_own_key_opens_a_total() {
    let total = grouped("he_sum", &[sealed(whole(&[Some(5)]), &keys())]).unwrap();
    for (scope, keys) in [("other", keys()), (SCOPE, FixedKeys::new(&[9]))] {
        assert_eq!(opened_with(&total, scope, keys).unwrap_err().kind, Kind::Refused);
    }
    let bytes = total.as_binary::<i32>().value(0).to_vec();
    // All of the header, and some of the points: each change there that is a point costs a whole search.
    for at in (0..18).chain((18..bytes.len()).step_by(13)) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        let changed: ArrayRef = Arc::new(BinaryArray::from(vec![changed.as_slice()]));
        // The number of rows of a sum is only a bound for the search, and its decimals are said in the open.
        let is_open = at == 1 || (10..18).contains(&at);
        assert!(is_open || opened(&changed).is_err(), "byte {at}");
    }
    for broken in [&bytes[1..], &[][..], b"text"] {
        assert!(start("he_sum").take(&(Arc::new(BinaryArray::from(vec![broken])) as ArrayRef)).is_err());
    }
}

#[test]
fn rows_of_two_key_versions_add_up() {
    let newer = FixedKeys::new(&[7, 8]);
    let old = sealed(whole(&[Some(40)]), &keys());
    let new = sealed(whole(&[Some(2), None]), &newer);
    let total = grouped("he_sum", &[old.clone(), new.clone()]).unwrap();
    assert_eq!(opened_with(&total, SCOPE, newer).unwrap(), [Some(42 * UNIT)]);
    assert!(opened(&total).is_err(), "the newer version is not there");
    let count = grouped("he_count", &[old, new, total]).unwrap();
    assert_eq!(count.as_primitive::<Int64Type>().value(0), 4);
}

/// The search ends at what the rows can come to; the largest bound is looked at in `log`.
#[test]
fn what_can_not_be_opened_is_an_error_and_never_another_number() {
    let total = grouped("he_sum", &[sealed(whole(&[Some(ROW_MAX); 2]), &keys())]).unwrap();
    assert_eq!(opened(&total).unwrap(), Some(i128::from(ROW_MAX) * 2 * UNIT));
    let mut bytes = total.as_binary::<i32>().value(0).to_vec();
    bytes[10..18].copy_from_slice(&1u64.to_be_bytes());
    let changed: ArrayRef = Arc::new(BinaryArray::from(vec![bytes.as_slice()]));
    let error = opened(&changed).unwrap_err();
    assert!(error.kind == Kind::Data && error.detail.contains("add up smaller groups"), "{error}");
}

#[test]
fn averages_and_other_decimals_do_not_add_up() {
    let values = sealed(decimals(&[Some(100), Some(101)], 2), &keys());
    let average = grouped("he_avg", std::slice::from_ref(&values)).unwrap();
    assert_eq!(opened(&average).unwrap(), Some(1_005 * UNIT / 1_000));
    let third = grouped("he_avg", &[sealed(whole(&[Some(-1), Some(-1), Some(0)]), &keys())]).unwrap();
    assert_eq!(opened(&third).unwrap(), Some(-6_666_666_667));
    assert!(grouped("he_sum", &[average]).is_err());
    assert!(grouped("he_sum", &[values, sealed(whole(&[Some(1)]), &keys())]).is_err());
}

fn cut(column: &ArrayRef, at: usize) -> [ArrayRef; 2] {
    [column.slice(0, at), column.slice(at, column.len() - at)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_total_is_the_sum(
        values in prop::collection::vec(prop::option::of(-10_000_000i64..10_000_000), 0..24),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 2),
        scale in 0i8..=4,
    ) {
        let wide: Vec<Option<i128>> = values.iter().map(|value| value.map(i128::from)).collect();
        let column = sealed(decimals(&wide, scale), &keys());
        // In three groups, whose states are moved and merged.
        let [left, rest] = cut(&column, cuts[0].index(values.len() + 1));
        let [middle, right] = cut(&rest, cuts[1].index(rest.len() + 1));
        let mut whole = start("he_sum");
        for piece in [left, middle, right] {
            let mut part = start("he_sum");
            part.take(&piece).unwrap();
            whole.merge(&part.state().unwrap()).unwrap();
        }
        let total = whole.finish().unwrap();
        let filled: Vec<i128> = wide.into_iter().flatten().collect();
        let unit = 10i128.pow(10 - u32::try_from(scale).unwrap());
        let sum = (!filled.is_empty()).then(|| filled.iter().sum::<i128>() * unit);
        prop_assert_eq!(opened(&total).unwrap(), sum);
        let count = grouped("he_count", &[column.clone(), total]).unwrap();
        prop_assert_eq!(count.as_primitive::<Int64Type>().value(0), filled.len() as i64 * 2);
        let each = opened_with(&column, SCOPE, keys()).unwrap();
        let own: Vec<Option<i128>> = values.iter().map(|value| value.map(|value| i128::from(value) * unit)).collect();
        prop_assert_eq!(each, own);
    }
}

#[test]
fn a_declared_largest_value_is_a_limit_and_one_that_invites_overflow_is_refused() {
    let of = |max: &str| mask(SCOPE, Some(max), &keys()).unwrap();
    let column = DataType::Decimal128(18, 2);
    let limits = of("100000").limits(&column).unwrap();
    assert_eq!(limits.max.map(|max| max.value).as_deref(), Some("100000.00"));
    assert_eq!(limits.min.map(|min| min.value).as_deref(), Some("-100000.00"));
    assert!(of("0.5").limits(&DataType::Decimal128(9, 2)).is_some(), "also where the type is narrow");
    for (max, why) in [
        ("703687441.78", "at most 703687441.77"),
        ("99999999999999999999", "at most 703687441.77"),
        ("1.234", "2 decimals"),
        ("0", "above zero"),
        ("-5", "above zero"),
        ("much", "above zero"),
    ] {
        let error = of(max).output(&column).unwrap_err();
        assert!(error.detail.contains(why), "{max}: {error}");
    }
    assert!(of("703687441.77").output(&column).is_ok());
}

/// Numbers of a group, packed; `array_agg` makes such lists.
fn packed(groups: &[Vec<Option<i128>>], scale: i8) -> Result<ArrayRef> {
    let lengths = groups.iter().map(Vec::len);
    let item = Arc::new(Field::new("item", DataType::Decimal128(18, scale), true));
    let all = decimals(&groups.concat(), scale);
    let lists: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), all, None));
    let scopes: ArrayRef = Arc::new(StringArray::from(vec![SCOPE; groups.len()]));
    let all = functions(Arc::new(keys())).scalar;
    let pack = all.iter().find(|function| function.name() == "he_pack").unwrap();
    assert_eq!(pack.output(&[lists.data_type().clone(), DataType::Utf8])?, DataType::Binary);
    pack.call(&[lists, scopes])
}

#[test]
fn packed_totals_add_up_among_themselves_and_with_single_values() {
    let rows: Vec<Option<i128>> = (0..20_000).map(|n| (n % 7 != 0).then_some(n * 31 - 250_000)).collect();
    let groups = [rows.clone(), vec![Some(5), None], vec![None]];
    let column = packed(&groups, 2).unwrap();
    assert!(column.is_null(2) && !column.is_null(0), "a total of nothing is none");
    let sum: i128 = rows.iter().flatten().sum::<i128>() + 5;
    let there = rows.iter().flatten().count() as i128 + 1;
    let single = sealed(decimals(&[Some(100)], 2), &keys());
    let total = grouped("he_sum", &[column.clone(), single]).unwrap();
    assert_eq!(opened(&total).unwrap(), Some((sum + 100) * UNIT / 100));
    let count = grouped("he_count", std::slice::from_ref(&column)).unwrap();
    assert_eq!(i128::from(count.as_primitive::<Int64Type>().value(0)), there);
    let average = grouped("he_avg", std::slice::from_ref(&column)).unwrap();
    let exact = sum * UNIT / 100;
    assert!((opened(&average).unwrap().unwrap() * there - exact).abs() * 2 <= there);
    assert!(opened_with(&column.slice(0, 1), "other", keys()).is_err_and(|e| e.kind == Kind::Refused));
    let mut bytes = total.as_binary::<i32>().value(0).to_vec();
    bytes.pop();
    let cut: ArrayRef = Arc::new(BinaryArray::from_iter([Some(bytes)]));
    assert!(grouped("he_sum", &[cut]).is_err_and(|e| e.kind == Kind::Data));
}

/// Beyond what a search could open: a packed total is read, whatever its size.
#[test]
fn a_packed_total_is_opened_however_large() {
    let most = i128::from(ROW_MAX);
    let column = packed(&[vec![Some(most); 100_000]], 0).unwrap();
    assert!(100_000 * most > i128::from(TOTAL_MAX));
    assert_eq!(opened(&column).unwrap(), Some(100_000 * most * UNIT));
    assert!(packed(&[vec![Some(most + 1)]], 0).is_err_and(|e| e.kind == Kind::Data));
}
