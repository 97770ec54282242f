//! The publication of a source: looked at, made where it is not there, and known again. What changes while a table is not
//! published, or not as it was, is told by nobody.

use super::position::At;
use super::slot::{ANEW, again};
use crate::postgres::client::{Client, fault, quoted};
use crate::postgres::setup::Setup;
use crate::postgres::table::{Table, TableColumn};
use kernel::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio_postgres::types::ToSql;

/// An object of the server's catalog: its number, and that of the transaction that wrote it last, which stays when the row
/// is frozen.
type Written = (u32, u32);

/// What publishes a table. Any `ALTER PUBLICATION` that changes what is published writes one of these anew; what it does
/// for other tables does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    publication: Written,
    /// The entry that names the table or its schema; none where all tables are published.
    by: Option<Written>,
}

/// A publication as it is now, with all that makes it publish a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    publication: Written,
    entries: Vec<Written>,
}

impl State {
    async fn look(client: &Client, setup: &Setup, table: &Table) -> Result<Option<Self>> {
        let name = setup.publication();
        let schemas = if version(client).await? < 150_000 { "" } else { BY_SCHEMA };
        let sql = format!(
            "WITH own AS (SELECT $2::oid AS oid UNION SELECT relid::oid FROM pg_catalog.pg_partition_ancestors($2::oid::regclass))
            SELECT p.oid, p.xmin::text::oid, e.oid, e.last FROM pg_catalog.pg_publication p LEFT JOIN (
              SELECT r.prpubid AS publication, r.oid, r.xmin::text::oid AS last FROM pg_catalog.pg_publication_rel r
              WHERE r.prrelid IN (SELECT oid FROM own){schemas}
            ) e ON e.publication = p.oid WHERE p.pubname = $1 ORDER BY e.oid"
        );
        let whose: [&(dyn ToSql + Sync); 2] = [&name, &table.oid];
        let rows = client.ask("look at the publication", client.query(sql.as_str(), &whose)).await?;
        let entry = |row: &tokio_postgres::Row| Some((row.get::<_, Option<u32>>(2)?, row.get::<_, Option<u32>>(3)?));
        let entries = rows.iter().filter_map(entry).collect();
        Ok(rows.first().map(|row| Self { publication: (row.get(0), row.get(1)), entries }))
    }

    fn published(&self) -> Published {
        Published { publication: self.publication, by: self.entries.first().copied() }
    }

    /// Whether the table was published as it is now ever since.
    fn holds(&self, since: Published) -> bool {
        self.publication == since.publication && since.by.is_none_or(|by| self.entries.contains(&by))
    }
}

/// Since version 15.
const BY_SCHEMA: &str = "
    UNION ALL SELECT n.pnpubid, n.oid, n.xmin::text::oid FROM pg_catalog.pg_publication_namespace n
    WHERE n.pnnspid IN (SELECT c.relnamespace FROM pg_catalog.pg_class c WHERE c.oid IN (SELECT oid FROM own))";

async fn version(client: &Client) -> Result<i32> {
    const VERSION: &str = "SELECT current_setting('server_version_num')::int";
    Ok(client.ask("ask for the server's version", client.query_one(VERSION, &[])).await?.get(0))
}

/// Makes sure of the publication; gives what it is known by. `known` is what was committed.
pub async fn ensure(client: &Client, setup: &Setup, table: &Table, known: Option<At>) -> Result<Published> {
    if let Some(published) = look(client, setup, table, known).await? {
        return Ok(published);
    }
    let (name, sql) = (setup.publication(), to_publish(setup, table));
    let what = format!("make the publication `{name}`");
    client.answer(&what, client.batch_execute(&sql)).await?.map_err(|e| {
        let error = fault(&what, &e);
        Error { detail: format!("{}; let the table's owner run: {sql}", error.detail), ..error }
    })?;
    let made = State::look(client, setup, table).await?;
    made.map(|state| state.published()).ok_or_else(|| dropped(&name))
}

/// What makes the publication.
pub fn to_publish(setup: &Setup, table: &Table) -> String {
    let root = if table.kind == 'p' { " WITH (publish_via_partition_root = true)" } else { "" };
    // Published, children without an identity would refuse their own updates.
    let only = if table.has_heirs { "ONLY " } else { "" };
    format!("CREATE PUBLICATION {} FOR TABLE {only}{}{root}", quoted(&setup.publication()), table.quoted())
}

const PUBLICATION: &str = "
    SELECT p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate, p.pubviaroot,
      EXISTS (SELECT FROM pg_catalog.pg_publication_tables t WHERE t.pubname = p.pubname AND t.schemaname = $2 AND t.tablename = $3)
    FROM pg_catalog.pg_publication p WHERE p.pubname = $1";

