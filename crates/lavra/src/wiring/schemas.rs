//! The schemas of a project's contracts, the registry that they are in, and the tables that keep them.

use super::Wiring;
use super::audit::LEDGER;
use crate::project::{STATE, Source};
use arrow::datatypes::{DataType, Schema};
use govern::odcs::physical_name;
use govern::registry::{Definition, Registered, Registry, Remote, SchemaType, Schemas, Verdict, definition};
use kernel::TableName;
use kernel::error::{Error, Result};
use kernel::gate::{Clash, Names};
use lake::{At, Table, is_kept_as};
use orchestrate::SqliteLedger;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// A source's schema, and what the registry says of it.
#[derive(Serialize)]
pub struct Checked {
    pub table: String,
    pub subject: String,
    #[serde(flatten)]
    pub verdict: Verdict,
    #[serde(skip)]
    pub definition: Definition,
}

impl Wiring {
    pub fn ledger_file(&self) -> PathBuf {
        self.ask.folder.join(STATE).join(LEDGER)
    }

    /// The embedded registry, in the project's ledger.
    pub async fn embedded_registry(&self) -> Result<Registry> {
        Ok(Registry::new(Arc::new(SqliteLedger::open(self.ledger_file()).await?)))
    }

    /// The registry of the environment: the embedded one unless `lavra.yaml` names another.
    pub async fn registry(&self) -> Result<Arc<dyn Schemas>> {
        match &self.environment.registry {
            Some(url) => Ok(Arc::new(Remote::new(url)?)),
            None => Ok(Arc::new(self.embedded_registry().await?)),
        }
    }

    /// The same for who must leave no trace: none when the embedded one was never written to.
    pub async fn registry_if_any(&self) -> Result<Option<Arc<dyn Schemas>>> {
        match self.environment.registry.is_none() && !self.ledger_file().exists() {
            true => Ok(None),
            false => self.registry().await.map(Some),
        }
    }

    /// `<project>.<layer>.<table>-value`
    pub fn subject_of(&self, source: &Source) -> String {
        format!("{}.{}-value", self.project.config.project, source.table)
    }

    /// Holds the schemas of sources against the registry. Changes nothing.
    pub async fn check_schemas(&self, registry: Option<&dyn Schemas>, sources: &[&Source]) -> Result<Vec<Checked>> {
        let format = self.environment.registry_format.as_deref().and_then(SchemaType::parse).unwrap_or_default();
        let space = |source: &Source| format!("{}.{}", self.project.config.project, source.table.layer());
        let mut all = Vec::new();
        for source in sources {
            let subject = self.subject_of(source);
            let before = match registry {
                Some(registry) => registry.version(&subject, None).await?,
                None => None,
            };
            let before = before.map(|Registered { definition, .. }| definition);
            let made = definition(format, &space(source), &source.entity, &source.schema, before.as_ref())?;
            let verdict = match registry {
                Some(registry) => registry.verdict(&subject, &made).await?,
                None => Verdict::New,
            };
            all.push(Checked { table: source.table.to_string(), subject, verdict, definition: made });
        }
        Ok(all)
    }

    /// Refuses schemas that do not go with what is registered, or that their tables would refuse: what is registered is the
    /// contract as its table keeps it. Changes nothing.
    pub async fn hold_schemas(&self, registry: Option<&dyn Schemas>, sources: &[&Source]) -> Result<Vec<Checked>> {
        let mut all = self.check_schemas(registry, sources).await?;
        let mut misfits = Vec::new();
        for source in sources {
            match Table::open(&self.store, &source.table, At::Latest).await {
                Ok(Some(table)) => misfits.extend(Misfit::all(source, &table.schema())),
                Ok(None) => {}
                // It is told when the source is taken, and others go on. Until then nobody knows what the table keeps.
                Err(_) => all.retain(|one| one.table != source.table.to_string()),
            }
        }
        match (refuse(&all), refuse_misfits(&misfits)) {
            // Whoever allows the change in the registry would then meet this.
            (Err(of_registry), Err(of_table)) => {
                let detail = format!("{}. That alone is not enough, for {}", of_registry.detail, of_table.detail);
                Err(Error { detail, ..of_registry })
            }
            (of_registry, of_table) => of_registry.and(of_table).map(|()| all),
        }
    }

