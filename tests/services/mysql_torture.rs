//! MariaDB at length: a transaction that is large, sources and processes that die under a writer. Needs: mariadb.

use super::harness::mariadb::{ACCOUNT, Database, accounts};
use super::harness::opened::{entity, open, rows, text};
use super::harness::{MEMORY_OF_A_TRANSACTION, sized};
use crate::harness::{Project, peak};
use arrow::array::RecordBatch;
use kernel::Positions;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What the changes come to, applied one after another.
#[derive(Default)]
struct State {
    rows: BTreeMap<String, String>,
    letters: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

impl State {
    fn apply(&mut self, batch: &RecordBatch, columns: &[&str]) {
        for row in 0..batch.num_rows() {
            let (op, id) = (text(batch, "_op", row), text(batch, "id", row));
            *self.letters.entry(op.clone()).or_default() += 1;
            let all: Vec<String> = columns.iter().map(|column| text(batch, column, row)).collect();
            match op.as_str() {
                "t" => self.rows.clear(),
                "d" if self.rows.remove(&id).is_none() => self.wrong.push(format!("{id} is deleted and was not there")),
                "d" => {}
                "c" | "r" if self.rows.contains_key(&id) => {
                    self.wrong.push(format!("{id} comes twice ({op})"));
                    self.rows.insert(id, all.join("\t"));
                }
                "c" | "r" => {
                    self.rows.insert(id, all.join("\t"));
                }
                _ => {
                    if !self.rows.contains_key(&id) {
                        self.wrong.push(format!("{id} changes and was not there"));
                    }
                    self.rows.insert(id, all.join("\t"));
                }
            }
        }
    }
}

const STATE: &str = "SELECT id, IFNULL(name, ''), IFNULL(amount, ''), IFNULL(n, '') FROM accounts";

/// Transactions of several statements: new rows, changes of many, keys that move, deletions, and rolled back ones.
fn busy(number: u64) -> String {
    let (id, other) = (number * 3 + 1, number.wrapping_mul(7919) % (number * 3 + 100));
    match number % 10 {
        9 => format!("BEGIN; INSERT INTO accounts VALUES ({id}, 'gone', 0, 0); ROLLBACK;"),
        8 => format!(
            "BEGIN; UPDATE accounts SET id = -id WHERE id IN ({other}, {id}); UPDATE accounts SET n = n + 1 WHERE id < 0 LIMIT 20; COMMIT;"
        ),
        7 => format!(
            "BEGIN; DELETE FROM accounts WHERE id BETWEEN {other} AND {other} + 2; INSERT INTO other VALUES ({number}); COMMIT;"
        ),
        _ => format!(
            "BEGIN; INSERT INTO accounts VALUES ({id}, 'ação {id}', {number}.5, 0), ({id} + 1, NULL, NULL, 1); \
             UPDATE accounts SET amount = IFNULL(amount, 0) + 1, n = n + 1 WHERE id BETWEEN {other} AND {other} + 30; COMMIT;"
        ),
    }
}

/// Sources are dropped at seeded batches, in the table, behind it and inside of transactions, and opened where the last
/// commit could have been, while a writer goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_dies_anywhere_under_a_writer_ends_with_the_database() {
    let columns = ["id", "name", "amount", "n"];
    let entity = entity(&["id"], &columns);
    for seed in 0..sized(2, 12) {
        let database = Database::new("dies");
        accounts(&database, 3_000);
        let writer = database.writer(busy);
        let mut dice = fastrand::Rng::with_seed(seed);
        let given = json!({ "connection": database.url(), "table": "accounts", "mode": "cdc", "batch_rows_max": 200 });
        let (mut state, mut committed, mut deaths, mut mid_table) = (State::default(), Positions::new(), 0, 0);
        let mut writer = Some(writer);
        loop {
            let mut source = open("mysql", &given, &entity, committed.clone()).await;
            let mut left = dice.usize(1..12);
            let (mut waiting, mut upto) = (Vec::new(), committed.clone());
            let ended = loop {
                let size = [1, 500, 1 << 20][dice.usize(0..3)];
                if dice.u8(0..8) == 0 {
                    let _ = tokio::time::timeout(Duration::from_micros(dice.u64(0..3000)), source.next(size))
                        .await
                        .map(|pulled| {
                            pulled.expect("a batch").map(|pulled| {
                                let whole = pulled.whole;
                                upto.advance(&pulled.upto);
                                waiting.push(rows(pulled));
                                commit(whole, &mut waiting, &mut state, &upto, &mut committed, &columns);
                            })
                        });
                    continue;
                }
                let Some(pulled) = source.next(size).await.expect("a batch") else { break true };
                let whole = pulled.whole;
                upto.advance(&pulled.upto);
                waiting.push(rows(pulled));
                commit(whole, &mut waiting, &mut state, &upto, &mut committed, &columns);
                left = left.saturating_sub(1);
                if left == 0 && deaths < 60 {
                    break false;
                }
            };
            deaths += u32::from(!ended);
            mid_table += u32::from(!ended && format!("{committed:?}").contains("reading"));
            if ended && deaths >= 60 {
                match writer.take() {
                    Some(writer) => {
                        assert!(writer.written() > 100, "the writer wrote");
                        writer.stop();
                    }
                    None => break,
                }
            }
        }
        let mut found: Vec<String> = state.rows.into_values().collect();
        found.sort();
        assert_eq!(found, database.lines(STATE), "seed {seed}");
        println!(
            "seed {seed}: {deaths} deaths, {mid_table} in the table, {:?}, {} seen twice or late",
            state.letters,
            state.wrong.len()
        );
        assert!(mid_table > 0, "some deaths are in the middle of the table");
    }
}

