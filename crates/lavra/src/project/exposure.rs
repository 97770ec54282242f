//! Which columns say something about people, and how it is hidden there: classification follows lineage. What a gold table
//! says of people must be stated by its model, with the reason.

use super::compile::Source;
use super::select_list;
use kernel::contract::MaskSpec;
use kernel::diagnostic::Diagnostic;
use kernel::draft::{Draft, Env, read_header};
use lake::{Carries, Exposure, Floor, Header, Model};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How near a masked value is to its person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Nearness {
    /// Nobody is told apart by it.
    Hidden,
    /// It is hidden, but whoever has the keys or another table finds the person again. This stays personal data (LGPD
    /// art. 13 § 4, GDPR recital 26).
    Pseudonymised,
    /// It, or a part of it, can be read.
    Readable,
}

/// Personal data in a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carried {
    /// `personal.cpf`
    pub class: String,
    /// How the gate hid it: `pseudonym(person)`, or `open`.
    pub mask: String,
    pub nearness: Nearness,
    /// It is in a total, over groups of which this is known.
    pub total: Option<Floor>,
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.mask)?;
        match self.total {
            None => Ok(()),
            Some(floor) if floor.least < 2 => f.write_str(", in totals over groups of any size"),
            Some(floor) => write!(f, ", in totals over groups of at least {}", floor.least),
        }
    }
}

/// Personal data by table and column.
pub type Carrying = BTreeMap<String, BTreeMap<String, Vec<Carried>>>;

/// What each table carries. Totals over groups of at least `group_floor` carry nothing.
pub fn of_project(sources: &[Source], models: &[Model], group_floor: u64) -> Carrying {
    let mut all = Carrying::new();
    for source in sources {
        let of_table = all.entry(source.table.to_string()).or_default();
        for property in &source.entity.properties {
            let Some(class) = property.classification.as_ref().filter(|class| class.is_personal()) else { continue };
            let mask = property.mask.as_ref();
            if mask.is_some_and(|mask| mask.name == "drop") {
                continue;
            }
            let carried = Carried {
                class: class.to_string(),
                mask: mask.map_or("open".to_owned(), ToString::to_string),
                nearness: nearness(mask),
                total: None,
            };
            of_table.insert(property.name.clone(), vec![carried]);
        }
    }
    for model in models {
        let columns = model.lineage.carries.iter().map(|(column, from)| {
            let found = from.iter().flat_map(|(from, how)| {
                let carried = all.get(&from.table.to_string()).and_then(|table| table.get(&from.column));
                carried.into_iter().flatten().filter_map(|carried| passed_on(carried, *how, group_floor))
            });
            (column.clone(), found.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>())
        });
        let own = columns.filter(|(_, carried)| !carried.is_empty()).collect();
        all.insert(model.name.to_string(), own);
    }
    all
}

fn nearness(mask: Option<&MaskSpec>) -> Nearness {
    match mask.map(|mask| mask.name.as_str()) {
        None | Some("partial" | "noise") => Nearness::Readable,
        Some("redact" | "null" | "drop" | "generalize") => Nearness::Hidden,
        Some(_) => Nearness::Pseudonymised,
    }
}

fn passed_on(carried: &Carried, how: Carries, group_floor: u64) -> Option<Carried> {
    match how {
        Carries::Value => Some(carried.clone()),
        Carries::Total(floor) if floor.least >= group_floor => None,
        Carries::Total(floor) => Some(Carried { total: Some(floor), ..carried.clone() }),
    }
}

/// As a table's commits keep it.
pub fn told(carrying: &Carrying) -> BTreeMap<String, Exposure> {
    let columns = |table: &BTreeMap<String, Vec<Carried>>| {
        table.iter().map(|(column, all)| (column.clone(), all.iter().map(ToString::to_string).collect())).collect()
    };
    carrying.iter().map(|(table, all)| (table.clone(), columns(all))).collect()
}

/// Refuses gold columns that carry personal data without a word, and words about columns that carry none.
pub fn check(models: &[Model], carrying: &Carrying, group_floor: u64, env: Env) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for model in models {
        let nothing = BTreeMap::new();
        let own = carrying.get(&model.name.to_string()).unwrap_or(&nothing);
        let personal = |column: &str| own.get(column).and_then(|all| nearest(all));
        if let Ok((draft, _)) = read_header::<Header>(&model.file, &model.text, env) {
            faults.extend(idle(&draft, &personal));
        }
        if model.name.layer() == "gold" {
            let unsaid = own.keys().filter(|column| model.header.exposes.reason(column).is_none());
            faults.extend(unsaid.filter_map(|column| Some(unstated(model, column, personal(column)?, group_floor))));
        }
        faults.extend(rows_for_people(model, carrying, group_floor));
    }
    faults
}

/// What of a column is nearest to its people, if it is personal data at all.
pub fn nearest(all: &[Carried]) -> Option<&Carried> {
    let near = all.iter().filter(|carried| carried.nearness > Nearness::Hidden);
    near.max_by_key(|carried| (carried.total.is_none(), carried.nearness))
}

