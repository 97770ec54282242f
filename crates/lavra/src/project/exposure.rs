//! Which columns say something about people, and how it is hidden there: classification follows lineage.

use super::compile::Source;
use lake::{Exposure, Model, Via};
use std::collections::BTreeMap;

/// What each table exposes, by its name.
pub fn of_project(sources: &[Source], models: &[Model]) -> BTreeMap<String, Exposure> {
    let mut all: BTreeMap<String, Exposure> = BTreeMap::new();
    for source in sources {
        let of_table = all.entry(source.table.to_string()).or_default();
        for property in &source.entity.properties {
            let Some(class) = property.classification.as_ref().filter(|class| class.is_personal()) else { continue };
            let mask = property.mask.as_ref().map_or("open".to_owned(), ToString::to_string);
            if mask != "drop" {
                of_table.insert(property.name.clone(), vec![format!("{class}: {mask}")]);
            }
        }
    }
    for model in models {
        let mut own = Exposure::new();
        for (column, sources) in &model.lineage.columns {
            // A total over many says nothing of one of them; the group that it stands in does.
            let near = sources.iter().filter(|(_, via)| **via != Via::Aggregated);
            let found = near.filter_map(|(from, _)| all.get(&from.table.to_string())?.get(&from.column));
            let mut classes: Vec<String> = found.flatten().cloned().collect();
            classes.sort();
            classes.dedup();
            if !classes.is_empty() {
                own.insert(column.clone(), classes);
            }
        }
        all.insert(model.name.to_string(), own);
    }
    all
}
