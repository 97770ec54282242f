//! What a delivery has that its source would stop at, found out before it is taken: it would stop all others too.

use crate::files::json::{Layout, in_memory};
use arrow::datatypes::Schema;
use kernel::Entity;
use kernel::contract::SchemaChange;
use kernel::gate::{Clash, Names, Screen};
use std::collections::HashSet;

/// A name with so many digits may be somebody's number or date.
const DIGITS_MAX: usize = 5;

/// A name longer than this, in characters, may be a text.
const NAME_MAX: usize = 64;

/// Reads records, with `,` between them, as the source will. An error says what in them can't be taken, without a value.
pub fn look(records: &[u8], entity: &Entity, screen: &dyn Screen) -> Result<(), String> {
    let text = [b"[", records, b"]"].concat();
    let range = 0..text.len();
    let piece = in_memory(text, range, Layout::Array, 1, entity)?;
    let schema = piece.batch.schema();
    let mut names = HashSet::new();
    if let Some(twice) = schema.fields().iter().find(|field| !names.insert(field.name())) {
        return Err(format!("{} stands for two fields", shown(twice.name())));
    }
    match entity.schema_change {
        SchemaChange::Freeze => unknown(&schema, entity),
        SchemaChange::Quarantine => personal(&schema, entity, screen),
        SchemaChange::Evolve => personal(&schema, entity, screen).and_then(|()| clashing(&schema, entity)),
    }
}

/// A field of which the table can have no column: its rows would be set aside, and who sends it can mend it.
fn clashing(schema: &Schema, entity: &Entity) -> Result<(), String> {
    let mut names = Names::of(entity);
    for name in schema.fields().iter().map(|field| field.name()).filter(|name| is_stranger(name, entity)) {
        match names.clash(name) {
            None => names.take(name),
            Some(Clash::Unfit) => return Err("a field has a name that no column can have".into()),
            Some(Clash::Kept) => return Err(format!("the name of the field `{name}` is kept for Lavra's own columns")),
            // But for its case it is the contract's, and nobody's value.
            Some(Clash::Twin(other)) if entity.property(other).is_some() => {
                return Err(format!(
                    "the field `{name}` differs from the column `{other}` only in upper and lower case, and no table can \
                     have both"
                ));
            }
            Some(Clash::Twin(other)) => {
                return Err(format!(
                    "{} and {} differ only in upper and lower case, and no table can have both",
                    shown(name),
                    shown(other)
                ));
            }
        }
    }
    Ok(())
}

/// A name that may be somebody's becomes no column, and no word of the quarantine's: the gate stops at it.
fn personal(schema: &Schema, entity: &Entity, screen: &dyn Screen) -> Result<(), String> {
    let is_personal = |name: &str| is_stranger(name, entity) && screen.is_personal(name);
    if schema.fields().iter().any(|field| is_personal(field.name())) {
        return Err(
            "a field that the contract does not name has a name that looks like personal data; send that as a value"
                .into(),
        );
    }
    Ok(())
}

fn unknown(schema: &Schema, entity: &Entity) -> Result<(), String> {
    // Nothing is known of what will be detected yet.
    if entity.properties.is_empty() {
        return Ok(());
    }
    let mut strangers = schema.fields().iter().filter(|field| is_stranger(field.name(), entity));
    let Some(first) = strangers.next() else { return Ok(()) };
    let more = match strangers.count() {
        0 => String::new(),
        1 => ", nor another one".to_owned(),
        more => format!(", nor {more} others"),
    };
    Err(format!("the contract does not name {}{more}", shown(first.name())))
}

fn is_stranger(name: &str, entity: &Entity) -> bool {
    entity.property(name).is_none()
}

