//! Who answers for the data, and how long it is kept.

use super::notes::Notes;
use crate::odcs::OWNER;
use crate::odcs::model::{Member, Odcs, Sla, Team};

/// The custom property `owner`; else the member of the team whose role that is; else the team.
pub(super) fn owner(odcs: &Odcs, notes: &Notes) -> Option<String> {
    let custom = odcs.custom_properties.iter().flatten().position(|custom| custom.property == OWNER);
    if let Some(place) = custom {
        return notes.text(&format!("customProperties[{place}].value")).map(str::to_owned);
    }
    let owns = |member: &&Member| member.role.as_deref().is_some_and(|role| role.to_lowercase().contains(OWNER));
    let still = |member: &&Member| member.date_out.is_none();
    let (members, team) = match odcs.team.as_ref()? {
        Team::Team(team) => (team.members.as_deref().unwrap_or_default(), team.name.clone()),
        Team::Members(members) => (members.as_slice(), None),
    };
    let person = members.iter().filter(owns).find(still);
    person.and_then(|member| member.username.clone().or_else(|| member.name.clone())).or(team)
}

/// The shortest `retention`: to keep longer than one promise allows would break it.
pub(super) fn retention_days(odcs: &Odcs, notes: &mut Notes) -> Option<u32> {
    let mut shortest: Option<u32> = None;
    for (place, sla) in odcs.sla_properties.iter().flatten().enumerate() {
        if !sla.property.eq_ignore_ascii_case("retention") {
            continue;
        }
        let here = format!("slaProperties[{place}].value");
        let Some(days) = notes.text(&here).and_then(|text| days(text, sla)) else {
            let help = "write it as `value: 90` and `unit: d` (or `m`, `y`), or as `P90D`";
            notes.error_help(&here, "this is not a time of at least a day", help);
            continue;
        };
        if shortest.is_some_and(|other| other != days) {
            notes.warn(&here, "there are several retentions: the shortest is kept for all tables");
        }
        shortest = Some(shortest.map_or(days, |other| other.min(days)));
    }
    shortest
}

/// `3` with its unit, `90 days`, or a duration of ISO 8601 such as `P1Y6M`.
fn days(text: &str, sla: &Sla) -> Option<u32> {
    let text = text.trim();
    if let Some(period) = text.strip_prefix('P') {
        return iso(period);
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = if unit.trim().is_empty() { sla.unit.as_deref().unwrap_or("d") } else { unit };
    number.parse::<u32>().ok()?.checked_mul(unit_days(unit)?).filter(|days| *days > 0)
}

fn unit_days(unit: &str) -> Option<u32> {
    Some(match unit.trim().to_lowercase().as_str() {
        "d" | "day" | "days" => 1,
        "w" | "week" | "weeks" => 7,
        "m" | "mo" | "month" | "months" => 30,
        "y" | "yr" | "year" | "years" => 365,
        _ => return None,
    })
}

fn iso(period: &str) -> Option<u32> {
    let (mut total, mut rest) = (0u32, period);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next().filter(char::is_ascii_uppercase)?;
        total = total.checked_add(number.checked_mul(unit_days(&unit.to_string())?)?)?;
        rest = &rest[end + 1..];
    }
    Some(total).filter(|days| *days > 0)
}
