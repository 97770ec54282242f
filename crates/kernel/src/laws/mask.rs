//! What every `Mask` must pass: that it is total, that its output is of the declared type, that it keeps its `Promise`.
#![allow(clippy::panic, clippy::expect_used, reason = "a law speaks by failing the test that calls it")]

use crate::error::Result;
use crate::mask::{Mask, Promise};
use arrow::array::{Array, ArrayRef, Int32Array, StringArray, make_array, new_null_array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::HashMap;
use std::sync::Arc;

/// Shorter values turn up in a mask's output by chance.
const TELLING_LENGTH: usize = 6;

/// Holds the masks that `make` builds to their contract on each of `samples`, which must be of types that the mask
/// takes. A sample is worth more with some nulls, some repeated values and some long ones.
pub fn obeys(make: &dyn Fn() -> Box<dyn Mask>, samples: &[ArrayRef]) {
    assert!(!samples.is_empty(), "the laws need a sample");
    for sample in samples {
        let mask = make();
        let subject = format!("`{}` on {}", mask.name(), sample.data_type());
        match mask.output(sample.data_type()) {
            Err(e) => panic!("{subject}: give samples of types that the mask takes ({e})"),
            Ok(None) => assert!(!mask.promise().joinable, "{subject}: a removed column can't be joined on"),
            Ok(Some(_)) => Trial { make, mask, sample, subject }.run(),
        }
    }
}

struct Trial<'a> {
    make: &'a dyn Fn() -> Box<dyn Mask>,
    mask: Box<dyn Mask>,
    sample: &'a ArrayRef,
    subject: String,
}

impl Trial<'_> {
    fn run(&self) {
        self.is_total();
        self.keeps_its_type();
        match self.mask.promise() {
            Promise { random: true, reversible: true, .. } => self.never_repeats(),
            Promise { random: true, .. } => self.varies(),
            _ => self.repeats(),
        }
        if self.mask.promise().joinable {
            self.joins();
        }
        self.hides();
        self.is_blind_to_encoding();
    }

    fn is_random(&self) -> bool {
        self.mask.promise().random
    }

    /// Masks a column and holds the result to what is true of all masks.
    fn masked(&self, column: &ArrayRef) -> ArrayRef {
        let subject = &self.subject;
        let declared = self.mask.output(column.data_type()).expect("output of an accepted type").expect("a column");
        let masked = apply(&*self.mask, column).unwrap_or_else(|e| panic!("{subject}: a mask is total, but: {e}"));
        assert_eq!(masked.data_type(), &declared, "{subject}: the output has the declared type");
        assert_eq!(masked.len(), column.len(), "{subject}: the length stays");
        let (before, after) = (column.logical_nulls(), masked.logical_nulls());
        for row in before.iter().flat_map(|nulls| (0..nulls.len()).filter(|row| nulls.is_null(*row))) {
            assert!(after.as_ref().is_some_and(|nulls| nulls.is_null(row)), "{subject}: null stays null (row {row})");
        }
        masked
    }

    fn is_total(&self) {
        let all = self.masked(self.sample);
        let (from, length) = (self.sample.len() / 3, self.sample.len() / 2);
        let part = self.masked(&self.sample.slice(from, length));
        if !self.is_random() {
            assert!(
                part.as_ref() == all.slice(from, length).as_ref(),
                "{}: a slice is masked as the whole",
                self.subject
            );
        }
        self.masked(&self.sample.slice(0, 0));
        self.masked(&new_null_array(self.sample.data_type(), 5));
    }

    fn keeps_its_type(&self) {
        if !self.mask.promise().keeps_type {
            return;
        }
        let output = self.masked(self.sample).data_type().clone();
        let input = self.sample.data_type();
        assert!(output == *input || is_text(&output) && is_text(input), "{}: the type was to stay", self.subject);
    }

    fn repeats(&self) {
        let again = apply(&*(self.make)(), self.sample).expect("a mask is total");
        let first = self.masked(self.sample);
        assert!(first.as_ref() == again.as_ref(), "{}: two builds of one mask agree", self.subject);
    }

    fn never_repeats(&self) {
        let twice = take(self.sample, &doubled(self.sample.len()), None).expect("rows of the sample");
        let mut seen = HashMap::new();
        for (row, text) in shown(&self.masked(&twice)).into_iter().enumerate() {
            let Some(text) = text else { continue };
            let before = seen.insert(text, row);
            assert!(before.is_none(), "{}: equal values must not look equal (row {row})", self.subject);
        }
    }

    /// A value that stays near itself may meet its like by chance; a whole column does not.
    fn varies(&self) {
        let rows = i32::try_from(self.sample.len()).expect("a small sample");
        let often: Int32Array = (0..rows * 32).map(|at| at % rows).collect();
        let often = take(self.sample, &often, None).expect("rows of the sample");
        let (one, other) = (self.masked(&often), self.masked(&often));
        assert!(one.as_ref() != other.as_ref(), "{}: a column must not be masked twice in one way", self.subject);
    }

    /// Equal in, equal out; different in, different out.
    fn joins(&self) {
        let (mut forward, mut back) = (HashMap::new(), HashMap::new());
        let values = shown(self.sample).into_iter().zip(shown(&self.masked(self.sample)));
        for (value, masked) in values.filter_map(|(value, masked)| Some((value?, masked?))) {
            let first = forward.entry(value.clone()).or_insert_with(|| masked.clone());
            assert_eq!(*first, masked, "{}: equal values stay equal", self.subject);
            let first = back.entry(masked).or_insert_with(|| value.clone());
            assert!(*first == value, "{}: two values became one", self.subject);
        }
    }

    /// No value occurs in what was made of it. `partial` and `generalize` keep a part on purpose, and law tests of their
    /// own say which. `date_shift` and `noise` make another value of the same kind, which may well be somebody else's: they
    /// promise that no row keeps its own.
    fn hides(&self) {
        let all = shown(&self.masked(self.sample));
        match self.mask.name() {
            "partial" | "generalize" => return,
            "date_shift" | "noise" => {
                let mut rows = shown(self.sample).into_iter().zip(all);
                let kept = rows.any(|(value, masked)| value.is_some() && value == masked);
                assert!(!kept, "{}: a row keeps its value", self.subject);
                return;
            }
            _ => {}
        }
        let masked: Vec<String> = all.into_iter().flatten().collect();
        for value in shown(self.sample).into_iter().flatten().filter(|value| value.chars().count() >= TELLING_LENGTH) {
            let leak = masked.iter().any(|text| text.contains(&value));
            assert!(!leak, "{}: a value of the sample stands in the output", self.subject);
        }
    }

    /// How a batch is encoded is nobody's business: the result, and its type, are those of the plain column.
    fn is_blind_to_encoding(&self) {
        let value_type = self.sample.data_type().clone();
        let mut encodings = Vec::new();
        if is_text(&value_type) {
            encodings.extend([DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View]);
            encodings.push(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)));
        } else if value_type.is_integer() {
            encodings.push(DataType::Dictionary(Box::new(DataType::Int32), Box::new(value_type)));
        }
        let plain = self.masked(self.sample);
        for encoding in encodings {
            let encoded = cast(self.sample, &encoding).expect("another encoding of the sample");
            let masked = self.masked(&encoded);
            assert_eq!(masked.data_type(), plain.data_type(), "{}: as {encoding}", self.subject);
            if !self.is_random() {
                assert!(masked.as_ref() == plain.as_ref(), "{}: as {encoding}, another result", self.subject);
            }
        }
    }
}

