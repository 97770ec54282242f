//! `noise(scale: 5%)`: a number near the number. Sums and means over many rows stay about right; no row tells its own.
//!
//! Each row's noise is drawn anew, so that equal values differ and nobody learns a value's noise from another row. Whoever
//! sees one value masked many times can average the noise away; with `subject` the noise of a person's value is the same
//! each time: HMAC-SHA-256(subkey of the scope's first key, subject and value) is what it is drawn from.
//!
//! This is no differential privacy: there is no budget, and the drawing in floating point is none of a proof's.

use super::per_subject::{REFUSAL, check_subject, of_rows};
use super::{Arg, SCOPE, SUBJECT, Secrets, Spec, refused, text};
use crate::keys::{check_scope, hmac_sha256, random, subkey};
use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use hmac::Mac;
use kernel::Classification;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::mask::{Mask, Promise};
use kernel::suggest;
use std::f64::consts::TAU;
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) const SPEC: Spec = Spec {
    name: "noise",
    summary: "a number near the number: sums and means over many rows stay about right; drawn anew for each row, or, with \
              a subject, always the same for a person's value",
    args: &[
        Arg {
            name: "scale",
            about: "how far the noise goes: a share of the value, as in `5%`, or a number, as in `10`",
        },
        Arg {
            name: "distribution",
            about: "laplace (the default; the scale is its mean distance), gaussian (its standard deviation) or uniform \
                    (its bound)",
        },
        Arg { name: SCOPE.name, about: "whose key draws the noise, when there is a subject" },
        SUBJECT,
    ],
    example: "noise(scale: 5%)",
    promise: Promise { joinable: false, reversible: false, keeps_type: true, random: true },
    build: noise,
};

struct Noise {
    scale: Scale,
    distribution: Distribution,
    keyed: Option<Keyed>,
}

struct Keyed {
    key: Zeroizing<[u8; 32]>,
    column: String,
}

#[derive(Debug, Clone, Copy)]
enum Scale {
    /// Of the value; a value nearer to 0 than 1 has the noise of 1.
    Share(f64),
    Number(f64),
}

#[derive(Debug, Clone, Copy)]
enum Distribution {
    Laplace,
    Gaussian,
    Uniform,
}

const DISTRIBUTIONS: [(&str, Distribution); 3] =
    [("laplace", Distribution::Laplace), ("gaussian", Distribution::Gaussian), ("uniform", Distribution::Uniform)];

/// What a row's noise is drawn from.
type Seed = [u8; 16];

fn noise(spec: &MaskSpec, kind: Option<&str>, secrets: &Secrets) -> Result<Box<dyn Mask>> {
    if let Some(kind) = kind.filter(|_| refused::identifies(kind)) {
        let detail = format!("a {kind} identifies, and its few neighbours can be ruled out; write `pseudonym(scope)`");
        return Err(Error::refused(format!("`{spec}`"), detail));
    }
    let scale = Scale::parse(spec)?;
    let named = spec.arg("distribution", 1).unwrap_or("laplace");
    let distribution = DISTRIBUTIONS.iter().find(|(name, _)| *name == named).map(|(_, found)| *found);
    let distribution = distribution.ok_or_else(|| {
        let hint = suggest::hint(named, DISTRIBUTIONS.map(|(name, _)| name)).unwrap_or_default();
        Error::project(format!("`distribution: {named}`"), hint)
    })?;
    let keyed = match (spec.arg("scope", 2), spec.arg("subject", 3)) {
        (None, None) => None,
        (Some(_), None) => {
            let detail = "a scope's key draws the noise of a subject's values, and none is named; add `subject: column`, \
                          or leave the scope out";
            return Err(Error::project(format!("`{spec}`"), detail));
        }
        (scope, Some(column)) => {
            let scope = scope.unwrap_or_default();
            check_scope(scope)?;
            let key = subkey(&secrets.keys.key(scope, Some(1))?, "noise")?;
            Some(Keyed { key, column: column.to_owned() })
        }
    };
    Ok(Box::new(Noise { scale, distribution, keyed }))
}

impl Scale {
    fn parse(spec: &MaskSpec) -> Result<Self> {
        let text = spec.arg("scale", 0).unwrap_or_default();
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
        let read = match text.strip_suffix('%') {
            Some(share) => number(share).map(|share| Self::Share(share / 100.0)),
            None => number(text).map(Self::Number),
        };
        read.ok_or_else(|| {
            let detail = "`scale` is a share or a number above 0, as in `scale: 5%` or `scale: 10`";
            Error::project(format!("`{spec}`"), detail)
        })
    }

