//! `lavra check`: the whole project to one plan, or every fault of it. Opens no socket and no data file.

use super::config::{Config, SourceConfig};
use super::contracts::{self, ContractFile};
use super::joins;
use super::read::Files;
use arrow::datatypes::SchemaRef;
use kernel::contract::RowRule;
use kernel::diagnostic::{Diagnostic, Severity};
use kernel::draft::{self, Draft};
use kernel::gate::{Gate, Screen, Stamp};
use kernel::mask::MaskFactory;
use kernel::{Entity, TableName, suggest};
use lake::{Model, ModelFile, SqlEngine, SqlRowRule, UnitTest, row_condition};
use orchestrate::{Dag, Node, NodeKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A source that can be opened.
#[derive(Clone)]
pub struct Source {
    pub name: String,
    pub file: String,
    pub config: SourceConfig,
    pub table: TableName,
    pub entity: Entity,
    pub contract_version: String,
    /// What the gate makes of its rows.
    pub schema: SchemaRef,
}

/// A project without faults.
pub struct Compiled {
    pub files: Files,
    pub config: Config,
    pub sources: Vec<Source>,
    /// In the order they run.
    pub models: Vec<Model>,
    pub tests: Vec<(String, UnitTest)>,
    pub dag: Dag,
    /// What each table says about people.
    pub exposures: BTreeMap<String, lake::Exposure>,
    pub warnings: Vec<Diagnostic>,
}

/// Checks a project. `env` answers for environment variables; `engine` plans SQL over schemas alone, and `masks` are built
/// for their types only.
pub async fn compile(
    files: Files,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
    engine: &SqlEngine,
    masks: &dyn MaskFactory,
    screen: Arc<dyn Screen>,
) -> Result<Compiled, (Files, Vec<Diagnostic>)> {
    let mut check = Check { files: &files, env, masks, screen, found: files.faults.clone(), broken: BTreeSet::new() };
    let config = check.config();
    let contracts = check.contracts(config.as_ref());
    let sources = check.sources(&contracts);
    let base: BTreeMap<TableName, SchemaRef> = sources.iter().map(|s| (s.table.clone(), s.schema.clone())).collect();
    let model_files = check.model_files(&base);
    let (models, faults) = lake::compile(engine, &base, &check.broken, &model_files, env).await;
    check.found.extend(faults);
    check.found.extend(joins::check(&models, &sources, masks));
    let tests = check.tests(&model_files);
    let dag = check.dag(&sources, &models);
    let (warnings, mut errors): (Vec<_>, Vec<_>) =
        check.found.into_iter().partition(|d| d.severity == Severity::Warning);
    for fault in &mut errors {
        fault.locate(files.texts.get(&fault.file).map_or("", String::as_str));
    }
    errors.sort_by(|a, b| (&a.file, a.span).cmp(&(&b.file, b.span)));
    errors.dedup();
    match (errors.is_empty(), config, dag) {
        (true, Some(config), Some(dag)) => {
            let exposures = super::exposure::of_project(&sources, &models);
            Ok(Compiled { config: config.value, sources, models, tests, dag, exposures, warnings, files })
        }
        _ => Err((files, errors)),
    }
}

struct Check<'a> {
    files: &'a Files,
    env: &'a (dyn Fn(&str) -> Option<String> + Sync),
    masks: &'a dyn MaskFactory,
    screen: Arc<dyn Screen>,
    found: Vec<Diagnostic>,
    /// Bronze tables whose source or contract has faults.
    broken: BTreeSet<TableName>,
}

