//! The functions of SQL over homomorphic ciphertexts.

use super::key::{Mark, SecretKey};
use super::pack::Pack;
use super::packed::{self, Sealed};
use super::total::{Body, Form, Header, Total, parts, points};
use super::{ROW_MAX, SCALE_MAX, TOTAL_MAX, log};
use crate::keys::check_scope;
use arrow::array::{ArrayRef, AsArray, BinaryArray, Decimal128Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use kernel::error::{Error, Result};
use kernel::function::{Accumulator, AggregateFunction, Functions, ScalarFunction};
use kernel::keys::KeyProvider;
use std::collections::HashMap;
use std::sync::Arc;

/// `he_sum`, `he_avg` and `he_count`, which need no key, `he_open`, which does, and `he_pack`, which hides.
pub fn functions(keys: Arc<dyn KeyProvider>) -> Functions {
    let of = |name, made| Arc::new(OfGroups { name, made }) as Arc<dyn AggregateFunction>;
    Functions {
        scalar: vec![Arc::new(Open { keys: keys.clone() }), Arc::new(Pack { keys })],
        aggregate: vec![
            of("he_sum", Made::Total(Form::Sum)),
            of("he_avg", Made::Total(Form::Average)),
            of("he_count", Made::Count),
        ],
    }
}

/// What a group comes to.
#[derive(Clone, Copy)]
enum Made {
    Total(Form),
    Count,
}

struct OfGroups {
    name: &'static str,
    made: Made,
}

impl AggregateFunction for OfGroups {
    fn name(&self) -> &str {
        self.name
    }

    fn output(&self, argument: &DataType) -> Result<DataType> {
        takes(self.name, argument)?;
        Ok(match self.made {
            Made::Total(_) => DataType::Binary,
            Made::Count => DataType::Int64,
        })
    }

    fn start(&self) -> Box<dyn Accumulator> {
        match self.made {
            Made::Total(form) => Box::new(Adding { form, total: Total::default() }),
            Made::Count => Box::new(Counting { rows: 0 }),
        }
    }
}

fn takes(name: &str, argument: &DataType) -> Result<()> {
    let fits = matches!(argument, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null);
    let detail = || format!("it takes a column masked by `encrypt(scope, homomorphic)`, not {argument}");
    if fits { Ok(()) } else { Err(Error::project(name, detail())) }
}

fn binary(column: &ArrayRef) -> Result<BinaryArray> {
    let plain = cast(column, &DataType::Binary).map_err(|e| Error::internal("read ciphertexts", e))?;
    Ok(plain.as_binary::<i32>().clone())
}

struct Adding {
    form: Form,
    total: Total,
}

impl Accumulator for Adding {
    fn take(&mut self, values: &ArrayRef) -> Result<()> {
        binary(values)?.iter().flatten().try_for_each(|value| self.total.add(value))
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.total.bytes(Form::Sum))
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        if state.is_empty() { Ok(()) } else { self.total.add(state) }
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let bytes = self.total.bytes(self.form);
        Ok(Arc::new(BinaryArray::from_iter([(!bytes.is_empty()).then_some(bytes)])))
    }

    fn size(&self) -> usize {
        self.total.size()
    }
}

/// Rows behind ciphertexts: of totals those that went into them.
struct Counting {
    rows: u64,
}

impl Counting {
    fn add(&mut self, rows: u64) -> Result<()> {
        let sum = self.rows.checked_add(rows).filter(|sum| i64::try_from(*sum).is_ok());
        self.rows = sum.ok_or_else(|| Error::data("he_count", "they are of more rows than can be"))?;
        Ok(())
    }
}

impl Accumulator for Counting {
    fn take(&mut self, values: &ArrayRef) -> Result<()> {
        for value in binary(values)?.iter().flatten() {
            parts(value)?.iter().try_for_each(|part| self.add(part.header.rows))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.rows.to_be_bytes().to_vec())
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let rows = state.try_into().map_err(|_| Error::internal("he_count", "a state of another length"))?;
        self.add(u64::from_be_bytes(rows))
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(vec![i64::try_from(self.rows).unwrap_or(i64::MAX)])))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// `he_open(total, 'scope')`
struct Open {
    keys: Arc<dyn KeyProvider>,
}

const OPEN: &str = "he_open";
const DIGITS: u8 = 38;

impl ScalarFunction for Open {
    fn name(&self) -> &str {
        OPEN
    }

    fn output(&self, arguments: &[DataType]) -> Result<DataType> {
        let [total, scope] = arguments else {
            return Err(Error::project(OPEN, "write it as `he_open(he_sum(column), 'scope')`"));
        };
        takes(OPEN, total)?;
        if !matches!(scope, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
            return Err(Error::project(OPEN, "its second argument is the scope's name, as in 'amounts'"));
        }
        Ok(DataType::Decimal128(DIGITS, SCALE_MAX as i8))
    }

