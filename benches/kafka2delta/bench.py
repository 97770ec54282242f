"""kafka2delta: CPU-seconds from JSON events in a topic to a Delta table that holds each of them once.

What is counted is user and system time of the process that takes them in; the broker's is the same for both. Engines take
turns over the same topic, and each table is counted and summed. A control (Lavra against itself) says whether the machine was quiet.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from statistics import median

import orjson
import pyarrow.compute as compute
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from deltalake import DeltaTable

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "file2delta"))
import bench as common  # noqa: E402

RECIPE = ROOT / "tests/services/recipes/kafka"
WORK = ROOT / "target" / "bench-kafka2delta"
PARTITIONS = 6
GOAL = 2.0
CONTRACT = """apiVersion: v3.1.0
kind: DataContract
id: bids
version: 1.0.0
status: active
schema:
  - name: bids
    properties:
      - { name: auction, logicalType: integer, required: true }
      - { name: bidder, logicalType: integer, required: true }
      - { name: price, logicalType: number, physicalType: 'decimal(12,2)' }
      - { name: channel, logicalType: string }
      - { name: url, logicalType: string }
      - { name: at, logicalType: timestamp, physicalType: 'timestamp(6, UTC)' }
      - { name: extra, logicalType: string }
"""


def main():
    args = argparse.ArgumentParser(prog="cargo x bench kafka2delta", description=__doc__.splitlines()[0])
    args.add_argument("--events", type=int, default=2_000_000)
    args.add_argument("--rounds", type=int, default=4)
    args.add_argument("--kills", type=int, default=0, help="takes the topic in once more under so many kills -9")
    args = args.parse_args()
    lavra = os.environ.get("LAVRA_BIN") or str(ROOT / "target/release/lavra")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    subprocess.run([RECIPE, "start", "--yes"], check=True)
    try:
        status = subprocess.run([RECIPE, "status"], check=True, capture_output=True, text=True).stdout.split()
        servers = status[-1].removeprefix("kafka://")
        topic = f"bids-{random.randrange(1 << 32):08x}"
        size, sums = produce(servers, topic, args.events)
        print(f"kafka2delta: {args.events} events of {size // args.events} bytes, {PARTITIONS} partitions, {args.rounds} rounds, "
              f"{os.cpu_count()} cores; lavra: {lavra}")
        costs = {"lavra": [], "control (lavra)": [], "confluent-kafka + delta-rs": []}
        for turn in range(args.rounds):
            for name in common.in_turn(costs, turn):
                costs[name].append(take_in(name, lavra, servers, topic, turn, sums))
        if args.kills:
            take_in("killed lavra", lavra, servers, topic, 0, sums, args.kills, median(wall for _, wall in costs["lavra"]))
    finally:
        subprocess.run([RECIPE, "stop"], check=True)
    print(f"{'':28} {'CPU s':>8} {'wall s':>8} {'events/CPU-s':>14} {'events/s':>12}")
    for name, all in costs.items():
        cpu, wall = median(c for c, _ in all), median(w for _, w in all)
        print(f"{name:28} {cpu:8.2f} {wall:8.2f} {args.events / cpu:14,.0f} {args.events / wall:12,.0f}")
    ours, control, theirs = (median(c for c, _ in all) for all in costs.values())
    print(f"{theirs / ours:.2f} times the peer per CPU-second (goal {GOAL}); control {control / ours:.2f}")
    if not common.CONTROL[0] <= control / ours <= common.CONTROL[1]:
        print(f"The control is outside {common.CONTROL[0]}-{common.CONTROL[1]}: other work disturbed this run, its ratio is no score.")
        return 1
    return 0


def produce(servers, topic, events):
    """Gives the bytes of all events, and what a table of them must come to."""
    # Its answers end with it.
    admin = AdminClient({"bootstrap.servers": servers})
    for one in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
        one.result()
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 50, "batch.num.messages": 100000,
                         "queue.buffering.max.messages": 1000000})
    dice, size, bidders, cents = random.Random(20261126), 0, 0, 0
    for n in range(events):
        second = 1_700_000_000 + n // 1000
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)) + f".{n % 1000 * 1000:06d}Z"
        bidder, price = dice.randrange(10**6), dice.randrange(10**6)
        bidders, cents = bidders + bidder, cents + price
        value = orjson.dumps({"auction": n % 5000, "bidder": bidder, "price": price / 100,
                              "channel": f"channel-{n % 97}", "url": f"https://www.example.com/item/{n % 5000}/{n % 97}?ref=home",
                              "at": at, "extra": "x" * (n % 100)})
        size += len(value)
        while True:
            try:
                producer.produce(topic, value, partition=n % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0
    return size, (events, bidders, Decimal(cents).scaleb(-2))


def take_in(name, lavra, servers, topic, turn, sums, kills=0, longest=0.0):
    folder = WORK / f"{name.split()[0]}-{turn}"
    folder.mkdir()
    if "lavra" in name:
        (folder / "sources").mkdir()
        (folder / "contracts").mkdir()
        (folder / "lavra.yaml").write_text("project: bids\n")
        (folder / "sources/bids.yaml").write_text(
            f"connector: kafka\nconnection: kafka://{servers}\ntopic: {topic}\nformat: json\n")
        (folder / "contracts/bids.yaml").write_text(CONTRACT)
        command, table = [lavra, "run", "--quiet"], folder / "lake/bronze/bids"
    else:
        table = folder / "table"
        command = [sys.executable, str(HERE / "peer.py"), servers, topic, str(PARTITIONS), str(table)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    dice = random.Random(20261126)
    while kills:
        child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            assert child.wait(longest * dice.random()) == 0
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills -= 1
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = DeltaTable(str(table)).to_pyarrow_table(columns=["bidder", "price"])
    found = (rows.num_rows, compute.sum(rows["bidder"]).as_py(), compute.sum(rows["price"]).as_py())
    assert found == sums, f"{name}: the table comes to {found}, the topic to {sums}"
    if longest:
        print(f"{name}: equal to the topic after all kills: {found}")
    shutil.rmtree(folder)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


sys.exit(main())
