//! From the file to what the gate enforces. Whatever can't be meant as it is written is found here, in its place.

mod column;
mod custom;
mod entity;
mod library;
mod limits;
mod nested;
mod notes;
mod promise;
mod quality;
mod resolve;
mod value;
pub(super) mod words;

use crate::odcs::model::ApiVersion;
use crate::odcs::{Odcs, Read};
use kernel::contract::Contract;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{self, Draft, Env};
use notes::Notes;

/// Reads a contract. Variables are expanded by `env`, but for the names that ODCS has for a rule's table and column
/// (`${table}`, `${property}` and so on), which stay what they are. Warnings are in the draft; faults come all at once.
pub fn read(file: &str, text: &str, env: Env) -> Result<Read, Vec<Diagnostic>> {
    let keep = |name: &str| quality::placeholder(name).map(str::to_owned).or_else(|| env(name));
    let mut draft = draft::read::<Odcs>(file, text, &keep)?;
    let mut notes = Notes::new(&draft);
    let contract = contract(&draft, &mut notes);
    let warnings = notes.finish()?;
    draft.warnings.extend(warnings);
    Ok((contract, draft))
}

fn contract(draft: &Draft<Odcs>, notes: &mut Notes) -> Contract {
    let odcs = &draft.value;
    if odcs.status.is_none() && odcs.api_version < ApiVersion::V3_2_0 {
        notes.error_help("", "the field `status` is missing", "write `status: active`");
    }
    let policy = custom::policy(odcs.custom_properties.as_deref(), "customProperties", notes);
    custom::misplaced(odcs.custom_properties.as_deref(), "customProperties", custom::Level::Contract, notes);
    let mut entities = Vec::new();
    for (place, object) in odcs.schema.iter().flatten().enumerate() {
        entities.extend(entity::read(object, &format!("schema[{place}]"), &policy, notes));
    }
    entity::unique_names(odcs, notes);
    Contract {
        id: odcs.id.clone(),
        version: odcs.version.clone(),
        entities,
        owner: promise::owner(odcs, notes),
        retention_days: promise::retention_days(odcs, notes),
    }
}
