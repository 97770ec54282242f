"""broker: megabytes a second and a CPU-second, 1 KB records in 12 partitions, in and out.

Every answer of the embedded log comes after a sync. Kafka, one node as its recipe starts it, answers from the page cache:
its own durability is copies on other machines. CPU is that of the client and of the server.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPE = ROOT / "tests/services/recipes/kafka"
GOAL_RATIO = 3.0
GOAL_MB_S = 1000


def main():
    args = argparse.ArgumentParser()
    args.add_argument("program")
    args.add_argument("--megabytes", type=int, default=4000)
    args.add_argument("--rounds", type=int, default=3)
    args = args.parse_args()
    runs = {"embedded": [], "kafka": []}
    for _ in range(args.rounds):
        runs["embedded"].append(embedded(args))
        runs["kafka"].append(kafka(args))
    print(f"{'':10} {'in MB/s':>9} {'in MB/CPU-s':>12} {'out MB/s':>9} {'out MB/CPU-s':>13} {'p99 ms':>7}")
    score = {}
    for name, all in runs.items():
        of = lambda key: median(run[key] for run in all)
        mb = args.megabytes
        row = [mb / of("append_s"), mb / of("append_cpu_s"), mb / of("fetch_s"), mb / of("fetch_cpu_s")]
        score[name] = mb * 2 / (of("append_cpu_s") + of("fetch_cpu_s")), row[0]
        p99 = "-" if all[0]["append_p99_ms"] is None else f"{of('append_p99_ms'):.1f}"
        print(f"{name:10} {row[0]:9.0f} {row[1]:12.0f} {row[2]:9.0f} {row[3]:13.0f} {p99:>7}")
    ratio = score["embedded"][0] / score["kafka"][0]
    print(f"per CPU-second, in and out together: {ratio:.2f} times Kafka (goal {GOAL_RATIO}); "
          f"in: {score['embedded'][1]:.0f} MB/s (goal {GOAL_MB_S})")


def embedded(args):
    folder = tempfile.mkdtemp(dir=ROOT / "target")
    try:
        answer = subprocess.run([args.program, "embedded", folder, str(args.megabytes)], check=True, capture_output=True)
        return json.loads(answer.stdout)
    finally:
        shutil.rmtree(folder)


def kafka(args):
    subprocess.run([RECIPE, "start", "--yes"], check=True)
    try:
        status = subprocess.run([RECIPE, "status"], check=True, capture_output=True, text=True).stdout.split()
        address = status[-1].removeprefix("kafka://")
        state = Path(os.environ.get("LAVRA_SERVICES_STATE", ROOT / "target/services")) / "kafka"
        group = int((state / "process").read_text().split()[0])
        make_topic(address)
        before = server_cpu(group)
        answer = subprocess.run([args.program, "kafka", address, str(args.megabytes)], check=True, capture_output=True)
        run = json.loads(answer.stdout)
        # What of the server's time was for which is not told apart: half and half.
        server = server_cpu(group) - before
        run["append_cpu_s"] += server / 2
        run["fetch_cpu_s"] += server / 2
        return run
    finally:
        subprocess.run([RECIPE, "stop"], check=True)


def make_topic(address):
    jars = next(Path(os.environ.get("LAVRA_SERVICES_CACHE", Path.home() / ".cache/lavra/services")).glob("kafka-*/jars"))
    subprocess.run(["java", "-cp", f"{jars}/*", "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", address,
                    "--create", "--topic", "speed.bronze.rows", "--partitions", "12"], check=True, capture_output=True)


def server_cpu(group):
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


main()