    /// Registers the schemas of sources; none of them if one does not go with what is registered, or with its table.
    pub async fn register_schemas(&self, sources: &[&Source]) -> Result<()> {
        let registry = self.registry().await?;
        let all = self.hold_schemas(Some(registry.as_ref()), sources).await?;
        for one in all {
            if !matches!(one.verdict, Verdict::Same { .. }) {
                registry.register(&one.subject, &one.definition).await?;
            }
        }
        Ok(())
    }
}

/// The error of what can't be registered: every subject, version, rule and place.
pub fn refuse(all: &[Checked]) -> Result<()> {
    let mut told = Vec::new();
    let mut subjects = Vec::new();
    for one in all {
        if let Verdict::Incompatible { version, level, why } = &one.verdict {
            told.push(format!("{} does not go with its version {version} ({level}): {}", one.subject, why.join("; ")));
            subjects.push(one.subject.as_str());
        }
    }
    if subjects.is_empty() {
        return Ok(());
    }
    let allow: Vec<String> = subjects.iter().map(|subject| format!("`lavra registry level {subject} NONE`")).collect();
    let remedy = format!(
        "change the contract so that readers of the old rows can follow (a new column must be optional, a type may only \
         become wider), or allow this change: {}",
        allow.join(", ")
    );
    let what = match subjects.len() {
        1 => "the schema of a contract is incompatible".to_owned(),
        n => format!("the schemas of {n} contracts are incompatible"),
    };
    Err(Error::refused(what, format!("{}; {remedy}", told.join("; "))))
}

/// A column that has another type by its contract than in the table that is there, which never changes one, or is called there
/// by other letters of upper and lower case.
struct Misfit {
    column: String,
    has: String,
    wants: String,
}

impl Misfit {
    fn all(source: &Source, table: &Schema) -> Vec<Self> {
        let masked = source.entity.properties.iter().filter(|property| property.mask.is_some());
        let masked: BTreeSet<&str> = masked.map(|property| property.name.as_str()).collect();
        Self::between(&source.table, table, &source.schema, &masked)
    }

    fn between(name: &TableName, table: &Schema, contract: &Schema, masked: &BTreeSet<&str>) -> Vec<Self> {
        let mut names = Names::default();
        table.fields().iter().for_each(|field| names.take(field.name()));
        let columns = contract.fields().iter().filter_map(|field| {
            let Ok(known) = table.field_with_name(field.name()) else {
                let Some(Clash::Twin(twin)) = names.clash(field.name()) else { return None };
                let [column, has, wants] = [
                    format!("`{}` of {name}", field.name()),
                    format!("called `{twin}`"),
                    format!("`{}`", field.name()),
                ];
                return Some(Self { column, has, wants });
            };
            let is_masked = if masked.contains(field.name().as_str()) { " (masked)" } else { "" };
            (!is_kept_as(field.data_type(), known.data_type())).then(|| Self {
                column: format!("`{}` of {name}", field.name()),
                has: word(known.data_type()),
                wants: format!("{}{is_masked}", word(field.data_type())),
            })
        });
        columns.collect()
    }
}

fn refuse_misfits(all: &[Misfit]) -> Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let one = |Misfit { column, has, wants }: &Misfit| {
        format!("column {column} is {has} in the table and {wants} by its contract")
    };
    let told: Vec<String> = all.iter().map(one).collect();
    let remedy = "a column of a table keeps its type and its name, of which no other may differ only in case: give the contract \
                  the old one back, or the new type to a column of another name, or move the table's folder away and load all \
                  again";
    Err(Error::project("a contract does not go with its table", format!("{}; {remedy}", told.join("; "))))
}