/// The publication, where it is there; an error when it is another than is needed, or than it was when the table was taken.
pub async fn look(client: &Client, setup: &Setup, table: &Table, known: Option<At>) -> Result<Option<Published>> {
    let name = setup.publication();
    let what = used(&name);
    // First, so that what changes meanwhile is seen by the next look.
    let state = State::look(client, setup, table).await?;
    let found = client.ask(&what, client.query_opt(PUBLICATION, &[&name, &table.schema, &table.name])).await?;
    let (Some(state), Some(found)) = (state, found) else {
        return if known.is_some() { Err(dropped(&name)) } else { Ok(None) };
    };
    match (wrong(&quoted(&name), table, (found.get(0), found.get(1), found.get(2))), known) {
        (Some((why, sql)), None) => Err(Error::project(what, format!("{why}: {sql}"))),
        (Some((why, sql)), Some(_)) => Err(Error::project(
            what,
            format!(
                "{why}: {sql}. What is written until then is published by nothing: the table has to be taken anew after it. {ANEW}"
            ),
        )),
        (None, Some(At { published: Some(since), .. })) if state.holds(since) => Ok(Some(since)),
        (None, Some(At { published: Some(_), .. })) => Err(changed(&name)),
        // Where it was not written down, as it is now.
        (None, _) => Ok(Some(state.published())),
    }
}

/// Why the publication `own` does not do, and the SQL that mends it.
fn wrong(
    own: &str,
    table: &Table,
    (is_whole, is_via_root, has_table): (bool, bool, bool),
) -> Option<(&'static str, String)> {
    let alter = |what: &str| format!("ALTER PUBLICATION {own} {what}");
    if !has_table {
        return Some(("it does not name the table", alter(&format!("ADD TABLE {}", table.quoted()))));
    }
    if !is_whole {
        return Some(("it leaves some changes out", alter("SET (publish = 'insert, update, delete, truncate')")));
    }
    let is_by_parts = table.kind == 'p' && !is_via_root;
    is_by_parts.then(|| ("it names the partitions, not the table", alter("SET (publish_via_partition_root = true)")))
}

/// Makes sure that what was written until now was published as it was when the table was taken.
pub async fn watch(client: &Client, setup: &Setup, table: &Table, since: Option<Published>) -> Result<()> {
    let Some(since) = since else { return Ok(()) };
    match State::look(client, setup, table).await? {
        Some(state) if state.holds(since) => Ok(()),
        Some(_) => Err(changed(&setup.publication())),
        None => Err(dropped(&setup.publication())),
    }
}

fn used(name: &str) -> String {
    format!("use the publication `{name}`")
}

pub fn dropped(name: &str) -> Error {
    again(
        &used(name),
        "the publication was dropped, and what was written until it was made anew was published by nothing",
    )
}

fn changed(name: &str) -> Error {
    let why = "the publication was changed or made anew, or the table was dropped from it and added again: what was written \
               until then was published by nothing";
    again(&used(name), why)
}

/// What a publication sends of a table.
pub struct Sent {
    pub columns: Vec<Arc<str>>,
    /// Whether it names columns, and not all of them.
    pub has_list: bool,
    /// The condition on rows.
    pub filter: Option<String>,
    can_generated: bool,
}

impl Sent {
    /// What is sent, or would be by a publication that is still to be made.
    pub async fn look(client: &Client, setup: &Setup, table: &Table) -> Result<Self> {
        const SENT: &str = "
            SELECT attnames::text[], rowfilter FROM pg_catalog.pg_publication_tables
            WHERE pubname = $1 AND schemaname = $2 AND tablename = $3";
        let version = version(client).await?;
        // Lists and conditions are there since version 15.
        let row = match version < 150_000 {
            true => None,
            false => {
                let name = setup.publication();
                let whose: [&(dyn ToSql + Sync); 3] = [&name, &table.schema, &table.name];
                client.ask("look at the publication", client.query_opt(SENT, &whose)).await?
            }
        };
        let names: Option<Vec<String>> = row.as_ref().and_then(|row| row.get(0));
        let filter = row.and_then(|row| row.get(1));
        Ok(Self::of(table, names.unwrap_or_default(), filter, version))
    }

    /// `names` is empty where the publication tells none.
    fn of(table: &Table, names: Vec<String>, filter: Option<String>, version: i32) -> Self {
        let is_named = |column: &TableColumn| names.iter().any(|name| **name == *column.name);
        // Before version 18 some servers name generated columns among those that are sent, and send none.
        let can_generated = version >= 180_000;
        let is_sent = |column: &&TableColumn| match column.generated {
            true => can_generated && is_named(column),
            false => names.is_empty() || is_named(column),
        };
        let has_list = table.columns.iter().any(|column| !column.generated && !is_sent(&column));
        let columns = table.columns.iter().filter(is_sent).map(|column| column.name.clone()).collect();
        Self { columns, has_list, filter, can_generated }
    }

