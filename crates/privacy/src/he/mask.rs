//! `encrypt(scope, homomorphic)`: numbers that can be added up without a key.

use super::key::public_key;
use super::total::{Form, Header, PART_BYTES};
use super::{ROW_MAX, SCALE_MAX, TOTAL_MAX, log};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{RistrettoBasepointTable, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use kernel::contract::{Bound, Constraints};
use kernel::error::{Error, Result};
use kernel::keys::KeyProvider;
use kernel::mask::{Mask, Promise};
use std::sync::Arc;
use zeroize::Zeroizing;

const NAME: &str = "encrypt";
/// Random bytes are drawn and points compressed for this many values at a time.
const CHUNK_ROWS: usize = 512;
const RANDOM_BYTES: usize = 64;

struct Homomorphic {
    header: Header,
    /// Multiples of the public key, for a quick product.
    table: RistrettoBasepointTable,
    half: Scalar,
    /// The largest value that comes, as the contract declares it.
    max: Option<String>,
}

/// So many of the largest rows must add up to a total that can be opened, where a largest value is declared.
const ROWS_MIN: i64 = 1000;

/// The mask of a scope. A published key is enough. `max` is the largest value that comes.
pub(crate) fn mask(scope: &str, max: Option<&str>, keys: &dyn KeyProvider) -> Result<Box<dyn Mask>> {
    let key = public_key(scope, keys)?;
    let header = Header { form: Form::Sum, scale: 0, version: key.version, mark: key.mark, rows: 1 };
    let table = RistrettoBasepointTable::create(&key.point);
    Ok(Box::new(Homomorphic { header, table, half: Scalar::from(2u8).invert(), max: max.map(str::to_owned) }))
}

impl Homomorphic {
    /// The halves of a value's two points: what is compressed in batches comes out doubled, and a random number is as random
    /// when it is halved.
    fn halves(&self, value: i64, random: &[u8; RANDOM_BYTES]) -> [RistrettoPoint; 2] {
        let r = Zeroizing::new(Scalar::from_bytes_mod_order_wide(random));
        let m = Zeroizing::new(log::scalar(value) * self.half);
        [RISTRETTO_BASEPOINT_TABLE * &*r, &self.table * &*r + RISTRETTO_BASEPOINT_TABLE * &*m]
    }

    fn seal(&self, values: &[Option<i64>], scale: u8, out: &mut BinaryBuilder) -> Result<()> {
        let mut random = Zeroizing::new([0; RANDOM_BYTES * CHUNK_ROWS]);
        let mut cell = Vec::with_capacity(PART_BYTES);
        Header { scale, ..self.header }.write(&mut cell);
        let header = cell.len();
        for chunk in values.chunks(CHUNK_ROWS) {
            getrandom::fill(&mut *random).map_err(|e| Error::internal("draw a random number", e))?;
            let (draws, _) = random.as_chunks();
            let filled = chunk.iter().zip(draws).filter_map(|(value, draw)| Some((value.as_ref()?, draw)));
            let halves: Vec<_> = filled.flat_map(|(value, draw)| self.halves(*value, draw)).collect();
            let points = RistrettoPoint::double_and_compress_batch(&halves);
            let mut pairs = points.chunks_exact(2);
            for value in chunk {
                let Some(pair) = value.and_then(|_| pairs.next()) else {
                    out.append_null();
                    continue;
                };
                cell.truncate(header);
                pair.iter().for_each(|point| cell.extend(point.as_bytes()));
                out.append_value(&cell);
            }
        }
        Ok(())
    }
}

impl Mask for Homomorphic {
    fn name(&self) -> &str {
        NAME
    }

    fn promise(&self) -> Promise {
        Promise { joinable: false, reversible: true, keeps_type: false, random: true }
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        match scale(input) {
            Some(scale) => declared(self.max.as_deref(), scale).map(|_| Some(DataType::Binary)),
            None => Err(Error::project(
                "encrypt(scope, homomorphic)",
                format!("it takes whole numbers and decimals of at most {SCALE_MAX} places, not {input}"),
            )),
        }
    }

    fn limits(&self, input: &DataType) -> Option<Constraints> {
        let digits = match plain(input) {
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => 19,
            DataType::Decimal128(precision, _) => precision,
            _ => 0,
        };
        let declared = declared(self.max.as_deref(), scale(input)?).ok()?;
        if digits < 13 && declared.is_none() {
            return None; // the type itself is narrower
        }
        let text = bound(declared.unwrap_or(ROW_MAX), scale(input)?);
        let bound = |value| Some(Bound { value, exclusive: false });
        let min = (!plain(input).is_unsigned_integer()).then(|| format!("-{text}"));
        Some(Constraints { min: min.and_then(bound), max: bound(text), ..Constraints::default() })
    }

    /// Each row is encrypted by itself, also of a dictionary: one ciphertext per distinct value would show who is equal.
    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let scale = scale(column.data_type()).ok_or_else(|| Error::internal("encrypt", "a type it does not take"))?;
        let values = units_of(column)?;
        let mut out = BinaryBuilder::with_capacity(values.len(), values.len() * PART_BYTES);
        self.seal(&values, scale, &mut out)?;
        Ok(Arc::new(out.finish()))
    }
}

