//! The retention solver: the latest moment at which a byte of somebody who was forgotten can still be read, held against
//! the deadline; and what contracts promise to keep no longer than, held against what stays behind.
//!
//! Forgetting writes a table anew without the person's rows. The rows before stay in old versions (`versions_kept`) and in
//! the files of these (`vacuum_after`), until the upkeep that comes next (`vacuum_every`). A row in quarantine may be broken
//! in the very column that names its person, so nothing but its age (`quarantine_kept`) surely takes it out of there.

use super::compile::Source;
use super::config::{Config, Upkeep};
use super::contracts::ContractFile;
use super::exposure::{Carrying, nearest};
use kernel::diagnostic::Diagnostic;
use kernel::draft::Draft;
use lake::Model;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is true of one table with personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub table: String,
    pub personal_columns: Vec<String>,
    /// From the rewrite to the last byte of an old version.
    pub versions_days: u32,
    /// The same for a row that waits in the table's quarantine; models have none.
    pub quarantine_days: Option<u32>,
    /// The longer of both.
    pub last_byte_days: u32,
    pub deadline_days: u32,
    /// How long rows may be kept, by the strictest contract that the table is made from.
    pub retention_days: Option<u32>,
    /// The contracts that it is made from.
    pub contracts: Vec<String>,
    pub complies: bool,
    pub because: Vec<Reason>,
}

/// Why a table can't comply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Old versions outlive the erasure deadline.
    VersionsOutliveDeadline,
    /// Rows in quarantine do.
    QuarantineOutlivesDeadline,
    /// Rows that the contract lets be kept for so long only are still there in old versions or in quarantine.
    RestOutlivesRetention,
}

/// A verdict for each table with personal data.
pub fn verdicts(
    kept: Upkeep,
    sources: &[Source],
    models: &[Model],
    contracts: &BTreeMap<String, ContractFile>,
    carrying: &Carrying,
) -> Vec<Verdict> {
    let made_from = made_from(sources, models);
    let personal = carrying.iter().filter_map(|(table, columns)| {
        let columns = columns.iter().filter(|(_, all)| nearest(all).is_some()).map(|(name, _)| name.clone());
        Some((table, columns.collect::<Vec<_>>())).filter(|(_, columns)| !columns.is_empty())
    });
    let one = |(table, columns): (&String, Vec<String>)| {
        let names: Vec<String> = made_from.get(table).into_iter().flatten().cloned().collect();
        let retention = names.iter().filter_map(|name| contracts.get(name)?.contract.retention_days).min();
        verdict(table, columns, names, retention, kept)
    };
    personal.map(one).collect()
}

/// For how many days each table's rows may be kept, by the strictest contract behind it; tables without such a contract
/// are not here.
pub fn limits(
    sources: &[Source],
    models: &[Model],
    contracts: &BTreeMap<String, ContractFile>,
) -> BTreeMap<String, u32> {
    let days =
        |names: BTreeSet<String>| names.iter().filter_map(|name| contracts.get(name)?.contract.retention_days).min();
    made_from(sources, models).into_iter().filter_map(|(table, names)| Some((table, days(names)?))).collect()
}

/// The contracts behind each table.
fn made_from(sources: &[Source], models: &[Model]) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        all.entry(source.table.to_string()).or_default().insert(source.contract_name().to_owned());
    }
    for model in models {
        let behind = model.reads.iter().filter_map(|table| all.get(&table.to_string())).flatten().cloned().collect();
        all.insert(model.name.to_string(), behind);
    }
    all
}

fn verdict(
    table: &str,
    personal_columns: Vec<String>,
    contracts: Vec<String>,
    retention_days: Option<u32>,
    kept: Upkeep,
) -> Verdict {
    let (versions_days, deadline) = (kept.versions_days(), kept.erasure_deadline_days);
    let quarantine_days = table.starts_with("bronze.").then(|| kept.quarantine_days());
    let last_byte_days = quarantine_days.unwrap_or(0).max(versions_days);
    let mut because = Vec::new();
    if versions_days > deadline {
        because.push(Reason::VersionsOutliveDeadline);
    } else if last_byte_days > deadline {
        because.push(Reason::QuarantineOutlivesDeadline);
    }
    if retention_days.is_some_and(|days| days < last_byte_days) {
        because.push(Reason::RestOutlivesRetention);
    }
    Verdict {
        table: table.to_owned(),
        personal_columns,
        versions_days,
        quarantine_days,
        last_byte_days,
        deadline_days: deadline,
        retention_days,
        contracts,
        complies: because.is_empty(),
        because,
    }
}

impl Upkeep {
    /// Days until nothing of a row that was rewritten is left.
    pub fn versions_days(self) -> u32 {
        self.old_versions_days().saturating_add(self.vacuum_every_days)
    }

    /// The same for a row in quarantine.
    pub fn quarantine_days(self) -> u32 {
        self.quarantine_kept_days.saturating_add(self.versions_days())
    }

    /// How long versions and their files stay that were replaced.
    pub fn old_versions_days(self) -> u32 {
        self.versions_kept_days.max(self.vacuum_after_days)
    }
}

