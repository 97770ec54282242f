//! Columns that are whole numbers underneath: integers, dates, times, decimals of up to 18 digits.

use super::chunk::Encode;
use super::{Levels, delta};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use parquet::basic::{Encoding, Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;
use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

/// The values that are there, without the missing ones.
pub(super) fn values<'v>(array: &'v dyn Array, levels: &Levels) -> Result<Cow<'v, [i64]>> {
    let all: Cow<'v, [i64]> = match array.data_type() {
        DataType::Int64 => Cow::Borrowed(array.as_primitive::<Int64Type>().values()),
        DataType::Timestamp(..) => Cow::Borrowed(array.as_primitive::<TimestampMicrosecondType>().values()),
        DataType::Int32 => array.as_primitive::<Int32Type>().values().iter().map(|v| i64::from(*v)).collect(),
        DataType::Date32 => array.as_primitive::<Date32Type>().values().iter().map(|v| i64::from(*v)).collect(),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().values().iter().map(|v| *v as i64).collect(),
        DataType::Int8 | DataType::Int16 => {
            let wide: ArrayRef = cast(array, &DataType::Int64)?;
            Cow::Owned(wide.as_primitive::<Int64Type>().values().to_vec())
        }
        other => return Err(ParquetError::General(format!("{other} is no whole number"))),
    };
    Ok(levels.present(all))
}

pub(super) struct Ints {
    is_narrow: bool,
    bounds: Option<(i64, i64)>,
    /// Multiplies values into slots; its own for each column, so that nobody can choose values that collide.
    seed: u64,
    /// Code + 1 of the values from `near_from` on: what lies close together needs no hashing.
    near: Vec<u32>,
    near_from: i64,
    /// Of the others. Open addressing, at most half full: the value, and its code + 1.
    slots: Vec<(i64, u32)>,
    entries: Vec<i64>,
}

const SLOTS_MIN: usize = 256;
/// 64 KiB: a part of a core's cache.
const NEAR_MAX: usize = 1 << 14;

impl Ints {
    pub fn new(descr: &ColumnDescPtr) -> Self {
        let seed = RandomState::new().hash_one(descr.path().string()) | 1;
        Self {
            is_narrow: descr.physical_type() == Type::INT32,
            bounds: None,
            seed,
            near: Vec::new(),
            near_from: 0,
            slots: Vec::new(),
            entries: Vec::new(),
        }
    }

    fn slot(&self, value: i64) -> usize {
        let mixed = u128::from(value as u64 ^ self.seed) * u128::from(self.seed ^ 0x9e37_79b9_7f4a_7c15);
        ((mixed >> 64) as u64 ^ mixed as u64) as usize & (self.slots.len() - 1)
    }

    /// Makes the table of near values from the bounds of what was met so far.
    fn begin(&mut self) {
        self.slots = vec![(0, 0); SLOTS_MIN];
        let Some((least, most)) = self.bounds else { return };
        // As much again on both sides: what comes later is mostly near, too.
        if let Ok(spread @ 0..NEAR_MAX) = usize::try_from(most.wrapping_sub(least)) {
            let room = (NEAR_MAX - spread).min(spread + 64);
            self.near = vec![0; spread + room];
            self.near_from = least.saturating_sub((room / 2) as i64);
        }
    }

    #[inline]
    fn code(&mut self, value: i64) -> u32 {
        let at = value.wrapping_sub(self.near_from) as u64 as usize;
        match self.near.get(at) {
            None => self.far_code(value),
            Some(0) => {
                self.entries.push(value);
                self.near[at] = self.entries.len() as u32;
                self.near[at] - 1
            }
            Some(code) => code - 1,
        }
    }

    fn far_code(&mut self, value: i64) -> u32 {
        let mut slot = self.slot(value);
        loop {
            match self.slots[slot] {
                (_, 0) => break,
                (known, code) if known == value => return code - 1,
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
        self.entries.push(value);
        let code = self.entries.len() as u32;
        self.slots[slot] = (value, code);
        if self.entries.len() * 2 > self.slots.len() {
            self.rehash((self.entries.len() * 4).next_power_of_two());
        }
        code - 1
    }

    fn rehash(&mut self, slots: usize) {
        self.slots = vec![(0, 0); slots];
        for at in 0..self.entries.len() {
            let value = self.entries[at];
            let mut slot = self.slot(value);
            while self.slots[slot].1 != 0 {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = (value, at as u32 + 1);
        }
    }
}

impl Encode for Ints {
    type Values<'v> = Cow<'v, [i64]>;

    const WITHOUT: Encoding = Encoding::DELTA_BINARY_PACKED;

    fn len(values: &Self::Values<'_>) -> usize {
        values.len()
    }

    fn plain_bytes(&self, values: &Self::Values<'_>) -> usize {
        values.len() * if self.is_narrow { 4 } else { 8 }
    }

    fn codes(&mut self, values: &Self::Values<'_>, from: usize, to: usize, out: &mut Vec<u32>) {
        if self.slots.is_empty() {
            self.begin();
        }
        // Neighbours are often the same.
        let mut last: Option<(i64, u32)> = None;
        out.extend(values[from..to].iter().map(|value| match last {
            Some((same, code)) if same == *value => code,
            _ => {
                let code = self.code(*value);
                last = Some((*value, code));
                code
            }
        }));
    }

    fn without(&self, values: &Self::Values<'_>, from: usize, to: usize, out: &mut Vec<u8>) {
        delta::encode(out, &values[from..to], self.is_narrow);
    }

    fn bound(&mut self, values: &Self::Values<'_>) {
        let bounds = values.iter().fold(self.bounds.unwrap_or((i64::MAX, i64::MIN)), |(least, most), value| {
            (least.min(*value), most.max(*value))
        });
        self.bounds = (bounds.0 <= bounds.1).then_some(bounds);
    }

    fn entries(&self) -> usize {
        self.entries.len()
    }

    fn dictionary_bytes(&self) -> usize {
        self.entries.len() * if self.is_narrow { 4 } else { 8 }
    }

    fn dictionary(&self, out: &mut Vec<u8>) {
        let width = if self.is_narrow { 4 } else { 8 };
        self.entries.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()[..width]));
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        match self.is_narrow {
            true => {
                let (least, most) = (self.bounds.map(|b| b.0 as i32), self.bounds.map(|b| b.1 as i32));
                ValueStatistics::new(least, most, None, Some(nulls), false)
                    .with_backwards_compatible_min_max(true)
                    .into()
            }
            false => {
                let (least, most) = (self.bounds.map(|b| b.0), self.bounds.map(|b| b.1));
                ValueStatistics::new(least, most, None, Some(nulls), false)
                    .with_backwards_compatible_min_max(true)
                    .into()
            }
        }
    }

    fn forget(&mut self) {
        self.bounds = None;
        self.near.clear();
        self.slots.clear();
        self.entries.clear();
    }
}
