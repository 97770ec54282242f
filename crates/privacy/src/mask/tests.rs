//! What the tests of all masks share, and the tests of the list.

use super::*;
use crate::keys::FixedKeys;
use crate::stopwatch::core_seconds;
use arrow::array::{
    ArrayRef, AsArray, Date32Array, Decimal128Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    UInt8Array,
};
use kernel::Kind;
use kernel::laws::mask::{obeys, text_sample};
use kernel::vault::MemoryVault;
use std::sync::OnceLock;

pub(super) fn keys() -> FixedKeys {
    FixedKeys::new(&[7])
}

pub(super) fn keyed_mask(text: &str, class: Option<&str>, keys: &FixedKeys) -> Result<Box<dyn Mask>> {
    let spec = MaskSpec::parse(text).unwrap();
    check_args(&spec, find(&spec)?.args)?;
    let class = class.map(Classification::new);
    let secrets = Secrets::new(Arc::new(keys.clone()), Some(vault()));
    (find(&spec)?.build)(&spec, class.as_ref().and_then(Classification::kind), &secrets)
}

/// One vault for all tests, as all masks of a project have one: each test has scopes of its own where that matters.
pub(super) fn vault() -> Arc<dyn Vault> {
    static VAULT: OnceLock<Arc<MemoryVault>> = OnceLock::new();
    VAULT.get_or_init(Arc::default).clone()
}

pub(super) fn secrets() -> Secrets {
    Secrets::new(Arc::new(keys()), Some(vault()))
}

pub(super) fn build(text: &str, class: Option<&str>) -> Result<Box<dyn Mask>> {
    keyed_mask(text, class, &keys())
}

pub(super) fn mask(text: &str) -> Box<dyn Mask> {
    build(text, None).unwrap()
}

/// The masked text of one value.
pub(super) fn one(mask: &dyn Mask, value: &str) -> String {
    let column: ArrayRef = Arc::new(StringArray::from(vec![value]));
    mask.apply(&column).unwrap().as_string_view().value(0).to_owned()
}

/// Columns for masks that take many values together: none, nulls, lengths of all kinds mixed, a slice, a dictionary.
pub(super) fn columns() -> Vec<ArrayRef> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut value = |row: usize| -> Option<String> {
        let length = random.usize(..70);
        let digits: String = (0..length).map(|_| random.digit(10)).collect();
        match row % 7 {
            0 => None,
            1 => Some((0..length * 3).map(|_| random.char(' '..'\u{2fff}')).collect()),
            2 => Some(format!("{digits} 1.2-3")),
            3 => Some((0..length).map(|_| random.alphanumeric()).collect()),
            4 => Some("529.982.247-25".into()),
            _ => Some(digits),
        }
    };
    let mixed: StringArray = (0..2500).map(&mut value).collect();
    let few: StringArray = (0..40).map(&mut value).collect();
    let keys: arrow::array::Int32Array = (0..500).map(|row| (row % 11 > 0).then_some(row * 7 % 40)).collect();
    let dictionary = arrow::array::DictionaryArray::new(keys, Arc::new(few));
    let mixed: ArrayRef = Arc::new(mixed);
    vec![
        mixed.slice(0, 0),
        mixed.slice(0, 1),
        Arc::new(StringArray::from(vec!["", ""])),
        Arc::new(StringArray::new_null(3)),
        mixed.slice(333, 961),
        Arc::new(dictionary.slice(100, 300)),
        mixed,
    ]
}

/// One column of each type that has a canonical text.
pub(super) fn samples_with_text() -> Vec<ArrayRef> {
    let decimals = Decimal128Array::from(vec![Some(1_234_567), None, Some(-5), Some(1_234_567)]);
    let micros = vec![Some(1_700_000_000_123_456), None, Some(i64::MIN), Some(0), Some(0)];
    vec![
        text_sample(),
        Arc::new(Int64Array::from(vec![Some(52_998_224_725), None, Some(0), Some(i64::MIN), Some(0)])),
        Arc::new(Int32Array::from(vec![Some(1), None, Some(1)])),
        Arc::new(UInt8Array::from(vec![1, 2, 3])),
        Arc::new(decimals.with_precision_and_scale(12, 2).unwrap()),
        Arc::new(Date32Array::from(vec![Some(0), None, Some(20_000), Some(i32::MAX)])),
        Arc::new(TimestampMicrosecondArray::from(micros.clone())),
        Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")),
    ]
}

/// One column of each kind of type, nested ones too.
pub(super) fn samples() -> Vec<ArrayRef> {
    let list = arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>(vec![
        Some(vec![Some(123_456), None]),
        None,
        Some(vec![]),
    ]);
    let mut samples = samples_with_text();
    samples.push(Arc::new(list));
    samples.push(Arc::new(arrow::array::BooleanArray::from(vec![Some(true), None, Some(false)])));
    samples
}

