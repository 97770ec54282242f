use super::{assert_caught, verdict};
use crate::error::Result;
use crate::gate::Passed;
use crate::laws::sink::{Shown, obeys};
use crate::position::Positions;
use crate::sink::{Commit, Sink};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use futures::executor::block_on;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    ShowsWhatIsWritten,
    DoublesInTheSameSink,
    DoublesInANewSink,
    ForgetsPositions,
    ForgetsOtherPartitions,
    LastWins,
    LeavesQuarantineBehind,
    /// Not one: the loser of two has put its rows into quarantine already, and they are known when they come again.
    QuarantinesEarly,
    DoublesAfterConflict,
    TakesStalePositions,
    NeedsRowsToMove,
    KeepsItsVersion,
    LosesQuarantineOnly,
    ShowsOldPositions,
}

#[derive(Default)]
struct Table {
    rows: u64,
    quarantine: Vec<(String, i64)>,
    positions: Positions,
    version: u64,
}

/// A table in memory. Quarantine is known by its positions.
struct Toy {
    table: Arc<Mutex<Table>>,
    opened: Positions,
    rows: u64,
    aside: Vec<(String, i64)>,
    fault: Fault,
}

impl Toy {
    fn open(table: &Arc<Mutex<Table>>, fault: Fault) -> Self {
        let opened = table.lock().expect("a table").positions.clone();
        Self { table: table.clone(), opened, rows: 0, aside: Vec::new(), fault }
    }

    fn put(&mut self, table: &mut Table) {
        let (rows, aside) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.aside));
        if self.fault == Fault::LosesQuarantineOnly && rows == 0 {
            return;
        }
        table.rows += rows;
        for place in aside {
            if self.fault == Fault::DoublesAfterConflict || !table.quarantine.contains(&place) {
                table.quarantine.push(place);
            }
        }
    }

    /// What to answer in the place of `Done`.
    fn refusal(&self, table: &Table, upto: &Positions) -> Option<Commit> {
        let reached = table.positions.reaches(upto);
        match self.fault {
            Fault::DoublesInTheSameSink if self.rows == 0 && self.aside.is_empty() => None,
            Fault::DoublesInANewSink if self.rows > 0 && table.positions == *upto => None,
            Fault::TakesStalePositions if reached && table.positions != *upto => None,
            Fault::NeedsRowsToMove if self.rows == 0 => Some(Commit::AlreadyDone(table.version)),
            _ if reached => Some(Commit::AlreadyDone(table.version)),
            Fault::LastWins => None,
            _ if self.opened != table.positions => Some(Commit::Conflict("somebody moved it".into())),
            _ => None,
        }
    }
}

#[async_trait]
impl Sink for Toy {
    async fn positions(&self) -> Result<Positions> {
        let old = self.fault == Fault::ShowsOldPositions;
        Ok(if old { self.opened.clone() } else { self.table.lock().expect("a table").positions.clone() })
    }

    async fn write(&mut self, rows: Passed) -> Result<()> {
        self.rows += rows.safe.num_rows() as u64;
        if let Some(aside) = &rows.quarantined {
            let position = aside.batch().column_by_name("_position").expect("a position").as_struct();
            let partitions = position.column(0).as_string_view();
            let offsets = position.column(1).as_primitive::<Int64Type>();
            self.aside.extend(partitions.iter().zip(offsets.values()).map(|(p, o)| (p.unwrap_or("").to_owned(), *o)));
        }
        if self.fault == Fault::ShowsWhatIsWritten {
            let table = self.table.clone();
            self.put(&mut table.lock().expect("a table"));
        }
        Ok(())
    }

    async fn commit(&mut self, upto: &Positions) -> Result<Commit> {
        let shared = self.table.clone();
        let mut table = shared.lock().expect("a table");
        if let Some(refusal) = self.refusal(&table, upto) {
            let early = matches!(self.fault, Fault::QuarantinesEarly | Fault::DoublesAfterConflict);
            if self.fault == Fault::LeavesQuarantineBehind {
                table.quarantine.append(&mut self.aside);
            } else if early && matches!(refusal, Commit::Conflict(_)) {
                self.rows = 0;
                self.put(&mut table);
            }
            return Ok(refusal);
        }
        self.put(&mut table);
        match self.fault {
            Fault::ForgetsPositions => {}
            Fault::ForgetsOtherPartitions => table.positions = upto.clone(),
            _ => table.positions.advance(upto),
        }
        table.version += u64::from(self.fault != Fault::KeepsItsVersion);
        if self.fault != Fault::ShowsOldPositions {
            self.opened = table.positions.clone();
        }
        Ok(Commit::Done(table.version))
    }
}

fn run(fault: Fault) {
    let table = Arc::new(Mutex::new(Table::default()));
    let open = async || Box::new(Toy::open(&table, fault)) as Box<dyn Sink>;
    let shown = async || {
        let table = table.lock().expect("a table");
        Shown { rows: table.rows, quarantined: Some(table.quarantine.len() as u64) }
    };
    block_on(obeys(open, shown));
}

#[test]
fn a_good_sink_obeys() {
    assert_eq!(verdict(|| run(Fault::None)), None);
    assert_eq!(verdict(|| run(Fault::QuarantinesEarly)), None);
}

#[test]
fn broken_sinks_are_caught() {
    let faults = [
        (Fault::ShowsWhatIsWritten, "after `write` alone"),
        (Fault::DoublesInTheSameSink, "in the same sink"),
        (Fault::DoublesInANewSink, "in a new sink"),
        (Fault::ForgetsPositions, "position of"),
        (Fault::ForgetsOtherPartitions, "leaves it where it was"),
        (Fault::LastWins, "must be a Conflict"),
        (Fault::LeavesQuarantineBehind, "committed three times"),
        (Fault::DoublesAfterConflict, "brought again"),
        (Fault::TakesStalePositions, "the table is past"),
        (Fault::NeedsRowsToMove, "positions alone"),
        (Fault::KeepsItsVersion, "versions grow"),
        (Fault::LosesQuarantineOnly, "quarantined rows alone"),
        (Fault::ShowsOldPositions, "position of"),
    ];
    for (fault, word) in faults {
        assert_caught(&format!("{fault:?}"), word, || run(fault));
    }
}

#[test]
fn a_sink_may_keep_no_quarantine() {
    let table = Arc::new(Mutex::new(Table::default()));
    let open = async || Box::new(Toy::open(&table, Fault::None)) as Box<dyn Sink>;
    let shown = async || Shown { rows: table.lock().expect("a table").rows, quarantined: None };
    assert_eq!(verdict(|| block_on(obeys(open, shown))), None);
}

#[test]
fn the_laws_rows_have_the_schema_that_is_told() {
    let names: BTreeSet<String> = crate::laws::sink::schema().fields().iter().map(|f| f.name().clone()).collect();
    assert!(names.contains("id") && names.contains("name") && names.contains("_position"));
}
