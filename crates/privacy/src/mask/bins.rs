//! Numbers down to the bottom of their bin, exactly: `-1` in bins of 10 is `-10`, `12.34` in bins of 0.5 is `12.00`.

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::compute::kernels::arity::unary;
use arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use kernel::error::{Error, Result};
use std::sync::Arc;

/// More digits than any decimal has.
const DIGITS_MAX: usize = 38;

/// The width of a bin: `unscaled / 10^scale`, in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bin {
    unscaled: i128,
    scale: i32,
    /// The same, for floats.
    width: f64,
}

impl Bin {
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| {
            let detail = "a bin is a positive number, as in `bin: 10` or `bin: 0.5`";
            Error::project(format!("`bin: {text}`"), detail)
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        if whole.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        let unscaled = digits.parse().ok().filter(|unscaled| *unscaled > 0)?;
        Some(Self { unscaled, scale: i32::try_from(fraction.len()).ok()?, width: text.parse().ok()? })
    }

    /// The width in units of 10^-scale, when it is a whole number of them.
    fn in_units(&self, scale: i32) -> Option<i128> {
        if scale >= self.scale {
            return self.unscaled.checked_mul(10i128.checked_pow((scale - self.scale).unsigned_abs())?);
        }
        let unit = 10i128.checked_pow((self.scale - scale).unsigned_abs())?;
        (self.unscaled % unit == 0).then(|| self.unscaled / unit)
    }

    /// Whether the bin's bounds are values of the type, and more than one value falls into a bin.
    pub fn check(&self, plain: &DataType) -> Result<()> {
        let what = || "generalize to bins".to_owned();
        let units = match plain {
            DataType::Float32 | DataType::Float64 => return Ok(()),
            DataType::Decimal32(_, s) | DataType::Decimal64(_, s) | DataType::Decimal128(_, s) => {
                self.in_units(i32::from(*s))
            }
            integer if integer.is_integer() => self.in_units(0),
            other => {
                return Err(Error::project(what(), format!("it takes integers, decimals and floats, not {other}")));
            }
        };
        match units {
            Some(1) => {
                let detail = format!(
                    "a bin of {} holds one value of {plain}, so it hides nothing; write a wider one",
                    self.width
                );
                Err(Error::refused(what(), detail))
            }
            Some(_) => Ok(()),
            None => Err(Error::project(what(), format!("a bound of bins of {} is no {plain}", self.width))),
        }
    }