/// The name of a field, or of one inside another, unless it may be a value.
fn shown(name: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let is_plain = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(is_word)
        && name.chars().filter(char::is_ascii_digit).count() < DIGITS_MAX
        && name.chars().count() <= NAME_MAX;
    if is_plain { format!("the field `{name}`") } else { "a field, whose name may be a value".into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::{entity, typed};
    use crate::push::tests::Eyes;
    use arrow::datatypes::{DataType, Field};

    #[test]
    fn what_the_contract_does_not_name_is_told_by_its_name_unless_that_may_be_a_value() {
        let mut entity = entity(&["id", "n"]);
        let told = |entity: &Entity, records: &str| look(records.as_bytes(), entity, &Eyes).err();
        assert_eq!(told(&entity, r#"{"id":"a"},{"n":1,"id":"b"}"#), None);
        assert_eq!(told(&entity, r#"{"\u0069d":"a"}"#), None, "a name may be written with escapes");
        assert_eq!(
            told(&entity, r#"{"id":"a"},{"id":"b","coupon":null}"#).as_deref(),
            Some("the contract does not name the field `coupon`"),
        );
        assert_eq!(
            told(&entity, r#"{"ana@example.com":1,"b":2,"c":3}"#).as_deref(),
            Some("the contract does not name a field, whose name may be a value, nor 2 others"),
        );
        entity.schema_change = SchemaChange::Quarantine;
        assert_eq!(told(&entity, r#"{"coupon":1}"#), None, "the gate sets its rows aside");
        entity.schema_change = SchemaChange::Evolve;
        assert_eq!(told(&entity, r#"{"coupon":1}"#), None);
        assert_eq!(told(&entity, r#"{"coupon":1},{"coupon":2,"n":3}"#), None, "one field of two records");
        for policy in [SchemaChange::Quarantine, SchemaChange::Evolve] {
            entity.schema_change = policy;
            let why = told(&entity, r#"{"id":"a"},{"id":"b","maria@example.com":1}"#).expect("the gate would stop");
            assert!(why.contains("looks like personal data") && !why.contains("maria"), "{why}");
            let inside = told(&entity, r#"{"id":{"maria@example.com":1}}"#);
            assert_eq!(inside, None, "a column of text has it as a value");
        }
        let nothing_known = crate::files::testing::entity(&[]);
        assert_eq!(told(&nothing_known, r#"{"coupon":1}"#), None);
    }

    #[test]
    fn a_field_of_which_no_column_can_be_made_is_told_of() {
        let mut entity = entity(&["id", "Ação"]);
        let told = |entity: &Entity, records: &str| look(records.as_bytes(), entity, &Eyes).err();
        assert_eq!(
            told(&entity, r#"{"id":1,"_source":{"a":1}}"#).as_deref(),
            Some("the contract does not name the field `_source`"),
            "nothing of a record goes in silence",
        );
        entity.schema_change = SchemaChange::Evolve;
        for (records, why) in [
            (r#"{"id":1},{"ID":2}"#, "the field `ID` differs from the column `id` only in upper and lower case"),
            (r#"{"aÇÃo":2}"#, "the field `aÇÃo` differs from the column `Ação` only in"),
            (r#"{"xy":1},{"XY":2}"#, "the field `XY` and the field `xy` differ only in upper and lower case"),
            (
                r#"{"x y":1,"X y":2}"#,
                "a field, whose name may be a value and a field, whose name may be a value differ",
            ),
            (r#"{"_Source":1}"#, "the name of the field `_Source` is kept for Lavra's own columns"),
            (r#"{"id":1,"_op":"d"}"#, "the name of the field `_op` is kept for Lavra's own columns"),
        ] {
            assert!(told(&entity, records).is_some_and(|told| told.starts_with(why)), "{:?}", told(&entity, records));
        }
        entity.schema_change = SchemaChange::Quarantine;
        assert_eq!(told(&entity, r#"{"ID":1,"_op":"d"}"#), None, "the gate sets its rows aside");
    }

    #[test]
    fn fields_inside_fields_are_looked_at_too() {
        let inner = DataType::Struct(vec![Field::new("city", DataType::Utf8, true)].into());
        let mut entity = typed(&[("id", DataType::Utf8), ("address", inner)]);
        let told = |entity: &Entity, records: &str| look(records.as_bytes(), entity, &Eyes).err();
        assert_eq!(told(&entity, r#"{"id":"a","address":{"city":"x"}}"#), None);
        assert_eq!(
            told(&entity, r#"{"id":"a","address":{"city":"x","zip":1}}"#).as_deref(),
            Some("the contract does not name the field `address.zip`"),
        );
        entity.schema_change = SchemaChange::Evolve;
        assert_eq!(
            told(&entity, r#"{"id":"a","address":{"city":"x","zip":1},"address.zip":2}"#).as_deref(),
            Some("the field `address.zip` stands for two fields"),
        );
    }
}
