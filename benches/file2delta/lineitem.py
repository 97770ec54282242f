"""The input, made once by TPC-H's own generator, and what is in a file or table, asked of an independent reader.

A program of its own, `lineitem.py VERB ARGUMENT…`: the peak memory of a child counts what its parent held at the fork, so
the driver must stay small.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import duckdb
from deltalake import DeltaTable

# TPC-H fixes the generator's seeds, so a scale is the same rows everywhere; these are the CSV files that were measured.
SHA256 = {
    "1": "2af025e7152f22008b8e4e6466bdbf14428a0786e825031ae00caa0d9b13613c",
    "0.1": "8db0143dfdd963d834133fe2a093427d5ef643f7fd2f07d6ecd7311d7b7520be",
}
PLAIN = [
    "l_partkey", "l_suppkey", "l_linenumber", "l_quantity", "l_extendedprice", "l_discount", "l_tax", "l_returnflag",
    "l_linestatus", "l_shipdate", "l_commitdate", "l_receiptdate", "l_shipmode",
]
MASKED = ["l_orderkey", "l_shipinstruct", "l_comment"]


def make(folder, scale):
    """`lineitem.csv`, `.ndjson` and `.parquet`, where they are not there yet."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    generator = Path(sys.executable).with_name("tpchgen-cli")
    for format in ["csv", "parquet"]:
        file = folder / f"lineitem.{format}"
        if not file.exists():
            aside = folder / "aside"
            command = [generator, format, "--quiet", "-s", scale, "-T", "lineitem", "-o", aside]
            subprocess.run(command, check=True)
            (aside / file.name).rename(file)
            aside.rmdir()
    ndjson = folder / "lineitem.ndjson"
    if not ndjson.exists():
        aside = folder / "aside.ndjson"
        source = folder / "lineitem.parquet"
        duckdb.sql(f"copy (select * from '{source}') to '{aside}' (format json)")
        aside.rename(ndjson)
    hold_to_sha256(folder / "lineitem.csv", scale)


def hold_to_sha256(file, scale):
    expected = SHA256.get(scale)
    if expected is None:
        return
    checked = file.with_suffix(".sha256")
    if not checked.exists():
        with open(file, "rb") as data:
            checked.write_text(hashlib.file_digest(data, "sha256").hexdigest())
    if checked.read_text() != expected:
        sys.exit(f"{file} is not the input that was measured: its SHA-256 is {checked.read_text()}")


def facts(relation, masked=False):
    """Counts, sums and a checksum over every row's content; of masked columns only what a mask must keep."""
    sums = ", ".join(f"sum({c})::decimal(38, 2)" for c in PLAIN[:7])
    distinct = "count(distinct l_orderkey), count(distinct l_shipinstruct)"
    columns = PLAIN if masked else PLAIN + MASKED
    checksum = ", ".join(f"{c}::decimal(15, 2)" if c in PLAIN[:7] else c for c in columns)
    hidden = "sum((l_comment <> '***')::int)" if masked else "0"
    sql = f"select count(*), {sums}, {distinct}, {hidden}, bit_xor(hash({checksum})) from {relation}"
    return duckdb.sql(sql).fetchall()[0]


def of_file(file, masked):
    # What is masked is compared by what must be left of it: the source's comments count as hidden.
    relation = f"'{file}'"
    if masked:
        relation = f"(select * replace ('***' as l_comment) from {relation})"
    return facts(relation, masked)


def of_table(folder, masked):
    duckdb.register("table_under_test", DeltaTable(folder).to_pyarrow_dataset())
    return facts("table_under_test", masked)


def main():
    verb, *rest = sys.argv[1:]
    if verb == "make":
        make(*rest)
    else:
        place, masked = rest
        found = {"of_file": of_file, "of_table": of_table}[verb](place, masked == "masked")
        print(", ".join(str(fact) for fact in found))


main()
