//! Joins over masked columns: what was hidden in different ways never meets.

use super::compile::Source;
use kernel::Property;
use kernel::diagnostic::Diagnostic;
use kernel::mask::MaskFactory;
use lake::{ColumnRef, Model, Via};
use std::collections::BTreeMap;

/// Refuses models that join on columns whose masks make that join empty.
pub fn check(models: &[Model], sources: &[Source], masks: &dyn MaskFactory) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for model in models {
        for (left, right) in &model.lineage.joins {
            let (a, b) = (origin(left, models, sources), origin(right, models, sources));
            let both = [(left, a), (right, b)];
            let unjoinable = both.iter().find_map(|(_, property)| property.filter(|p| !is_joinable(p, masks)));
            if let Some(property) = unjoinable {
                let mask = property.mask.as_ref().map(ToString::to_string).unwrap_or_default();
                let message = format!(
                    "joins on `{}`, which is masked by `{mask}`: equal values are no longer equal",
                    property.name
                );
                let help =
                    "give the column a mask that can be joined on, for example `pseudonym(person)`, on both sides";
                faults.push(Diagnostic::new(&model.file, find(model, &left.column), message).help(Some(help)));
            } else if let [(_, Some(a)), (_, Some(b))] = both
                && a.mask != b.mask
            {
                let shown = |p: &Property| p.mask.as_ref().map_or("no mask".to_owned(), |m| format!("`{m}`"));
                let message =
                    format!("joins `{}` ({}) with `{}` ({}): they never meet", a.name, shown(a), b.name, shown(b));
                faults.push(
                    Diagnostic::new(&model.file, find(model, &left.column), message)
                        .help(Some("give both the same mask and key scope")),
                );
            }
        }
    }
    faults
}

fn is_joinable(property: &Property, masks: &dyn MaskFactory) -> bool {
    let Some(spec) = &property.mask else { return true };
    masks.build(spec, property.classification.as_ref()).is_ok_and(|mask| mask.promise().joinable)
}

fn find(model: &Model, column: &str) -> Option<(usize, usize)> {
    let text = &model.text;
    let at = text.find(column)?;
    Some((at, at + column.len()))
}

/// The contract's column that a column is a copy of, through any number of models.
fn origin<'a>(column: &ColumnRef, models: &[Model], sources: &'a [Source]) -> Option<&'a Property> {
    let mut column = column.clone();
    let by_name: BTreeMap<_, _> = models.iter().map(|model| (&model.name, model)).collect();
    loop {
        if let Some(source) = sources.iter().find(|source| source.table == column.table) {
            return source.entity.property(&column.column);
        }
        let model = by_name.get(&column.table)?;
        let (_, sources_of) = model.lineage.columns.iter().find(|(name, _)| *name == column.column)?;
        let mut copies = sources_of.iter().filter(|(_, via)| **via == Via::Copied);
        column = copies.next()?.0.clone();
    }
}
