//! From what was written on the command line to tables and their files.

use super::name::{self, FileName};
use crate::clock::tomorrow;
use connect::{Opening, Spec};
use kernel::contract::{Entity, OnViolation, SchemaChange};
use kernel::error::{Error, Result};
use kernel::{Positions, suggest};
use privacy::detect::OwnKind;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files connector as this call uses it.
pub struct Files {
    pub spec: Spec,
    /// The project's folder, or the present one: places are relative to it.
    pub base: PathBuf,
    /// Where relative paths on the command line start.
    pub here: PathBuf,
    /// `--set`: options of the connector.
    pub options: Map<String, Value>,
    /// Settings of object stores.
    pub store: BTreeMap<String, String>,
    /// Kinds of personal data of the project's own.
    pub own_kinds: Arc<[OwnKind]>,
}

/// Files that make one table.
pub struct Group {
    pub table: String,
    /// By their places.
    pub files: Vec<String>,
}

impl Files {
    pub fn opening(&self, table: &str, paths: &[String]) -> Opening {
        let mut options = self.options.clone();
        options.insert("path".into(), json!(paths));
        self.opening_with(table, Value::Object(options))
    }

    fn opening_with(&self, table: &str, options: Value) -> Opening {
        Opening {
            source: table.to_owned(),
            project: String::new(),
            options,
            base: self.base.clone(),
            entity: nothing_known(table),
            from: Positions::new(),
            store: self.store.clone(),
            clock: Arc::new(tomorrow()),
        }
    }

    /// All that is wrong with the options, as one error.
    pub fn check(&self) -> Result<()> {
        let mut options = self.options.clone();
        options.insert("path".into(), json!("*"));
        let faults = (self.spec.check)(&Value::Object(options));
        let told: Vec<String> = faults
            .into_iter()
            .map(|f| [Some(f.message), f.help].into_iter().flatten().collect::<Vec<_>>().join("; "))
            .collect();
        if told.is_empty() { Ok(()) } else { Err(Error::project("--set", told.join("; "))) }
    }

    /// The places of the files that a path, a pattern or a URL means; none is an error.
    pub async fn find(&self, written: &str) -> Result<Vec<String>> {
        let whole = self.here.join(written);
        let path = match (written.contains("://"), whole.exists()) {
            (true, _) => written.to_owned(),
            (false, true) => name::escape(&whole.to_string_lossy()),
            (false, false) => whole.to_string_lossy().into_owned(),
        };
        let found = self.list(&path).await?;
        match found.is_empty() {
            true => Err(Error::project(written, "no file is there")),
            false => Ok(found),
        }
    }

    async fn list(&self, path: &str) -> Result<Vec<String>> {
        let opening = self.opening_with("scan", json!({ "path": path }));
        Ok(self.spec.pending(&opening).await?.into_iter().map(|pending| pending.partition).collect())
    }

    /// What a source writes as its `path`: as short as can be, and no other table's file matches it. Files of this table
    /// that nobody looked at match only when that can't be helped.
    pub async fn paths(&self, group: &Group) -> Result<Vec<String>> {
        let mut wide = None;
        for candidate in candidates(&group.files) {
            let mut found = BTreeSet::new();
            for path in &candidate {
                found.extend(self.list(path).await.unwrap_or_default());
            }
            if !group.files.iter().all(|file| found.contains(file)) {
                continue;
            }
            if found.len() == group.files.len() {
                return Ok(candidate);
            }
            if found.iter().all(|file| name::read(file).table == group.table) {
                wide = wide.or(Some(candidate));
            }
        }
        Ok(wide.unwrap_or_else(|| group.files.iter().map(|file| name::escape(file)).collect()))
    }
}

/// An entity without columns: whatever comes is looked at.
pub fn nothing_known(table: &str) -> Entity {
    Entity {
        name: table.to_owned(),
        description: None,
        properties: Vec::new(),
        rules: Vec::new(),
        on_violation: OnViolation::Quarantine,
        schema_change: SchemaChange::Freeze,
        on_personal_data: Default::default(),
    }
}

/// Files by the table that their names speak of.
pub fn group(files: impl IntoIterator<Item = String>) -> Vec<Group> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        tables.entry(name::read(&file).table).or_default().insert(file);
    }
    tables.into_iter().map(|(table, files)| Group { table, files: files.into_iter().collect() }).collect()
}

