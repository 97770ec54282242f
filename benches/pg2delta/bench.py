"""pg2delta: CPU-seconds and rows a second from a table of PostgreSQL to a Delta table, Lavra beside its peers.

What is counted is user and system time of the client's process tree, starting up included; the server's own work is the same
for all and is not counted. Engines take turns; a control (Lavra against itself) says whether the machine was quiet enough.
The server is started by tests/services/recipes/postgres and stopped at the end.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "file2delta"))
import bench as common  # noqa: E402

WORK = common.WORK
PEERS = ["adbc", "connectorx"]
RECIPE = ROOT / "tests/services/recipes/postgres"
LEAST, GOAL_ROWS_S, GOAL_CPU_S = 1.2, 1.1e6, 3.0
COLUMNS = """l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber int, l_quantity numeric(15,2),
  l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), l_returnflag text, l_linestatus text,
  l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct text, l_shipmode text, l_comment text"""


def main():
    args = arguments()
    lavra, build = common.find_lavra()
    print(f"pg2delta: lineitem at scale {args.scale}, {args.rounds} rounds, {common.cores()} cores")
    print(f"lavra: {build}")
    data = ROOT / "target" / "bench-data" / f"sf{args.scale}"
    common.lineitem("make", data, args.scale)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    state = ROOT / "target" / "bench-postgres"
    env = dict(os.environ, LAVRA_SERVICES_STATE=str(state))
    subprocess.run([RECIPE, "start", "--yes"], check=True, env=env, stdout=subprocess.DEVNULL)
    try:
        address = subprocess.run([RECIPE, "status"], check=True, env=env, capture_output=True, text=True).stdout.split()[-1]
        url = address.replace("postgres://", "postgresql://postgres:postgres@") + "/postgres"
        fill(url, data / "lineitem.csv")
        return compare(url, data / "lineitem.parquet", lavra, args)
    finally:
        subprocess.run([RECIPE, "stop"], env=env)
        shutil.rmtree(WORK, ignore_errors=True)


def arguments():
    parser = argparse.ArgumentParser(prog="cargo x bench pg2delta", description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="1", help="TPC-H scale factor [default: 1, 6 million rows]")
    parser.add_argument("--small", action="store_true", help="scale 0.1, for a quick look")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.small:
        args.scale = "0.1"
    return args


def psql(url, sql, stdin=None):
    command = ["psql", url, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql]
    return subprocess.run(command, check=True, stdin=stdin, capture_output=True, text=stdin is None).stdout


def fill(url, csv):
    psql(url, f"create table lineitem ({COLUMNS})")
    with open(csv, "rb") as file:
        psql(url, "copy lineitem from stdin (format csv, header)", stdin=file)
    psql(url, "vacuum (analyze, freeze) lineitem")
    psql(url, "checkpoint")


class Run:
    """An engine's turn."""

    masked = False

    def __init__(self, name, url, lavra):
        self.engine = name.replace("control", "lavra")
        self.url, self.lavra = url, lavra
        self.folder = WORK / name
        self.table = self.folder / ("lake/bronze/lineitem" if self.engine == "lavra" else "table")
        if self.engine == "lavra" and not self.folder.exists():
            self.make_project()

    def make_project(self):
        subprocess.run([self.lavra, "init", self.folder], check=True, capture_output=True)
        source = f"connector: postgres\nconnection: {self.url}?sslmode=disable\ntable: lineitem\nparallel: 2\n"
        (self.folder / "sources/lineitem.yaml").write_text(source)
        contract = (HERE.parent / "file2delta/lineitem.contract.yaml").read_text()
        contract = "\n".join(line for line in contract.splitlines() if "property: mask" not in line)
        (self.folder / "contracts/lineitem.yaml").write_text(contract + "\n")

    def clear(self):
        shutil.rmtree(self.table, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def start_command(self):
        if self.engine == "lavra":
            return [self.lavra, "--project", self.folder, "check"]
        return [sys.executable, HERE / "peers.py", self.engine]

    def command(self):
        if self.engine == "lavra":
            return [self.lavra, "--project", self.folder, "run", "--quiet", "--format", "json"]
        return [*self.start_command(), self.url, self.table]


def compare(url, source, lavra, args):
    names = ["lavra", "control", *PEERS]
    costs = {name: common.Cost() for name in names}
    expected = {False: common.lineitem("of_file", source, "open")}
    rows = int(psql(url, "select count(*) from lineitem"))
    for name in names:
        run = Run(name, url, lavra)
        costs[name].start_s = median(common.measure(run.start_command(), common.Cost()).cpu_s[-1] for _ in range(3))
    for turn in range(args.rounds):
        for name in common.in_turn(names, turn):
            if not costs[name].fault:
                common.once(Run(name, url, lavra), costs[name], expected, check=turn == 0)
    common.show(costs, source.stat().st_size)
    return verdict(costs, rows)


def verdict(costs, rows):
    good = {name: cost for name, cost in costs.items() if not cost.fault}
    for name, cost in good.items():
        print(f"  {name:<14}{rows / median(cost.wall_s) / 1e6:.2f} M rows/s, {rows / cost.cpu / 1e6:.2f} M rows a CPU-second")
    if "lavra" not in good or "control" not in good:
        return 1
    own = good["lavra"]
    peers = [name for name in PEERS if name in good]
    if peers:
        fastest = min(peers, key=lambda name: median(good[name].wall_s))
        least = min(peers, key=lambda name: good[name].cpu)
        print(f"  rows a second against the best peer ({fastest}): {median(good[fastest].wall_s) / median(own.wall_s):.2f}x; "
              f"at least {LEAST}, goal {GOAL_ROWS_S / 1e6} M rows/s")
        print(f"  CPU-seconds of the client against the best peer ({least}): {good[least].cpu / own.cpu:.2f}x; "
              f"goal {GOAL_CPU_S} CPU-s at scale 1")
    control = good["control"].cpu / own.cpu
    print(f"  control (lavra against itself): {control:.2f}")
    if not common.CONTROL[0] <= control <= common.CONTROL[1]:
        print(f"\nThe control is outside {common.CONTROL[0]}-{common.CONTROL[1]}: other work disturbed this run, its ratios are no score.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
