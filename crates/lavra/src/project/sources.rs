//! The sources of a project, as `lavra check` looks at them.

use super::compile::{Check, Source};
use super::config::{OWN_KEYS, SourceConfig};
use super::contracts::ContractFile;
use super::terms;
use connect::Fault;
use kernel::contract::SchemaChange;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{self, Draft, Node};
use kernel::{Entity, TableName, suggest};
use orchestrate::timetable::{self, Timetable};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

impl Check<'_> {
    pub fn sources(&mut self, contracts: &BTreeMap<String, ContractFile>) -> Vec<Source> {
        let (mut all, mut doors) = (Vec::new(), BTreeMap::new());
        for (name, file, text) in self.files.below("sources") {
            let Some((draft, is_whole)) = self.source_draft(file, text) else {
                self.broken.extend(TableName::new("bronze", name));
                continue;
            };
            if is_whole {
                self.options(&draft);
                self.door(name, &draft, &mut doors);
            }
            match self.source(name, file, (&draft, is_whole), contracts) {
                Some(source) => all.push(source),
                None => self.broken.extend(TableName::new("bronze", draft.value.into.as_deref().unwrap_or(name))),
            }
        }
        all
    }

    /// Reads a source; one with faults is read as far as it can be, so that all of them are told. Also says whether it is all
    /// there: who opens no sources may lack their variables, whose names stand in for them then.
    fn source_draft(&mut self, file: &str, text: &str) -> Option<(Draft<SourceConfig>, bool)> {
        let env = self.env;
        let mut unset = Vec::new();
        if !self.opens_sources
            && let Err(faults) = draft::read::<Map<String, Value>>(file, text, &|name| env(name))
        {
            unset = faults;
        }
        let lacks = |name: &str| unset.iter().any(|fault| fault.message.contains(&format!("`{name}` is not set")));
        let env = |name: &str| env(name).or_else(|| lacks(name).then(|| format!("${{{name}}}")));
        let loose = draft::read::<Map<String, Value>>(file, text, &env);
        let loose = self.keep(loose)?;
        let config = match draft::read::<SourceConfig>(file, text, &env) {
            Ok(draft) => return Some((draft, unset.is_empty())),
            Err(faults) if unset.is_empty() => {
                self.found.extend(faults.into_iter().map(|fault| misspelt(fault, &loose)));
                SourceConfig::salvaged(&loose.value)
            }
            Err(_) => SourceConfig::salvaged(&loose.value),
        };
        Some((loose.map(|_| config), unset.is_empty()))
    }

    /// The connector's own look at its options.
    fn options(&mut self, draft: &Draft<SourceConfig>) {
        let config = &draft.value;
        if let Some(Err(why)) = config.schedule.as_deref().map(Timetable::parse) {
            self.found.push(draft.fault("schedule", why).help(Some(timetable::HOW)));
        }
        if config.commit_every.as_deref().is_some_and(|text| super::span(text).is_none()) {
            let fault = draft.fault("commit_every", "this is not a span of time");
            self.found.push(fault.help(Some(kernel::span::HOW)));
        }
        let Some(spec) = connect::by_name(&config.connector) else {
            if let Some(written) = written(draft, "connector") {
                let all = connect::all();
                let help = suggest::hint(written, all.iter().map(|spec| spec.name));
                let message = format!("there is no connector `{written}`");
                self.found.push(draft.fault("connector", message).help(help));
            }
            return;
        };
        let schema = (spec.options_schema)();
        if spec.listen.is_some() {
            self.patience(draft, &schema["properties"]["timeout_ms"]["default"]);
        }
        for fault in (spec.check)(&Value::Object(config.options.clone())) {
            let path = format!("[\"{}\"]", fault.option);
            let found = if !fault.option.is_empty() && schema["properties"].get(&fault.option).is_none() {
                // A key that every source has may have been meant as well.
                let own = suggest::nearest(&fault.option, OWN_KEYS).map(|near| format!("did you mean `{near}`?"));
                draft.key_fault(&path, fault.message).help(own.or(fault.help))
            } else if draft.at(&path).is_some_and(Node::has_variable) {
                draft.fault(&path, format!("`{}` does not fit here once its variables are put in", fault.option))
            } else {
                placed(draft, fault)
            };
            self.found.push(found);
        }
    }

    /// Where others push to. `lavra up` answers at some paths itself, and at each other one for one source.
    fn door(&mut self, name: &str, draft: &Draft<SourceConfig>, doors: &mut BTreeMap<String, String>) {
        let listens = connect::by_name(&draft.value.connector).is_some_and(|spec| spec.listen.is_some());
        let path = draft.value.options.get("path").and_then(Value::as_str);
        let Some(path) = path.filter(|_| listens) else { return };
        let who = match crate::up::is_own(path) {
            true => Some("`lavra up` itself".to_owned()),
            // Workers have an address of their own.
            false if draft.value.schedule.is_none() => None,
            false => doors.insert(path.to_owned(), name.to_owned()).map(|other| format!("source `{other}`")),
        };
        if let Some(who) = who {
            let fault = draft.fault("path", format!("{who} answers at this path"));
            self.found.push(fault.help(Some("give it another one, such as `/hooks/payments`")));
        }
    }

    /// Who pushes hears of it when a commit has made it durable, and it must not be told before that to send again.
    fn patience(&mut self, draft: &Draft<SourceConfig>, usual: &Value) {
        let SourceConfig { options, commit_every, .. } = &draft.value;
        let every = commit_every.as_deref().and_then(super::span).unwrap_or(super::COMMIT_EVERY);
        let Some(wait) = options.get("timeout_ms").unwrap_or(usual).as_u64().map(Duration::from_millis) else { return };
        if wait <= every {
            let key = if options.contains_key("timeout_ms") { "timeout_ms" } else { "commit_every" };
            let message = format!(
                "senders would be told to send again after {wait:?} what a commit makes durable each {every:?}, and it would be \
                 there twice"
            );
            let help = "set `timeout_ms` to more than `commit_every`";
            self.found.push(draft.fault(&format!("[\"{key}\"]"), message).help(Some(help)));
        }
    }

    /// The connector's look at its options beside the contract.
    fn fits(&mut self, draft: &Draft<SourceConfig>, entity: &Entity) {
        let config = &draft.value;
        let Some(spec) = connect::by_name(&config.connector) else { return };
        let faults = (spec.fits)(&Value::Object(config.options.clone()), entity);
        self.found.extend(faults.into_iter().map(|fault| placed(draft, fault)));
    }

    /// What comes again is let go by its key, if the key's mask does not hide which it is.
    fn comes_again(&mut self, draft: &Draft<SourceConfig>, entity: &Entity) {
        let config = &draft.value;
        let Some(spec) = connect::by_name(&config.connector) else { return };
        let Some(option) = (spec.repeats)(&Value::Object(config.options.clone()), entity) else { return };
        for property in entity.key().into_iter().filter_map(|name| entity.property(name)) {
            let Some(mask) = property.mask.as_ref().filter(|_| !self.is_told_apart(property)) else { continue };
            let name = &property.name;
            let message = format!(
                "records come again with each run, and `{name}` of the primary key is masked by `{mask}`, by which none is \
                 found again"
            );
            let help = "give it a mask that can be joined on, for example `pseudonym(scope)`, or set `mode: changes` for a log, \
                        or `mode: once`";
            self.found.push(placed(draft, Fault { help: Some(help.into()), ..Fault::new(option, message) }));
        }
    }

    fn source(
        &mut self,
        name: &str,
        file: &str,
        (draft, is_whole): (&Draft<SourceConfig>, bool),
        contracts: &BTreeMap<String, ContractFile>,
    ) -> Option<Source> {
        let config = draft.value.clone();
        let table = TableName::new("bronze", config.into.as_deref().unwrap_or(name));
        let table = table.map_err(|e| self.found.push(Diagnostic::new(file, draft.span("into"), e.to_string()))).ok();
        let contract_name = config.contract.clone().unwrap_or_else(|| name.to_owned());
        let Some(contract) = contracts.get(&contract_name) else {
            self.no_contract(&contract_name, draft, contracts);
            return None;
        };
        let entity = self.entity(name, draft, contract)?;
        if is_whole {
            self.fits(draft, &entity);
        }
        let schema = contract.schemas.get(&entity.name)?.clone();
        let options = Value::Object(config.options.clone());
        if is_whole {
            self.comes_again(draft, &entity);
        }
        let changes = connect::by_name(&config.connector).is_some_and(|spec| (spec.changes)(&options));
        let schema = if changes { kernel::gate::change_log(&schema) } else { schema };
        let (terms, faults) = terms::read(contract, &entity.name);
        self.found.extend(faults);
        if changes {
            self.reserved(draft, &entity);
        }
        if self.has_broker && config.broker != Some(false) && entity.schema_change == SchemaChange::Evolve {
            let message = "columns that its contract takes in by `schema_change: evolve` do not fit through a broker";
            let help = "state `freeze` or `quarantine` there, or `broker: false` here";
            self.found.push(Diagnostic::new(file, draft.key_span("connector"), message).help(Some(help)));
        }
        if self.has_broker && config.broker != Some(false) && config.materialize.is_some() {
            let fault = draft.fault("materialize", "a table can't be kept from changes that come through a broker");
            self.found.push(fault.help(Some("say `broker: false` here: order is told by the positions of the source")));
        }
        let materialized = match &config.materialize {
            Some(asked) => Some(self.materialized(name, asked, changes, draft, (&entity, &contract.draft.file))?),
            None => None,
        };
        Some(Source {
            name: name.to_owned(),
            file: file.to_owned(),
            table: table?,
            entity,
            contract_version: contract.contract.version.clone(),
            schema,
            changes,
            materialized,
            config,
            terms,
        })
    }

    fn no_contract(&mut self, name: &str, draft: &Draft<SourceConfig>, contracts: &BTreeMap<String, ContractFile>) {
        if self.files.texts.contains_key(&format!("contracts/{name}.yaml")) {
            return; // its own faults are told
        }
        let shown = written(draft, "contract").unwrap_or(name);
        let near = suggest::nearest(shown, contracts.keys().map(String::as_str));
        let help = near.map_or("write one, or let `lavra scan FILES --write` propose it".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
        let place = draft.span("contract").or_else(|| draft.key_span("connector"));
        let fault = Diagnostic::new(&draft.file, place, format!("there is no contracts/{shown}.yaml"));
        self.found.push(fault.help(Some(help)));
    }

    fn entity(&mut self, name: &str, draft: &Draft<SourceConfig>, contract: &ContractFile) -> Option<Entity> {
        let entities = &contract.contract.entities;
        let wanted = draft.value.entity.as_deref().unwrap_or(name);
        let found = entities.iter().find(|e| e.name == wanted);
        match (found, draft.value.entity.is_none(), &entities[..]) {
            (Some(entity), _, _) | (None, true, [entity]) => Some(entity.clone()),
            _ => {
                let shown = written(draft, "entity").unwrap_or(name);
                let help = suggest::hint(shown, entities.iter().map(|e| e.name.as_str()));
                let message = format!("the contract has no table `{shown}`");
                let place = draft.span("entity").or_else(|| draft.span("contract"));
                let fault = Diagnostic::new(&draft.file, place, message);
                self.found.push(fault.help(help.map(|h| format!("{h} Say which with `entity:`"))));
                None
            }
        }
    }
}

