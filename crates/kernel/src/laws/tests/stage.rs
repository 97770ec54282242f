use super::{assert_caught, verdict};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::laws::stage::{Input, obeys};
use crate::stage::Stage;
use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    DependsOnSomethingElse,
    SavingEmpties,
    SavesHalf,
    AddsWhatIsLoaded,
    MindsBatches,
    AnswersNothingWithSomething,
    RepeatsItsWindow,
    SavesNotTheWatermark,
}

/// Sums values over windows of ten; a row whose window is closed is given back at once, as late.
struct Toy {
    windows: BTreeMap<i64, i64>,
    watermark: i64,
    batches: i64,
    fault: Fault,
    seed: i64,
    drained: Cell<bool>,
}

impl Toy {
    fn new(fault: Fault, seed: i64) -> Self {
        Self { windows: BTreeMap::new(), watermark: i64::MIN, batches: 0, fault, seed, drained: Cell::new(false) }
    }

    fn close(&mut self) -> Vec<RecordBatch> {
        let open = self.windows.split_off(&(self.watermark.div_euclid(10) * 10));
        let closed = std::mem::replace(&mut self.windows, open);
        if self.fault == Fault::RepeatsItsWindow {
            self.windows.extend(closed.clone());
        }
        if closed.is_empty() { Vec::new() } else { vec![pairs(closed)] }
    }
}

fn pairs(pairs: impl IntoIterator<Item = (i64, i64)>) -> RecordBatch {
    let (a, b): (Vec<i64>, Vec<i64>) = pairs.into_iter().unzip();
    let column = |values| Arc::new(Int64Array::from(values)) as ArrayRef;
    RecordBatch::try_from_iter([("at", column(a)), ("value", column(b))]).expect("two columns")
}

fn read(batch: &RecordBatch) -> Vec<(i64, i64)> {
    let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values().to_vec();
    column(0).into_iter().zip(column(1)).collect()
}

impl Stage for Toy {
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        self.batches += 1;
        if self.drained.take() {
            self.windows.clear();
        }
        let mut late = Vec::new();
        for (at, value) in read(&batch) {
            let window = at.div_euclid(10) * 10;
            if window + 10 <= self.watermark {
                late.push((at, value));
            } else {
                *self.windows.entry(window).or_default() += value;
            }
        }
        match self.fault {
            Fault::DependsOnSomethingElse => late.push((self.seed, 0)),
            Fault::MindsBatches if batch.num_rows() > 1 => late.push((self.batches, 0)),
            Fault::AnswersNothingWithSomething if batch.num_rows() == 0 => late.push((0, 0)),
            _ => {}
        }
        Ok(if late.is_empty() { Vec::new() } else { vec![pairs(late)] })
    }

    fn watermark(&mut self, at: Timestamp) -> Result<Vec<RecordBatch>> {
        self.watermark = self.watermark.max(at.0);
        Ok(self.close())
    }

    fn save(&self) -> Result<Vec<RecordBatch>> {
        self.drained.set(self.fault == Fault::SavingEmpties);
        let half = if self.fault == Fault::SavesHalf { 1 } else { usize::MAX };
        let watermark = if self.fault == Fault::SavesNotTheWatermark { i64::MIN } else { self.watermark };
        Ok(vec![pairs(self.windows.clone().into_iter().take(half)), pairs([(watermark, self.batches)])])
    }

    fn load(&mut self, state: Vec<RecordBatch>) -> Result<()> {
        if self.fault != Fault::AddsWhatIsLoaded {
            self.windows.clear();
        }
        for (window, value) in read(&state[0]) {
            *self.windows.entry(window).or_default() += value;
        }
        (self.watermark, self.batches) = read(&state[1])[0];
        Ok(())
    }
}

fn run(fault: Fault) {
    let seed = Cell::new(0);
    let make = || -> Box<dyn Stage> {
        seed.set(seed.get() + 1);
        Box::new(Toy::new(fault, seed.get()))
    };
    let input = [
        Input::Rows(pairs([(1, 1), (2, 10), (11, 100), (25, 1000)])),
        Input::Watermark(Timestamp(12)),
        Input::Rows(pairs([(3, 5), (13, 7), (4, 2)])),
        Input::Watermark(Timestamp(20)),
        Input::Rows(pairs([(15, 1), (31, 4)])),
        Input::Watermark(Timestamp(100)),
    ];
    obeys(&make, &input);
}

#[test]
fn a_good_stage_obeys() {
    assert_eq!(verdict(|| run(Fault::None)), None);
}

#[test]
fn broken_stages_are_caught() {
    let faults = [
        (Fault::DependsOnSomethingElse, "run again"),
        (Fault::SavingEmpties, "saved before each input"),
        (Fault::SavesHalf, "loaded into a new stage"),
        (Fault::SavesNotTheWatermark, "loaded into a new stage"),
        (Fault::AddsWhatIsLoaded, "loaded into"),
        (Fault::MindsBatches, "one by one"),
        (Fault::AnswersNothingWithSomething, "came of no rows"),
        (Fault::RepeatsItsWindow, "same watermark again"),
    ];
    for (fault, word) in faults {
        assert_caught(&format!("{fault:?}"), word, || run(fault));
    }
}