/// Statements without a reason, and such as have nothing to state.
fn idle<'a>(draft: &Draft<Header>, personal: &dyn Fn(&str) -> Option<&'a Carried>) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    for (column, reason, place) in draft.value.exposes.all() {
        if personal(column).is_none() {
            let fault =
                draft.key_fault(&place, format!("`{column}` carries no personal data: there is nothing to state"));
            faults.push(fault.help(Some("take it out of `exposes`")));
        } else if reason.trim().is_empty() {
            let fault = draft.fault(&place, format!("why may `{column}` be seen? The reason is missing"));
            faults.push(fault.help(Some("say it in a sentence: who needs it, and what for")));
        }
    }
    faults
}

fn unstated(model: &Model, column: &str, carried: &Carried, group_floor: u64) -> Diagnostic {
    let mut help = format!("take it out, or say why it may be seen in the header: `-- exposes: [{column}: \"why\"]`");
    let message = match (carried.total, carried.nearness) {
        (Some(floor), _) => {
            help = format!(
                "leave small groups out by `having count(distinct …) >= {group_floor}`, promise that there are none by \
                 `checks: {{ group_size: {{ min: {group_floor} }} }}`, or {help}"
            );
            let size = match floor.least {
                0 | 1 => "that may be of one person".to_owned(),
                least => format!("of {least} or more, where the project asks for {group_floor}"),
            };
            format!("`{column}` totals personal data ({}: {}) over groups {size}", carried.class, carried.mask)
        }
        (None, Nearness::Readable) => format!("`{column}` still shows personal data that can be read ({carried})"),
        (None, _) => format!(
            "`{column}` still carries pseudonymised personal data ({carried}): whoever has the keys or another table \
             can tell who it is"
        ),
    };
    Diagnostic::new(&model.file, select_list::place(model, column), message).help(Some(help)).refused()
}

/// A floor that counts rows holds only where nobody has two.
fn rows_for_people(model: &Model, carrying: &Carrying, group_floor: u64) -> Option<Diagnostic> {
    let trusted = model.lineage.carries.iter().find(|(_, from)| {
        from.iter().any(|(from, how)| {
            let personal = carrying.get(&from.table.to_string()).and_then(|table| nearest(table.get(&from.column)?));
            let by_rows = |floor: &Floor| floor.least >= group_floor && !floor.is_distinct;
            personal.is_some() && matches!(how, Carries::Total(floor) if by_rows(floor))
        })
    });
    let (column, _) = trusted?;
    let person = model.reads.iter().find_map(|table| {
        let columns = carrying.get(&table.to_string())?;
        let is_person = |(_, all): &(&String, &Vec<Carried>)| all.iter().any(|c| c.nearness == Nearness::Pseudonymised);
        columns.iter().find(is_person).map(|(name, _)| name)
    })?;
    let message =
        format!("`{column}` is taken for a total over {group_floor} people or more, but what is counted is rows");
    let help = format!(
        "where one person may have several rows, count people: `count(distinct {person})`, or `group_size: {{ min: \
         {group_floor}, people: {person} }}`"
    );
    Some(Diagnostic::new(&model.file, select_list::place(model, column), message).help(Some(help)).warning())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(mask: Option<&str>) -> Carried {
        let mask = mask.map(|mask| MaskSpec::parse(mask).expect("a mask"));
        Carried {
            class: "personal.cpf".into(),
            mask: mask.as_ref().map_or("open".into(), ToString::to_string),
            nearness: nearness(mask.as_ref()),
            total: None,
        }
    }

    #[test]
    fn a_mask_leaves_its_person_as_near_as_it_does() {
        for (masks, near) in [
            (&[None, Some("partial(first: 6, last: 4)")][..], Nearness::Readable),
            (
                &[Some("pseudonym(person)"), Some("encrypt(contact)"), Some("fpe(person)"), Some("token(person)")],
                Nearness::Pseudonymised,
            ),
            (&[Some("redact"), Some("null"), Some("generalize(year)")], Nearness::Hidden),
        ] {
            for mask in masks {
                assert_eq!(carried(*mask).nearness, near, "{mask:?}");
            }
        }
    }

    #[test]
    fn a_total_over_many_passes_nothing_on() {
        let cpf = carried(Some("pseudonym(person)"));
        let total = |least| passed_on(&cpf, Carries::Total(Floor { least, is_distinct: false }), 5);
        assert_eq!(total(5), None);
        assert_eq!(
            total(4).map(|c| c.to_string()).as_deref(),
            Some("personal.cpf: pseudonym(person), in totals over groups of at least 4")
        );
        assert_eq!(passed_on(&cpf, Carries::Value, 5), Some(cpf));
    }

    #[test]
    fn what_is_nearest_is_told_of_a_column() {
        let few = Carried { total: Some(Floor::default()), ..carried(None) };
        let all = [carried(Some("redact")), few.clone(), carried(Some("pseudonym(person)"))];
        assert_eq!(nearest(&all).map(|c| c.mask.as_str()), Some("pseudonym(person)"));
        assert_eq!(nearest(&all[..2]), Some(&few));
        assert_eq!(nearest(&all[..1]), None);
    }
}