    fn of(self, value: f64) -> f64 {
        match self {
            Self::Share(share) => value.abs().max(1.0) * share,
            Self::Number(number) => number,
        }
    }
}

impl Distribution {
    /// A draw of scale 1.
    fn draw(self, seed: Seed) -> f64 {
        let (one, other) = seed.split_at(8);
        // 53 bits, so that each number of (0, 1) is as likely as its neighbour, and none is 0.
        let unit = |bytes: &[u8]| {
            let bits = bytes.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte)) >> 11;
            (bits as f64 + 0.5) / (1u64 << 53) as f64
        };
        let (u, v) = (unit(one), unit(other));
        match self {
            Self::Uniform => 2.0 * u - 1.0,
            Self::Laplace => -u.ln() * if v < 0.5 { -1.0 } else { 1.0 },
            // Box and Muller.
            Self::Gaussian => (-2.0 * u.ln()).sqrt() * (TAU * v).cos(),
        }
    }
}

impl Mask for Noise {
    fn name(&self) -> &str {
        SPEC.name
    }

    fn promise(&self) -> Promise {
        Promise { random: self.keyed.is_none(), ..SPEC.promise }
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        let plain = text::plain_type(input);
        let step = match plain {
            DataType::Float32 | DataType::Float64 => 0.0,
            DataType::Decimal32(_, s) | DataType::Decimal64(_, s) | DataType::Decimal128(_, s) => unit(s),
            ref integer if integer.is_integer() => 1.0,
            ref other => {
                return Err(Error::project(SPEC.name, format!("it takes integers, decimals and floats, not {other}")));
            }
        };
        match self.scale {
            Scale::Number(number) if number < 2.0 * step => {
                let detail = format!("it moves a {plain} by a step or two, which hides little; write a larger scale");
                Err(Error::refused(format!("`scale: {number}`"), detail))
            }
            _ => Ok(Some(plain)),
        }
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let seeds = (0..column.len()).map(|_| random().map(Some)).collect::<Result<Vec<_>>>()?;
        self.noisy(column, &seeds)
    }

    fn subject(&self) -> Option<&str> {
        self.keyed.as_ref().map(|keyed| keyed.column.as_str())
    }

    fn apply_for(&self, column: &ArrayRef, subjects: &ArrayRef, class: Option<&Classification>) -> Result<ArrayRef> {
        let Some(keyed) = &self.keyed else { return self.apply(column) };
        check_subject(SPEC.name, subjects.data_type())?;
        let (values, subjects) = (text::canonical(column)?, text::canonical(subjects)?);
        let (spelled, rows) = of_rows(&values, subjects.as_string_view(), class)?;
        let keyed = hmac_sha256(&*keyed.key)?;
        let seed = |(value, place): (Option<&str>, Option<usize>)| {
            let subject = &spelled[place?];
            // The length parts the two, whatever is in them.
            let parts =
                keyed.clone().chain_update((subject.len() as u64).to_be_bytes()).chain_update(subject.as_bytes());
            let code: [u8; 32] = parts.chain_update(value?).finalize().into_bytes().into();
            code.first_chunk::<16>().copied()
        };
        let seeds: Vec<Option<Seed>> = values.as_string_view().iter().zip(rows).map(seed).collect();
        self.noisy(column, &seeds)
    }

    fn refusal(&self) -> Option<&str> {
        self.keyed.as_ref().map(|_| REFUSAL)
    }
}

/// One step of a decimal.
fn unit(scale: i8) -> f64 {
    10f64.powi(-i32::from(scale))
}

