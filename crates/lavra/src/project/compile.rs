//! `lavra check`: the whole project to one plan, or every fault of it. Opens no socket and no data file.

use super::config::{self, Config, SourceConfig};
use super::contracts::{self, ContractFile};
use super::exposure::{self, Carrying};
use super::holds::Holds;
use super::joins;
use super::read::Files;
use super::retention;
use super::secrets::Secrets;
use super::terms::Terms;
use super::users::Users;
use arrow::datatypes::SchemaRef;
use kernel::contract::{Constraints, RowRule};
use kernel::diagnostic::{Diagnostic, Severity};
use kernel::draft::{self, Draft};
use kernel::gate::{Gate, Screen, Stamp, is_stamp};
use kernel::mask::MaskFactory;
use kernel::{Classification, Entity, Property, TableName};
use lake::{Model, ModelFile, SqlEngine, SqlRowRule, UnitTest, row_condition};
use orchestrate::{Dag, Node, NodeKind};
use privacy::detect::OwnKind;
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
    /// Whether it gives the changes of a table and not its rows.
    pub changes: bool,
    /// The table that is kept from them.
    pub materialized: Option<TableName>,
    pub terms: Terms,
}

impl Source {
    /// The file name of its contract.
    pub fn contract_name(&self) -> &str {
        self.config.contract.as_deref().unwrap_or(&self.name)
    }
}

/// A project without faults.
pub struct Compiled {
    pub files: Files,
    pub config: Config,
    /// By their file names.
    pub contracts: BTreeMap<String, ContractFile>,
    pub sources: Vec<Source>,
    /// In the order they run.
    pub models: Vec<Model>,
    pub tests: Vec<(String, UnitTest)>,
    pub dag: Dag,
    /// What each table carries of people, by column.
    pub carrying: Carrying,
    /// The same as its commits keep it.
    pub exposures: BTreeMap<String, lake::Exposure>,
    /// Kinds of personal data of the project's own.
    pub own_kinds: Arc<[OwnKind]>,
    /// Who may open what.
    pub users: Users,
    /// What the law keeps.
    pub holds: Holds,
    pub warnings: Vec<Diagnostic>,
    /// What a privacy law forbids of it. Nothing may run while there is any.
    pub refused: Vec<Diagnostic>,
}

/// Checks a project. `env` answers for environment variables; `engine` plans SQL over schemas alone, and `masks` are built
/// for their types only. Who opens no sources needs no variables of theirs.
pub async fn compile(
    files: Files,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
    opens_sources: bool,
    engine: &SqlEngine,
    masks: &dyn MaskFactory,
    screen: Arc<dyn Screen>,
) -> Result<Compiled, (Files, Vec<Diagnostic>)> {
    let secrets = Secrets::new(env);
    let env = |name: &str| secrets.ask(name);
    let mut check = Check::new(&files, &env, opens_sources, masks, screen);
    let config = check.config();
    let (own_kinds, faults) = super::own_kinds(&files, &env, masks);
    check.found.extend(faults);
    let mut contracts = check.contracts(config.as_ref(), &own_kinds);
    check.gates(&mut contracts);
    check.set_rules(&contracts, engine).await;
    let sources = check.sources(&contracts);
    let base: BTreeMap<TableName, SchemaRef> = sources.iter().map(|s| (s.table.clone(), s.schema.clone())).collect();
    let mut model_files = check.model_files(&base);
    let kept = check.kept_tables(&sources, &model_files);
    model_files.extend(kept);
    let (models, faults) = lake::compile(engine, &base, &check.broken, &model_files, &env).await;
    check.found.extend(faults);
    check.found.extend(joins::check(&models, &sources, masks));
    let group_floor = config.as_ref().map_or(config::GROUP_FLOOR, |config| config.value.privacy.floor());
    let carrying = exposure::of_project(&sources, &models, group_floor);
    check.found.extend(exposure::check(&models, &carrying, group_floor, &env));
    if let Some(config) = &config {
        let verdicts = retention::verdicts(config.value.upkeep(), &sources, &models, &contracts, &carrying);
        check.found.extend(retention::check(config, &contracts, &verdicts));
    }
    let users = check.users();
    let holds = check.holds(&sources, &models);
    let tests = check.tests(&model_files, &models, &base);
    let dag = check.dag(&sources, &models);
    let mut found = check.found;
    for fault in &mut found {
        fault.locate(files.texts.get(&fault.file).map_or("", String::as_str));
        secrets.hide(fault);
    }
    let (warnings, mut errors): (Vec<_>, Vec<_>) = found.into_iter().partition(|d| d.severity == Severity::Warning);
    errors.sort_by(|a, b| (&a.file, a.span).cmp(&(&b.file, b.span)));
    errors.dedup();
    let is_sound = errors.iter().all(|fault| fault.severity == Severity::Refused);
    match (is_sound, config, dag) {
        (true, Some(config), Some(dag)) => {
            let exposures = exposure::told(&carrying);
            let (config, own_kinds) = (config.value, own_kinds.into());
            let refused = errors;
            Ok(Compiled {
                config,
                contracts,
                sources,
                models,
                tests,
                dag,
                carrying,
                exposures,
                own_kinds,
                users,
                holds,
                warnings,
                refused,
                files,
            })
        }
        _ => Err((files, errors)),
    }
}

