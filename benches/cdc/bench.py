"""cdc: PostgreSQL's changes into a Delta table: how many a second of a backlog, and how late they are under a steady writer.

Backlog: Lavra, Lavra once more as the control, and pg_recvlogical, PostgreSQL's own client, take turns at the same changes. That
client decodes nothing and writes what it is sent to /dev/null. Lateness: `lavra up` beside pgbench; of every row the time
between its commit in the database (`_changed_at`) and the commit of the table that shows it (the time of its file in the Delta log).
Both ends compare the tables with the database.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import duckdb
import pyarrow.parquet as parquet
from deltalake import DeltaTable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "file2delta"))
import bench as common  # noqa: E402

WORK = common.WORK
RECIPE = ROOT / "tests/services/recipes/postgres"
PROGRAMS = Path("/usr/lib/postgresql/15/bin")
GOAL_CHANGES_S, GOAL_P99_S = 100e3, 1.0
TABLE = "id bigint primary key, customer bigint, amount numeric(12,2), status text, note text, at timestamptz"
# A transaction of a hundred changes: 60 new rows, 30 that change, 10 that go.
TRANSACTION = """
    insert into orders select n, n % 1000, (n % 100000) / 100.0, 'new', 'order number ' || n, clock_timestamp()
      from generate_series(base + 1, base + 60) n;
    update orders set status = 'paid', amount = amount + 1 where id between base + 1 and base + 30;
    delete from orders where id between base + 51 and base + 60;"""
CHANGES = 100


def main():
    args = arguments()
    lavra, build = common.find_lavra()
    print(f"cdc: {args.changes} changes a round, {args.rounds} rounds, {common.cores()} cores\nlavra: {build}", flush=True)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    env = dict(os.environ, LAVRA_SERVICES_STATE=str(ROOT / "target" / "bench-postgres"))
    subprocess.run([RECIPE, "start", "--yes"], check=True, env=env, stdout=subprocess.DEVNULL)
    try:
        told = subprocess.run([RECIPE, "status"], check=True, env=env, capture_output=True, text=True).stdout
        database = Database(told.split()[-1].removeprefix("postgres://"))
        database.fresh()
        good = backlog(database, [Project(name, lavra, database, None) for name in ["backlog", "control"]], args)
        database.fresh()
        return 0 if lateness(database, Project("late", lavra, database, args.commit_every), args) and good else 1
    finally:
        subprocess.run([RECIPE, "stop"], env=env)
        shutil.rmtree(WORK, ignore_errors=True)


def arguments():
    parser = argparse.ArgumentParser(prog="cargo x bench cdc", description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=2_000_000, help="of a round [default: 2000000]")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--rate", type=int, default=10_000, help="changes a second of the steady writer [default: 10000]")
    parser.add_argument("--seconds", type=int, default=60, help="how long it writes [default: 60]")
    parser.add_argument("--commit-every", default="250 milliseconds", help="of `lavra up` [default: 250 milliseconds]")
    parser.add_argument("--small", action="store_true", help="200000 changes, ten seconds: a quick look")
    args = parser.parse_args()
    if args.small:
        args.changes, args.seconds = 200_000, 10
    return args


class Database:
    """A database of its own, with a slot for each of its readers."""

    def __init__(self, address):
        self.address = address
        self.env = dict(os.environ, PGPASSWORD="postgres", PGUSER="postgres", PGHOST=address.split(":")[0],
                        PGPORT=address.split(":")[1], PGSSLMODE="disable", PGDATABASE="postgres")
        self.base = 0

    def sql(self, text):
        command = ["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self.env).stdout.strip()

    def fresh(self):
        """An empty table, which the server does not vacuum beside one of its readers."""
        self.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        self.sql("do $$ declare name text; begin for name in select pubname from pg_publication loop "
                 "execute format('drop publication %I', name); end loop; end $$; drop table if exists orders")
        self.sql(f"create table orders ({TABLE}) with (autovacuum_enabled = false)")
        self.sql("create publication bench for table orders")
        self.base = 0

    def write(self, transactions):
        """Transactions that are there when it returns; their number of changes."""
        loop = f"for turn in 0..{transactions - 1} loop base := {self.base} + turn * 60; {TRANSACTION} commit; end loop"
        self.sql(f"do $$ declare base bigint; begin {loop}; end $$")
        # Else the first reader would have it beside itself.
        self.sql("checkpoint")
        self.base += transactions * 60
        return transactions * CHANGES

    def state(self):
        return self.sql("select count(*), sum(id), sum(amount), sum(length(note)), count(*) filter (where status = 'paid') from orders")


class Project:
    def __init__(self, name, lavra, database, commit_every):
        self.folder, self.lavra, self.database = WORK / name, lavra, database
        subprocess.run([lavra, "init", self.folder], check=True, capture_output=True)
        url = f"postgres://postgres:postgres@{database.address}/postgres?sslmode=disable"
        source = f"connector: postgres\nconnection: {url}\ntable: orders\nmode: cdc\nslot: bench_{name}\n"
        if commit_every:
            source += f"schedule: continuous\ncommit_every: {commit_every}\n"
        (self.folder / "sources/orders.yaml").write_text(source)
        shutil.copy(HERE / "orders.contract.yaml", self.folder / "contracts/orders.yaml")
        # Makes the slot; of an empty table there is nothing to take.
        subprocess.run(self.command(), check=True, capture_output=True)

    def command(self):
        return [self.lavra, "--project", self.folder, "run", "--quiet", "--format", "json"]

    def table(self):
        return DeltaTable(str(self.folder / "lake/bronze/orders"))

    def is_equal(self, changes):
        """Whether the table tells every change once, and its last ones are the database's rows."""
        log = self.table().to_pyarrow_dataset()  # noqa: F841, DuckDB finds it by its name
        last = ("select *, row_number() over (partition by id order by _position.offset desc) as turn from log")
        got = duckdb.sql(f"select count(*), sum(id), sum(amount), sum(length(note)), count(*) filter (where status = 'paid') "
                         f"from ({last}) where turn = 1 and _op <> 'd'").fetchall()[0]
        count = duckdb.sql("select count(*) from log").fetchall()[0][0]
        here, there = "|".join(str(part) for part in got), self.database.state()
        if (count, here) != (changes, there):
            print(f"NOT EQUAL: {count} of {changes} changes; the table's rows are {here}, the database's {there}")
            return False
        print(f"  equal to the database: {changes} changes, rows {here}")
        return True


