//! The gate, with toy masks.

mod changes;
mod drift;
mod parse;
mod privacy;
mod replay;
mod rules;
mod schema;
mod subject;
mod typed;
mod unique;

use super::*;
use crate::classification::Classification;
use crate::contract::{Constraints, MaskSpec, Property, SchemaChange};
use crate::mask::{Mask, Promise};
use arrow::array::{Array, AsArray, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit};
use std::sync::atomic::{AtomicU64, Ordering};
use twox_hash::XxHash3_64;

const NOW: Timestamp = Timestamp(1_782_907_200_000_000);

const MICROS_UTC: fn() -> DataType = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));

/// `redact`, `pseudonym(scope)`, `random`, `tens`, `later` (by a day), `drop`, `own(subject: column)`: what masks do, without what makes them safe.
struct Toy {
    spec: String,
}

static DRAWN: AtomicU64 = AtomicU64::new(0);

impl Mask for Toy {
    fn name(&self) -> &str {
        self.spec.split('(').next().unwrap_or_default()
    }

    fn promise(&self) -> Promise {
        let is = |name| self.name() == name;
        Promise { joinable: is("pseudonym"), reversible: is("random"), keeps_type: is("tens"), random: is("random") }
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        Ok(match self.name() {
            "drop" => None,
            "tens" | "later" => Some(input.clone()),
            _ => Some(DataType::Utf8View),
        })
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        if self.name() == "tens" {
            let numbers = column.as_primitive::<Int64Type>();
            return Ok(Arc::new(numbers.unary::<_, Int64Type>(|n| n / 10 * 10)));
        }
        if self.name() == "later" {
            return Ok(Arc::new(column.as_primitive::<Date32Type>().unary::<_, Date32Type>(|day| day + 1)));
        }
        let masked =
            cells::texts(column)?.iter().map(|value| value.map(|text| self.mask(text))).collect::<StringViewArray>();
        Ok(Arc::new(masked))
    }

    fn subject(&self) -> Option<&str> {
        Some(self.spec.split_once("subject: ")?.1.trim_end_matches(')'))
    }

    /// Shows what it was given.
    fn apply_for(&self, column: &ArrayRef, subjects: &ArrayRef, class: Option<&Classification>) -> Result<ArrayRef> {
        if subjects.data_type().is_floating() {
            return Err(Error::project("the subject of own", "it takes text, not floats"));
        }
        let (values, subjects) = (cells::texts(column)?, cells::texts(subjects)?);
        let class = class.map_or("-", Classification::as_str);
        let show = |(value, subject): (Option<&str>, Option<&str>)| {
            Some(format!("{} of {class} {}", self.mask(value?), self.mask(subject?)))
        };
        Ok(Arc::new(values.iter().zip(subjects.iter()).map(show).collect::<StringViewArray>()))
    }

    fn refusal(&self) -> Option<&str> {
        self.subject().map(|_| "nobody's")
    }
}

impl Toy {
    fn mask(&self, text: &str) -> String {
        match self.name() {
            "redact" => HIDDEN.into(),
            "random" => format!("r{}", DRAWN.fetch_add(1, Ordering::SeqCst)),
            _ => format!("p{:016x}", XxHash3_64::oneshot(format!("{}{text}", self.spec).as_bytes())),
        }
    }
}

struct Toys;

impl MaskFactory for Toys {
    fn build(&self, spec: &MaskSpec, _: Option<&Classification>) -> Result<Box<dyn Mask>> {
        Ok(Box::new(Toy { spec: spec.to_string() }))
    }
}

/// Knows an e-mail address, and a CPF by its eleven digits.
struct Eyes;

impl Screen for Eyes {
    fn is_personal(&self, text: &str) -> bool {
        text.contains('@') || text.bytes().filter(u8::is_ascii_digit).count() == 11
    }

