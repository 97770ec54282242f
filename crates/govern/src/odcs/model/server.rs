//! Where the data of a contract can be found. Documentation: what Lavra connects to stands in `sources/`.

use super::{CustomProperty, Role, record};
use serde_json::Value;

/// The kinds of servers that v3.2 knows.
const KINDS: &[&str] = &[
    "api",
    "athena",
    "azure",
    "bigquery",
    "btrieve",
    "clickhouse",
    "databricks",
    "denodo",
    "dremio",
    "duckdb",
    "exasol",
    "fastobjects",
    "glue",
    "hana",
    "cloudsql",
    "db2",
    "hive",
    "iceberg",
    "impala",
    "informix",
    "ingres",
    "kafka",
    "kinesis",
    "local",
    "mysql",
    "oracle",
    "poet",
    "postgresql",
    "postgres",
    "presto",
    "pubsub",
    "redshift",
    "s3",
    "sftp",
    "snowflake",
    "sqlserver",
    "synapse",
    "teradata",
    "trino",
    "vectorwise",
    "versant",
    "vertica",
    "zen",
    "custom",
];

record! {
    /// A server of any of the standard's kinds; each kind uses some of the fields.
    Server
    must {
        server: String,
        #[serde(rename = "type")]
        #[schemars(extend("enum" = KINDS))]
        kind: String,
    }
    may {
        id: String,
        description: String,
        environment: String,
        account: String,
        catalog: String,
        catalog_url: String,
        database: String,
        dataset: String,
        delimiter: String,
        encoding: String,
        endpoint_url: String,
        format: String,
        host: String,
        location: String,
        namespace: String,
        path: String,
        /// A number, or text in v3.2.
        port: Value,
        project: String,
        region: String,
        region_name: String,
        schema: String,
        service_name: String,
        staging_dir: String,
        stream: String,
        warehouse: String,
        workgroup: String,
        roles: Vec<Role>,
        custom_properties: Vec<CustomProperty>,
    }
}