    pub fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match column.data_type() {
            DataType::Int8 => self.integers::<Int8Type>(column),
            DataType::Int16 => self.integers::<Int16Type>(column),
            DataType::Int32 => self.integers::<Int32Type>(column),
            DataType::Int64 => self.integers::<Int64Type>(column),
            DataType::UInt8 => self.integers::<UInt8Type>(column),
            DataType::UInt16 => self.integers::<UInt16Type>(column),
            DataType::UInt32 => self.integers::<UInt32Type>(column),
            DataType::UInt64 => self.integers::<UInt64Type>(column),
            DataType::Decimal32(p, s) => self.decimals::<Decimal32Type>(column, *p, *s),
            DataType::Decimal64(p, s) => self.decimals::<Decimal64Type>(column, *p, *s),
            DataType::Decimal128(p, s) => self.decimals::<Decimal128Type>(column, *p, *s),
            DataType::Float32 => {
                let floor = |x: f32| (f64::from(x) / self.width).floor() * self.width;
                Ok(Arc::new(unary::<_, _, Float32Type>(column.as_primitive::<Float32Type>(), |x| floor(x) as f32)))
            }
            DataType::Float64 => {
                let floor = |x: f64| (x / self.width).floor() * self.width;
                Ok(Arc::new(unary::<_, _, Float64Type>(column.as_primitive::<Float64Type>(), floor)))
            }
            other => Err(Error::internal("generalize a column", format!("{other} was not accepted"))),
        }
    }

    /// The lowest bin may begin below the type's range: it is cut there.
    fn integers<T: ArrowPrimitiveType>(&self, column: &ArrayRef) -> Result<ArrayRef>
    where
        T::Native: Into<i128> + TryFrom<i128>,
    {
        self.floored::<T>(column, 0, T::Native::MIN_TOTAL_ORDER)
    }

    fn decimals<T: ArrowPrimitiveType>(&self, column: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef>
    where
        T::Native: Into<i128> + TryFrom<i128>,
    {
        let lowest = 10i128.checked_pow(precision.into()).and_then(|bound| T::Native::try_from(1 - bound).ok());
        self.floored::<T>(column, scale.into(), lowest.unwrap_or(T::Native::MIN_TOTAL_ORDER))
    }

    fn floored<T: ArrowPrimitiveType>(&self, column: &ArrayRef, scale: i32, lowest: T::Native) -> Result<ArrayRef>
    where
        T::Native: Into<i128> + TryFrom<i128>,
    {
        let broken = || Error::internal("generalize a column", "the type was not accepted");
        let width = self.in_units(scale).ok_or_else(broken)?;
        let array = column.as_primitive_opt::<T>().ok_or_else(broken)?;
        let floor = |value: T::Native| {
            let bottom = value.into().div_euclid(width).checked_mul(width);
            let bottom = bottom.and_then(|bottom| T::Native::try_from(bottom).ok()).unwrap_or(lowest);
            if bottom.is_lt(lowest) { lowest } else { bottom }
        };
        Ok(Arc::new(unary::<_, _, T>(array, floor).with_data_type(column.data_type().clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::mask;
    use super::*;
    use arrow::array::{Decimal128Array, Float64Array, Int8Array, Int64Array, PrimitiveArray, UInt64Array};
    use kernel::Kind;
    use kernel::laws::mask::obeys;

    fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap())
    }

    fn binned<T: ArrowPrimitiveType>(bin: &str, values: &ArrayRef) -> Vec<Option<T::Native>> {
        let masked = mask(&format!("generalize(bin: {bin})")).apply(values).unwrap();
        let masked: &PrimitiveArray<T> = masked.as_primitive();
        masked.iter().collect()
    }

    #[test]
    fn they_obey_the_laws() {
        let samples: [ArrayRef; 6] = [
            Arc::new(Int64Array::from(vec![Some(0), None, Some(i64::MIN), Some(i64::MAX), Some(-1)])),
            Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)])),
            Arc::new(Int8Array::from(vec![Some(-128), None, Some(127)])),
            Arc::new(Float64Array::from(vec![Some(-0.5), None, Some(1e300), Some(f64::INFINITY)])),
            decimals(vec![Some(-99_999), None, Some(99_999)], 5, 2),
            decimals(vec![Some(-(10i128.pow(38) - 1)), None, Some(10i128.pow(38) - 1)], 38, 0),
        ];
        for bin in ["10", "2", "1000"] {
            obeys(&|| mask(&format!("generalize(bin: {bin})")), &samples);
        }
    }

    #[test]
    fn every_value_goes_to_the_bottom_of_its_bin() {
        let integers: ArrayRef =
            Arc::new(Int64Array::from(vec![Some(0), Some(9), Some(10), Some(-1), Some(-10), None]));
        assert_eq!(binned::<Int64Type>("10", &integers), [Some(0), Some(0), Some(10), Some(-10), Some(-10), None]);
        let amounts = decimals(vec![Some(1234), Some(-1), Some(50)], 12, 2);
        assert_eq!(binned::<Decimal128Type>("0.5", &amounts), [Some(1200), Some(-50), Some(50)]);
        assert_eq!(binned::<Decimal128Type>("10.00", &amounts), [Some(1000), Some(-1000), Some(0)]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.75, -0.1]));
        assert_eq!(binned::<Float64Type>("0.5", &floats), [Some(0.5), Some(-0.5)]);
    }

    #[test]
    fn the_lowest_bin_is_cut_at_the_type() {
        let small: ArrayRef = Arc::new(Int8Array::from(vec![-128, -1, 127]));
        assert_eq!(binned::<Int8Type>("100", &small), [Some(-128), Some(-100), Some(100)]);
        assert_eq!(binned::<Int8Type>("1000", &small), [Some(-128), Some(-128), Some(0)]);
        let narrow = decimals(vec![Some(-999), Some(999)], 3, 0);
        assert_eq!(binned::<Decimal128Type>("10", &narrow), [Some(-999), Some(990)]);
    }

    #[test]
    fn a_bin_of_one_value_is_refused() {
        let kind = |bin: &str, data_type: &DataType| {
            mask(&format!("generalize(bin: {bin})")).output(data_type).err().map(|e| e.kind)
        };
        assert_eq!(kind("1", &DataType::Int64), Some(Kind::Refused));
        assert_eq!(kind("1.0", &DataType::Decimal128(11, 0)), Some(Kind::Refused));
        assert_eq!(kind("0.01", &DataType::Decimal128(12, 2)), Some(Kind::Refused));
        assert_eq!(kind("0.02", &DataType::Decimal128(12, 2)), None);
        assert_eq!(kind("2", &DataType::Int64), None);
    }

    #[test]
    fn a_bin_fits_the_type_or_is_an_error() {
        let fits = |bin: &str, data_type: &DataType| mask(&format!("generalize(bin: {bin})")).output(data_type).is_ok();
        assert!(fits("10", &DataType::Int32) && fits("10.0", &DataType::Int32) && !fits("0.5", &DataType::Int32));
        assert!(fits("0.05", &DataType::Decimal128(12, 2)) && !fits("0.005", &DataType::Decimal128(12, 2)));
        assert!(fits("2000", &DataType::Decimal128(12, -3)) && !fits("100", &DataType::Decimal128(12, -3)));
        assert!(!fits("10", &DataType::Utf8) && !fits("10", &DataType::Date32));
        for bad in ["0", "-1", "", "1e3", "ten", "0.0", ".5"] {
            assert!(Bin::parse(bad).is_err(), "{bad}");
        }
    }
}