/// Text of many lengths, with nulls and repeats, for masks that take any text.
pub fn text_sample() -> ArrayRef {
    let long = "São João del-Rei, 36300-000 ".repeat(20);
    let values = [
        Some("529.982.247-25"),
        None,
        Some("maria.da.silva@example.com"),
        Some("529.982.247-25"),
        Some(""),
        Some("a"),
        Some("ção"),
        Some(long.as_str()),
        Some("+55 11 98765-4321"),
        None,
        Some("0"),
        Some("maria.da.silva@example.com"),
    ];
    Arc::new(StringArray::from(values.to_vec()))
}

/// Masks a column; one that is masked by subject has a subject for each value that it holds.
fn apply(mask: &dyn Mask, column: &ArrayRef) -> Result<ArrayRef> {
    match mask.subject() {
        None => mask.apply(column),
        Some(_) => {
            let subjects: ArrayRef = Arc::new(StringArray::from(shown(column)));
            mask.apply_for(column, &subjects, None)
        }
    }
}

/// Holds a mask that treats each person by itself to that, on a column of any values without nulls.
pub fn tells_subjects_apart(make: &dyn Fn() -> Box<dyn Mask>, column: &ArrayRef) {
    let mask = make();
    let rows = column.len();
    assert!(mask.subject().is_some() && rows > 0, "the law needs a subject and a sample");
    let masked = |mask: &dyn Mask, who: Option<&str>| {
        let subjects: ArrayRef = Arc::new(StringArray::from(vec![who; rows]));
        mask.apply_for(column, &subjects, None).expect("a mask is total")
    };
    let (ana, bruno) = (masked(&*mask, Some("ana")), masked(&*mask, Some("bruno")));
    assert!(ana.as_ref() != bruno.as_ref(), "`{}`: two subjects are masked in two ways", mask.name());
    if !mask.promise().random {
        let again = masked(&*make(), Some("ana"));
        assert!(ana.as_ref() == again.as_ref(), "`{}`: a subject is masked in one way", mask.name());
    }
    let nobodys = masked(&*mask, None);
    assert!(
        nobodys.logical_nulls().is_some_and(|nulls| nulls.null_count() == rows) && mask.refusal().is_some(),
        "`{}`: what is nobody's is refused",
        mask.name()
    );
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Each row, then each row again.
fn doubled(length: usize) -> Int32Array {
    let rows = i32::try_from(length).expect("a small sample");
    (0..rows).chain(0..rows).collect()
}

fn shown(column: &ArrayRef) -> Vec<Option<String>> {
    let column = without_zone(column);
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(&column, &options).expect("a type that can be shown");
    let nulls = column.logical_nulls();
    (0..column.len())
        .map(|row| nulls.as_ref().is_none_or(|n| n.is_valid(row)).then(|| formatter.value(row).to_string()))
        .collect()
}

/// Arrow shows a named zone (`UTC` is one) only when it was built with the tables of all zones.
fn without_zone(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let plain = column.to_data().into_builder().data_type(DataType::Timestamp(*unit, None));
            make_array(plain.build().expect("the same numbers"))
        }
        _ => column.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    type Apply = fn(&ArrayRef) -> ArrayRef;

    /// A mask of text that does as it is told, whatever it promised.
    struct Told {
        joinable: bool,
        reversible: bool,
        random: bool,
        apply: Apply,
    }

    impl Mask for Told {
        fn name(&self) -> &str {
            "told"
        }

        fn promise(&self) -> Promise {
            Promise { joinable: self.joinable, reversible: self.reversible, keeps_type: false, random: self.random }
        }

        fn output(&self, _: &DataType) -> Result<Option<DataType>> {
            Ok(Some(DataType::Utf8))
        }

        fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
            Ok((self.apply)(column))
        }
    }

    fn each(column: &ArrayRef, mask: impl Fn(usize, &str) -> Option<String>) -> ArrayRef {
        let rows = shown(column).into_iter().enumerate();
        Arc::new(rows.map(|(row, value)| value.and_then(|value| mask(row, &value))).collect::<StringArray>())
    }

    /// FNV-1a: enough to be joinable in a test.
    fn digest(value: &str) -> String {
        let start = 0xcbf2_9ce4_8422_2325_u64;
        format!("{:x}", value.bytes().fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// What can be opened and not joined is random here.
    fn breaks(joinable: bool, reversible: bool, apply: Apply) -> bool {
        let random = reversible && !joinable;
        let make = || Box::new(Told { joinable, reversible, random, apply }) as Box<dyn Mask>;
        catch_unwind(AssertUnwindSafe(|| obeys(&make, &[text_sample()]))).is_err()
    }

    #[test]
    fn a_mask_that_keeps_the_laws_passes() {
        assert!(!breaks(true, false, |column| each(column, |_, value| Some(digest(value)))));
        assert!(!breaks(false, false, |column| each(column, |_, _| Some("***".into()))));
        assert!(!breaks(false, true, |column| {
            static CALLS: AtomicUsize = AtomicUsize::new(0);
            each(column, |_, _| Some(format!("{:x}", CALLS.fetch_add(1, Ordering::Relaxed))))
        }));
    }

    #[test]
    fn each_broken_law_is_noticed() {
        let broken: [(&str, bool, bool, Apply); 8] = [
            ("length", false, false, |column| each(&column.slice(0, column.len() / 2), |_, _| Some("*".into()))),
            ("type", false, false, |column| new_null_array(&DataType::Int32, column.len())),
            ("null", false, false, |column| Arc::new(StringArray::from(vec!["*"; column.len()]))),
            ("slices", false, false, |column| each(column, |row, _| Some(row.to_string()))),
            ("joins", true, false, |column| each(column, |row, value| Some(digest(value) + &(row / 6).to_string()))),
            ("two become one", true, false, |column| each(column, |_, _| Some("*".into()))),
            ("random", false, true, |column| each(column, |_, value| Some(digest(value)))),
            ("hides", true, false, |column| each(column, |_, value| Some(format!("<{value}>")))),
        ];
        for (law, joinable, reversible, apply) in broken {
            assert!(breaks(joinable, reversible, apply), "{law}");
        }
    }
}
