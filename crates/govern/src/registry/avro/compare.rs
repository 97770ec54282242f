//! Whether a reader with one Avro schema reads what was written with another: the rules of schema resolution of the Avro
//! specification, under the names that Avro's own checker gives them.

use super::AvroSchema;
use super::model::{Digits, Field, Named, Primitive, Type, Types};
use crate::registry::change::Incompatible;
use std::cell::RefCell;
use std::collections::HashSet;

/// What keeps the reader from what the writer writes.
pub fn compare(reader: &AvroSchema, writer: &AvroSchema) -> Vec<Incompatible> {
    let bad = RefCell::default();
    let mut pair = Pair {
        reader: &reader.types,
        writer: &writer.types,
        open: HashSet::new(),
        bad: &bad,
        found: Vec::new(),
        said: 0,
    };
    pair.types(&reader.types.root, &writer.types.root, "/");
    pair.found
}

struct Pair<'a, 'b> {
    reader: &'a Types,
    writer: &'a Types,
    /// Pairs of names that are being compared, or were: a type may contain itself.
    open: HashSet<(&'a str, &'a str)>,
    /// Those that do not go together, whatever else is still open: they are not looked at again for another union.
    bad: &'b RefCell<HashSet<(&'a str, &'a str)>>,
    found: Vec<Incompatible>,
    /// How often something was found, told or not.
    said: usize,
}

impl<'a> Pair<'a, '_> {
    fn say(&mut self, rule: &'static str, at: &str, why: String) {
        self.said += 1;
        let found = Incompatible::new(rule, at, why);
        if !self.found.contains(&found) {
            self.found.push(found);
        }
    }

    fn types(&mut self, reader: &'a Type, writer: &'a Type, at: &str) {
        match (reader, writer) {
            (Type::Union(_), Type::Union(branches)) => {
                for (place, branch) in branches.iter().enumerate() {
                    self.branch(reader, branch, &join(at, &place.to_string()));
                }
            }
            // Each of what the writer may write must be read.
            (_, Type::Union(branches)) => {
                for branch in branches {
                    self.types(reader, branch, at);
                }
            }
            (Type::Union(_), _) => self.branch(reader, writer, at),
            (Type::Array(reader), Type::Array(writer)) => self.types(reader, writer, &join(at, "items")),
            (Type::Map(reader), Type::Map(writer)) => self.types(reader, writer, &join(at, "values")),
            (Type::Named(reader), Type::Named(writer)) => self.named(reader, writer, at),
            (Type::Decimal(reader), Type::Decimal(writer)) => self.digits(Some(*reader), Some(*writer), at),
            _ if promotes(reader, writer) => {}
            _ => {
                let (reader, writer) = (shown(reader, self.reader), shown(writer, self.writer));
                let why = format!("{{reader}} has `{reader}`, which can't be read from `{writer}` of {{writer}}");
                self.say("TYPE_MISMATCH", at, why);
            }
        }
    }

    /// A branch of the writer's must be read by some branch of the reader's.
    fn branch(&mut self, reader: &'a Type, writer: &'a Type, at: &str) {
        let Type::Union(branches) = reader else { return };
        let is_read = branches.iter().any(|branch| {
            let open = self.open.clone();
            let mut inner =
                Pair { reader: self.reader, writer: self.writer, open, bad: self.bad, found: Vec::new(), said: 0 };
            inner.types(branch, writer, at);
            let is_read = inner.said == 0;
            if is_read {
                self.open = inner.open;
            }
            is_read
        });
        if !is_read {
            let shown = shown(writer, self.writer);
            let why = format!("no type of the union of {{reader}} reads `{shown}` of {{writer}}");
            self.say("MISSING_UNION_BRANCH", at, why);
        }
    }

    fn named(&mut self, reader: &'a str, writer: &'a str, at: &str) {
        if self.bad.borrow().contains(&(reader, writer)) {
            let why = format!("`{reader}` of {{reader}} does not read `{writer}` of {{writer}}");
            return self.say("TYPE_MISMATCH", at, why);
        }
        if !self.open.insert((reader, writer)) {
            return;
        }
        let said = self.said;
        self.definitions(reader, writer, at);
        if self.said > said {
            self.bad.borrow_mut().insert((reader, writer));
        }
    }

    fn definitions(&mut self, reader: &'a str, writer: &'a str, at: &str) {
        let (Some(one), Some(other)) = (self.reader.named.get(reader), self.writer.named.get(writer)) else { return };
        let aliases = match one {
            Named::Record { aliases, .. } | Named::Enum { aliases, .. } | Named::Fixed { aliases, .. } => aliases,
        };
        let is_same_kind = std::mem::discriminant(one) == std::mem::discriminant(other);
        if is_same_kind && last(reader) != last(writer) && !aliases.iter().any(|alias| alias == writer) {
            let why =
                format!("{{reader}} calls it `{reader}`, {{writer}} `{writer}`, and no alias says that they are one");
            self.say("NAME_MISMATCH", &join(at, "name"), why);
            return;
        }
        match (one, other) {
            (Named::Record { fields, .. }, Named::Record { fields: written, .. }) => self.fields(fields, written, at),
            (Named::Enum { symbols, default, .. }, Named::Enum { symbols: written, .. }) => {
                let missing: Vec<&str> =
                    written.iter().filter(|symbol| !symbols.contains(symbol)).map(String::as_str).collect();
                if !missing.is_empty() && default.is_none() {
                    let why = format!("{{reader}} lacks the symbols {} and has no default", missing.join(", "));
                    self.say("MISSING_ENUM_SYMBOLS", &join(at, "symbols"), why);
                }
            }
            (Named::Fixed { size, digits, .. }, Named::Fixed { size: written, digits: other, .. }) => {
                if size != written {
                    let why = format!("{{reader}} has {size} bytes, {{writer}} {written}");
                    self.say("FIXED_SIZE_MISMATCH", &join(at, "size"), why);
                }
                self.digits(*digits, *other, at);
            }
            _ => {
                let why = format!("`{reader}` of {{reader}} is another kind of type than `{writer}` of {{writer}}");
                self.say("TYPE_MISMATCH", at, why);
            }
        }
    }

    fn fields(&mut self, reader: &'a [Field], writer: &'a [Field], at: &str) {
        for (place, field) in reader.iter().enumerate() {
            let at = join(&join(at, "fields"), &place.to_string());
            let by_alias = || writer.iter().find(|other| field.aliases.contains(&other.name));
            match writer.iter().find(|other| other.name == field.name).or_else(by_alias) {
                Some(other) => self.types(&field.of, &other.of, &join(&at, "type")),
                None if field.has_default => {}
                None => {
                    let why = format!("`{}` has no default in {{reader}} and is missing in {{writer}}", field.name);
                    self.say("READER_FIELD_MISSING_DEFAULT_VALUE", &at, why);
                }
            }
        }
    }

    /// The bytes of a decimal are digits alone: under another scale they are another number.
    fn digits(&mut self, reader: Option<Digits>, writer: Option<Digits>, at: &str) {
        let (Some(reader), Some(writer)) = (reader, writer) else { return };
        if reader != writer {
            let shown = |digits: Digits| format!("decimal({},{})", digits.precision, digits.scale);
            let why = format!("{{reader}} has {}, {{writer}} {}", shown(reader), shown(writer));
            self.say("DECIMAL_MISMATCH", at, why);
        }
    }
}

