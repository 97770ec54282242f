//! How many numbers a second are encrypted for sums and added up, on one core: `he_sum_speed ROWS`. The numbers are
//! i·7919 mod 1,000,000, so that another program can check the total.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Decimal128Type;
use kernel::contract::MaskSpec;
use kernel::error::{Error, Result};
use kernel::mask::MaskFactory;
use privacy::keys::FixedKeys;
use privacy::mask::Masks;
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<()> {
    let rows: i64 = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(50_000);
    let keys = Arc::new(FixedKeys::new(&[7]));
    let spec = MaskSpec::parse("encrypt(amounts, homomorphic)").map_err(|why| Error::internal("read a mask", why))?;
    let mask = Masks::new(keys.clone()).build(&spec, None)?;
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row * 7_919 % 1_000_000)));
    let missing = || Error::internal("he_sum", "there is no such function");

    let start = Instant::now();
    let sealed = mask.apply(&values)?;
    let encrypt = start.elapsed();

    let functions = privacy::he::functions(keys);
    let sum = functions.aggregate.iter().find(|function| function.name() == "he_sum").ok_or_else(missing)?;
    let mut group = sum.start();
    let start = Instant::now();
    group.take(&sealed)?;
    let total = group.finish()?;
    let add = start.elapsed();

    let open = functions.scalar.first().ok_or_else(missing)?;
    let scope: ArrayRef = Arc::new(StringArray::from(vec!["amounts"]));
    let mut opened = Vec::new();
    let mut answer = 0;
    for _ in 0..2 {
        let start = Instant::now();
        let column = open.call(&[total.clone(), scope.clone()])?;
        opened.push(start.elapsed().as_secs_f64());
        answer = column.as_primitive::<Decimal128Type>().value(0) / 10_000_000_000;
    }
    println!(
        "{{\"rows\": {rows}, \"encrypt_s\": {}, \"sum_s\": {}, \"open_first_s\": {}, \"open_again_s\": {}, \"bytes\": {}, \"total\": {answer}}}",
        encrypt.as_secs_f64(),
        add.as_secs_f64(),
        opened[0],
        opened[1],
        sealed.as_binary::<i32>().value_data().len(),
    );
    Ok(())
}
