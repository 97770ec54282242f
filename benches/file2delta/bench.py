"""file2delta: CPU-seconds from a file to a Delta table, Lavra beside its peers.

What is counted is user and system time of the whole process tree, starting up included. Engines take turns; a control
(Lavra against itself) says whether the machine was quiet enough for the numbers to mean anything.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "bench-work"
PEERS = ["polars", "duckdb"]
# What the hardware allows, in bytes of input per CPU-second: 2.2 CPU-s for the 766 MB of CSV at scale 1 (SIMD scan 0.5,
# 96 M typed fields 0.8, encoding 0.6, snappy 0.3), and for NDJSON what a parser of the simdjson kind reaches.
LIMIT_BYTES_PER_CPU_S = {"csv": 766e6 / 2.2, "ndjson": 700e6}
GOAL = 2.5
MASKING_MAX = 1.25
CONTROL = (0.95, 1.05)
ROWS_PER_SCALE = 6_001_215


@dataclass
class Cost:
    cpu_s: list = field(default_factory=list)
    wall_s: list = field(default_factory=list)
    rss_mb: list = field(default_factory=list)
    others: list = field(default_factory=list)
    start_s: float = 0.0
    written: int = 0
    fault: str = ""

    @property
    def cpu(self):
        return median(self.cpu_s)


def in_turn(names, turn):
    """The order of a round: the control last, and every second one backwards, so that it and what it is held against come
    behind the same others."""
    order = sorted(names, key=lambda name: name.startswith("control"))
    return order[:: -1 if turn % 2 else 1]


def main():
    args = arguments()
    lavra, build = find_lavra()
    print(f"file2delta: lineitem at scale {args.scale}, {args.rounds} rounds, {cores()} cores")
    print(f"lavra: {build}")
    data = ROOT / "target" / "bench-data" / f"sf{args.scale}"
    lineitem("make", data, args.scale)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    quiet = True
    for format in args.formats:
        quiet &= compare(format, data / f"lineitem.{format}", data / "lineitem.parquet", lavra, args)
    shutil.rmtree(WORK, ignore_errors=True)
    if not quiet:
        print(f"\nThe control is outside {CONTROL[0]}-{CONTROL[1]}: other work disturbed this run, its ratios are no score.")
    return 0 if quiet else 1


def arguments():
    parser = argparse.ArgumentParser(prog="cargo x bench file2delta", description=__doc__.splitlines()[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--scale", help="TPC-H scale factor [default: 1, which is 766 MB of CSV]")
    size.add_argument("--small", action="store_true", help="scale 0.1, for a quick look")
    size.add_argument("--rows", type=int, help="about this many rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", default="csv,ndjson,parquet", help="csv,ndjson,parquet")
    args = parser.parse_args()
    args.formats = args.formats.split(",")
    if args.small:
        args.scale = "0.1"
    elif args.rows:
        args.scale = f"{args.rows / ROWS_PER_SCALE:.4g}"
    args.scale = args.scale or "1"
    return args


def find_lavra():
    given = os.environ.get("LAVRA_BIN")
    for binary, build in [
        (given and Path(given), f"{given}, as given by LAVRA_BIN"),
        (ROOT / "target/release/lavra", "target/release/lavra, a release build"),
        (ROOT / "target/debug/lavra", "target/debug/lavra, dev profile (hot crates optimised, the others not)"),
    ]:
        if binary and binary.exists():
            return binary, build
    sys.exit("there is no lavra to measure: run `cargo build` or `cargo build --release`, or set LAVRA_BIN")


def cores():
    return len(os.sched_getaffinity(0))


def compare(format, file, source, lavra, args):
    """Measures one format and prints it; whether the control held."""
    print(f"\n{format}: {file.stat().st_size / 1e6:.0f} MB", flush=True)
    names = ["lavra", "control", *PEERS, "lavra masked"]
    costs = {name: Cost() for name in names}
    expected = {masked: lineitem("of_file", source, "masked" if masked else "open") for masked in [False, True]}
    for name in names:
        run = Run(name, format, file, lavra)
        costs[name].start_s = median(measure(run.start_command(), Cost()).cpu_s[-1] for _ in range(3))
    for turn in range(args.rounds):
        for name in in_turn(names, turn):
            if not costs[name].fault:
                once(Run(name, format, file, lavra), costs[name], expected, check=turn == 0)
    show(costs, file.stat().st_size)
    return verdict(costs, format, file.stat().st_size)


def once(run, cost, expected, check):
    run.clear()
    os.sync()
    try:
        measure(run.command(), cost)
    except subprocess.CalledProcessError as error:
        cost.fault = f"n/a: {error.stderr.strip().splitlines()[-1] if error.stderr.strip() else error}"
        return
    if check:
        cost.written = sum(file.stat().st_size for file in run.table.rglob("*.parquet"))
        got = lineitem("of_table", run.table, "masked" if run.masked else "open")
        if got != expected[run.masked]:
            cost.fault = f"n/a: the table holds ({got}) and its file ({expected[run.masked]})"


def lineitem(*arguments):
    done = subprocess.run([sys.executable, HERE / "lineitem.py", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"lineitem.py {' '.join(map(str, arguments))} failed")
    return done.stdout.strip()


class Run:
    """An engine's turn."""

    def __init__(self, name, format, file, lavra):
        self.engine = name.split()[0].replace("control", "lavra")
        self.masked = name.endswith("masked")
        self.format, self.file, self.lavra = format, file, lavra
        self.folder = WORK / f"{format}-{name.replace(' ', '-')}"
        self.table = self.folder / ("lake/bronze/lineitem" if self.engine == "lavra" else "table")
        if self.engine == "lavra" and not self.folder.exists():
            self.make_project()

    def make_project(self):
        subprocess.run([self.lavra, "init", self.folder], check=True, capture_output=True)
        source = f"connector: files\npath: {self.file}\nformat: {self.format}\n"
        (self.folder / "sources/lineitem.yaml").write_text(source)
        contract = (HERE / "lineitem.contract.yaml").read_text()
        if not self.masked:
            contract = "\n".join(line for line in contract.splitlines() if "property: mask" not in line)
        (self.folder / "contracts/lineitem.yaml").write_text(contract + "\n")

    def clear(self):
        shutil.rmtree(self.table, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def start_command(self):
        if self.engine == "lavra":
            return [self.lavra, "--project", self.folder, "check"]
        return [sys.executable, HERE / "peers.py", self.engine, self.format]

    def command(self):
        if self.engine == "lavra":
            return [self.lavra, "--project", self.folder, "run", "--quiet", "--format", "json"]
        return [*self.start_command(), self.file, self.table]


def measure(command, cost):
    """Runs a command to its end and adds what it took, descendants included."""
    busy, began = busy_s(), time.monotonic()
    env = dict(os.environ, POLARS_MAX_THREADS=str(cores()))
    with open(WORK / "stderr", "w+") as errors:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=env)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            errors.seek(0)
            raise subprocess.CalledProcessError(child.returncode, command, stderr=errors.read())
    wall, cpu = time.monotonic() - began, usage.ru_utime + usage.ru_stime
    cost.cpu_s.append(cpu)
    cost.wall_s.append(wall)
    cost.rss_mb.append(usage.ru_maxrss / 1024)
    cost.others.append(max(0.0, busy_s() - busy - cpu) / (wall * (os.cpu_count() or 1)))
    return cost


