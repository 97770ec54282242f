//! `date_shift(scope, subject: column)`: all dates of one person move by the same number of days, which only the key holder
//! can tell. What lies between two of them, and their order, stays.
//!
//! shift = HMAC-SHA-256(subkey of the scope's first key, subject in its one spelling), its first 8 bytes as a number, over the
//! 2 × `days` steps of ±`days` without 0. The first version is asked for, so that a rotation tears no history apart. One
//! shift for everybody would be known by whoever knows one date, so that a subject is needed.
//!
//! Where the shift leaves the type's range, it goes the other way: a mask is total.

use super::per_subject::{REFUSAL, check_subject, of_rows};
use super::{Arg, SCOPE, SUBJECT, Secrets, Spec, takes, text};
use crate::keys::{check_scope, hmac_sha256, subkey};
use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use hmac::Mac;
use kernel::Classification;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::mask::{Mask, Promise};
use std::borrow::Cow;
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) const SPEC: Spec = Spec {
    name: "date_shift",
    summary: "all dates and timestamps of one person move by the same number of days, so that their order and what lies \
              between them stays",
    args: &[
        SCOPE,
        SUBJECT,
        Arg { name: "days", about: "how far at most, to either side, and never 0 (30; at least 7)" },
    ],
    example: "date_shift(person, subject: customer_cpf)",
    promise: Promise { joinable: false, reversible: false, keeps_type: true, random: false },
    build: date_shift,
};

const DAYS: i64 = 30;
/// Fewer than two weeks to either side of a date leave little to guess.
const DAYS_MIN: i64 = 7;
/// A hundred years.
const DAYS_MAX: i64 = 36_500;

const SECONDS_PER_DAY: i64 = 86_400;

struct DateShift {
    key: Zeroizing<[u8; 32]>,
    column: String,
    days: i64,
}

fn date_shift(spec: &MaskSpec, _: Option<&str>, secrets: &Secrets) -> Result<Box<dyn Mask>> {
    let scope = spec.arg("scope", 0).unwrap_or_default();
    check_scope(scope)?;
    let Some(column) = spec.arg("subject", 1) else {
        let detail = "one shift for everybody is known by whoever knows one date; name the column that tells whose a date \
                      is, as in `date_shift(person, subject: customer_cpf)`";
        return Err(Error::refused(format!("`{spec}`"), detail));
    };
    let days = match spec.arg("days", 2).map(str::parse::<i64>) {
        None => DAYS,
        Some(Ok(days)) if (DAYS_MIN..=DAYS_MAX).contains(&days) => days,
        Some(Ok(days)) if (0..DAYS_MIN).contains(&days) => {
            let detail = format!("so near a date hides little; write {DAYS_MIN} or more");
            return Err(Error::refused(format!("`days: {days}`"), detail));
        }
        Some(_) => {
            let detail = format!("`days` is a number from {DAYS_MIN} to {DAYS_MAX}, as in `days: 30`");
            return Err(Error::project(format!("`{spec}`"), detail));
        }
    };
    let key = subkey(&secrets.keys.key(scope, Some(1))?, "date shift")?;
    Ok(Box::new(DateShift { key, column: column.to_owned(), days }))
}

impl Mask for DateShift {
    fn name(&self) -> &str {
        SPEC.name
    }

    fn promise(&self) -> Promise {
        SPEC.promise
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        let plain = text::plain_type(input);
        let fits = matches!(plain, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
        takes(self.name(), input, fits, "dates and timestamps")?;
        Ok(Some(plain))
    }

    fn apply(&self, _: &ArrayRef) -> Result<ArrayRef> {
        Err(Error::internal("shift dates", "their subjects were not given"))
    }

    fn subject(&self) -> Option<&str> {
        Some(&self.column)
    }

    fn apply_for(&self, column: &ArrayRef, subjects: &ArrayRef, class: Option<&Classification>) -> Result<ArrayRef> {
        check_subject(self.name(), subjects.data_type())?;
        let column = cast(column, &text::plain_type(column.data_type())).map_err(text::failed)?;
        let subjects = text::canonical(subjects)?;
        let (spelled, rows) = of_rows(&column, subjects.as_string_view(), class)?;
        let shifts = self.shifts(&spelled)?;
        let shifts: Vec<Option<i64>> = rows.into_iter().map(|place| Some(shifts[place?])).collect();
        match column.data_type() {
            DataType::Date32 => shifted::<Date32Type>(&column, &shifts, 1),
            DataType::Date64 => shifted::<Date64Type>(&column, &shifts, SECONDS_PER_DAY * 1_000),
            DataType::Timestamp(unit, _) => match unit {
                TimeUnit::Second => shifted::<TimestampSecondType>(&column, &shifts, SECONDS_PER_DAY),
                TimeUnit::Millisecond => shifted::<TimestampMillisecondType>(&column, &shifts, SECONDS_PER_DAY * 1_000),
                TimeUnit::Microsecond => {
                    shifted::<TimestampMicrosecondType>(&column, &shifts, SECONDS_PER_DAY * 1_000_000)
                }
                TimeUnit::Nanosecond => {
                    shifted::<TimestampNanosecondType>(&column, &shifts, SECONDS_PER_DAY * 1_000_000_000)
                }
            },
            other => Err(Error::internal("shift dates", format!("{other} was not accepted"))),
        }
    }

    fn refusal(&self) -> Option<&str> {
        Some(REFUSAL)
    }
}

impl DateShift {
    /// Days to move, for each subject.
    fn shifts(&self, spelled: &[Cow<'_, str>]) -> Result<Vec<i64>> {
        let keyed = hmac_sha256(&*self.key)?;
        let shift = |subject: &Cow<'_, str>| {
            let code: [u8; 32] = keyed.clone().chain_update(subject.as_bytes()).finalize().into_bytes().into();
            let number = code.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            let step = (number % (2 * self.days as u64)) as i64 - self.days;
            if step < 0 { step } else { step + 1 }
        };
        Ok(spelled.iter().map(shift).collect())
    }
}

fn shifted<T: ArrowPrimitiveType>(column: &ArrayRef, shifts: &[Option<i64>], per_day: i64) -> Result<ArrayRef>
where
    i64: From<T::Native>,
    T::Native: TryFrom<i64>,
{
    let array = column.as_primitive_opt::<T>().ok_or_else(|| Error::internal("shift dates", "another type"))?;
    let moved = |value: i64, days: i64| T::Native::try_from(value.checked_add(days * per_day)?).ok();
    let shift = |(value, days): (Option<T::Native>, &Option<i64>)| {
        let (value, days) = (i64::from(value?), (*days)?);
        moved(value, days).or_else(|| moved(value, -days))
    };
    let shifted: PrimitiveArray<T> = array.iter().zip(shifts).map(shift).collect();
    Ok(Arc::new(shifted.with_data_type(column.data_type().clone())))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, keyed_mask, mask};
    use super::*;
    use crate::keys::FixedKeys;
    use arrow::array::{
        Array, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray,
    };
    use kernel::Kind;
    use kernel::laws::mask::{obeys, tells_subjects_apart};

