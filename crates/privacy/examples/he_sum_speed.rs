//! How many numbers a second are encrypted for sums and added up, on one core: `he_sum_speed ROWS`, row by row and packed.
//! The numbers are i·7919 mod 1,000,000, so that another program can check the total.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]

use arrow::array::{ArrayRef, AsArray, Int64Array, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Field};
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::function::Functions;
use kernel::mask::MaskFactory;
use privacy::keys::FixedKeys;
use privacy::mask::Masks;
use std::sync::Arc;
use std::time::Instant;

/// Numbers that fill one packed ciphertext.
const PACKED: usize = 8192;

fn main() -> Result<()> {
    let rows: i64 = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(50_000);
    let keys = Arc::new(FixedKeys::new(&[7]));
    let spec = MaskSpec::parse("encrypt(amounts, homomorphic)").map_err(|why| Error::internal("read a mask", why))?;
    let mask = Masks::new(keys.clone()).build(&spec, None)?;
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row * 7_919 % 1_000_000)));
    let functions = privacy::he::functions(keys);

    let single = measured(&functions, &|| mask.apply(&values))?;
    let length = values.len();
    let lengths = (0..length.div_ceil(PACKED)).map(|at| PACKED.min(length - at * PACKED));
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let lists: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values.clone(), None));
    let scopes: ArrayRef = Arc::new(StringArray::from(vec!["amounts"; lists.len()]));
    let pack = functions.scalar.iter().find(|function| function.name() == "he_pack").ok_or_else(missing)?;
    let packed = measured(&functions, &|| pack.call(&[lists.clone(), scopes.clone()]))?;
    println!("{{\"rows\": {rows}, \"single\": {single}, \"packed\": {packed}}}");
    Ok(())
}

fn missing() -> Error {
    Error::internal("he_sum", "there is no such function")
}

/// The best of three turns of each step; the totals must open to the same.
fn measured(functions: &Functions, seal: &dyn Fn() -> Result<ArrayRef>) -> Result<String> {
    let sum = functions.aggregate.iter().find(|function| function.name() == "he_sum").ok_or_else(missing)?;
    let open = functions.scalar.iter().find(|function| function.name() == "he_open").ok_or_else(missing)?;
    let scope: ArrayRef = Arc::new(StringArray::from(vec!["amounts"]));
    let (mut encrypt, mut add, mut opened, mut bytes, mut answer) = (f64::MAX, f64::MAX, Vec::new(), 0, 0);
    for _ in 0..3 {
        let start = Instant::now();
        let sealed = seal()?;
        encrypt = encrypt.min(start.elapsed().as_secs_f64());
        bytes = sealed.as_binary::<i32>().value_data().len();
        let mut group = sum.start();
        let start = Instant::now();
        group.take(&sealed)?;
        let total = group.finish()?;
        add = add.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let column = open.call(&[total, scope.clone()])?;
        opened.push(start.elapsed().as_secs_f64());
        answer = column.as_primitive::<Decimal128Type>().value(0) / 10_000_000_000;
    }
    Ok(format!(
        "{{\"encrypt_s\": {encrypt}, \"sum_s\": {add}, \"open_first_s\": {}, \"open_again_s\": {}, \"bytes\": {bytes}, \"total\": {answer}}}",
        opened[0], opened[2]
    ))
}
