//! How columns were classified and masked when the rows of a table came in, as its commits say. A contract that changes
//! leaves the rows that are there as they are.

use crate::project::Source;
use crate::wiring::Wiring;
use kernel::error::Result;
use kernel::{Property, TableName};
use lake::{At, ColumnRef, Exposure, Table, exposure, exposures};
use privacy::mask::Form;
use std::collections::{BTreeMap, BTreeSet};

/// Each form that a column had.
pub type Forms = BTreeMap<ColumnRef, Vec<Form>>;

/// Of the tables of all sources, as far back as their logs go: a file that was written anew may hold rows of any commit.
pub async fn of_project(wiring: &Wiring) -> Result<Forms> {
    let mut forms = Forms::new();
    let tables: BTreeSet<&TableName> = wiring.project.sources.iter().map(|source| &source.table).collect();
    for name in tables {
        for told in exposures(&wiring.store, name).await? {
            take(&mut forms, name, &told)?;
        }
    }
    Ok(forms)
}

fn take(forms: &mut Forms, table: &TableName, told: &Exposure) -> Result<()> {
    for (column, all) in told {
        let of_column = forms.entry(ColumnRef { table: table.clone(), column: column.clone() }).or_default();
        for form in all {
            let form = Form::read(form)?;
            if !of_column.contains(&form) {
                of_column.push(form);
            }
        }
    }
    Ok(())
}

/// The columns of a source whose rows in the table were masked otherwise than those to come, a sentence each.
pub async fn changed(wiring: &Wiring, source: &Source) -> Result<Vec<String>> {
    let Some(table) = Table::open(&wiring.store, &source.table, At::Latest).await? else { return Ok(Vec::new()) };
    if table.num_rows() == Some(0) {
        return Ok(Vec::new());
    }
    let (told, schema) = (exposure(&table).await?, table.schema());
    let mut sentences = Vec::new();
    for property in source.entity.properties.iter().filter(|p| schema.field_with_name(&p.name).is_ok()) {
        let then = told.get(&property.name).and_then(|all| all.first()).map(|form| Form::read(form)).transpose()?;
        let told = told_change(then.as_ref(), property);
        sentences.extend(told.map(|told| format!("{}.{}: {told}", source.table, property.name)));
    }
    Ok(sentences)
}

/// What a column's change means for the rows that are there; `None` where it means nothing.
fn told_change(then: Option<&Form>, property: &Property) -> Option<String> {
    const REMEDY: &str = "for one form in all rows, move the table's folder away and load all again";
    let now = Form::of(property);
    // No more of it comes in.
    if now.mask.as_ref().is_some_and(|mask| mask.name == "drop") {
        return None;
    }
    let is_personal = now.class.as_ref().is_some_and(|class| class.is_personal());
    let Some(then) = then else {
        let before = "its rows came in when the contract did not call it personal, and stay as they are";
        return is_personal.then(|| format!("{before}, new ones are `{now}`; {REMEDY}"));
    };
    if then.is_alike(&now) {
        return None;
    }
    let means = match (&then.mask, &now.mask, then.is_joinable() && now.is_joinable()) {
        (None, ..) => "the older ones can still be read",
        (_, None, _) => "the new ones can be read, the older ones stay as they are",
        (_, _, true) => "the same person has another token in each, and joins, counts and keys take them for two",
        (_, _, false) => "the older ones stay as they are",
    };
    Some(format!("its rows came in as `{then}` and new ones come in as `{now}`: {means}; {REMEDY}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use kernel::Classification;
    use kernel::contract::{Constraints, MaskSpec};

    fn property(class: Option<&str>, mask: Option<&str>) -> Property {
        Property {
            name: "cpf".into(),
            description: None,
            data_type: DataType::Utf8,
            required: false,
            unique: false,
            primary_key: None,
            constraints: Constraints::default(),
            classification: class.map(Classification::new),
            mask: mask.map(|mask| MaskSpec::parse(mask).expect("a mask")),
            format: None,
            decimal_comma: false,
            not_personal: false,
        }
    }

    #[test]
    fn a_change_that_parts_a_person_is_told_and_no_other() {
        let told = |then: Option<&str>, class: Option<&str>, mask: Option<&str>| {
            let then = then.map(|then| Form::read(then).expect("a form"));
            told_change(then.as_ref(), &property(class, mask)).unwrap_or_default()
        };
        let (cpf, pseudonym) = (Some("personal.cpf"), Some("pseudonym(person)"));
        let parted = told(Some("personal: pseudonym(person)"), cpf, pseudonym);
        for words in ["`personal: pseudonym(person)`", "`personal.cpf: pseudonym(person)`", "another token", "load all"]
        {
            assert!(parted.contains(words), "{words}: {parted}");
        }
        assert!(told(Some("personal.cpf: pseudonym(a)"), cpf, pseudonym).contains("another token"));
        assert!(told(Some("personal.cpf: open"), cpf, pseudonym).contains("can still be read"));
        assert!(told(Some("personal.cpf: redact"), cpf, pseudonym).contains("stay as they are"));
        let declassified = told(Some("personal.cpf: pseudonym(person)"), None, None);
        assert!(declassified.contains("`not classified: open`") && declassified.contains("new ones can be read"));
        assert!(told(None, cpf, pseudonym).contains("did not call it personal"));
        for same in [told(Some("sensitive.cpf: pseudonym(scope: person)"), cpf, pseudonym), told(None, None, None)] {
            assert_eq!(same, "");
        }
        assert_eq!(told(Some("personal.cpf: pseudonym(person)"), cpf, Some("drop")), "");
    }
}