def backlog(database, projects, args):
    print("\na backlog", flush=True)
    database.sql("select pg_create_logical_replication_slot('peer', 'pgoutput')")
    costs = {name: common.Cost() for name in ["lavra", "control", "pg_recvlogical"]}
    own, control, peer = costs.values()
    written = 0
    for turn in range(args.rounds):
        count = database.write(args.changes // CHANGES)
        written += count
        end = database.sql("select pg_current_wal_lsn()")
        recv = [PROGRAMS / "pg_recvlogical", "-S", "peer", "--start", "-f", "/dev/null", f"--endpos={end}", "-d", "postgres",
                "-o", "proto_version=2", "-o", "publication_names=bench"]
        takes = {"pg_recvlogical": lambda: with_env(database.env, recv, peer)}
        for (name, cost), project in zip([("lavra", own), ("control", control)], projects):
            takes[name] = lambda project=project, cost=cost: common.measure(project.command(), cost)
        for name in common.in_turn(takes, turn):
            takes[name]()
    for name, cost in costs.items():
        rates = " ".join(f"{count / wall / 1e3:.0f}" for wall in cost.wall_s)
        print(f"  {name:<16}{count / median(cost.wall_s) / 1e3:.0f} thousand changes/s ({rates}), {cost.cpu:.2f} CPU-s of the client, "
              f"{max(cost.rss_mb):.0f} MB")
    rate = count / median(own.wall_s)
    held = common.CONTROL[0] <= median(control.wall_s) / median(own.wall_s) <= common.CONTROL[1]
    print(f"  {median(peer.wall_s) / median(own.wall_s):.2f}x the changes a second of pg_recvlogical; control "
          f"{median(control.wall_s) / median(own.wall_s):.2f}{'' if held else ': the machine was not quiet, this is no score'}; "
          f"goal {GOAL_CHANGES_S / 1e3:.0f} thousand changes/s: {'reached' if rate >= GOAL_CHANGES_S else 'NOT reached'}")
    return all([project.is_equal(written) for project in projects]) and rate >= GOAL_CHANGES_S and held


def with_env(env, command, cost):
    os.environ.update({key: value for key, value in env.items() if key.startswith("PG")})
    common.measure(command, cost)


def lateness(database, project, args):
    print(f"\n{args.rate} changes/s for {args.seconds} s, `commit_every: {args.commit_every}`", flush=True)
    script = WORK / "steady.sql"
    rows = 20
    database.sql("drop sequence if exists ids; create sequence ids")
    script.write_text(
        f"select nextval('ids') * {rows} as base \\gset\n"
        "insert into orders select n, n % 1000, (n % 100000) / 100.0, 'new', 'order number ' || n, clock_timestamp() "
        f"from generate_series(:base + 1, :base + {rows}) n;\n"
    )
    up = subprocess.Popen([project.lavra, "--project", project.folder, "up"], stdout=subprocess.DEVNULL,
                          stderr=open(WORK / "up.log", "w"))
    try:
        time.sleep(5)
        pgbench = [PROGRAMS / "pgbench", "-n", "-f", script, "-c", "4", "-R", str(args.rate / rows), "-T", str(args.seconds)]
        subprocess.run(pgbench, check=True, capture_output=True, env=database.env)
        written = int(database.sql("select count(*) from orders"))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and project.table().to_pyarrow_dataset().count_rows() < written:
            time.sleep(0.5)
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(timeout=60)
    lags = sorted(late(project))
    p50, p90, p99 = (lags[int(len(lags) * share)] for share in [0.5, 0.9, 0.99])
    print(f"  {written} changes, {written / args.seconds:.0f} a second, in {project.table().version()} commits")
    print(f"  from the database's commit to the table's: p50 {p50:.3f} s, p90 {p90:.3f} s, p99 {p99:.3f} s, most {lags[-1]:.3f} s; "
          f"goal p99 below {GOAL_P99_S:.0f} s: {'reached' if p99 < GOAL_P99_S else 'NOT reached'}")
    return project.is_equal(written) and p99 < GOAL_P99_S


def late(project):
    """Seconds of each row. A file of the log is there when its table's readers can see it."""
    log = project.folder / "lake/bronze/orders/_delta_log"
    lags = []
    for commit in sorted(log.glob("*.json")):
        shown = commit.stat().st_mtime
        for path in files_of(commit):
            times = parquet.read_table(log.parent / path, columns=["_changed_at"])["_changed_at"].cast("int64").to_pylist()
            lags.extend(shown - at / 1e6 for at in times if at is not None)
    return lags


def files_of(commit):
    actions = (json.loads(line) for line in commit.read_text().splitlines())
    return [action["add"]["path"] for action in actions if "add" in action]


if __name__ == "__main__":
    sys.exit(main())