impl Check<'_> {
    fn keep<T>(&mut self, read: Result<T, Vec<Diagnostic>>) -> Option<T> {
        read.map_err(|faults| self.found.extend(faults)).ok()
    }

    fn config(&mut self) -> Option<Draft<Config>> {
        let text = self.files.texts.get("lavra.yaml")?.clone();
        let read = draft::read::<Config>("lavra.yaml", &text, &|name| (self.env)(name));
        self.keep(read)
    }

    fn contracts(&mut self, config: Option<&Draft<Config>>) -> BTreeMap<String, ContractFile> {
        let (defaults, faults) = config.map(contracts::default_masks).unwrap_or_default();
        self.found.extend(faults);
        let mut all = BTreeMap::new();
        for (name, file, text) in self.files.below("contracts") {
            let read = contracts::read(file, text, &defaults, &|name| (self.env)(name));
            if let Some(contract) = self.keep(read) {
                self.found.extend(contract.draft.warnings.iter().cloned());
                all.insert(name.to_owned(), contract);
            }
        }
        all
    }

    fn sources(&mut self, contracts: &BTreeMap<String, ContractFile>) -> Vec<Source> {
        let mut all = Vec::new();
        for (name, file, text) in self.files.below("sources") {
            let read = draft::read::<SourceConfig>(file, text, &|name| (self.env)(name));
            let Some(draft) = self.keep(read) else {
                self.broken.extend(TableName::new("bronze", name));
                continue;
            };
            self.options(&draft);
            match self.source(name, file, &draft, contracts) {
                Some(source) => all.push(source),
                None => self.broken.extend(TableName::new("bronze", draft.value.table.as_deref().unwrap_or(name))),
            }
        }
        all
    }

    /// The connector's own look at its options.
    fn options(&mut self, draft: &Draft<SourceConfig>) {
        let config = &draft.value;
        let Some(spec) = connect::by_name(&config.connector) else {
            let all = connect::all();
            let help = suggest::hint(&config.connector, all.iter().map(|spec| spec.name));
            let message = format!("there is no connector `{}`", config.connector);
            self.found.push(draft.fault("connector", message).help(help));
            return;
        };
        if let Some(schedule) = &config.schedule
            && !is_schedule(schedule)
        {
            let help = "write `every 15 minutes`, a cron line such as `0 6 * * *`, or `continuous`";
            self.found.push(draft.fault("schedule", "this is no schedule").help(Some(help)));
        }
        for fault in (spec.check)(&serde_json::Value::Object(config.options.clone())) {
            let place = match fault.option.is_empty() {
                true => Diagnostic::new(&draft.file, None, fault.message),
                false => draft.key_fault(&fault.option, fault.message),
            };
            self.found.push(place.help(fault.help));
        }
    }

    fn source(
        &mut self,
        name: &str,
        file: &str,
        draft: &Draft<SourceConfig>,
        contracts: &BTreeMap<String, ContractFile>,
    ) -> Option<Source> {
        let config = draft.value.clone();
        let contract_name = config.contract.clone().unwrap_or_else(|| name.to_owned());
        let Some(contract) = contracts.get(&contract_name) else {
            if !self.files.texts.contains_key(&format!("contracts/{contract_name}.yaml")) {
                let near = suggest::nearest(&contract_name, contracts.keys().map(String::as_str));
                let help = near.map_or("write one, or let `lavra scan FILES --write` propose it".to_owned(), |near| {
                    format!("did you mean `{near}`?")
                });
                let fault = Diagnostic::new(
                    file,
                    draft.span("contract"),
                    format!("there is no contracts/{contract_name}.yaml"),
                );
                self.found.push(fault.help(Some(help)));
            }
            return None;
        };
        let entity = self.entity(name, draft, contract)?;
        let table = match TableName::new("bronze", config.table.as_deref().unwrap_or(name)) {
            Ok(table) => table,
            Err(e) => {
                self.found.push(Diagnostic::new(file, draft.span("table"), e.to_string()));
                return None;
            }
        };
        let schema = self.gate_schema(&entity, contract)?;
        Some(Source {
            name: name.to_owned(),
            file: file.to_owned(),
            table,
            entity,
            contract_version: contract.contract.version.clone(),
            schema,
            config,
        })
    }

    fn entity(&mut self, name: &str, draft: &Draft<SourceConfig>, contract: &ContractFile) -> Option<Entity> {
        let entities = &contract.contract.entities;
        let wanted = draft.value.entity.as_deref().unwrap_or(name);
        let found = entities.iter().find(|e| e.name == wanted);
        match (found, draft.value.entity.is_none(), &entities[..]) {
            (Some(entity), _, _) | (None, true, [entity]) => Some(entity.clone()),
            _ => {
                let help = suggest::hint(wanted, entities.iter().map(|e| e.name.as_str()));
                let message = format!("the contract has no table `{wanted}`");
                let fault = Diagnostic::new(&draft.file, draft.span("entity"), message);
                self.found.push(fault.help(help.map(|h| format!("{h} Say which with `entity:`"))));
                None
            }
        }
    }

    /// Builds rules and masks once, for their faults and their types.
    fn gate_schema(&mut self, entity: &Entity, contract: &ContractFile) -> Option<SchemaRef> {
        let stamp = Stamp { source: String::new(), contract_version: String::new(), run_id: String::new() };
        let (_, faults) = row_rules(entity);
        let before = self.found.len();
        for fault in faults {
            let fault = match find_property(contract, entity, fault.property.as_deref()) {
                Some(path) => contract.draft.fault(&format!("{path}.quality"), fault.message).help(fault.help),
                None => Diagnostic::new(&contract.draft.file, None, fault.message).help(fault.help),
            };
            self.found.push(fault);
        }
        for property in &entity.properties {
            let alone = Entity { properties: vec![property.clone()], rules: Vec::new(), ..entity.clone() };
            if let Err(e) = Gate::new(alone, self.masks, Vec::new(), stamp.clone(), self.screen.clone()) {
                let path = find_property(contract, entity, Some(&property.name)).unwrap_or_default();
                self.found.push(contract.draft.fault(&path, e.to_string()));
            }
        }
        if self.found.len() > before {
            return None;
        }
        let gate = Gate::new(entity.clone(), self.masks, Vec::new(), stamp, self.screen.clone());
        gate.map(|gate| gate.output_schema())
            .map_err(|e| self.found.push(Diagnostic::new(&contract.draft.file, None, e.to_string())))
            .ok()
    }

    fn model_files(&mut self, base: &BTreeMap<TableName, SchemaRef>) -> Vec<ModelFile> {
        let layers = Files::model_layers();
        let mut all: Vec<ModelFile> = Vec::new();
        for (path, file, text) in self.files.below("models") {
            let name = path.split_once('/').map(|(layer, table)| (layer, TableName::new(layer, table)));
            match name {
                Some((layer, Ok(name))) if layers.contains(&layer) => {
                    if base.contains_key(&name) {
                        self.found.push(Diagnostic::new(file, None, format!("`{name}` is a source's table already")));
                    }
                    all.push(ModelFile { name, file: file.to_owned(), text: text.to_owned() });
                }
                Some((layer, Err(e))) if layers.contains(&layer) => {
                    self.found.push(Diagnostic::new(file, None, e.to_string()));
                }
                _ => {
                    let fault =
                        Diagnostic::new(file, None, "a model's place says its name: `models/silver/orders.sql`");
                    self.found.push(fault.help(Some(format!("put it into one of: {}", layers.join(", ")))));
                }
            }
        }
        all
    }

    fn tests(&mut self, models: &[ModelFile]) -> Vec<(String, UnitTest)> {
        let names: Vec<String> = models.iter().map(|m| m.name.to_string()).collect();
        let mut all = Vec::new();
        for (_, file, text) in self.files.below("tests") {
            let read = draft::read::<UnitTest>(file, text, &|name| (self.env)(name));
            let Some(draft) = self.keep(read) else { continue };
            if !names.contains(&draft.value.model) {
                let help = suggest::hint(&draft.value.model, names.iter().map(String::as_str));
                self.found.push(draft.fault("model", format!("there is no model `{}`", draft.value.model)).help(help));
            }
            all.push((file.to_owned(), draft.value));
        }
        all
    }

    fn dag(&mut self, sources: &[Source], models: &[Model]) -> Option<Dag> {
        let node = |name: String, layer: &str, tags: &[String], kind, upstream: Vec<String>| Node {
            name,
            layer: layer.to_owned(),
            tags: tags.to_vec(),
            kind,
            upstream,
        };
        let of_table = |table: &TableName| -> Vec<String> {
            let from = sources.iter().filter(|s| s.table == *table).map(|s| s.name.clone());
            let from: Vec<String> = from.collect();
            if from.is_empty() { vec![table.to_string()] } else { from }
        };
        let mut nodes: Vec<Node> = sources
            .iter()
            .map(|s| node(s.name.clone(), "bronze", &s.config.tags, NodeKind::Source, Vec::new()))
            .collect();
        nodes.extend(models.iter().map(|m| {
            let upstream = m.inputs.iter().flat_map(of_table).collect();
            node(m.name.to_string(), m.name.layer(), &m.header.tags, NodeKind::Model, upstream)
        }));
        Dag::new(nodes)
            .map_err(|faults| {
                self.found.extend(faults.iter().map(|f| Diagnostic::new("lavra.yaml", None, f.to_string())))
            })
            .ok()
    }
}

