//! Two fields of one number. Scalars that are written alike may take each other's place:
//! <https://protobuf.dev/programming-guides/proto3/#updating>.

use super::compare::Pair;
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, Syntax};

pub fn compare(pair: &mut Pair<'_>, old: &FieldDescriptor, new: &FieldDescriptor, at: &str) {
    values(pair, (&old.kind(), old.is_map()), (&new.kind(), new.is_map()), at);
    let numeric = Written::of(&old.kind()).filter(|written| *written != Written::Text && !old.is_map());
    if numeric.is_some() && numeric == Written::of(&new.kind()) && labels_differ(old, new) {
        let why = "a number that is repeated is written in another way than a single one";
        pair.say("FIELD_NUMERIC_LABEL_CHANGED", at, why);
    }
}

fn values(pair: &mut Pair<'_>, (old, was_map): (&Kind, bool), (new, is_map): (&Kind, bool), at: &str) {
    match (old, new) {
        (Kind::Message(old), Kind::Message(new)) if was_map && is_map => {
            for side in [MessageDescriptor::map_entry_key_field, MessageDescriptor::map_entry_value_field] {
                values(pair, (&side(old).kind(), false), (&side(new).kind(), false), at);
            }
        }
        (Kind::Message(old), Kind::Message(new)) if was_map == is_map => messages(pair, old, new, at),
        _ => match (Written::of(old), Written::of(new)) {
            (Some(one), Some(other)) if one == other => {}
            (Some(_), Some(_)) => {
                let why = format!("`{new:?}` of {{reader}} is written in another way than `{old:?}` of {{writer}}");
                pair.say("FIELD_SCALAR_KIND_CHANGED", at, why);
            }
            _ => {
                let why = format!("{{reader}} has {}, {{writer}} {}", word(new, is_map), word(old, was_map));
                pair.say("FIELD_KIND_CHANGED", at, why);
            }
        },
    }
}

fn messages(pair: &mut Pair<'_>, old: &MessageDescriptor, new: &MessageDescriptor, at: &str) {
    let (name, other) = (local_name(old), local_name(new));
    if name != other {
        let why = format!("{{reader}} has the message `{other}`, {{writer}} `{name}`");
        return pair.say("FIELD_NAMED_TYPE_CHANGED", at, why);
    }
    // Those of the two files themselves are compared where they stand.
    if old.parent_file() == *pair.old && new.parent_file() == *pair.new {
        return;
    }
    let known = pair.found.len();
    pair.messages(old, new, &format!("#/{name}"));
    if pair.found.len() > known {
        let why = format!("the message `{name}` of {{reader}} does not read that of {{writer}}");
        pair.say("FIELD_NAMED_TYPE_CHANGED", at, why);
    }
}

/// The name without its package: that of an import may change its place.
fn local_name(message: &MessageDescriptor) -> &str {
    let (name, package) = (message.full_name(), message.package_name());
    name.strip_prefix(package).map_or(name, |rest| rest.trim_start_matches('.'))
}

fn labels_differ(old: &FieldDescriptor, new: &FieldDescriptor) -> bool {
    let repeated = |field: &FieldDescriptor| field.cardinality() == Cardinality::Repeated;
    let told = |field: &FieldDescriptor| {
        let is_told = field.parent_file().syntax() == Syntax::Proto2
            || repeated(field)
            || field.field_descriptor_proto().proto3_optional();
        is_told.then(|| field.cardinality())
    };
    match (told(old), told(new)) {
        (Some(one), Some(other)) => one != other,
        // One has no label at all: what is not repeated is single.
        _ => repeated(old) != repeated(new),
    }
}

fn word(kind: &Kind, is_map: bool) -> String {
    match kind {
        Kind::Message(_) if is_map => "a map".into(),
        Kind::Message(message) => format!("the message `{}`", message.full_name()),
        other => format!("`{other:?}`"),
    }
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Varint,
    ZigZag,
    Four,
    Eight,
    Float,
    Double,
    Text,
}

impl Written {
    fn of(kind: &Kind) -> Option<Self> {
        Some(match kind {
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Bool | Kind::Enum(_) => Self::Varint,
            Kind::Sint32 | Kind::Sint64 => Self::ZigZag,
            Kind::Fixed32 | Kind::Sfixed32 => Self::Four,
            Kind::Fixed64 | Kind::Sfixed64 => Self::Eight,
            Kind::Float => Self::Float,
            Kind::Double => Self::Double,
            Kind::String | Kind::Bytes => Self::Text,
            Kind::Message(_) => return None,
        })
    }
}
