//! PostgreSQL at length: kills, a transaction and values that are large. Needs: postgres.

use super::harness::postgres::{CREATE, Database, is_same, project};
use super::harness::{MEMORY_OF_A_TRANSACTION, sized};
use crate::harness::{Project, peak};
use std::time::{Duration, Instant};

#[test]
fn a_large_transaction_is_seen_whole_and_costs_little_memory() {
    let rows: u64 = sized(100_000, 5_000_000);
    let database = Database::new();
    database.sql(CREATE);
    let project = project(&database, &["mode: cdc"]);
    project.run();
    database.sql(&format!(
        "insert into orders select n, n, 'note ' || n, '2026-07-01 12:00+00' from generate_series(1, {rows}) n"
    ));
    let before = project.version("bronze.orders");
    let start = Instant::now();
    let peak = peak(&project, &["run", "--quiet", "--memory", "512MiB"]);
    println!("{rows} rows in one transaction: {:?}, at most {} MiB", start.elapsed(), peak >> 20);
    assert_eq!(project.version("bronze.orders"), before + 1, "it is seen whole");
    let sums = project.lines("select count(*), count(distinct id), cast(sum(amount) as varchar) from bronze.orders");
    assert_eq!(sums, [format!("{rows},{rows},{}.00", rows * (rows + 1) / 2)]);
    assert!(peak < MEMORY_OF_A_TRANSACTION, "{} MiB", peak >> 20);
}

#[test]
fn large_values_that_did_not_change_stay_what_they_were() {
    let database = Database::new();
    database.sql(CREATE);
    // Stored aside and not compressed, as values are that are not sent again.
    database.sql("alter table orders alter column note set storage external");
    let large = "repeat(md5(n::text), 200)";
    // 6,400 bytes each.
    let rows: u64 = sized(500, 160_000);
    database.sql(&format!("insert into orders select n, n, {large}, null from generate_series(1, {rows}) n"));
    let project = project(&database, &["mode: cdc"]);
    project.run();
    database.sql("update orders set amount = amount + 1; update orders set amount = amount * 2 where id % 2 = 0");
    database.sql(&format!("update orders set note = (select {large} from (select id + 7 as n) x) where id % 5 = 0"));
    project.run();
    let unsent = project.value("select count(*) from bronze.orders where _op = 'u' and array_length(_unchanged) = 1");
    assert!(unsent.as_u64() >= Some(rows * 7 / 5), "values were not sent: {unsent}");
    is_same(&project, &database);
    // A key that changes takes its large value along, though it is not sent.
    database.sql("update orders set id = -id where id < 50; update orders set amount = 1 where id < 0");
    project.run();
    is_same(&project, &database);
}

/// Writes until it is dropped: new rows, changes, changes beside a large value, other keys, deletes; each a transaction.
struct Writer(std::process::Child);

impl Writer {
    fn start(database: &Database) -> Self {
        let script = "do $$ declare n bigint := 100000; k bigint; begin loop
            n := n + 1; k := 1 + floor(random() * 6000)::bigint;
            insert into orders values (n, n * 0.01, repeat(md5(n::text), 1 + (n % 100)::int), date_trunc('second', clock_timestamp()));
            update orders set amount = amount + 1 where id = k;
            commit;
            update orders set note = repeat(md5(random()::text), 1 + (n % 90)::int) where id = n - 5;
            update orders set amount = amount + 2 where id between n - 3 and n;
            if n % 7 = 0 then delete from orders where id = k + 1; end if;
            if n % 11 = 0 then update orders set id = -id where id = k + 2 and k > 0; end if;
            if n % 3 = 0 then commit; else commit; end if;
            perform pg_sleep(0.002);
          end loop; end $$";
        let mut command = database.psql(&database.name);
        Self(command.args(["-c", script]).spawn().expect("a writer"))
    }

    fn stop(mut self, database: &Database) {
        assert_eq!(self.0.try_wait().expect("a child"), None, "the writer never stopped");
        database.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'do $$%' and datname = current_database()");
        self.0.wait().expect("its end");
    }
}

const KILLS_OF_ONE: u32 = 10;
/// On a machine that has other things to do a run may take minutes; the one that is killed has less to do.
const LONGEST_MAX: Duration = Duration::from_secs(10);

#[test]
fn kill_9_under_a_writer_that_never_stops_loses_nothing_and_doubles_nothing() {
    let mut dice = fastrand::Rng::with_seed(20_261_125);
    let (mut kills, mut in_snapshot, mut in_changes) = (0, 0, 0);
    let mut longest = Duration::from_millis(1500);
    while kills < sized(20, 200) {
        let database = Database::new();
        database.sql(CREATE);
        database.sql("alter table orders alter column note set storage external");
        database.sql("insert into orders select n, n, repeat(md5(n::text), 1 + n % 200), '2026-07-01 12:00+00' from generate_series(1, 20000) n");
        let project = project(&database, &["mode: cdc", "parallel: 2", "batch_rows_max: 500"]);
        let writer = Writer::start(&database);
        let mut has_run = false;
        let mut own = 0;
        while own < KILLS_OF_ONE {
            // One half of the kills before the table was taken whole, one behind it.
            if own == KILLS_OF_ONE / 2 && !has_run {
                let start = Instant::now();
                project.run();
                (has_run, longest) = (true, start.elapsed().min(LONGEST_MAX));
            }
            let mut call = project.call(&["run", "--quiet"]);
            let mut child = call.start();
            std::thread::sleep(longest.mul_f64(dice.f64()));
            if child.try_wait().expect("a child").is_some() {
                let output = child.wait_with_output().expect("what it said");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                continue;
            }
            child.kill().expect("kill -9");
            child.wait().expect("its end");
            own += 1;
            let begun = database.sql("select count(*) from pg_replication_slots where database = current_database()");
            match begun.as_str() {
                "0" => {}
                _ if project.path("lake/bronze/orders").exists() && is_streaming(&project) => in_changes += 1,
                _ => in_snapshot += 1,
            }
        }
        kills += own;
        writer.stop(&database);
        project.run();
        is_same(&project, &database);
        let doubles =
            "select count(*) from (select _position['partition'] as p, _position['offset'] as o, count(*) as n
            from bronze.orders group by 1, 2 having count(*) > 1)";
        assert_eq!(project.value(doubles), 0, "no change is there twice");
    }
    assert!(
        in_snapshot > 0 && in_changes > 0,
        "killed {in_snapshot} times before the changes and {in_changes} times in them"
    );
}

fn is_streaming(project: &Project) -> bool {
    project.count("bronze.orders where _op <> 'r'") > 0
}
