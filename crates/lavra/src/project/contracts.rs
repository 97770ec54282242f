//! Contracts as this project uses them: every personal column has a mask, by its contract or by the project's default.

use super::config::Config;
use govern::odcs;
use kernel::contract::MaskSpec;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{Draft, Env};
use kernel::{Classification, Contract, Property};
use std::collections::BTreeMap;

/// A contract with the file it stands in.
pub struct ContractFile {
    pub contract: Contract,
    pub draft: Draft<odcs::Odcs>,
}

/// Reads a contract and gives its personal columns their masks.
pub fn read(
    file: &str,
    text: &str,
    masks: &BTreeMap<String, MaskSpec>,
    env: Env,
) -> Result<ContractFile, Vec<Diagnostic>> {
    let (mut contract, draft) = odcs::read(file, text, env)?;
    for entity in &mut contract.entities {
        for property in entity.properties.iter_mut() {
            fill_in(property, masks);
        }
    }
    Ok(ContractFile { contract, draft })
}

fn fill_in(property: &mut Property, masks: &BTreeMap<String, MaskSpec>) {
    let Some(class) = property.classification.as_ref().filter(|class| class.is_personal()) else { return };
    if property.mask.is_none() {
        property.mask = of_project(class, masks).or_else(|| privacy::mask::default_for(class));
    }
}

/// The project's mask of the class, or of the nearest class above it.
fn of_project(class: &Classification, masks: &BTreeMap<String, MaskSpec>) -> Option<MaskSpec> {
    let mut name = class.as_str();
    loop {
        if let Some(mask) = masks.get(name) {
            return Some(mask.clone());
        }
        name = name.rsplit_once('.')?.0;
    }
}

/// Reads `masks:` of `lavra.yaml`.
pub fn default_masks(draft: &Draft<Config>) -> (BTreeMap<String, MaskSpec>, Vec<Diagnostic>) {
    let (mut masks, mut faults) = (BTreeMap::new(), Vec::new());
    for (class, text) in &draft.value.masks {
        match MaskSpec::parse(text) {
            Ok(mask) => drop(masks.insert(class.clone(), mask)),
            Err(why) => faults.push(draft.fault(&format!("masks.{class}"), why)),
        }
    }
    (masks, faults)
}