/// A connector's fault where its option stands; one of no option, or of one that is not written, at the connector's name.
fn placed(draft: &Draft<SourceConfig>, fault: Fault) -> Diagnostic {
    let path = format!("[\"{}\"]", fault.option);
    let found = match draft.at(&path) {
        Some(_) => draft.fault(&path, fault.message),
        None => Diagnostic::new(&draft.file, draft.key_span("connector"), fault.message),
    };
    let found = found.help(fault.help);
    if fault.is_refused { found.refused() } else { found }
}

/// A value as its author wrote it, without what a variable put there.
fn written<'a>(draft: &'a Draft<SourceConfig>, key: &str) -> Option<&'a str> {
    draft.at(key).and_then(Node::scalar).map(|scalar| scalar.written())
}

/// A missing field whose name is nearly there is told at the key that was meant.
fn misspelt(fault: Diagnostic, draft: &Draft<Map<String, Value>>) -> Diagnostic {
    if fault.message != "the field `connector` is missing" {
        return fault;
    }
    let others = draft.value.keys().map(String::as_str).filter(|key| !OWN_KEYS.contains(key));
    let Some(key) = suggest::nearest("connector", others) else { return fault };
    let found = draft.key_fault(&format!("[\"{key}\"]"), format!("unknown field `{key}`"));
    found.help(Some("did you mean `connector`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_connector_is_told_where_it_stands() {
        let text = "conector: files\npath: a.csv\n";
        let loose = draft::read::<Map<String, Value>>("sources/a.yaml", text, &|_| None).expect("fields");
        let faults = draft::read::<SourceConfig>("sources/a.yaml", text, &|_| None).expect_err("a fault");
        let told: Vec<String> = faults.into_iter().map(|fault| misspelt(fault, &loose).render(text)).collect();
        assert!(told.concat().contains("unknown field `conector`"), "{told:?}");
        assert!(told.concat().contains("sources/a.yaml:1:1") && told.concat().contains("did you mean `connector`?"));
    }
}
