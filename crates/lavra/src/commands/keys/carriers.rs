//! Which columns carry tokens that tell a version: those whose contract asks for one, and what models make of them.

use crate::project::{Compiled, Source};
use kernel::TableName;
use kernel::contract::{MaskSpec, Property};
use kernel::error::Result;
use lake::{Model, Store, Via};
use std::collections::{BTreeMap, BTreeSet};

/// The masks whose tokens begin with their version.
const VERSIONED: [&str; 2] = ["pseudonym", "encrypt"];

/// Where tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Column(String),
    /// A field of the rows that a quarantine keeps as JSON.
    Field(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    pub table: TableName,
    pub place: Place,
    pub scope: String,
}

#[derive(Debug, Default)]
pub struct Carriers {
    /// In the order of the tables' names.
    pub found: Vec<Carrier>,
    /// Columns made of tokens in a way that only their model can follow: a hash of one, the smallest of many, or of
    /// several scopes.
    pub computed: Vec<String>,
}

/// The scopes whose tokens a column holds, and whether they are there as they were stored.
#[derive(Debug, Clone, Default)]
struct Held {
    scopes: BTreeSet<String>,
    computed: bool,
}

impl Carriers {
    /// Those of the project, in tables that the lake has.
    pub async fn of(project: &Compiled, store: &Store) -> Result<Self> {
        let all = Self::of_project(&project.sources, &project.models);
        let tables: BTreeSet<TableName> = store.tables().await?.into_iter().collect();
        let names: BTreeSet<String> = tables.iter().map(ToString::to_string).collect();
        let is_there = |column: &String| column.rsplit_once('.').is_some_and(|(table, _)| names.contains(table));
        Ok(Self {
            found: all.found.into_iter().filter(|carrier| tables.contains(&carrier.table)).collect(),
            computed: all.computed.into_iter().filter(is_there).collect(),
        })
    }

    fn of_project(sources: &[Source], models: &[Model]) -> Self {
        let (mut held, mut found) = (BTreeMap::new(), Vec::new());
        for source in sources {
            for (property, scope) in source.entity.properties.iter().filter_map(|p| Some((p, scope_of(p)?))) {
                let own: &mut Held = held.entry((source.table.clone(), property.name.clone())).or_default();
                own.scopes.insert(scope.clone());
                let place = Place::Field(property.name.clone());
                found.push(Carrier { table: source.table.quarantine(), place, scope });
            }
        }
        for model in models {
            for (column, sources) in &model.lineage.columns {
                let is_text = model.schema.field_with_name(column).is_ok_and(|field| is_text(field.data_type()));
                let mut own = Held::default();
                for (from, via) in sources.iter().filter(|_| is_text) {
                    let Some(of) = held.get(&(from.table.clone(), from.column.clone())) else { continue };
                    own.scopes.extend(of.scopes.iter().cloned());
                    own.computed |= of.computed || *via != Via::Copied;
                }
                if !own.scopes.is_empty() {
                    held.insert((model.name.clone(), column.clone()), own);
                }
            }
        }
        let mut computed = Vec::new();
        for ((table, column), own) in held {
            if own.computed || own.scopes.len() > 1 {
                computed.push(format!("{table}.{column}"));
            }
            // Tokens don't tell their scope: of two, neither is known to be the one.
            if let (Some(scope), 1) = (own.scopes.first(), own.scopes.len()) {
                found.push(Carrier { table, place: Place::Column(column), scope: scope.clone() });
            }
        }
        found.sort_by(|a, b| a.table.cmp(&b.table));
        found.dedup();
        Self { found, computed }
    }

    /// The carriers of each table.
    pub fn by_table(&self) -> BTreeMap<TableName, Vec<Carrier>> {
        let mut tables: BTreeMap<TableName, Vec<Carrier>> = BTreeMap::new();
        for carrier in &self.found {
            tables.entry(carrier.table.clone()).or_default().push(carrier.clone());
        }
        tables
    }
}

fn scope_of(property: &Property) -> Option<String> {
    let mask: &MaskSpec = property.mask.as_ref().filter(|mask| VERSIONED.contains(&mask.name.as_str()))?;
    mask.arg("scope", 0).map(str::to_owned)
}

fn is_text(data_type: &arrow::datatypes::DataType) -> bool {
    use arrow::datatypes::DataType::{LargeUtf8, Utf8, Utf8View};
    matches!(data_type, Utf8 | LargeUtf8 | Utf8View)
}
