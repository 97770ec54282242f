//! Two files, message by message: fields are what their numbers are, and names are for people.

use super::ProtobufSchema;
use super::fields;
use crate::registry::change::Incompatible;
use prost_reflect::{Cardinality, FieldDescriptor, FileDescriptor, MessageDescriptor};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What keeps a reader with the new file from what was written with the old one.
pub fn compare(old: &ProtobufSchema, new: &ProtobufSchema) -> Vec<Incompatible> {
    let (old, new) = (&old.file, &new.file);
    let mut pair = Pair { old, new, open: HashSet::new(), found: Vec::new() };
    if old.package_name() != new.package_name() {
        let why = format!("{{reader}} has the package `{}`, {{writer}} `{}`", new.package_name(), old.package_name());
        pair.say("PACKAGE_CHANGED", "#/", why);
    }
    pair.types(old.messages(), new.messages(), "#");
    pair.found
}

pub struct Pair<'a> {
    pub old: &'a FileDescriptor,
    pub new: &'a FileDescriptor,
    /// Messages, by their names, that are being compared or were: one may contain itself.
    pub open: HashSet<(String, String)>,
    pub found: Vec<Incompatible>,
}

impl Pair<'_> {
    pub fn say(&mut self, rule: &'static str, at: &str, why: impl Into<String>) {
        let found = Incompatible::new(rule, at, why);
        if !self.found.contains(&found) {
            self.found.push(found);
        }
    }

    fn types(
        &mut self,
        old: impl Iterator<Item = MessageDescriptor>,
        new: impl Iterator<Item = MessageDescriptor>,
        at: &str,
    ) {
        let new: Vec<MessageDescriptor> = new.filter(|message| !message.is_map_entry()).collect();
        for message in old.filter(|message| !message.is_map_entry()) {
            let at = format!("{at}/{}", message.name());
            match new.iter().find(|other| other.name() == message.name()) {
                Some(other) => self.messages(&message, other, &at),
                None => self.say("MESSAGE_REMOVED", &at, "{reader} lacks this message of {writer}"),
            }
        }
    }

    pub fn messages(&mut self, old: &MessageDescriptor, new: &MessageDescriptor, at: &str) {
        if !self.open.insert((old.full_name().to_owned(), new.full_name().to_owned())) {
            return;
        }
        let (before, after) = (by_number(old), by_number(new));
        self.exclusions(&before, new, at);
        let numbers: BTreeSet<u32> = before.keys().chain(after.keys()).copied().collect();
        for number in numbers {
            match (before.get(&number), after.get(&number)) {
                (Some(one), Some(other)) => fields::compare(self, one, other, &format!("{at}/{number}")),
                (Some(gone), None) => self.gone(gone, &after, new, at),
                (None, Some(added)) if added.cardinality() == Cardinality::Required => {
                    let why = "{reader} requires this field, {writer} does not know it";
                    self.say("REQUIRED_FIELD_ADDED", &format!("{at}/{number}"), why);
                }
                _ => {}
            }
        }
        self.types(old.child_messages(), new.child_messages(), at);
    }

    /// A field may go, but not a required one, and not one of a choice whose other fields stay.
    fn gone(&mut self, gone: &FieldDescriptor, after: &Fields, new: &MessageDescriptor, at: &str) {
        let number = gone.number();
        match oneof(gone) {
            Some(name) => {
                let members: Vec<u32> = gone.containing_oneof().into_iter().flat_map(|one| numbers(&one)).collect();
                let stays = has_oneof(new, &name) || members.iter().any(|member| after.contains_key(member));
                if stays {
                    let why = "{reader} lacks this field of a oneof of {writer}";
                    self.say("ONEOF_FIELD_REMOVED", &format!("{at}/{name}/{number}"), why);
                }
            }
            None if gone.cardinality() == Cardinality::Required => {
                let why = "{reader} lacks this field, which {writer} requires";
                self.say("REQUIRED_FIELD_REMOVED", &format!("{at}/{number}"), why);
            }
            None => {}
        }
    }

    /// Fields that could be set together must not become ones of which only one can be.
    fn exclusions(&mut self, before: &Fields, new: &MessageDescriptor, at: &str) {
        for choice in new.oneofs().filter(|one| !one.is_synthetic()) {
            let known: Vec<&FieldDescriptor> =
                numbers(&choice).iter().filter_map(|number| before.get(number)).collect();
            // What was one of a choice stays with it; every other field was by itself.
            let groups: HashSet<(Option<String>, u32)> = known
                .iter()
                .map(|field| match oneof(field) {
                    Some(name) => (Some(name), 0),
                    None => (None, field.number()),
                })
                .collect();
            if groups.len() < 2 {
                continue;
            }
            let moved = known.iter().filter(|field| oneof(field).is_none()).count();
            let rule = if moved > 1 { "MULTIPLE_FIELDS_MOVED_TO_ONEOF" } else { "FIELD_MOVED_TO_EXISTING_ONEOF" };
            let why = "fields of this oneof of {reader} can be set together in {writer}";
            self.say(rule, &format!("{at}/{}", choice.name()), why);
        }
    }
}

type Fields = BTreeMap<u32, FieldDescriptor>;

fn by_number(message: &MessageDescriptor) -> Fields {
    message.fields().map(|field| (field.number(), field)).collect()
}

fn numbers(choice: &prost_reflect::OneofDescriptor) -> Vec<u32> {
    choice.fields().map(|field| field.number()).collect()
}

/// The name of the choice that a field is in; that which stands for `optional` is none.
pub fn oneof(field: &FieldDescriptor) -> Option<String> {
    field.containing_oneof().filter(|one| !one.is_synthetic()).map(|one| one.name().to_owned())
}

fn has_oneof(message: &MessageDescriptor, name: &str) -> bool {
    message.oneofs().any(|one| !one.is_synthetic() && one.name() == name)
}