#[test]
fn every_mask_of_the_list_obeys_the_laws_and_does_what_it_says() {
    for spec in all() {
        let sample = match spec.name {
            "noise" => vec![Arc::new(Int64Array::from(vec![Some(1_000_000), None, Some(-2_000_000)])) as ArrayRef],
            "generalize" | "date_shift" => {
                vec![Arc::new(Date32Array::from(vec![Some(1), None, Some(20_000)])) as ArrayRef]
            }
            _ => vec![text_sample()],
        };
        obeys(&|| mask(spec.example), &sample);
        let built = mask(spec.example);
        assert_eq!((built.name(), built.promise()), (spec.name, spec.promise));
        assert!(spec.example.starts_with(spec.name) && !spec.summary.is_empty());
    }
}

fn fails(spec: &MaskSpec) -> Error {
    match Masks::new(Arc::new(keys())).build(spec, None) {
        Ok(_) => panic!("`{spec}` was built"),
        Err(error) => error,
    }
}

fn named(name: &str) -> MaskSpec {
    MaskSpec { name: name.into(), args: Vec::new() }
}

#[test]
fn weak_masks_are_refused_with_the_reason() {
    for name in ["hash", "md5", "sha1", "sha256", "crc32", "base64", "fake"] {
        let error = fails(&named(name));
        assert!(error.kind == Kind::Refused && error.detail.contains("pseudonym(scope)"), "{error}");
        // A scope makes no key.
        let scoped = fails(&MaskSpec::parse(&format!("{name}(person)")).unwrap());
        assert_eq!((scoped.kind, scoped.detail), (error.kind, error.detail));
    }
}

#[test]
fn a_slip_of_the_keyboard_is_named() {
    let error = fails(&named("psuedonym"));
    assert!(error.kind == Kind::Project && error.detail.contains("did you mean `pseudonym`?"), "{error}");
    let parsed = |text: &str| fails(&MaskSpec::parse(text).unwrap()).to_string();
    assert!(parsed("pseudonym(scop: person)").contains("did you mean `scope`?"));
    assert!(parsed("partial(first: 1, first: 2)").contains("twice"));
    assert!(parsed("redact(all)").contains("no argument"));
    assert!(parsed("encrypt(a, b, c, 5, e)").contains("at most 4"));
}

#[test]
fn an_empty_key_is_refused() {
    struct Empty;
    impl KeyProvider for Empty {
        fn key(&self, _: &str, version: Option<u32>) -> Result<kernel::keys::Key> {
            Ok(kernel::keys::Key::new([0; 32], version.unwrap_or(1)))
        }
    }
    let masks = Masks::new(Arc::new(Empty));
    for text in ["pseudonym(person)", "encrypt(person)"] {
        let built = masks.build(&MaskSpec::parse(text).unwrap(), None);
        assert_eq!(built.err().map(|e| e.kind), Some(Kind::Refused), "{text}");
    }
}

#[test]
fn the_list_can_be_written_down() {
    let json = serde_json::to_value(all()).unwrap();
    assert_eq!(json[0]["name"], "redact");
    assert_eq!(json[4]["promise"]["joinable"], true);
}

/// Values per second and core; run it alone: `cargo test -p privacy -- --ignored --nocapture per_second`.
#[test]
#[ignore = "a measurement, not a judgement"]
fn values_masked_per_second() {
    let rows = 1 << 20;
    let cpfs = |distinct: usize| -> ArrayRef {
        let cpf = |i: usize| (i % distinct * 7_919 + 10_000_000_000).to_string();
        Arc::new(arrow::array::StringViewArray::from_iter_values((0..rows).map(cpf)))
    };
    let (unique, repeated) = (cpfs(rows), cpfs(100));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let dictionary = arrow::compute::cast(&repeated, &dictionary).unwrap();
    let columns = [("unique", unique), ("repeated", repeated), ("dictionary", dictionary)];
    for text in [
        "redact",
        "null",
        "partial(last: 4)",
        "pseudonym(person)",
        "encrypt(person)",
        "encrypt(person, deterministic)",
        "fpe(person)",
        "token(person)",
        "generalize(digits: 5)",
    ] {
        for (shape, column) in &columns {
            let mask = build(text, Some("personal.cpf")).unwrap();
            let seconds = core_seconds(|| drop(std::hint::black_box(mask.apply(column).unwrap())));
            let rate = rows as f64 / seconds / 1e6;
            println!("{text:24} {shape:10} {rate:8.2} M/s");
        }
    }
}
