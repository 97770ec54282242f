//! What every `Stage` must pass: that what goes out depends on what came in and on nothing else, a crash included.
#![allow(clippy::panic, reason = "a law speaks by failing the test that calls it")]

use crate::clock::Timestamp;
use crate::stage::Stage;
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;

/// What a stage is given.
#[derive(Debug, Clone)]
pub enum Input {
    Rows(RecordBatch),
    Watermark(Timestamp),
}

/// Holds the stages that `make` builds, all alike, to their contract over an input; costs (inputs)² of work. The input is
/// worth more with several rows in a batch and watermarks between batches; its last one must be a watermark that makes
/// everything final.
pub fn obeys(make: &dyn Fn() -> Box<dyn Stage>, input: &[Input]) {
    let law = Law { make, input };
    let straight = law.run(0, law.make().as_mut());
    assert!(
        straight.iter().flatten().any(|batch| batch.num_rows() > 0),
        "the laws need an input that something comes of"
    );
    let again = law.run(0, law.make().as_mut());
    same(&again, &straight, "run again");
    law.is_not_moved_by_saving(&straight);
    law.goes_on_from_saved_state(&straight);
    law.minds_rows_and_not_batches(&straight);
    law.gives_nothing_for_nothing(&straight);
}

/// What came of each input.
type Outputs = Vec<Vec<RecordBatch>>;

struct Law<'a> {
    make: &'a dyn Fn() -> Box<dyn Stage>,
    input: &'a [Input],
}

impl Law<'_> {
    fn make(&self) -> Box<dyn Stage> {
        (self.make)()
    }

    fn run(&self, from: usize, stage: &mut dyn Stage) -> Outputs {
        self.input[from..].iter().map(|input| give(stage, input)).collect()
    }

    fn is_not_moved_by_saving(&self, straight: &Outputs) {
        let mut stage = self.make();
        let mut outputs = Vec::new();
        for input in self.input {
            let saved = save(stage.as_ref());
            assert!(save(stage.as_ref()) == saved, "saved twice, the state is the same");
            outputs.push(give(stage.as_mut(), input));
        }
        same(&outputs, straight, "saved before each input");
    }

    /// Into a new stage, into the same one, and into one that has seen other things.
    fn goes_on_from_saved_state(&self, straight: &Outputs) {
        let mut stage = self.make();
        for at in 0..=self.input.len() {
            let saved = save(stage.as_ref());
            let mut spoiled = self.make();
            self.run(0, spoiled.as_mut());
            for (mut other, whose) in [(self.make(), "a new stage"), (spoiled, "a stage that had seen everything")] {
                load(other.as_mut(), saved.clone());
                let about = format!("saved after input {at} and loaded into {whose}");
                same(&self.run(at, other.as_mut()), &straight[at..], &about);
            }
            load(stage.as_mut(), saved);
            if let Some(input) = self.input.get(at) {
                let output = [give(stage.as_mut(), input)];
                same(&output, &straight[at..=at], &format!("saved after input {at} and loaded into the same stage"));
            }
        }
    }

    /// A run that is taken up again gets the same rows in other batches.
    fn minds_rows_and_not_batches(&self, straight: &Outputs) {
        let mut stage = self.make();
        let mut outputs = Vec::new();
        for input in self.input {
            match input {
                Input::Rows(batch) => {
                    outputs.extend((0..batch.num_rows()).map(|row| push(stage.as_mut(), batch.slice(row, 1))))
                }
                watermark => outputs.push(give(stage.as_mut(), watermark)),
            }
        }
        assert!(rows(&outputs) == rows(straight), "the same rows one by one: other rows came out, or in another order");
    }

    /// No rows, or a watermark that says nothing new.
    fn gives_nothing_for_nothing(&self, straight: &Outputs) {
        let mut stage = self.make();
        let mut outputs = Vec::new();
        for input in self.input {
            outputs.push(give(stage.as_mut(), input));
            let more = match input {
                Input::Rows(batch) => push(stage.as_mut(), batch.slice(0, 0)),
                watermark => give(stage.as_mut(), watermark),
            };
            let count: usize = more.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(count, 0, "rows that came of no rows, or of the same watermark again");
        }
        same(&outputs, straight, "with a batch of no rows, or the same watermark again, after each input");
    }
}

fn give(stage: &mut dyn Stage, input: &Input) -> Vec<RecordBatch> {
    match input {
        Input::Rows(batch) => push(stage, batch.clone()),
        Input::Watermark(at) => stage.watermark(*at).unwrap_or_else(|e| panic!("`watermark` failed: {e}")),
    }
}

fn push(stage: &mut dyn Stage, batch: RecordBatch) -> Vec<RecordBatch> {
    stage.push(batch).unwrap_or_else(|e| panic!("`push` failed: {e}"))
}

fn save(stage: &dyn Stage) -> Vec<RecordBatch> {
    stage.save().unwrap_or_else(|e| panic!("`save` failed: {e}"))
}

fn load(stage: &mut dyn Stage, state: Vec<RecordBatch>) {
    stage.load(state).unwrap_or_else(|e| panic!("`load` failed on what was saved: {e}"));
}

/// All rows that came out, in their order.
fn rows(outputs: &[Vec<RecordBatch>]) -> Option<RecordBatch> {
    let batches: Vec<&RecordBatch> = outputs.iter().flatten().filter(|batch| batch.num_rows() > 0).collect();
    let schema = batches.first()?.schema();
    Some(concat_batches(&schema, batches).unwrap_or_else(|e| panic!("all outputs are of one schema: {e}")))
}

fn same(found: &[Vec<RecordBatch>], expected: &[Vec<RecordBatch>], about: &str) {
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        let (found, expected) = ([found.clone()], [expected.clone()]);
        assert!(rows(&found) == rows(&expected), "{about}: other rows came of step {step}");
    }
}