impl Noise {
    /// The values with the noise of their seeds; null without one, and where a float is no number.
    fn noisy(&self, column: &ArrayRef, seeds: &[Option<Seed>]) -> Result<ArrayRef> {
        let column = &cast(column, &text::plain_type(column.data_type())).map_err(text::failed)?;
        match column.data_type() {
            DataType::Int8 => self.whole::<Int8Type>(column, seeds, 1.0, None),
            DataType::Int16 => self.whole::<Int16Type>(column, seeds, 1.0, None),
            DataType::Int32 => self.whole::<Int32Type>(column, seeds, 1.0, None),
            DataType::Int64 => self.whole::<Int64Type>(column, seeds, 1.0, None),
            DataType::UInt8 => self.whole::<UInt8Type>(column, seeds, 1.0, None),
            DataType::UInt16 => self.whole::<UInt16Type>(column, seeds, 1.0, None),
            DataType::UInt32 => self.whole::<UInt32Type>(column, seeds, 1.0, None),
            DataType::UInt64 => self.whole::<UInt64Type>(column, seeds, 1.0, None),
            DataType::Decimal32(p, s) => self.whole::<Decimal32Type>(column, seeds, unit(*s), Some(*p)),
            DataType::Decimal64(p, s) => self.whole::<Decimal64Type>(column, seeds, unit(*s), Some(*p)),
            DataType::Decimal128(p, s) => self.whole::<Decimal128Type>(column, seeds, unit(*s), Some(*p)),
            DataType::Float32 => {
                let near = |(value, seed): (Option<f32>, &Option<Seed>)| {
                    let (value, seed) = (value.filter(|value| value.is_finite())?, (*seed)?);
                    let masked = self.near(f64::from(value), seed) as f32;
                    let masked = if masked.is_finite() { masked } else { value };
                    Some(if masked == value { stepped(value, value.next_down(), value.next_up()) } else { masked })
                };
                let values = column.as_primitive::<Float32Type>().iter().zip(seeds);
                Ok(Arc::new(values.map(near).collect::<PrimitiveArray<Float32Type>>()))
            }
            DataType::Float64 => {
                let near = |(value, seed): (Option<f64>, &Option<Seed>)| {
                    let (value, seed) = (value.filter(|value| value.is_finite())?, (*seed)?);
                    let masked = self.near(value, seed);
                    let masked = if masked.is_finite() { masked } else { value };
                    Some(if masked == value { stepped(value, value.next_down(), value.next_up()) } else { masked })
                };
                let values = column.as_primitive::<Float64Type>().iter().zip(seeds);
                Ok(Arc::new(values.map(near).collect::<PrimitiveArray<Float64Type>>()))
            }
            other => Err(Error::internal("add noise", format!("{other} was not accepted"))),
        }
    }

    /// A float near `value`; what the type can't hold is tried on the other side.
    fn near(&self, value: f64, seed: Seed) -> f64 {
        let noise = self.distribution.draw(seed) * self.scale.of(value);
        if (value + noise).is_finite() { value + noise } else { value - noise }
    }

    /// Integers, and decimals as integers of their last digit's `unit`.
    fn whole<T: ArrowPrimitiveType>(
        &self,
        column: &ArrayRef,
        seeds: &[Option<Seed>],
        unit: f64,
        precision: Option<u8>,
    ) -> Result<ArrayRef>
    where
        T::Native: Into<i128> + TryFrom<i128>,
    {
        let array = column.as_primitive_opt::<T>().ok_or_else(|| Error::internal("add noise", "another type"))?;
        let bound = precision.and_then(|precision| Some(10i128.checked_pow(precision.into())? - 1));
        let (least, most) = match bound {
            Some(bound) => (-bound, bound),
            None => (T::Native::MIN_TOTAL_ORDER.into(), T::Native::MAX_TOTAL_ORDER.into()),
        };
        let near = |(value, seed): (Option<T::Native>, &Option<Seed>)| {
            let (value, seed): (i128, Seed) = (value?.into(), (*seed)?);
            let draw = self.distribution.draw(seed);
            let noise = (draw * self.scale.of(value as f64 * unit) / unit).round() as i128;
            // Noise that rounds to nothing is a step to its side.
            let noise = if noise == 0 { if draw < 0.0 { -1 } else { 1 } } else { noise };
            let fits = |masked: &i128| (least..=most).contains(masked) && *masked != value;
            let tries = [value.saturating_add(noise), value.saturating_sub(noise)];
            let masked = tries.into_iter().find(fits).or_else(|| [least, most].into_iter().find(fits));
            T::Native::try_from(masked?).ok()
        };
        let noisy: PrimitiveArray<T> = array.iter().zip(seeds).map(near).collect();
        Ok(Arc::new(noisy.with_data_type(column.data_type().clone())))
    }
}