/// Sets of patterns, the widest first.
fn candidates(files: &[String]) -> Vec<Vec<String>> {
    let names: Vec<FileName> = files.iter().map(|file| name::read(file)).collect();
    let by_folder = |star: &str| -> Vec<String> {
        let paths: BTreeSet<String> =
            names.iter().map(|name| name::escape(&name.folder) + &name.pattern.replace('*', star)).collect();
        paths.into_iter().collect()
    };
    let mut all = vec![by_folder("*"), by_folder("[0-9]*")];
    let folders: BTreeSet<&str> = names.iter().map(|name| name.folder.as_str()).collect();
    if folders.len() > 1 {
        let above = name::escape(shared(&folders));
        let patterns: BTreeSet<String> = names.iter().map(|name| format!("{above}**/{}", name.pattern)).collect();
        all.insert(0, patterns.into_iter().collect());
    }
    all
}

/// The folder that all are in.
fn shared<'a>(folders: &BTreeSet<&'a str>) -> &'a str {
    let (Some(first), Some(last)) = (folders.first(), folders.last()) else { return "" };
    let same = first.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
    first.get(..same).and_then(|same| same.rfind('/')).map_or("", |end| &first[..=end])
}

/// Reads `name=value`; the value is JSON where it can be, else text.
pub fn option(text: &str) -> Result<(String, Value), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is no option; write it as `delimiter=;`"))?;
    if name == "path" {
        return Err("`path` is what is scanned: give it without `--set`".to_owned());
    }
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// Says that a word on the command line means nothing.
pub fn unknown(written: &str, here: &Path, known: &[String]) -> Error {
    let help =
        suggest::nearest(written, known.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
    let detail = format!(
        "there is no such file in {}, nor a source or table of this name{}",
        here.display(),
        help.unwrap_or_default()
    );
    Error::project(format!("scan {written}"), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(places: &[&str]) -> Vec<String> {
        places.iter().map(|place| (*place).to_owned()).collect()
    }

    #[test]
    fn files_of_one_stem_are_one_table() {
        let groups = group(files(&[
            "d/payments-2026-08.csv.gz",
            "d/payments-2026-07.csv.gz",
            "d/customers.csv",
            "e/Customers.json",
        ]));
        let shown: Vec<_> = groups.iter().map(|g| (g.table.as_str(), g.files.len())).collect();
        assert_eq!(shown, [("customers", 2), ("payments", 2)]);
        assert_eq!(groups[1].files[0], "d/payments-2026-07.csv.gz");
    }

    #[test]
    fn candidates_go_from_wide_to_narrow() {
        let one_folder = candidates(&files(&["d/payments-2026-07.csv", "d/payments-2026-08.csv.gz"]));
        assert_eq!(one_folder[0], ["d/payments-*.csv", "d/payments-*.csv.gz"]);
        assert_eq!(one_folder[1], ["d/payments-[0-9]*.csv", "d/payments-[0-9]*.csv.gz"]);
        let folders = candidates(&files(&["d/2026/07/01.csv", "d/2026/08/01.csv"]));
        assert_eq!(folders[0], ["d/2026/**/*.csv"]);
        assert_eq!(folders[1], ["d/2026/07/*.csv", "d/2026/08/*.csv"]);
    }

    #[tokio::test]
    async fn a_path_matches_no_other_tables_file() {
        let base = std::env::temp_dir().join(format!("lavra-paths-{}", std::process::id()));
        std::fs::create_dir_all(base.join("d")).expect("a folder");
        for name in ["payments-2026-07", "payments-2026-08", "payments-refunds-2026-07", "people1", "people"] {
            std::fs::write(base.join(format!("d/{name}.csv")), "a\n").expect("a file");
        }
        let spec = connect::by_name("files").expect("the connector");
        let all = Files {
            spec,
            base: base.clone(),
            here: base.clone(),
            options: Map::new(),
            store: BTreeMap::new(),
            own_kinds: [].into(),
        };
        let mut paths = Vec::new();
        for places in
            [&["d/payments-2026-07.csv", "d/payments-2026-08.csv"][..], &["d/payments-2026-08.csv"], &["d/people1.csv"]]
        {
            let group = group(files(places)).pop().expect("a group");
            paths.push(all.paths(&group).await.expect("paths").join(" "));
        }
        assert_eq!(paths, ["d/payments-[0-9]*.csv", "d/payments-[0-9]*.csv", "d/people[0-9]*.csv"]);
        std::fs::remove_dir_all(base).expect("removed");
    }

    #[test]
    fn options_are_json_where_they_can_be() {
        assert_eq!(option("header=false"), Ok(("header".to_owned(), json!(false))));
        assert_eq!(option("delimiter=;"), Ok(("delimiter".to_owned(), json!(";"))));
        assert_eq!(option("null_values=[\"NA\"]"), Ok(("null_values".to_owned(), json!(["NA"]))));
        assert!(option("delimiter").is_err() && option("path=x").is_err());
    }
}