/// `continuous`, `every 15 minutes`, or five fields of cron.
fn is_schedule(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_cron = |field: &str| field.chars().all(|c| c.is_ascii_alphanumeric() || "*/,-?#".contains(c));
    match words[..] {
        ["continuous"] => true,
        ["every", unit] => ["minute", "hour", "day", "week"].contains(&unit),
        ["every", number, unit] => {
            number.parse::<u32>().is_ok_and(|n| n > 0)
                && ["second", "minute", "hour", "day", "week"].contains(&unit.trim_end_matches('s'))
        }
        _ => words.len() == 5 && words.iter().all(|field| is_cron(field)),
    }
}

/// A fault in a SQL rule, with the column it is written under.
pub struct RuleFault {
    pub property: Option<String>,
    pub message: String,
    pub help: Option<String>,
}

/// The rules of an entity that judge rows one by one.
pub fn row_rules(entity: &Entity) -> (Vec<Box<dyn RowRule>>, Vec<RuleFault>) {
    let schema = entity.typed_schema();
    let (mut rules, mut faults) = (super::forms::rules(entity).collect::<Vec<_>>(), Vec::new());
    for rule in &entity.rules {
        let Some(condition) = row_condition(rule) else { continue };
        match SqlRowRule::compile(rule, &condition, &schema) {
            Ok(rule) => rules.push(Box::new(rule)),
            Err(fault) => {
                faults.push(RuleFault { property: rule.property.clone(), message: fault.message, help: fault.help })
            }
        }
    }
    (rules, faults)
}

fn find_property(contract: &ContractFile, entity: &Entity, property: Option<&str>) -> Option<String> {
    let at = contract.contract.entities.iter().position(|e| e.name == entity.name)?;
    let inner = entity.properties.iter().position(|p| Some(p.name.as_str()) == property)?;
    Some(format!("schema[{at}].properties[{inner}]"))
}