/// A type as contracts write it; of an object all that is in it.
fn word(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::List(item) => format!("array of {}", word(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{} {}", field.name(), word(field.data_type()))).collect();
            format!("object({})", fields.join(", "))
        }
        other => physical_name(other).unwrap_or_else(|| other.to_string().to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, TimeUnit};
    use kernel::Kind;

    fn schema(columns: Vec<(&str, DataType)>) -> Schema {
        Schema::new(columns.into_iter().map(|(name, of)| Field::new(name, of, true)).collect::<Vec<_>>())
    }

    fn misfits(table: Vec<(&str, DataType)>, contract: Vec<(&str, DataType)>) -> Vec<String> {
        let name = TableName::new("bronze", "x").expect("a name");
        let all = Misfit::between(&name, &schema(table), &schema(contract), &BTreeSet::from(["n"]));
        all.into_iter().map(|Misfit { column, has, wants }| format!("{column}: {has}, {wants}")).collect()
    }

    fn object(fields: &[(&str, DataType)], nullable: bool) -> DataType {
        DataType::Struct(fields.iter().map(|(name, of)| Field::new(*name, of.clone(), nullable)).collect())
    }

    #[test]
    fn a_column_that_keeps_its_type_comes_or_goes_fits() {
        let inner = [("a", DataType::Utf8View), ("b", DataType::Int64)];
        let list = |name, of| DataType::List(Field::new(name, of, true).into());
        let table = vec![
            ("text", DataType::Utf8View),
            ("gone", DataType::Int64),
            ("items", list("element", object(&inner, true))),
            ("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ];
        let contract = vec![
            ("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            ("items", list("item", object(&inner, false))),
            ("text", DataType::Utf8),
            ("fresh", DataType::Boolean),
        ];
        assert_eq!(misfits(table, contract), [""; 0]);
    }

    #[test]
    fn another_type_is_told_with_both_also_inside_of_an_object() {
        let table = vec![
            ("amount", DataType::Decimal128(10, 2)),
            ("n", DataType::Int32),
            ("place", object(&[("city", DataType::Utf8View)], true)),
        ];
        let contract = vec![
            ("amount", DataType::Utf8View),
            ("n", DataType::Int64),
            ("place", object(&[("city", DataType::Utf8View), ("zip", DataType::Utf8View)], true)),
        ];
        let told = misfits(table, contract);
        assert_eq!(told[0], "`amount` of bronze.x: decimal(10,2), string");
        assert_eq!(told[1], "`n` of bronze.x: int, bigint (masked)");
        assert_eq!(told[2], "`place` of bronze.x: object(city string), object(city string, zip string)");
    }

    #[test]
    fn a_name_that_differs_only_in_case_is_told_with_both() {
        let table = vec![("amount", DataType::Int64), ("Über", DataType::Int64), ("n", DataType::Int64)];
        let contract = vec![("Amount", DataType::Int64), ("über", DataType::Int64), ("n", DataType::Int64)];
        let told = misfits(table, contract);
        assert_eq!(
            told,
            ["`Amount` of bronze.x: called `amount`, `Amount`", "`über` of bronze.x: called `Über`, `über`"]
        );
    }

    #[test]
    fn all_columns_are_refused_at_once_with_what_to_do() {
        assert!(refuse_misfits(&[]).is_ok());
        let one = |column: &str| Misfit { column: column.into(), has: "int".into(), wants: "string".into() };
        let told = refuse_misfits(&[one("`a` of bronze.x"), one("`b` of bronze.y")]).expect_err("refused");
        assert_eq!(told.kind, Kind::Project);
        for part in ["column `a` of bronze.x is int in the table and string", "column `b` of bronze.y", "another name"]
        {
            assert!(told.detail.contains(part), "{part} in {told}");
        }
    }
}