    fn grant(&self, constants: &[Option<String>]) -> Result<Option<String>> {
        match constants.get(1) {
            Some(Some(scope)) => check_scope(scope).map(|()| Some(format!("open({scope})"))),
            _ => Err(Error::refused(OPEN, "the scope must be written in the query itself, as in 'amounts'")),
        }
    }

    fn call(&self, arguments: &[ArrayRef]) -> Result<ArrayRef> {
        let [totals, scopes] = arguments else { return Err(Error::internal(OPEN, "called with other arguments")) };
        let scopes = cast(scopes, &DataType::Utf8).map_err(|e| Error::internal(OPEN, e))?;
        let mut opener = Opener { keys: &*self.keys, secrets: HashMap::new() };
        let both = binary(totals)?;
        let opened = both.iter().zip(scopes.as_string::<i32>()).map(|(total, scope)| {
            let (Some(total), Some(scope)) = (total, scope) else { return Ok(None) };
            opener.open(total, scope).map(Some)
        });
        let opened = opened.collect::<Result<Decimal128Array>>()?;
        let opened = opened.with_precision_and_scale(DIGITS, SCALE_MAX as i8);
        Ok(Arc::new(opened.map_err(|e| Error::internal(OPEN, e))?))
    }
}

/// Opens totals one after the other; each key is derived once.
struct Opener<'a> {
    keys: &'a dyn KeyProvider,
    secrets: HashMap<(String, u32), Secrets>,
}

/// The secrets of one version: the scalar, and the packed key once a packed total is met.
struct Secrets {
    one: SecretKey,
    packed: Option<packed::SecretKey>,
}

impl Opener<'_> {
    /// A total in units of the tenth decimal.
    fn open(&mut self, bytes: &[u8], scope: &str) -> Result<i128> {
        let (mut units, mut rows) = (0i128, 0i128);
        let parts = parts(bytes)?;
        let first = parts.first().map(|part| part.header);
        for part in &parts {
            let header = part.header;
            if first.is_none_or(|first| (first.scale, first.form) != (header.scale, header.form)) {
                return Err(Error::data(OPEN, "the parts of a total don't fit each other: it was changed"));
            }
            units += match part.body {
                Body::Pair(pair) => self.open_pair(&header, pair, scope)?,
                Body::Packed(count, sealed) => {
                    let opened = self.packed(scope, &header)?.open(&Sealed::read(count, sealed)?);
                    opened.into_iter().map(i128::from).sum()
                }
            };
            rows += i128::from(header.rows);
        }
        let header = first.filter(|first| first.scale <= SCALE_MAX);
        let header = header.ok_or_else(|| Error::data(OPEN, "a total has decimals that no column can have"))?;
        let units = units * 10i128.pow(u32::from(SCALE_MAX - header.scale));
        match header.form {
            Form::Sum => Ok(units),
            Form::Average if rows == 0 => Err(Error::data(OPEN, "an average of no rows: it was changed")),
            Form::Average => Ok(rounded(units, rows)),
        }
    }

    fn open_pair(&mut self, header: &Header, pair: &[u8], scope: &str) -> Result<i128> {
        let secret = self.secret(scope, header.version, header.mark)?;
        let (one, two) = points(pair)?;
        let most = i128::from(TOTAL_MAX).min(i128::from(header.rows) * i128::from(ROW_MAX));
        let most = i64::try_from(most).unwrap_or(TOTAL_MAX);
        log::of(&(two - one * *secret.one.scalar), most).map(i128::from).ok_or_else(too_large)
    }

    fn packed(&mut self, scope: &str, header: &Header) -> Result<&packed::SecretKey> {
        let key = self.keys.key(scope, Some(header.version))?;
        let secret = self.secret(scope, header.version, header.mark)?;
        match &mut secret.packed {
            Some(known) => Ok(known),
            none => Ok(none.insert(packed::SecretKey::new(&key)?.0)),
        }
    }

    fn secret(&mut self, scope: &str, version: u32, mark: Mark) -> Result<&mut Secrets> {
        let place = (scope.to_owned(), version);
        if !self.secrets.contains_key(&place) {
            let one = SecretKey::new(scope, &self.keys.key(scope, Some(version))?)?;
            self.secrets.insert(place.clone(), Secrets { one, packed: None });
        }
        let secret = self.secrets.get_mut(&place).filter(|secret| secret.one.mark == mark);
        secret.ok_or_else(|| {
            Error::refused(OPEN, format!("this was not encrypted for scope `{scope}` with the keys at hand"))
        })
    }
}

fn too_large() -> Error {
    let detail = format!(
        "a total is beyond ±{TOTAL_MAX} units of its last decimal, the most that can be opened, or was changed: add up smaller \
         groups and add what is opened"
    );
    Error::data(OPEN, detail)
}

/// A quotient, rounded half away from zero.
fn rounded(units: i128, rows: i128) -> i128 {
    let (whole, rest) = (units / rows, units % rows);
    if rest.abs() * 2 >= rows { whole + units.signum() } else { whole }
}