    /// Columns that the contract names and that are not sent.
    fn untold<'a>(&self, setup: &Setup, table: &'a Table, generated: bool) -> Vec<&'a TableColumn> {
        let is_named = |column: &TableColumn| setup.entity.property(&column.name).is_some();
        let is_untold = |column: &&TableColumn| is_named(column) && !self.columns.contains(&column.name);
        table.columns.iter().filter(|column| column.generated == generated).filter(is_untold).collect()
    }

    /// An error when the contract names what no change would tell. `is_known` says whether rows were taken before.
    pub fn check(&self, setup: &Setup, table: &Table, is_known: bool) -> Result<()> {
        let (what, name) = (format!("follow {}", table.shown()), quoted(&setup.publication()));
        let left_out = self.untold(setup, table, false);
        if !left_out.is_empty() {
            let after =
                if is_known { format!("; the table has to be taken anew after it. {ANEW}") } else { String::new() };
            let (columns, own) = (shown(&left_out), table.quoted());
            let why = format!(
                "the contract names {columns}, which the column list of the publication {name} leaves out: no change would \
                 tell their values. Leave them out of the contract, or publish all columns: ALTER PUBLICATION {name} DROP \
                 TABLE {own}; ALTER PUBLICATION {name} ADD TABLE {own}{after}"
            );
            return Err(Error::project(what, why));
        }
        let generated = self.untold(setup, table, true);
        if !generated.is_empty() {
            let publish = match self.can_generated {
                true => format!(
                    ", or, if they are stored, ALTER PUBLICATION {name} SET (publish_generated_columns = stored){}",
                    if is_known { " and take the table anew" } else { "" }
                ),
                false => String::new(),
            };
            let why = format!(
                "the contract names {}, which the server generates, and no change tells their values. Leave them out of the \
                 contract, and compute them in a model{publish}",
                shown(&generated)
            );
            return Err(Error::project(what, why));
        }
        Ok(())
    }
}

fn shown(columns: &[&TableColumn]) -> String {
    let all: Vec<String> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::kinds::{Base, Kind};
    use kernel::Point;

    fn column(name: &str, generated: bool) -> TableColumn {
        TableColumn {
            name: name.into(),
            base: Base::unknown(),
            kind: Kind::Int4,
            type_name: "integer".into(),
            required: false,
            generated,
            key: None,
            identifies: true,
            comment: None,
        }
    }

    fn sent(names: &[&str], version: i32) -> (Vec<String>, bool) {
        let columns = vec![column("id", false), column("note", false), column("twice", true)];
        let table =
            Table { oid: 1, schema: "s".into(), name: "t".into(), kind: 'r', identity: 'f', has_heirs: false, columns };
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let sent = Sent::of(&table, names, None, version);
        (sent.columns.iter().map(ToString::to_string).collect(), sent.has_list)
    }

    #[test]
    fn a_table_is_published_as_before_while_its_own_entry_is_the_same() {
        let first = State { publication: (7, 100), entries: vec![(9, 100)] };
        let since = first.published();
        assert!(first.holds(since));
        let with_schema = State { entries: vec![(9, 100), (12, 130)], ..first };
        assert!(with_schema.holds(since), "published in one more way");
        for other in [
            State { publication: (7, 101), ..first.clone() },
            State { publication: (8, 100), ..first.clone() },
            State { entries: vec![(11, 120)], ..first.clone() },
            State { entries: vec![(9, 120)], ..first.clone() },
            State { entries: Vec::new(), ..first },
        ] {
            assert!(!other.holds(since), "{other:?}");
        }
        let all = State { entries: Vec::new(), ..first };
        assert!(all.holds(all.published()), "a publication of all tables names none");
    }

    #[test]
    fn a_position_keeps_what_published_the_table() {
        let point = |token: &str| Point::Mark { rows: 3, token: token.into(), done: false };
        let (older, _) =
            At::read("t", &point(r#"{"lsn":9,"taken":0,"snapshot":8,"table":5}"#)).expect("an older position");
        assert_eq!(older.published, None);
        for by in [Some((9, 100)), None] {
            let at = At { published: Some(Published { publication: (7, 100), by }), ..older };
            assert_eq!(At::read("t", &at.point(3).expect("a point")).expect("a position"), (at, 3));
        }
    }

    #[test]
    fn what_is_sent_depends_on_the_list_and_on_the_server() {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(sent(&[], 140_000), (own(&["id", "note"]), false));
        assert_eq!(sent(&["id", "note", "twice"], 150_000), (own(&["id", "note"]), false));
        assert_eq!(sent(&["id"], 160_000), (own(&["id"]), true));
        assert_eq!(sent(&["id", "note"], 180_000), (own(&["id", "note"]), false));
        assert_eq!(sent(&["id", "note", "twice"], 180_000), (own(&["id", "note", "twice"]), false));
    }
}
