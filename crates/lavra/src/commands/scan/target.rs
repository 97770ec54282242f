//! What the words on the command line mean.

use super::group::{self, Files, Group, nothing_known};
use super::write::is_json;
use crate::cli::Context;
use crate::clock::tomorrow;
use crate::project::{Config, Environment, Files as Texts, SourceConfig, own_kinds};
use crate::wiring::{Ask, Failure};
use connect::{Opening, Spec};
use kernel::draft::{self, Draft};
use kernel::error::{Error, Result, io};
use kernel::name::{LAYERS, TableName};
use kernel::{Entity, Positions, suggest};
use privacy::detect::OwnKind;
use privacy::keys::FixedKeys;
use privacy::mask::Masks;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The project that the call is made in; without one, only the present folder.
pub struct Project {
    pub ask: Option<Ask>,
    pub config: Option<Config>,
    /// Kinds of personal data of the project's own.
    pub own_kinds: Arc<[OwnKind]>,
    here: PathBuf,
}

#[allow(clippy::large_enum_variant, reason = "a handful of values a call")]
pub enum Target {
    Files(Group),
    Source(Source),
    Table(TableName),
}

pub struct Source {
    pub spec: Spec,
    pub opening: Opening,
    /// The name of its contract.
    pub contract: String,
    pub is_json: bool,
}

impl Project {
    /// Reads lavra.yaml if there is one; other files of the project may be in any state.
    pub fn open(context: &Context) -> Result<Self, Failure> {
        let here = std::env::current_dir().map_err(|e| io("find the present folder", e))?;
        let Ok(ask) = context.ask() else { return Ok(Self { ask: None, config: None, own_kinds: [].into(), here }) };
        let config = read::<Config>(&ask.folder, "lavra.yaml")?.value;
        let texts = Texts::privacy(&ask.folder)?;
        let (own, faults) =
            own_kinds(&texts, &|name| std::env::var(name).ok(), &Masks::new(Arc::new(FixedKeys::new(&[1]))));
        let faults: Vec<_> = faults.into_iter().chain(texts.faults.iter().cloned()).collect();
        match faults.is_empty() {
            true => Ok(Self { ask: Some(ask), config: Some(config), own_kinds: own.into(), here }),
            false => Err(Failure::Faults(texts, faults)),
        }
    }

    pub fn environment(&self) -> Environment {
        let (Some(ask), Some(config)) = (&self.ask, &self.config) else { return Environment::default() };
        config.environments.get(&ask.environment).cloned().unwrap_or_default()
    }

    pub fn base(&self) -> &Path {
        self.ask.as_ref().map_or(&self.here, |ask| &ask.folder)
    }

    pub fn has(&self, file: &str) -> bool {
        self.ask.as_ref().is_some_and(|ask| ask.folder.join(file).is_file())
    }

    /// A path of the project as a person in the present folder would write it.
    pub fn shown(&self, path: &str) -> String {
        let whole = self.base().join(path);
        whole.strip_prefix(&self.here).unwrap_or(&whole).display().to_string()
    }

    /// The files connector, for files that no source speaks of yet.
    pub fn files(&self, options: Map<String, Value>) -> Result<Files> {
        let spec = connect::by_name("files").ok_or_else(|| Error::internal("scan", "there is no files connector"))?;
        Ok(Files {
            spec,
            base: self.base().to_owned(),
            here: self.here.clone(),
            options,
            store: self.environment().store,
            own_kinds: self.own_kinds.clone(),
        })
    }

    pub fn sources(&self) -> Vec<String> {
        let entries = self.ask.as_ref().and_then(|ask| std::fs::read_dir(ask.folder.join("sources")).ok());
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.ok()?.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned)
        };
        entries.into_iter().flatten().filter_map(name).collect()
    }
}

/// Reads a file of the project.
pub fn read<T: DeserializeOwned + JsonSchema>(folder: &Path, file: &str) -> Result<Draft<T>, Failure> {
    let text = std::fs::read_to_string(folder.join(file)).map_err(|e| io(format!("read {file}"), e))?;
    draft::read(file, &text, &|name| std::env::var(name).ok()).map_err(|faults| failed(folder, file, text, faults))
}

fn failed(folder: &Path, file: &str, text: String, faults: Vec<kernel::Diagnostic>) -> Failure {
    let texts = BTreeMap::from([(file.to_owned(), text)]);
    Failure::Faults(Texts { folder: folder.to_owned(), texts, faults: Vec::new() }, faults)
}

/// All targets: tables made of files in the order of their names, then sources and tables as they were written.
pub async fn find(project: &Project, files: &Files, words: &[String]) -> Result<Vec<Target>, Failure> {
    let (mut places, mut others) = (BTreeSet::new(), Vec::new());
    for word in words {
        let is_path = word.contains(['/', '*', '?', '\\']);
        let is_source = !is_path && project.has(&format!("sources/{word}.yaml"));
        let exists = project.here.join(word).exists();
        match TableName::parse(word) {
            _ if is_source => others.push(Target::Source(source(project, word)?)),
            Ok(table) if !exists && LAYERS.contains(&table.layer()) => others.push(Target::Table(table)),
            _ if !is_path && !exists => return Err(group::unknown(word, &project.here, &project.sources()).into()),
            _ => places.extend(files.find(word).await?),
        }
    }
    Ok(group::group(places).into_iter().map(Target::Files).chain(others).collect())
}

fn source(project: &Project, name: &str) -> Result<Source, Failure> {
    let folder = project.base();
    let file = format!("sources/{name}.yaml");
    let draft = read::<SourceConfig>(folder, &file)?;
    let config = &draft.value;
    let Some(spec) = connect::by_name(&config.connector) else {
        let all = connect::all();
        let help = suggest::hint(&config.connector, all.iter().map(|spec| spec.name));
        let fault = draft.fault("connector", format!("there is no connector `{}`", config.connector)).help(help);
        return Err(failed(folder, &file, draft.text().to_owned(), vec![fault]));
    };
    let options = Value::Object(config.options.clone());
    let faults =
        (spec.check)(&options).into_iter().map(|fault| draft.key_fault(&fault.option, fault.message).help(fault.help));
    let faults: Vec<_> = faults.collect();
    if !faults.is_empty() {
        return Err(failed(folder, &file, draft.text().to_owned(), faults));
    }
    let contract = config.contract.clone().unwrap_or_else(|| name.to_owned());
    let opening = Opening {
        source: name.to_owned(),
        project: String::new(),
        options,
        base: folder.to_owned(),
        entity: entity(folder, &contract, config.entity.as_deref().unwrap_or(name)),
        from: Positions::new(),
        store: project.environment().store,
        clock: Arc::new(tomorrow()),
    };
    let paths = match &config.options.get("path") {
        Some(Value::Array(paths)) => paths.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect(),
        path => path.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect::<Vec<_>>(),
    };
    let is_json = spec.name == "files" && is_json(&paths, &config.options);
    Ok(Source { spec, opening, contract, is_json })
}

/// The columns that the contract names, if there is one without faults: a file without a header has its names from there.
fn entity(folder: &Path, contract: &str, name: &str) -> Entity {
    let file = format!("contracts/{contract}.yaml");
    let text = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
    let read = govern::odcs::read(&file, &text, &|name| std::env::var(name).ok());
    let entities = read.map(|(contract, _)| contract.entities).unwrap_or_default();
    let only = entities.first().filter(|_| entities.len() == 1);
    entities.iter().find(|entity| entity.name == name).or(only).cloned().unwrap_or_else(|| nothing_known(name))
}
