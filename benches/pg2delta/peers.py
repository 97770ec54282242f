"""One peer's way from PostgreSQL to a Delta table: `peers.py ENGINE URL TABLE`; without URL it only starts up.

Numbers must stay exact. ADBC gives `numeric` as text, which is cast to a decimal batch by batch; ConnectorX gives decimals
with more digits, which are cast as well. Both get two connections where they can use them.
"""

import sys

DECIMALS = ["l_quantity", "l_extendedprice", "l_discount", "l_tax"]


def exact(reader):
    """The same batches, with decimals of the table's own digits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    decimal = pa.decimal128(15, 2)

    def column(name, values):
        if name not in DECIMALS:
            return values
        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        return pc.cast(values, decimal)

    def field(field):
        return pa.field(field.name, decimal) if field.name in DECIMALS else field

    schema = pa.schema([field(f) for f in reader.schema])

    def batches():
        for batch in reader:
            columns = [column(name, values) for name, values in zip(batch.schema.names, batch.columns)]
            yield pa.record_batch(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def adbc(url, table):
    import adbc_driver_postgresql.dbapi as dbapi
    import deltalake

    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("select * from lineitem")
        deltalake.write_deltalake(table, exact(cursor.fetch_record_batch()))


def connectorx(url, table):
    import connectorx
    import deltalake

    rows = connectorx.read_sql(
        url, "select * from lineitem", return_type="arrow", protocol="binary", partition_on="l_orderkey", partition_num=2
    )
    deltalake.write_deltalake(table, exact(rows.to_reader(max_chunksize=65_536)))


def main():
    engine, *places = sys.argv[1:]
    import deltalake  # noqa: F401

    if engine == "adbc":
        import adbc_driver_postgresql.dbapi  # noqa: F401
    else:
        import connectorx as cx  # noqa: F401
    if places:
        {"adbc": adbc, "connectorx": connectorx}[engine](*places)


main()