fn plain(input: &DataType) -> DataType {
    match input {
        DataType::Dictionary(_, value) => plain(value),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        other => other.clone(),
    }
}

/// The decimals of a type that can be encrypted.
pub(super) fn scale(input: &DataType) -> Option<u8> {
    match plain(input) {
        DataType::Decimal128(_, scale) => u8::try_from(scale).ok().filter(|scale| *scale <= SCALE_MAX),
        whole if whole.is_integer() => Some(0),
        _ => None,
    }
}

/// The declared largest value in units of the last decimal. Refuses one that invites totals which nobody could open.
fn declared(max: Option<&str>, scale: u8) -> Result<Option<i64>> {
    let Some(text) = max else { return Ok(None) };
    let what = || format!("`max: {text}`");
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(decimals) {
        return Err(Error::project(what(), "the largest value is a number above zero, as in `max: 100000.00`"));
    }
    if decimals.len() > usize::from(scale) {
        return Err(Error::project(what(), format!("the column has {scale} decimals, and this has more")));
    }
    let units = format!("{whole}{decimals:0<width$}", width = usize::from(scale)).parse().unwrap_or(i64::MAX);
    if units > TOTAL_MAX / ROWS_MIN {
        let most = bound(TOTAL_MAX / ROWS_MIN, scale);
        let detail = format!(
            "{ROWS_MIN} rows of this add up to more than can be opened ({} in all): declare at most {most}, or give the \
             column fewer decimals",
            bound(TOTAL_MAX, scale)
        );
        return Err(Error::project(what(), detail));
    }
    match units {
        0 => Err(Error::project(what(), "the largest value is above zero")),
        units => Ok(Some(units)),
    }
}

/// A number of units with that many decimals, as text.
fn bound(units: i64, scale: u8) -> String {
    let digits = format!("{units:0width$}", width = usize::from(scale) + 1);
    let (whole, rest) = digits.split_at(digits.len() - usize::from(scale));
    if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") }
}

/// Values in units of their last decimal; those out of reach are absent.
pub(super) fn units_of(column: &ArrayRef) -> Result<Vec<Option<i64>>> {
    let to = match plain(column.data_type()) {
        decimal @ DataType::Decimal128(..) => decimal,
        _ => DataType::Int64,
    };
    // A whole number that is larger than the type becomes null, as one that is larger than the bound does.
    let wide = cast(column, &to).map_err(|e| Error::internal("encrypt", e))?;
    Ok(match to {
        DataType::Int64 => in_reach::<Int64Type>(&wide),
        _ => in_reach::<Decimal128Type>(&wide),
    })
}

fn in_reach<T: ArrowPrimitiveType<Native: Into<i128>>>(column: &ArrayRef) -> Vec<Option<i64>> {
    let near = |value: T::Native| i64::try_from(value.into()).ok().filter(|value| (-ROW_MAX..=ROW_MAX).contains(value));
    column.as_primitive::<T>().iter().map(|value| value.and_then(near)).collect()
}
