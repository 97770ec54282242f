//! Names that a table can't have beside others: Delta takes `Id` and `id` for the same, and a table that has both can't be
//! read any more.

use super::{CHANGES, STAMPS};
use crate::contract::Entity;
use arrow::datatypes::Schema;
use std::collections::BTreeMap;

/// The columns of a table, each by its name in lower case: so Delta's own readers compare them, in all of Unicode.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<String, String>);

/// Why a table can have no column of a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Clash<'n> {
    /// It is empty or holds a NUL character: some readers open no table that has such a column.
    Unfit,
    /// Columns of Lavra's own are called like that.
    Kept,
    /// There is this column already, which differs only in upper and lower case.
    Twin(&'n str),
}

impl Names {
    /// The columns that the contract names.
    pub fn of(entity: &Entity) -> Self {
        let mut names = Self::default();
        entity.properties.iter().for_each(|property| names.take(&property.name));
        names
    }

    /// Puts a column there. Where one is there that clashes with it, that one stays.
    pub fn take(&mut self, name: &str) {
        self.0.entry(name.to_lowercase()).or_insert_with(|| name.to_owned());
    }

    pub(super) fn take_all(&mut self, schema: &Schema) {
        schema.fields().iter().for_each(|field| self.take(field.name()));
    }

    /// What keeps a column that the contract does not name out of the table; `None` also where that very column is there.
    pub fn clash(&self, name: &str) -> Option<Clash<'_>> {
        if name.is_empty() || name.contains('\0') {
            return Some(Clash::Unfit);
        }
        if is_kept(name) {
            return Some(Clash::Kept);
        }
        self.0.get(&name.to_lowercase()).filter(|other| *other != name).map(|other| Clash::Twin(other))
    }
}

/// Whether columns that the gate adds are called like that, be it those of a change log.
pub fn is_kept(name: &str) -> bool {
    let name = name.to_lowercase();
    STAMPS.iter().chain(&CHANGES).any(|kept| *kept == name)
}

/// Whether a stamp, which every table has, is called like that.
pub fn is_stamp(name: &str) -> bool {
    STAMPS.contains(&name.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_lower_case_of_all_alphabets() {
        let mut names = Names::default();
        ["v", "É", "_ID", "straße"].into_iter().for_each(|name| names.take(name));
        for (name, clash) in [
            ("v", None),
            ("V", Some(Clash::Twin("v"))),
            ("é", Some(Clash::Twin("É"))),
            ("_id", Some(Clash::Twin("_ID"))),
            // Of one form in capitals only, which is not how readers compare.
            ("strasse", None),
            ("v ", None),
            ("", Some(Clash::Unfit)),
            ("w\0", Some(Clash::Unfit)),
            ("_source", Some(Clash::Kept)),
            ("_Op", Some(Clash::Kept)),
            ("_UNCHANGED", Some(Clash::Kept)),
            ("source", None),
        ] {
            assert_eq!(names.clash(name), clash, "{name}");
        }
        names.take("V");
        assert_eq!(names.clash("v"), None, "the first one stays");
    }
}