fn shown(of: &Type, types: &Types) -> String {
    match of {
        Type::Primitive(primitive) => primitive.name().to_owned(),
        Type::Decimal(digits) => format!("decimal({},{})", digits.precision, digits.scale),
        Type::Array(of) => format!("array of {}", shown(of, types)),
        Type::Map(of) => format!("map of {}", shown(of, types)),
        Type::Union(_) => "union".to_owned(),
        Type::Named(name) => match types.named.get(name) {
            Some(Named::Enum { .. }) => format!("enum {name}"),
            Some(Named::Fixed { .. }) => format!("fixed {name}"),
            _ => format!("record {name}"),
        },
    }
}

/// What a reader reads of another type than its own, without a loss.
fn promotes(reader: &Type, writer: &Type) -> bool {
    use Primitive::{Bytes, Double, Float, Int, Long, String};
    let (one, other) = match (reader, writer) {
        (Type::Primitive(one), Type::Primitive(other)) => (*one, *other),
        // The digits of a decimal are bytes, but no text.
        (Type::Decimal(_), Type::Primitive(Bytes)) | (Type::Primitive(Bytes), Type::Decimal(_)) => return true,
        _ => return false,
    };
    one == other
        || matches!(
            (one, other),
            (Long, Int) | (Float, Int | Long) | (Double, Int | Long | Float) | (Bytes, String) | (String, Bytes)
        )
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn join(at: &str, part: &str) -> String {
    format!("{}/{part}", at.trim_end_matches('/'))
}
