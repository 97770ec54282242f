"""broker: megabytes a second and a CPU-second, 1 KB records in 12 partitions, in and out.

Every answer of the embedded log comes after a sync, and so does NATS JetStream's (`sync_interval: always`), to which its own
`nats bench` writes batches of the same size as the embedded log's, each with one answer. Kafka, one node as its recipe starts it,
answers from the page cache: its own durability is copies on other machines. CPU is that of the client and of the server.
"""

import argparse
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "file2delta"))
from bench import CONTROL, in_turn  # noqa: E402

RECIPE = ROOT / "tests/services/recipes/kafka"
# NATS's server and its own client, built from Go's module proxy: that needs Go 1.25.
GO = ["github.com/nats-io/nats-server/v2@v2.15.2", "github.com/nats-io/natscli/nats@v0.5.0"]
WRITERS, BATCH, RECORD_BYTES = 4, 1000, 1000
GOAL_RATIO = 3.0
GOAL_MB_S = 1000


def main():
    args = argparse.ArgumentParser()
    args.add_argument("program")
    args.add_argument("--megabytes", type=int, default=4000)
    args.add_argument("--rounds", type=int, default=4)
    args = args.parse_args()
    go = install_go()
    runs = {name: [] for name in ["embedded", "control", "kafka", "nats"]}
    for turn in range(args.rounds):
        for name in in_turn(runs, turn):
            # Kafka leaves to the disk what it has not written yet.
            os.sync()
            runs[name].append({"kafka": kafka, "nats": lambda args: nats(args, go)}.get(name, embedded)(args))
            print(name, json.dumps(runs[name][-1]), flush=True)
    print(f"{'':10} {'in MB/s':>9} {'in MB/CPU-s':>12} {'out MB/s':>9} {'out MB/CPU-s':>13} {'p99 ms':>7}")
    score = {}
    for name, all in runs.items():
        of = lambda key: median(run[key] for run in all)
        mb = args.megabytes
        row = [mb / of("append_s"), mb / of("append_cpu_s"), mb / of("fetch_s"), mb / of("fetch_cpu_s")]
        score[name] = mb * 2 / (of("append_cpu_s") + of("fetch_cpu_s")), row[0]
        p99 = "-" if all[0]["append_p99_ms"] is None else f"{of('append_p99_ms'):.1f}"
        print(f"{name:10} {row[0]:9.0f} {row[1]:12.0f} {row[2]:9.0f} {row[3]:13.0f} {p99:>7}")
    own = score["embedded"][0]
    print(f"per CPU-second, in and out together: {own / score['kafka'][0]:.2f} times Kafka (goal {GOAL_RATIO}), "
          f"{own / score['nats'][0]:.2f} times NATS; in: {score['embedded'][1]:.0f} MB/s (goal {GOAL_MB_S}); "
          f"this disk, written by large blocks and synced: {disk_mb_s():.0f} MB/s")
    control = score["control"][0] / own
    print(f"control: {control:.2f}")
    if not CONTROL[0] <= control <= CONTROL[1]:
        print(f"The control is outside {CONTROL[0]}-{CONTROL[1]}: other work disturbed this run, its ratios are no score.")
        return 1
    return 0


def disk_mb_s(megabytes=1000):
    """What the disk takes, for that is the limit of any log that syncs."""
    block = os.urandom(16 << 20)
    with tempfile.NamedTemporaryFile(dir=ROOT / "target") as file:
        start = time.monotonic()
        for _ in range(megabytes * 10**6 // len(block)):
            file.write(block)
        file.flush()
        os.fdatasync(file.fileno())
        return megabytes / (time.monotonic() - start)


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


def install_go():
    """The folder of NATS's programs."""
    folder = ROOT / "target/bench-go"
    for package in GO:
        if not (folder / package.split("@")[0].replace("/v2", "").rsplit("/", 1)[1]).exists():
            subprocess.run(["go", "install", package], check=True, env=dict(os.environ, GOBIN=str(folder), CGO_ENABLED="0"))
    return folder


def nats(args, go):
    folder = Path(tempfile.mkdtemp(dir=ROOT / "target"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "conf").write_text(f'listen: "127.0.0.1:{port}"\n'
                                 f'jetstream {{ store_dir: "{folder}/data", max_file_store: 100GB, sync_interval: always }}\n')
    server = subprocess.Popen([go / "nats-server", "-c", folder / "conf"], stderr=open(folder / "log", "w"), start_new_session=True)
    try:
        while "Server is ready" not in (folder / "log").read_text():
            time.sleep(0.1)
        (folder / "payload").write_bytes(os.urandom(RECORD_BYTES))
        count = args.megabytes * 10**6 // RECORD_BYTES
        bench = [go / "nats", "--no-context", "-s", f"nats://127.0.0.1:{port}", "bench", "js"]
        append = [*bench, "pub", "atomic", "speed", "--create", "--maxbytes", "100GB", "--payload", folder / "payload",
                  "--clients", str(WRITERS), "--batch", str(BATCH)]
        fetch = [*bench, "ordered", "--clients", "1", "--batch", "5000"]
        run = {"append_p99_ms": None}
        for name, command in [("append", append), ("fetch", fetch)]:
            run[f"{name}_s"], run[f"{name}_cpu_s"] = told([*command, "--msgs", str(count), "--no-progress"], count, server.pid)
        return run
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def told(command, count, server):
    """Seconds that the client tells of its work, and CPU-seconds of both."""
    before = server_cpu(server), used()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"stats: ([\d,]+) msgs/sec", output)
    if not rate:
        raise SystemExit(f"nats bench told no rate: {output}")
    return count / int(rate[1].replace(",", "")), server_cpu(server) - before[0] + used() - before[1]


def used():
    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime


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


if __name__ == "__main__":
    raise SystemExit(main())
