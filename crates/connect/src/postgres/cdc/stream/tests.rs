//! Where batches end, without a server.

use super::*;
use crate::spec::Opening;
use bytes::Bytes;
use kernel::Entity;
use kernel::clock::ManualClock;

const BEGUN: u64 = 1000;
const BYTES_MAX: usize = 1 << 20;

/// A stream behind `BEGUN`, of which `taken` rows of the next transaction were handed on.
fn stream(taken: u64) -> Stream {
    let entity = Entity {
        name: "t".into(),
        description: None,
        properties: Vec::new(),
        rules: Vec::new(),
        on_violation: Default::default(),
        schema_change: Default::default(),
        on_personal_data: Default::default(),
    };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(0));
    let opening = Opening {
        source: "t".into(),
        project: "test".into(),
        options: serde_json::json!({ "connection": "postgres://u@h/d", "table": "s.t", "mode": "cdc" }),
        base: Default::default(),
        entity,
        from: Positions::new(),
        store: Default::default(),
        clock: clock.clone(),
    };
    let mut stream = Stream {
        setup: Arc::new(Setup::read(&opening).expect("a setup")),
        clock,
        client: None,
        table: Table::bare("t", 5),
        partition: "s.t changes".into(),
        at: At { lsn: BEGUN, taken, snapshot: 1, table: 5, published: None, history: None },
        rows: 7,
        link: None,
        read: Reading::default(),
        target: None,
        settled: 0,
        is_news: false,
        warned: BTreeSet::new(),
    };
    stream.begin_again();
    stream
}

impl Stream {
    fn hears(&mut self, event: Event) {
        self.take(event, BYTES_MAX).expect("an event");
    }

    fn begins(&mut self) {
        self.hears(change(&[b"B", &9_u64.to_be_bytes(), &[0; 8], &[0; 4]]));
    }

    fn commits(&mut self, end: u64) {
        self.hears(change(&[b"C", &[0], &[0; 8], &end.to_be_bytes(), &[0; 8]]));
    }

    fn truncates(&mut self) {
        self.read.relation = Some(Relation { id: 5, schema: "s".into(), name: "t".into(), columns: Vec::new() });
        self.hears(change(&[b"T", &[0, 0, 0, 1], &[0], &[0, 0, 0, 5]]));
    }
}

fn change(parts: &[&[u8]]) -> Event {
    Event::Change(Bytes::from(parts.concat()))
}

/// How many rows it has, where it ends, and whether a commit may be there.
fn told(pulled: Pulled) -> (usize, At, u64, bool) {
    let point = pulled.upto.get("s.t changes").expect("a position");
    let (at, rows) = At::read("s.t changes", point).expect("its own");
    (pulled.rows.num_rows(), at, rows, pulled.whole)
}

#[test]
fn the_position_moves_while_log_passes_that_is_not_for_us() {
    let mut stream = stream(0);
    stream.hears(Event::Alive(BEGUN + PASSED_BYTES - 1));
    assert!(!stream.read.is_due, "a batch for every sign of life would be too many");
    stream.hears(Event::Alive(BEGUN + PASSED_BYTES));
    assert!(stream.read.is_due);
    let (rows, at, count, whole) = told(stream.batch().expect("a batch"));
    assert_eq!((rows, at.lsn, at.taken, count, whole), (0, BEGUN + PASSED_BYTES, 0, 7, true));
    stream.hears(Event::Alive(BEGUN + PASSED_BYTES + 1));
    assert!(!stream.read.is_due, "it begins to count anew");
    // Changes of other tables, as older servers tell them: transactions without a row.
    stream.begins();
    stream.commits(BEGUN + 2 * PASSED_BYTES);
    assert!(stream.read.is_due);
    assert_eq!(told(stream.batch().expect("a batch")).1.lsn, BEGUN + 2 * PASSED_BYTES);
}

#[test]
fn rows_that_wait_are_handed_on_with_the_log_behind_them() {
    let mut stream = stream(0);
    stream.begins();
    stream.truncates();
    stream.hears(Event::Alive(BEGUN + 2 * PASSED_BYTES));
    assert!(!stream.read.is_due, "in a transaction there is no end");
    stream.commits(BEGUN + 50);
    assert!(!stream.read.is_due, "one row waits for more");
    stream.hears(Event::Alive(BEGUN + PASSED_BYTES));
    assert!(stream.read.is_due);
    let (rows, at, count, whole) = told(stream.batch().expect("a batch"));
    assert_eq!((rows, at.lsn, at.taken, count, whole), (1, BEGUN + PASSED_BYTES, 0, 8, true));
}

/// Its first rows are counted off when it comes again: the position stays before it.
#[test]
fn a_transaction_that_was_cut_is_not_passed_over() {
    let mut stream = stream(1);
    stream.hears(Event::Alive(BEGUN + PASSED_BYTES));
    stream.ends_here(1);
    assert!(!stream.read.is_due);
    let (rows, at, _, whole) = told(stream.nothing_yet().expect("a call that ends"));
    assert_eq!((rows, at.lsn, at.taken, whole), (0, BEGUN, 1, false));
    stream.begins();
    stream.truncates();
    stream.truncates();
    stream.commits(BEGUN + 2 * PASSED_BYTES);
    assert!(stream.read.is_due);
    let (rows, at, _, whole) = told(stream.batch().expect("a batch"));
    assert_eq!((rows, at.lsn, at.taken, whole), (1, BEGUN + 2 * PASSED_BYTES, 0, true));
}

#[test]
fn a_call_that_has_had_its_time_ends_with_what_there_is() {
    let mut stream = stream(0);
    stream.ends_here(1);
    assert!(!stream.read.is_due, "nothing was passed");
    let (rows, at, count, whole) = told(stream.nothing_yet().expect("a call that ends"));
    assert_eq!((rows, at.lsn, count, whole), (0, BEGUN, 7, true));
    stream.hears(Event::Alive(BEGUN + 8));
    stream.ends_here(1);
    assert!(stream.read.is_due);
    assert_eq!(told(stream.batch().expect("a batch")).1.lsn, BEGUN + 8);
}