    const SHIFT: &str = "date_shift(person, subject: who)";

    fn shift(dates: &[i32], who: &[Option<&str>]) -> Vec<Option<i32>> {
        let (dates, who): (ArrayRef, ArrayRef) =
            (Arc::new(Date32Array::from(dates.to_vec())), Arc::new(StringArray::from(who.to_vec())));
        let class = Classification::new("personal.cpf");
        let masked = mask(SHIFT).apply_for(&dates, &who, Some(&class)).unwrap();
        masked.as_primitive::<Date32Type>().iter().collect()
    }

    #[test]
    fn it_obeys_the_laws() {
        let dates: ArrayRef =
            Arc::new(Date32Array::from(vec![Some(0), None, Some(20_000), Some(0), Some(i32::MAX), Some(i32::MIN)]));
        let edges = vec![Some(i64::MIN), None, Some(0), Some(i64::MAX), Some(0)];
        let samples: [ArrayRef; 3] = [
            dates,
            Arc::new(TimestampMicrosecondArray::from(edges.clone()).with_timezone("UTC")),
            Arc::new(TimestampNanosecondArray::from(edges)),
        ];
        obeys(&|| mask(SHIFT), &samples);
        let many: ArrayRef = Arc::new(Date32Array::from_iter_values(0..50));
        tells_subjects_apart(&|| mask(SHIFT), &many);
    }

    #[test]
    fn what_lies_between_two_dates_of_one_person_stays_whatever_the_spelling() {
        let who = [Some("529.982.247-25"), Some("52998224725"), Some("52998224725")];
        let masked: Vec<i32> = shift(&[100, 107, 90], &who).into_iter().flatten().collect();
        assert_eq!([masked[1] - masked[0], masked[2] - masked[0]], [7, -10]);
        assert_eq!(shift(&[100, 100], &[None, Some("  ")]), [None, None], "nobody's date is kept");
    }

    #[test]
    fn shifts_are_spread_over_both_sides_and_never_nothing() {
        let who: Vec<String> = (0..4_000).map(|n| format!("{n}")).collect();
        let who: Vec<Option<&str>> = who.iter().map(|who| Some(who.as_str())).collect();
        let mut counts = std::collections::BTreeMap::<i32, u32>::new();
        shift(&[0; 4_000], &who).into_iter().flatten().for_each(|days| *counts.entry(days).or_default() += 1);
        let (first, last) = (counts.first_key_value().unwrap(), counts.last_key_value().unwrap());
        assert_eq!((*first.0, *last.0, counts.len(), counts.get(&0)), (-30, 30, 60, None));
        assert!(counts.values().all(|count| (25..150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_rotation_moves_nobodys_dates() {
        let (dates, who): (ArrayRef, ArrayRef) =
            (Arc::new(Date32Array::from(vec![100])), Arc::new(Int64Array::from(vec![7])));
        let by = |keys: &[u8]| {
            let mask = keyed_mask(SHIFT, None, &FixedKeys::new(keys)).unwrap();
            mask.apply_for(&dates, &who, None).unwrap().as_primitive::<Date32Type>().value(0)
        };
        assert_eq!(by(&[7]), by(&[7, 8]));
        assert!((1..9).any(|seed| by(&[seed]) != by(&[seed + 1])));
    }

    #[test]
    fn what_protects_nobody_is_refused() {
        let kind = |text: &str| build(text, None).err().map(|e| e.kind);
        assert_eq!(kind("date_shift(person)"), Some(Kind::Refused));
        assert_eq!(kind("date_shift"), Some(Kind::Refused));
        assert_eq!(kind("date_shift(person, subject: who, days: 2)"), Some(Kind::Refused));
        assert_eq!(kind("date_shift(person, subject: who, days: x)"), Some(Kind::Project));
        assert!(mask(SHIFT).output(&DataType::Int64).is_err());
        let who: ArrayRef = Arc::new(arrow::array::BooleanArray::new_null(0));
        let dates: ArrayRef = Arc::new(Date32Array::new_null(0));
        assert!(mask(SHIFT).apply_for(&dates, &who, None).is_err_and(|e| e.detail.contains("integers")));
        assert_eq!(dates.len(), 0);
    }
}