/// Refuses a project that can't comply: a fault for each setting, with the tables that it is about.
pub fn check(
    config: &Draft<Config>,
    contracts: &BTreeMap<String, ContractFile>,
    verdicts: &[Verdict],
) -> Vec<Diagnostic> {
    let kept = config.value.upkeep();
    let deadline = kept.erasure_deadline_days;
    let of = |reason: Reason| verdicts.iter().filter(move |verdict| verdict.because.contains(&reason));
    let mut faults = Vec::new();
    let versions = format!(
        "{} days of old versions and their files, and {} until the upkeep comes",
        kept.versions_kept_days.max(kept.vacuum_after_days),
        kept.vacuum_every_days
    );
    for (reason, days, parts) in [
        (Reason::VersionsOutliveDeadline, kept.versions_days(), versions.clone()),
        (
            Reason::QuarantineOutlivesDeadline,
            kept.quarantine_days(),
            format!("{} days in quarantine, {versions}", kept.quarantine_kept_days),
        ),
    ] {
        if let Some(tables) = named(of(reason)) {
            let message = format!(
                "{tables} can't forget anybody in time: the last byte may be there for {days} days ({parts}), and the \
                 deadline is {deadline}"
            );
            let help =
                "shorten what is kept in `maintenance`; LGPD art. 19, II gives 15 days, GDPR art. 12 (3) a month";
            faults.push(config.fault(setting(config, reason), message).help(Some(help)).refused());
        }
    }
    let broken: Vec<&Verdict> = of(Reason::RestOutlivesRetention).collect();
    for (name, contract) in contracts {
        let days = contract.contract.retention_days.unwrap_or(u32::MAX);
        let own = broken.iter().copied().filter(|v| v.contracts.contains(name) && days < v.last_byte_days);
        let longest = own.clone().map(|v| v.last_byte_days).max().unwrap_or_default();
        if let Some(tables) = named(own) {
            let message = format!(
                "rows are kept for {days} days by this contract, but {tables} holds what was removed for {longest} more"
            );
            let help = "keep less in `maintenance` of lavra.yaml, or promise a longer retention";
            faults.push(contract.draft.fault("slaProperties", message).help(Some(help)).refused());
        }
    }
    faults
}

/// The tables, by the first of them; `None` when there are none.
fn named<'a>(mut verdicts: impl Iterator<Item = &'a Verdict>) -> Option<String> {
    let first = verdicts.next()?;
    Some(match verdicts.count() {
        0 => first.table.clone(),
        more => format!("{} (and {more} more)", first.table),
    })
}

/// The setting to look at: the longest that is written, or the deadline.
fn setting(config: &Draft<Config>, reason: Reason) -> &'static str {
    let kept = &config.value.maintenance;
    let quarantine = reason == Reason::QuarantineOutlivesDeadline;
    match () {
        () if quarantine && kept.quarantine_kept.is_some() => "maintenance.quarantine_kept",
        () if kept.vacuum_after.is_some() => "maintenance.vacuum_after",
        () if kept.versions_kept.is_some() => "maintenance.versions_kept",
        () if kept.vacuum_every.is_some() => "maintenance.vacuum_every",
        () => "privacy.erasure_deadline",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Upkeep = Upkeep {
        versions_kept_days: 7,
        vacuum_after_days: 7,
        vacuum_every_days: 1,
        quarantine_kept_days: 7,
        erasure_deadline_days: 15,
    };

    fn of(table: &str, retention: Option<u32>, kept: Upkeep) -> Verdict {
        verdict(table, vec!["cpf".into()], vec!["people".into()], retention, kept)
    }

    #[test]
    fn the_longest_way_to_the_last_byte_counts() {
        let bronze = of("bronze.people", Some(90), KEPT);
        assert_eq!((bronze.versions_days, bronze.quarantine_days, bronze.last_byte_days), (8, Some(15), 15));
        assert!(bronze.complies && bronze.because.is_empty());
        let silver = of("silver.people", None, KEPT);
        assert_eq!((silver.quarantine_days, silver.last_byte_days, silver.complies), (None, 8, true));
        let slow = of("silver.people", None, Upkeep { versions_kept_days: 3, vacuum_after_days: 14, ..KEPT });
        assert_eq!(slow.last_byte_days, 15, "files outlive their versions");
    }

    #[test]
    fn what_outlives_the_deadline_or_the_retention_does_not_comply() {
        let late = Upkeep { quarantine_kept_days: 8, ..KEPT };
        assert_eq!(of("bronze.people", None, late).because, [Reason::QuarantineOutlivesDeadline]);
        assert!(of("gold.people", None, late).complies, "only what comes in has a quarantine");
        let old = Upkeep { versions_kept_days: 30, vacuum_after_days: 30, ..KEPT };
        assert_eq!(of("gold.people", None, old).because, [Reason::VersionsOutliveDeadline]);
        assert_eq!(of("bronze.people", Some(14), KEPT).because, [Reason::RestOutlivesRetention]);
        assert_eq!(of("silver.people", Some(7), KEPT).because, [Reason::RestOutlivesRetention]);
    }
}
