"""One peer's way from a file to a Delta table: `peers.py ENGINE FORMAT FILE TABLE`; without FILE it only starts up.

Each peer gets the settings its own documentation recommends for this: an explicit schema, its streaming path, all cores.
"""

import sys

INTEGERS = {"l_orderkey": 64, "l_partkey": 64, "l_suppkey": 64, "l_linenumber": 32}
DECIMALS = ["l_quantity", "l_extendedprice", "l_discount", "l_tax"]
DATES = ["l_shipdate", "l_commitdate", "l_receiptdate"]
COLUMNS = [
    *INTEGERS, *DECIMALS, "l_returnflag", "l_linestatus", *DATES, "l_shipinstruct", "l_shipmode", "l_comment",
]


def polars_scan(format, file):
    import polars as pl

    decimal = pl.Decimal(15, 2)

    def data_type(name):
        if name in INTEGERS:
            return pl.Int64 if INTEGERS[name] == 64 else pl.Int32
        return decimal if name in DECIMALS else pl.Date if name in DATES else pl.String

    schema = {name: data_type(name) for name in COLUMNS}
    if format == "csv":
        return pl.scan_csv(file, schema=schema)
    if format == "parquet":
        return pl.scan_parquet(file)
    # Its JSON reader makes no decimal of a JSON number: a float, then a cast, which is exact for these magnitudes.
    schema |= {name: pl.Float64 for name in DECIMALS} | {name: pl.String for name in DATES}
    frame = pl.scan_ndjson(file, schema=schema)
    return frame.with_columns(pl.col(DECIMALS).cast(decimal), pl.col(DATES).str.to_date("%Y-%m-%d"))


def duckdb_select(format, file):
    if format == "parquet":
        return f"select * from read_parquet('{file}')"

    def data_type(name):
        if name in INTEGERS:
            return "bigint" if INTEGERS[name] == 64 else "integer"
        return "decimal(15,2)" if name in DECIMALS else "date" if name in DATES else "varchar"

    columns = ", ".join(f"{name}: '{data_type(name)}'" for name in COLUMNS)
    if format == "csv":
        return f"select * from read_csv('{file}', columns = {{{columns}}}, header = true, auto_detect = false)"
    return f"select * from read_json('{file}', columns = {{{columns}}}, format = 'newline_delimited')"


def polars(format, file, table):
    polars_scan(format, file).sink_delta(table)


def duckdb(format, file, table):
    import deltalake
    import duckdb

    connection = duckdb.connect()
    connection.sql("set preserve_insertion_order = false")
    rows = connection.sql(duckdb_select(format, file))
    deltalake.write_deltalake(table, rows.to_arrow_reader(batch_size=100_000))


def main():
    engine, format, *places = sys.argv[1:]
    if engine == "polars":
        import deltalake  # noqa: F401
        import polars as pl  # noqa: F401
    else:
        import deltalake  # noqa: F401
        import duckdb as db  # noqa: F401
    if places:
        {"polars": polars, "duckdb": duckdb}[engine](format, *places)


main()
