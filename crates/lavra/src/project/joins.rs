//! Joins over masked columns: what was hidden in different ways never meets.

use super::compile::Source;
use kernel::Property;
use kernel::contract::MaskSpec;
use kernel::diagnostic::Diagnostic;
use kernel::mask::MaskFactory;
use lake::{ColumnRef, Model};
use privacy::mask::Normalize;
use std::collections::{BTreeMap, BTreeSet};

/// Refuses models that join on columns whose masks make that join empty.
pub fn check(models: &[Model], sources: &[Source], masks: &dyn MaskFactory) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for model in models {
        for (left, right) in &model.lineage.joins {
            let (ours, theirs) = (origins(left, models, sources), origins(right, models, sources));
            let told = faults_of(&ours, &theirs, masks);
            let place = find(model, &left.column).or_else(|| find(model, &right.column));
            faults.extend(told.map(|(message, help)| Diagnostic::new(&model.file, place, message).help(Some(help))));
        }
    }
    faults
}

/// What is wrong with holding these columns against those, and what would be right.
fn faults_of(ours: &[&Property], theirs: &[&Property], masks: &dyn MaskFactory) -> Option<(String, String)> {
    if let Some(property) = ours.iter().chain(theirs).find(|property| !is_joinable(property, masks)) {
        let message = format!(
            "joins on `{}`, which is masked by {}: equal values are no longer equal",
            property.name,
            shown(property)
        );
        let help = "give the column a mask that can be joined on, for example `pseudonym(person)`, on both sides";
        return Some((message, help.into()));
    }
    let pairs = ours.iter().flat_map(|a| theirs.iter().map(move |b| (*a, *b)));
    let mut told = pairs.filter_map(|(a, b)| never_meet(a, b));
    told.next()
}

fn never_meet(a: &Property, b: &Property) -> Option<(String, String)> {
    if scope(a) != scope(b) || name(a) != name(b) {
        let message = format!("joins `{}` ({}) with `{}` ({}): they never meet", a.name, shown(a), b.name, shown(b));
        return Some((message, "give both the same mask and key scope".into()));
    }
    let (ours, theirs) = (spelling(a)?, spelling(b)?);
    if ours == theirs {
        return None;
    }
    let message = format!(
        "joins `{}` (spelled as {}) with `{}` (spelled as {}) before their pseudonyms are made: most never meet",
        a.name,
        word(ours),
        b.name,
        word(theirs)
    );
    // The side that has a class knows how its values are spelled.
    let (known, other, way) =
        if b.classification.is_some() && theirs != Normalize::None { (b, a, theirs) } else { (a, b, ours) };
    let class = known
        .classification
        .as_ref()
        .filter(|class| class.is_personal() && known.classification != other.classification);
    let normalize = format!("write `pseudonym({}, normalize: {})` there", scope(other).unwrap_or_default(), word(way));
    let help = match class {
        Some(class) => format!("give `{}` the classification `{class}`, or {normalize}", other.name),
        None => format!("of `{}`: {normalize}", other.name),
    };
    Some((message, help))
}

fn shown(property: &Property) -> String {
    property.mask.as_ref().map_or("no mask".to_owned(), |mask| format!("`{mask}`"))
}

/// Whose key hides the column; `None` where nothing does.
fn scope(property: &Property) -> Option<&str> {
    property.mask.as_ref().map(|mask| mask.arg("scope", 0).unwrap_or_default())
}

/// By what the column is hidden: a token meets no pseudonym.
fn name(property: &Property) -> Option<&str> {
    property.mask.as_ref().map(|mask| mask.name.as_str())
}

/// How the column's values are spelled before a pseudonym is made of them.
fn spelling(property: &Property) -> Option<Normalize> {
    let mask: &MaskSpec = property.mask.as_ref()?;
    let kind = property.classification.as_ref().and_then(|class| class.kind());
    // Only a pseudonym can be told how to spell.
    Normalize::choose(mask.arg("normalize", 1).filter(|_| mask.name == "pseudonym"), kind).ok()
}