def busy_s():
    """CPU-seconds that this machine has worked for anybody, stolen ones included."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def show(costs, size):
    row = "  {:<14}{:>8}{:>10}{:>9}{:>9}{:>11}{:>12}  {}"
    print(row.format("", "CPU-s", "of start", "wall s", "peak MB", "MB/CPU-s", "written MB", "rounds (CPU-s)"))
    for name, cost in costs.items():
        if cost.fault:
            print(f"  {name:<14}{cost.fault}")
            continue
        print(row.format(
            name, f"{cost.cpu:.2f}", f"{cost.start_s:.2f}", f"{median(cost.wall_s):.2f}", f"{max(cost.rss_mb):.0f}",
            f"{size / 1e6 / cost.cpu:.0f}", f"{cost.written / 1e6:.0f}", " ".join(f"{s:.2f}" for s in cost.cpu_s),
        ))
    others = median(share for cost in costs.values() for share in cost.others) if costs else 0
    print(f"  other work kept {others:.0%} of the machine busy; load {os.getloadavg()[0]:.1f}")


def verdict(costs, format, size):
    good = {name: cost.cpu for name, cost in costs.items() if not cost.fault}
    peers = {name: good[name] for name in PEERS if name in good}
    if "lavra" not in good:
        return False
    own = good["lavra"]
    if peers:
        best = min(peers, key=peers.get)
        print(f"  ratio to the best peer ({best}): {peers[best] / own:.2f}x; at least 1, goal {GOAL}")
    if format in LIMIT_BYTES_PER_CPU_S:
        limit = size / LIMIT_BYTES_PER_CPU_S[format]
        print(f"  distance to the limit ({limit:.2f} CPU-s): {own / limit:.2f}x")
    if "lavra masked" in good:
        print(f"  masking three columns costs {good['lavra masked'] / own:.2f}x; at most {MASKING_MAX}")
    if "control" not in good:
        return False
    control = good["control"] / own
    print(f"  control (lavra against itself): {control:.2f}")
    return CONTROL[0] <= control <= CONTROL[1]


if __name__ == "__main__":
    sys.exit(main())
