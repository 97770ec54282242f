//! What the server's catalog says of a table.

use super::client::{Client, quoted};
use super::kinds::{Base, Infinity, Kind, bases};
use kernel::Entity;
use kernel::error::{Error, Result};
use std::sync::Arc;

pub struct Table {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// `relkind`: `r` table, `p` partitioned, `m` materialised view, `v` view, `f` foreign.
    pub kind: char,
    /// `relreplident`, what a change tells of the old row: `d` its primary key, `i` the columns of an index, `f` all, `n` nothing.
    pub identity: char,
    /// Whether other tables inherit from it.
    pub has_heirs: bool,
    pub columns: Vec<TableColumn>,
}

#[cfg(test)]
impl Table {
    /// `s.NAME`, without columns.
    pub fn bare(name: &str, oid: u32) -> Self {
        let columns = Vec::new();
        Self { oid, schema: "s".into(), name: name.into(), kind: 'r', identity: 'd', has_heirs: false, columns }
    }
}

pub struct TableColumn {
    pub name: Arc<str>,
    pub base: Base,
    /// As the contract wants it.
    pub kind: Kind,
    /// As SQL writes it: `numeric(12,2)`.
    pub type_name: String,
    pub required: bool,
    pub generated: bool,
    /// Place in the primary key, from 1.
    pub key: Option<u32>,
    /// Whether a change tells its old value.
    pub identifies: bool,
    pub comment: Option<String>,
}

/// A column with how it is read.
pub type Layout = Vec<(Arc<str>, Kind)>;

const TABLE: &str = "
    SELECT c.oid, c.relkind, c.relreplident,
      c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2";

const COLUMNS: &str = "
    SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> '',
      pg_catalog.format_type(a.atttypid, a.atttypmod), pg_catalog.col_description(a.attrelid, a.attnum),
      array_position((p.indkey::int2[])[0:p.indnkeyatts - 1], a.attnum), a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
    FROM pg_catalog.pg_attribute a
    LEFT JOIN pg_catalog.pg_index p ON p.indrelid = a.attrelid AND p.indisprimary
    LEFT JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid AND i.indisreplident
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

impl Table {
    pub async fn look(client: &Client, named: (impl AsRef<str>, impl AsRef<str>), entity: &Entity) -> Result<Self> {
        let (schema, name) = (named.0.as_ref(), named.1.as_ref());
        let what = format!("look at {schema}.{name}");
        let row = client.ask(&what, client.query_opt(TABLE, &[&schema, &name])).await?;
        let row = row.ok_or_else(|| {
            let help =
                "there is no such table, or the user may not see its schema; `lavra discover` lists what there is";
            Error::project(&what, help)
        })?;
        let (oid, kind, identity): (u32, i8, i8) = (row.get(0), row.get(1), row.get(2));
        let (kind, identity, has_heirs) = (char::from(kind as u8), char::from(identity as u8), row.get(3));
        let rows = client.ask(&what, client.query(COLUMNS, &[&oid])).await?;
        let types: Vec<(u32, i32)> = rows.iter().map(|row| (row.get(1), row.get(2))).collect();
        let bases = bases(client, &types).await?;
        let columns = rows.iter().zip(bases).map(|(row, base)| {
            let name: String = row.get(0);
            let wanted = entity.property(&name).map(|property| &property.data_type);
            let key: Option<i32> = row.get(7);
            let key = key.and_then(|place| u32::try_from(place).ok());
            let identifies = match identity {
                'f' => true,
                'i' => row.get::<_, Option<bool>>(8).unwrap_or_default(),
                'd' => key.is_some(),
                _ => false,
            };
            TableColumn {
                name: name.into(),
                kind: base.kind(wanted),
                base,
                type_name: row.get(5),
                required: row.get(3),
                generated: row.get(4),
                key,
                identifies,
                comment: row.get(6),
            }
        });
        let columns: Vec<TableColumn> = columns.collect();
        if columns.is_empty() {
            return Err(Error::project(what, "the table has no column"));
        }
        Ok(Self { oid, schema: schema.into(), name: name.into(), kind, identity, has_heirs, columns })
    }

    /// For SQL.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// What a query reads of it: not the rows of tables that inherit from it, whose changes are theirs. A table that is
    /// partitioned has no rows but those of its partitions.
    pub fn own_rows(&self) -> String {
        match self.kind {
            'r' => format!("ONLY {}", self.quoted()),
            _ => self.quoted(),
        }
    }

    /// What is said of tables that inherit from it, and the remedy.
    pub fn heirs(&self) -> Option<(String, &'static str)> {
        let found = format!("{} has children by inheritance, and their rows are not taken with it", self.shown());
        self.has_heirs.then_some((found, HEIRS))
    }

    pub fn warn_of_heirs(&self) {
        if let Some((found, remedy)) = self.heirs() {
            tracing::warn!(table = self.shown(), "{found}: {remedy}");
        }
    }

    /// An error when the lake's positions of the source are of the table `known`.
    pub fn is_not(&self, known: &str, anew: &str) -> Error {
        Error::project(
            format!("read {}", self.shown()),
            format!(
                "the lake has this source's rows of {known}, and those of two tables would be mixed in one. Set `table` to \
                 what it was and name the other table in a source of its own. If the lake is to have this one instead, or it \
                 is the same table under another name: {anew}"
            ),
        )
    }

    /// For people, and for partitions.
    pub fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    pub fn layout(&self) -> Layout {
        self.columns.iter().map(|column| (column.name.clone(), column.kind)).collect()
    }

    pub fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| *column.name == *name)
    }

    /// The tables that hold the rows: leaves of one that is partitioned. None where rows have no place of their own.
    pub async fn heaps(&self, client: &Client) -> Result<Vec<Heap>> {
        const LEAVES: &str = "
            SELECT n.nspname, c.relname, pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::bigint,
              pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
              pg_catalog.pg_relation_filenode(c.oid)
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'm') AND (c.oid = $1 OR c.oid IN
              (SELECT relid FROM pg_catalog.pg_partition_tree($1::oid::regclass) WHERE isleaf)) ORDER BY 1, 2";
        let rows = client.ask("look at the table's size", client.query(LEAVES, &[&self.oid])).await?;
        let heap = |row: &tokio_postgres::Row| {
            let (schema, name, blocks): (String, String, i64) = (row.get(0), row.get(1), row.get(2));
            Heap {
                schema,
                name,
                blocks: u32::try_from(blocks).unwrap_or(u32::MAX),
                is_readable: row.get(3),
                file: row.get(4),
            }
        };
        Ok(rows.iter().map(heap).collect())
    }
}

const HEIRS: &str = "take each child by a source of its own";

/// How a table is taken anew that no slot is kept for.
pub const ANEW: &str = "move the folder of the bronze table away, and run again: the table is taken anew";

/// A table that holds rows in blocks.
#[derive(Debug, Clone)]
pub struct Heap {
    pub schema: String,
    pub name: String,
    pub blocks: u32,
    /// The number of its file, which is another one when the table is written anew.
    pub file: u32,
    /// Whether it may be read by itself. A grant on a partitioned table lets its partitions be read only through it.
    pub is_readable: bool,
}

/// What is read of a table, and how.
#[derive(Clone)]
pub struct Wanted {
    pub layout: Layout,
    pub infinity: Infinity,
    pub batch_rows_max: usize,
}

impl Wanted {
    /// The columns of a query.
    pub fn selected(&self) -> String {
        let all: Vec<String> = self.layout.iter().map(|(name, kind)| kind.selected(name)).collect();
        all.join(", ")
    }
}