pub(super) struct Check<'a> {
    pub files: &'a Files,
    pub env: &'a (dyn Fn(&str) -> Option<String> + Sync),
    pub opens_sources: bool,
    pub masks: &'a dyn MaskFactory,
    screen: Arc<dyn Screen>,
    pub found: Vec<Diagnostic>,
    /// Whether sources of some environment go through one.
    pub has_broker: bool,
    /// Bronze tables whose source or contract has faults.
    pub broken: BTreeSet<TableName>,
}

impl<'a> Check<'a> {
    fn new(
        files: &'a Files,
        env: &'a (dyn Fn(&str) -> Option<String> + Sync),
        opens_sources: bool,
        masks: &'a dyn MaskFactory,
        screen: Arc<dyn Screen>,
    ) -> Self {
        Self {
            files,
            env,
            opens_sources,
            masks,
            screen,
            found: files.faults.clone(),
            broken: BTreeSet::new(),
            has_broker: false,
        }
    }
}

impl Check<'_> {
    pub fn keep<T>(&mut self, read: Result<T, Vec<Diagnostic>>) -> Option<T> {
        read.map_err(|faults| self.found.extend(faults)).ok()
    }

    fn config(&mut self) -> Option<Draft<Config>> {
        let text = self.files.texts.get("lavra.yaml")?.clone();
        let read = draft::read::<Config>("lavra.yaml", &text, &|name| (self.env)(name));
        let config = self.keep(read)?;
        self.found.extend(config::unreachable(&config));
        self.found.extend(config::privacy_faults(&config));
        self.found.extend(super::running::faults(&config));
        self.found.extend(config::unreadable_keys(&config));
        self.default_masks(&config);
        self.has_broker = config.value.has_broker();
        Some(config)
    }

    /// Masks of the project that nothing can be masked by, whether a column has their class or not.
    fn default_masks(&mut self, config: &Draft<Config>) {
        for (class, mask) in contracts::default_masks(config).0 {
            let Err(why) = self.masks.build(&mask, Some(&Classification::new(class.as_str()))) else { continue };
            let written = config.value.masks.keys().find(|name| Classification::new(name.as_str()).as_str() == class);
            let path = format!("masks[\"{}\"]", written.map_or("", String::as_str));
            let why = match config.at(&path).is_some_and(draft::Node::has_variable) {
                true => "this does not fit here once its variables are put in".to_owned(),
                false => why.to_string(),
            };
            self.found.push(config.fault(&path, why));
        }
    }

    fn contracts(&mut self, config: Option<&Draft<Config>>, own: &[OwnKind]) -> BTreeMap<String, ContractFile> {
        let (mut defaults, faults) = config.map(contracts::default_masks).unwrap_or_default();
        self.found.extend(faults);
        for kind in own {
            defaults.entry(kind.classification.to_string()).or_insert_with(|| kind.mask.clone());
        }
        let mut all = BTreeMap::new();
        for (name, file, text) in self.files.below("contracts") {
            let read = contracts::read(file, text, &defaults, &|name| (self.env)(name));
            if let Some(mut contract) = self.keep(read) {
                self.found.extend(contract.look());
                self.found.extend(contract.draft.warnings.iter().cloned());
                all.insert(name.to_owned(), contract);
            }
        }
        all
    }

    /// Builds rules and masks of every contract once, for their faults and their types.
    fn gates(&mut self, contracts: &mut BTreeMap<String, ContractFile>) {
        for contract in contracts.values_mut() {
            for entity in &contract.contract.entities {
                if let Some(schema) = self.gate_schema(entity, contract) {
                    contract.schemas.insert(entity.name.clone(), schema);
                }
            }
        }
    }

    fn gate_schema(&mut self, entity: &Entity, contract: &ContractFile) -> Option<SchemaRef> {
        let before = self.found.len();
        for fault in row_rules(entity).1 {
            self.found.push(rule_fault(contract, entity, fault));
        }
        for property in &entity.properties {
            let Err(why) = self.gate(alone(entity, property.clone())) else { continue };
            let unmasked = Property { mask: None, ..property.clone() };
            let fault = match self.gate(alone(entity, unmasked)) {
                Ok(_) => contract.mask_fault(entity, property, why.to_string()),
                Err(_) => {
                    let path = contract.find(&entity.name, &property.name).map(|(path, _)| path);
                    contract.draft.fault(&path.unwrap_or_default(), why.to_string())
                }
            };
            self.found.push(fault);
        }
        if self.found.len() > before {
            return None;
        }
        let schema = self.gate(entity.clone()).map(|gate| gate.output_schema());
        schema.map_err(|e| self.found.push(Diagnostic::new(&contract.draft.file, None, e.to_string()))).ok()
    }

    fn gate(&self, entity: Entity) -> kernel::Result<Gate> {
        let stamp =
            Stamp { source: String::new(), contract_version: String::new(), run_id: String::new(), changes: false };
        Gate::new(entity, self.masks, Vec::new(), stamp, self.screen.clone())
    }

    /// Plans the rules that are asked of a whole batch.
    async fn set_rules(&mut self, contracts: &BTreeMap<String, ContractFile>, engine: &SqlEngine) {
        for contract in contracts.values() {
            for entity in &contract.contract.entities {
                let Some(schema) = contract.schemas.get(&entity.name) else { continue };
                for rule in entity.rules.iter().filter(|rule| row_condition(rule).is_none()) {
                    for fault in planned(engine, schema, &rule.query).await {
                        let fault =
                            RuleFault { property: rule.property.clone(), message: fault.message, help: fault.help };
                        self.found.push(rule_fault(contract, entity, fault));
                    }
                }
            }
        }
    }

    fn model_files(&mut self, base: &BTreeMap<TableName, SchemaRef>) -> Vec<ModelFile> {
        let layers = Files::model_layers();
        let mut all: Vec<ModelFile> = Vec::new();
        for (path, file, text) in self.files.below("models") {
            let name = path.split_once('/').map(|(layer, table)| (layer, TableName::new(layer, table)));
            match name {
                Some((layer, Ok(name))) if layers.contains(&layer) => {
                    if base.contains_key(&name) {
                        let first = text.lines().next().map(|line| (0, line.len()));
                        let fault = Diagnostic::new(file, first, format!("`{name}` is a source's table already"));
                        self.found.push(fault.help(Some("give the model, and so its file, another name")));
                    }
                    all.push(ModelFile { name, file: file.to_owned(), text: text.to_owned(), follows: false });
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

/// One column of an entity to be looked at. The others are there by name and type, for a mask may need one to know whose a
/// row is, and without all that could have a fault of its own.
fn alone(entity: &Entity, property: Property) -> Entity {
    let others = entity.properties.iter().filter(|other| other.name != property.name && !is_stamp(&other.name));
    let bare =
        |other: &Property| Property { constraints: Constraints::default(), mask: None, format: None, ..other.clone() };
    let properties = others.map(bare).collect::<Vec<_>>();
    Entity { properties: [vec![property], properties].concat(), rules: Vec::new(), ..entity.clone() }
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

/// The faults of a rule's query over the rows of its table.
async fn planned(engine: &SqlEngine, schema: &SchemaRef, query: &str) -> Vec<Diagnostic> {
    let names = (TableName::new("bronze", "rows"), TableName::new("gold", "rule"));
    let (Ok(rows), Ok(name)) = names else { return Vec::new() };
    let query = query.replace("{table}", &rows.to_string());
    let text = format!("select answer from ({}) as measured (answer)", query.trim().trim_end_matches(';'));
    let rule = ModelFile { name, file: String::new(), text, follows: false };
    lake::compile(engine, &BTreeMap::from([(rows, schema.clone())]), &BTreeSet::new(), &[rule], &|_| None).await.1
}

/// A rule's fault, where the rules of its column or table stand. What a variable put there is not shown.
fn rule_fault(contract: &ContractFile, entity: &Entity, fault: RuleFault) -> Diagnostic {
    let table = || contract.draft.value.schema.iter().flatten().position(|object| object.name == entity.name);
    let column = fault.property.as_deref().and_then(|property| contract.find(&entity.name, property));
    let owner = column.map(|(path, _)| path).or_else(|| table().map(|at| format!("schema[{at}]")));
    let path = owner.map(|owner| format!("{owner}.quality")).unwrap_or_default();
    match contract.draft.at(&path).is_some_and(draft::Node::has_variable) {
        true => contract.draft.fault(&path, "a rule here does not fit once its variables are put in"),
        false => contract.draft.fault(&path, fault.message).help(fault.help),
    }
}