/// What is whole is committed; what is not goes with the source.
fn commit(
    whole: bool,
    waiting: &mut Vec<RecordBatch>,
    state: &mut State,
    upto: &Positions,
    committed: &mut Positions,
    columns: &[&str],
) {
    if whole {
        waiting.drain(..).for_each(|batch| state.apply(&batch, columns));
        committed.advance(upto);
    }
}

/// MariaDB tells where in the log the state that is read was: nothing comes twice.
#[tokio::test(flavor = "multi_thread")]
async fn the_hand_over_from_the_table_to_the_log_is_exact_under_a_writer() {
    let columns = ["id", "name", "amount", "n"];
    let entity = entity(&["id"], &columns);
    let database = Database::new("exact");
    accounts(&database, 20_000);
    let writer = database.writer(busy);
    while writer.written() < 50 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let given = json!({ "connection": database.url(), "table": "accounts", "mode": "cdc" });
    let mut source = open("mysql", &given, &entity, Positions::new()).await;
    let mut state = State::default();
    while let Some(pulled) = source.next(100_000).await.expect("a batch") {
        state.apply(&rows(pulled), &columns);
    }
    writer.stop();
    while let Some(pulled) = source.next(100_000).await.expect("a batch") {
        state.apply(&rows(pulled), &columns);
    }
    assert_eq!(state.wrong, Vec::<String>::new());
    let mut found: Vec<String> = state.rows.into_values().collect();
    found.sort();
    assert_eq!(found, database.lines(STATE));
    assert!(
        state.letters["r"] > 20_000 && state.letters.contains_key("u") && state.letters.contains_key("d"),
        "{:?}",
        state.letters
    );
}

/// The table as the change log of bronze tells it.
const FOLDED: &str = "with log as (select *, _position['offset'] as o from bronze.accounts), \
    last as (select *, row_number() over (partition by id order by o desc) as place from log \
             where o > coalesce((select max(o) from log where _op = 't'), 0)) \
    select id, coalesce(name, '') as name, coalesce(cast(amount as varchar), '') as amount, coalesce(cast(n as varchar), '') as n \
    from last where place = 1 and _op <> 'd'";

fn project(database: &Database, name: &str) -> Project {
    let project = Project::new(name);
    let source = format!("connector: mysql\nconnection: {}\ntable: accounts\nmode: cdc\n", database.url());
    project.write("sources/accounts.yaml", source).contract("accounts", ACCOUNT, &[]);
    project
}

#[test]
fn a_large_transaction_is_seen_whole_and_costs_little_memory() {
    let rows: u64 = sized(100_000, 5_000_000);
    let database = Database::new("large");
    accounts(&database, 1);
    let project = project(&database, "large");
    project.run();
    database.sql(&format!("INSERT INTO accounts SELECT -seq, CONCAT('note ', seq), seq, 1 FROM seq_1_to_{rows}"));
    let before = project.version("bronze.accounts");
    let start = Instant::now();
    let peak = peak(&project, &["run", "--quiet", "--memory", "512MiB"]);
    println!("{rows} rows in one transaction: {:?}, at most {} MiB", start.elapsed(), peak >> 20);
    assert_eq!(project.version("bronze.accounts"), before + 1, "it is seen whole");
    let sums = project.lines(
        "select count(*), count(distinct id), cast(sum(amount) as varchar) from bronze.accounts where _op = 'c'",
    );
    assert_eq!(sums, [format!("{rows},{rows},{}.00", rows * (rows + 1) / 2)]);
    assert!(peak < MEMORY_OF_A_TRANSACTION, "{} MiB", peak >> 20);
}

#[test]
fn kill_nine_under_a_writer_that_never_stops_loses_and_doubles_nothing() {
    let database = Database::new("killed");
    accounts(&database, 10_000);
    let writer = database.writer(busy);
    // How long a run takes here and now.
    let start = Instant::now();
    project(&database, "straight").run();
    let (project, mut longest) = (project(&database, "killed"), start.elapsed());
    let mut dice = fastrand::Rng::with_seed(20_261_126);
    let (begun, mut kills, mut runs) = (Instant::now(), 0, 0);
    let enough = sized(20, 200);
    while kills < enough || runs < 5 {
        let start = Instant::now();
        let mut child = project.call(&["run", "--quiet"]).start();
        let patience = if kills < enough { longest.mul_f64(dice.f64() * 1.3) } else { longest * 10 };
        while start.elapsed() < patience && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        if child.try_wait().expect("a child").is_some() {
            let output = child.wait_with_output().expect("what it said");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            (longest, runs) = (longest.max(start.elapsed()), runs + 1);
        } else {
            child.kill().expect("kill -9");
            child.wait().expect("its end");
            kills += 1;
        }
    }
    writer.stop();
    project.run();
    let found: Vec<String> =
        project.lines(FOLDED).iter().map(|line| line.replace(',', "\t").replace('"', "")).collect();
    assert_eq!(found, database.lines(STATE), "after {kills} kills");
    let twice = project
        .lines("select _position['offset'] as o, count(*) as n from bronze.accounts group by 1 having count(*) > 1");
    assert_eq!(twice, Vec::<String>::new(), "no row of the log is there twice");
    println!("{kills} kills and {runs} whole runs in {:?}", begun.elapsed());
}