/// The neighbour of a float whose noise is too small for it.
fn stepped<T: PartialOrd + Default>(value: T, down: T, up: T) -> T {
    if value > T::default() { down } else { up }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{build, mask};
    use super::*;
    use arrow::array::{Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int64Array, UInt64Array};
    use kernel::Kind;
    use kernel::laws::mask::{obeys, tells_subjects_apart};

    const KEYED: &str = "noise(scale: 5%, scope: person, subject: who)";

    fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
    }

    #[test]
    fn it_obeys_the_laws() {
        let samples: [ArrayRef; 7] = [
            Arc::new(Int64Array::from(vec![Some(0), None, Some(i64::MIN), Some(i64::MAX), Some(-1), Some(1_000_000)])),
            Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX), Some(7_000_000), Some(9_000_000)])),
            Arc::new(Int8Array::from_iter((-128..=127i8).map(Some))),
            Arc::new(Float64Array::from(vec![Some(-0.5), None, Some(1e300), Some(f64::MAX), Some(0.0)])),
            Arc::new(Float32Array::from(vec![Some(-0.5), None, Some(1e38), Some(f32::MAX), Some(0.0)])),
            decimals(vec![Some(-99_999), None, Some(99_999), Some(0), Some(5_000)], 5, 2),
            decimals(vec![Some(-(10i128.pow(38) - 1)), None, Some(10i128.pow(38) - 1)], 38, 0),
        ];
        for scale in ["5%", "10", "1000"] {
            for distribution in ["laplace", "gaussian", "uniform"] {
                obeys(&|| mask(&format!("noise(scale: {scale}, distribution: {distribution})")), &samples);
            }
        }
        obeys(&|| mask(KEYED), &samples);
        tells_subjects_apart(&|| mask(KEYED), &(Arc::new(Int64Array::from_iter_values(1_000..1_050)) as ArrayRef));
    }

    /// The mean distance of each distribution is known: 1, the root of 2/π, and a half of its scale.
    #[test]
    fn the_noise_has_the_scale_that_was_asked_for_and_no_side() {
        let rows = 40_000;
        let values: ArrayRef = Arc::new(Int64Array::from_value(1_000_000, rows));
        for (distribution, distance) in [("laplace", 1.0), ("gaussian", 0.797_88), ("uniform", 0.5)] {
            for (scale, width) in [("5%", 50_000.0), ("300", 300.0)] {
                let masked = mask(&format!("noise({scale}, {distribution})")).apply(&values).unwrap();
                let noise: Vec<f64> =
                    masked.as_primitive::<Int64Type>().values().iter().map(|v| (v - 1_000_000) as f64).collect();
                let mean = |of: fn(f64) -> f64| noise.iter().map(|n| of(*n)).sum::<f64>() / rows as f64 / width;
                let (side, apart) = (mean(|n| n), mean(f64::abs));
                assert!(side.abs() < 0.04 && (apart - distance).abs() < 0.03, "{distribution} {scale}: {side} {apart}");
            }
        }
    }

    #[test]
    fn a_persons_value_has_one_noise_and_another_has_another() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![5_000_000; 4]));
        let who: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(1), Some(2), None]));
        let masked = mask(KEYED).apply_for(&column, &who, None).unwrap();
        let masked = masked.as_primitive::<Int64Type>();
        assert_eq!(masked.value(0), masked.value(1));
        assert!(masked.value(0) != masked.value(2) && masked.is_null(3));
        let wide = arrow::compute::cast(&column, &DataType::Decimal128(20, 4)).unwrap();
        let wide = mask(KEYED).apply_for(&wide, &who, None).unwrap();
        let apart = wide.as_primitive::<Decimal128Type>().value(0) - i128::from(masked.value(0)) * 10_000;
        assert!(apart.abs() <= 5_000, "the same number has the same noise in any type");
    }

    #[test]
    fn what_hides_little_is_refused_and_slips_are_told() {
        let kind = |text: &str, class: Option<&str>| build(text, class).err().map(|e| e.kind);
        assert_eq!(kind("noise(5%)", Some("personal.cpf")), Some(Kind::Refused));
        for slip in ["noise", "noise(0)", "noise(-5%)", "noise(inf)", "noise(5%, normal)", "noise(5%, scope: person)"] {
            assert_eq!(kind(slip, None), Some(Kind::Project), "{slip}");
        }
        assert_eq!(kind("noise(5%, subject: who)", None), Some(Kind::Refused), "a subject needs a scope");
        let fits = |text: &str, data_type: DataType| mask(text).output(&data_type).err().map(|e| e.kind);
        assert_eq!(fits("noise(1)", DataType::Int64), Some(Kind::Refused));
        assert_eq!(fits("noise(1)", DataType::Decimal128(12, 2)), None);
        assert_eq!(fits("noise(0.01)", DataType::Decimal128(12, 2)), Some(Kind::Refused));
        assert_eq!(fits("noise(0.01)", DataType::Float64), None);
        assert_eq!(fits("noise(5%)", DataType::Utf8), Some(Kind::Project));
    }
}
