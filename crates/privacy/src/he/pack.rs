//! `he_pack(numbers, 'scope')`: many numbers in one total, packed: what adds up whole and opens at once, however large.

use super::key::SecretKey;
use super::mask::{scale, units_of};
use super::packed::{self, DEGREE, Sealed};
use super::total::{Form, Header, write_packed};
use super::{ROW_MAX, SCALE_MAX};
use crate::keys::check_scope;
use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use kernel::error::{Error, Result};
use kernel::function::ScalarFunction;
use kernel::keys::KeyProvider;
use std::collections::HashMap;
use std::sync::Arc;

const PACK: &str = "he_pack";

pub(super) struct Pack {
    pub keys: Arc<dyn KeyProvider>,
}

/// What encrypts for one scope.
struct Packer {
    key: packed::PublicKey,
    header: Header,
}

impl Packer {
    fn new(scope: &str, keys: &dyn KeyProvider) -> Result<Self> {
        check_scope(scope)?;
        let key = keys.key(scope, None)?;
        let mark = SecretKey::new(scope, &key)?.mark;
        let header = Header { form: Form::Sum, scale: 0, version: key.version(), mark, rows: 0 };
        Ok(Self { key: packed::SecretKey::new(&key)?.1, header })
    }

    /// The total of some numbers; none of no number.
    fn pack(&self, numbers: &ArrayRef, scale: u8) -> Result<Option<Vec<u8>>> {
        let there = numbers.len() - numbers.null_count();
        let values: Vec<i64> = units_of(numbers)?.into_iter().flatten().collect();
        if values.len() < there {
            let detail = format!("a number is beyond ±{ROW_MAX} units of its last decimal, the most that one can be");
            return Err(Error::data(PACK, detail));
        }
        let mut total: Option<Sealed> = None;
        for chunk in values.chunks(DEGREE) {
            let sealed = self.key.seal(chunk)?;
            match &mut total {
                None => total = Some(sealed),
                Some(total) => total.add(&sealed)?,
            }
        }
        let mut out = Vec::new();
        let header = Header { scale, rows: values.len() as u64, ..self.header };
        Ok(total.map(|total| {
            write_packed(&header, &total, &mut out);
            out
        }))
    }
}

impl ScalarFunction for Pack {
    fn name(&self) -> &str {
        PACK
    }

    fn output(&self, arguments: &[DataType]) -> Result<DataType> {
        let wrong = || Error::project(PACK, "write it as `he_pack(array_agg(amount), 'amounts')`");
        let [DataType::List(numbers), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View] = arguments else {
            return Err(wrong());
        };
        match scale(numbers.data_type()) {
            Some(_) => Ok(DataType::Binary),
            None => {
                let found = numbers.data_type();
                let detail = format!("it takes whole numbers and decimals of at most {SCALE_MAX} places, not {found}");
                Err(Error::project(PACK, detail))
            }
        }
    }

    /// To hide something needs no grant.
    fn grant(&self, _: &[Option<String>]) -> Result<Option<String>> {
        Ok(None)
    }

    fn call(&self, arguments: &[ArrayRef]) -> Result<ArrayRef> {
        let [lists, scopes] = arguments else { return Err(Error::internal(PACK, "called with other arguments")) };
        let lists = lists.as_list_opt::<i32>().ok_or_else(|| Error::internal(PACK, "called without a list"))?;
        let scale = scale(&lists.value_type()).ok_or_else(|| Error::internal(PACK, "a type it does not take"))?;
        let scopes = cast(scopes, &DataType::Utf8).map_err(|e| Error::internal(PACK, e))?;
        let mut packers: HashMap<String, Packer> = HashMap::new();
        let mut out = BinaryBuilder::new();
        for (row, scope) in scopes.as_string::<i32>().iter().enumerate() {
            let Some(scope) = scope.filter(|_| lists.is_valid(row)) else {
                out.append_null();
                continue;
            };
            if !packers.contains_key(scope) {
                packers.insert(scope.to_owned(), Packer::new(scope, &*self.keys)?);
            }
            let packed = packers.get(scope).map(|packer| packer.pack(&lists.value(row), scale)).transpose()?;
            out.append_option(packed.flatten());
        }
        Ok(Arc::new(out.finish()))
    }
}
