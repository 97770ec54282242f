"""The peer: Confluent's client, orjson, Arrow and delta-rs, with the offsets in the table's own commits.

It is what a careful engineer writes: whole batches, the fastest JSON parser of Python, offsets as `txn` actions of the same
commit that has the rows.
"""

import sys

import orjson
import pyarrow as pa
from confluent_kafka import Consumer, TopicPartition
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

SCHEMA = pa.schema([("auction", pa.int64()), ("bidder", pa.int64()), ("price", pa.decimal128(12, 2)), ("channel", pa.string()),
                    ("url", pa.string()), ("at", pa.timestamp("us", "UTC")), ("extra", pa.string()),
                    ("partition", pa.int32()), ("offset", pa.int64())])
TEXT = pa.schema([field if field.name in ("auction", "bidder", "partition", "offset") else pa.field(field.name, pa.string())
                  for field in SCHEMA])


def main(servers, topic, partitions, table):
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "peer", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "fetch.max.bytes": 52428800, "queued.max.messages.kbytes": 262144})
    taken = {}
    if DeltaTable.is_deltatable(table):
        known = DeltaTable(table)
        taken = {p: known.transaction_version(f"{topic}/{p}") for p in range(partitions)}
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), 30)[1] for p in range(partitions)}
    places = {p: taken.get(p) or 0 for p in range(partitions)}
    consumer.assign([TopicPartition(topic, p, places[p]) for p in range(partitions)])
    rows, batches = [], []

    def flush():
        if rows:
            batch = pa.RecordBatch.from_pylist(rows, schema=TEXT)
            columns = [column.cast(field.type) for column, field in zip(batch.columns, SCHEMA)]
            batches.append(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
            rows.clear()

    while any(places[p] < ends[p] for p in places):
        for message in consumer.consume(10000, 1.0):
            assert not message.error()
            row = orjson.loads(message.value())
            row["partition"], row["offset"] = message.partition(), message.offset()
            row["price"] = str(row["price"])
            rows.append(row)
            places[row["partition"]] = row["offset"] + 1
        if len(rows) >= 100_000:
            flush()
    flush()
    marks = [Transaction(f"{topic}/{p}", places[p]) for p in places]
    write_deltalake(table, pa.Table.from_batches(batches, SCHEMA), mode="append",
                    commit_properties=CommitProperties(app_transactions=marks))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