/// As `normalize:` names it.
fn word(way: Normalize) -> &'static str {
    match way {
        Normalize::None => "none",
        Normalize::Trim => "trim",
        Normalize::Lower => "lower",
        Normalize::Digits => "digits",
        Normalize::Alphanumeric => "alnum",
        Normalize::Cpf => "cpf",
        Normalize::Cnpj => "cnpj",
        Normalize::Phone => "phone",
    }
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

/// The contracts' columns whose values a column holds, through any number of models.
fn origins<'a>(column: &ColumnRef, models: &[Model], sources: &'a [Source]) -> Vec<&'a Property> {
    let by_name: BTreeMap<_, _> = models.iter().map(|model| (&model.name, model)).collect();
    let (mut found, mut seen, mut open) = (Vec::new(), BTreeSet::new(), vec![column.clone()]);
    while let Some(column) = open.pop() {
        if !seen.insert(column.clone()) {
            continue;
        }
        let tables = sources.iter().filter(|source| source.table == column.table);
        found.extend(tables.filter_map(|source| source.entity.property(&column.column)));
        let held = by_name.get(&column.table).and_then(|model| model.lineage.holds.get(&column.column));
        open.extend(held.into_iter().flatten().cloned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Classification;
    use privacy::keys::FixedKeys;
    use privacy::mask::Masks;
    use std::sync::Arc;

    fn column(name: &str, class: Option<&str>, mask: Option<&str>) -> Property {
        Property {
            name: name.into(),
            description: None,
            data_type: arrow::datatypes::DataType::Utf8,
            required: false,
            unique: false,
            primary_key: None,
            constraints: Default::default(),
            classification: class.map(Classification::new),
            mask: mask.map(|mask| MaskSpec::parse(mask).expect("a mask")),
            format: None,
            decimal_comma: false,
            not_personal: false,
        }
    }

    fn told(a: &Property, b: &Property) -> Option<(String, String)> {
        faults_of(&[a], &[b], &Masks::new(Arc::new(FixedKeys::new(&[1]))))
    }

    #[test]
    fn one_scope_and_one_spelling_meet() {
        let cpf = column("cpf", Some("personal.cpf"), Some("pseudonym(person)"));
        for other in [
            column("k", Some("Personal.CPF"), Some("pseudonym(scope: person)")),
            column("k", None, Some("pseudonym(person, normalize: cpf)")),
        ] {
            assert_eq!(told(&cpf, &other), None, "{other:?}");
        }
        assert_eq!(told(&column("a", None, None), &column("b", None, None)), None);
    }

    #[test]
    fn another_spelling_does_not_meet_and_the_remedy_is_named() {
        let cpf = column("cpf", Some("personal.cpf"), Some("pseudonym(person)"));
        let plain = column("k", None, Some("pseudonym(person)"));
        for (a, b) in [(&cpf, &plain), (&plain, &cpf)] {
            let (message, help) = told(a, b).expect("a fault");
            assert!(message.contains("spelled as cpf") && message.contains("spelled as none"), "{message}");
            assert!(help.contains("give `k` the classification `personal.cpf`"), "{help}");
            assert!(help.contains("pseudonym(person, normalize: cpf)"), "{help}");
        }
    }

    #[test]
    fn other_masks_never_meet() {
        let with = |mask| column("c", Some("personal.cpf"), mask);
        let told = |a, b| told(&with(a), &with(b)).map(|(message, _)| message).unwrap_or_default();
        assert!(told(Some("pseudonym(person)"), Some("pseudonym(payer)")).contains("never meet"));
        assert!(told(Some("pseudonym(person)"), None).contains("never meet"));
        assert!(told(Some("pseudonym(person)"), Some("token(person)")).contains("never meet"));
        assert_eq!(told(Some("token(person)"), Some("token(person, format: keep)")), "");
        assert!(told(Some("redact"), Some("redact")).contains("no longer equal"));
    }
}