    fn is_personal_column(&self, name: &str, values: &ArrayRef) -> bool {
        name.contains("email") || values.as_string_view().iter().flatten().any(|text| self.is_personal(text))
    }

    /// A CPF by its dots.
    fn alarm(&self, values: &ArrayRef, _: bool) -> Option<Alarm> {
        let texts = cells::texts(values).ok()?;
        let rows: BooleanArray = texts.iter().map(|text| Some(text.is_some_and(is_dotted))).collect();
        (rows.true_count() > 0).then(|| Alarm { kind: "cpf".into(), rows })
    }
}

fn is_dotted(text: &str) -> bool {
    text.split(['.', '-']).map(str::len).eq([3, 3, 3, 2])
}

fn property(name: &str, data_type: DataType) -> Property {
    Property {
        name: name.into(),
        description: None,
        data_type,
        required: false,
        unique: false,
        primary_key: None,
        constraints: Constraints::default(),
        classification: None,
        mask: None,
        format: None,
        decimal_comma: false,
        not_personal: false,
    }
}

/// A property with something more to it.
fn with(name: &str, data_type: DataType, change: impl FnOnce(&mut Property)) -> Property {
    let mut property = property(name, data_type);
    change(&mut property);
    property
}

fn masked(name: &str, data_type: DataType, mask: &str) -> Property {
    with(name, data_type, |p| {
        p.mask = Some(MaskSpec::parse(mask).expect("a mask"));
        p.classification = Some(Classification::new(format!("personal.{name}")));
    })
}

fn entity(properties: Vec<Property>) -> Entity {
    Entity {
        name: "payments".into(),
        description: None,
        properties,
        rules: Vec::new(),
        on_violation: OnViolation::Quarantine,
        schema_change: SchemaChange::Freeze,
        on_personal_data: Default::default(),
    }
}

fn try_gate(entity: Entity, row_rules: Vec<Box<dyn RowRule>>) -> Result<Gate> {
    let stamp =
        Stamp { source: "files".into(), contract_version: "1.0.0".into(), run_id: "run-1".into(), changes: false };
    Gate::new(entity, &Toys, row_rules, stamp, Arc::new(Eyes))
}

fn gate(entity: Entity) -> Gate {
    try_gate(entity, Vec::new()).expect("a good contract")
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringViewArray::from(values.to_vec()))
}

fn words(values: &[&str]) -> ArrayRef {
    Arc::new(StringViewArray::from(values.to_vec()))
}

/// Rows at the offsets 1, 2, …
fn raw(columns: Vec<(&str, ArrayRef)>) -> Raw {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)));
    let batch = batch.expect("a batch");
    let offsets = Int64Array::from_iter_values(1..=batch.num_rows() as i64);
    Raw::new(batch, "a.csv", offsets).expect("as many offsets as rows")
}

fn pass(entity: Entity, columns: Vec<(&str, ArrayRef)>) -> Passed {
    gate(entity).pass(raw(columns), NOW).expect("rows pass or are set aside")
}

/// A column as text, to compare.
fn shown(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    cells::texts(column).expect("text").iter().map(|value| value.map(str::to_owned)).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

fn aside(passed: &Passed) -> &RecordBatch {
    passed.quarantined.as_ref().expect("rows set aside").batch()
}

/// `column: rule @ offset` of each row set aside.
fn causes(passed: &Passed) -> Vec<String> {
    let Some(quarantined) = &passed.quarantined else { return Vec::new() };
    let batch = quarantined.batch();
    let offsets = batch.column_by_name("_position").expect("a position").as_struct().column(1).clone();
    let offsets = offsets.as_primitive::<Int64Type>();
    let (rules, columns) = (shown(batch, "rule"), shown(batch, "column"));
    (0..batch.num_rows())
        .map(|row| {
            let column = columns[row].clone().unwrap_or_default();
            format!("{column}: {} @ {}", rules[row].clone().unwrap_or_default(), offsets.value(row))
        })
        .collect()
}
