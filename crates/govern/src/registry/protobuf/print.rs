//! A file as text, in one layout: what was compiled, without comments.

use prost_reflect::prost_types::DescriptorProto;
use prost_reflect::{
    Cardinality, DynamicMessage, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor, OneofDescriptor, ServiceDescriptor, Syntax, Value,
};
use std::fmt::Write;

pub fn print(file: &FileDescriptor) -> String {
    let mut out = Printer { text: String::new(), depth: 0, syntax: file.syntax() };
    let proto = file.file_descriptor_proto();
    out.line(match file.syntax() {
        Syntax::Proto2 => "syntax = \"proto2\";",
        Syntax::Proto3 => "syntax = \"proto3\";",
    });
    if !file.package_name().is_empty() {
        out.line(&format!("package {};", file.package_name()));
    }
    if !proto.dependency.is_empty() {
        out.gap();
    }
    for (at, name) in proto.dependency.iter().enumerate() {
        let has = |list: &[i32]| i32::try_from(at).is_ok_and(|at| list.contains(&at));
        let kind = match (has(&proto.public_dependency), has(&proto.weak_dependency)) {
            (true, _) => "public ",
            (_, true) => "weak ",
            _ => "",
        };
        out.line(&format!("import {kind}{};", quoted(name)));
    }
    out.options(&file.options(), true);
    for message in file.messages() {
        out.gap();
        out.message(&message);
    }
    for one in file.enums() {
        out.gap();
        out.enumeration(&one);
    }
    out.extensions(file.extensions().filter(|one| one.parent_message().is_none()).collect());
    for service in file.services() {
        out.gap();
        out.service(&service);
    }
    out.text
}

struct Printer {
    text: String,
    depth: usize,
    syntax: Syntax,
}

impl Printer {
    fn line(&mut self, line: &str) {
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }

    fn block(&mut self, head: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        body(self);
        self.depth -= 1;
        self.line("}");
    }

    fn options(&mut self, options: &DynamicMessage, with_gap: bool) {
        let all = option_list(options);
        if with_gap && !all.is_empty() {
            self.gap();
        }
        for (name, value) in all {
            self.line(&format!("option {name} = {value};"));
        }
    }

    fn message(&mut self, message: &MessageDescriptor) {
        self.block(&format!("message {}", message.name()), |out| out.message_body(message));
    }

    fn message_body(&mut self, message: &MessageDescriptor) {
        let proto = message.descriptor_proto();
        self.options(&message.options(), false);
        self.reserved(proto);
        let mut told: Vec<String> = Vec::new();
        for field in fields_as_written(message, proto) {
            match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                Some(oneof) if told.iter().any(|name| name == oneof.name()) => {}
                Some(oneof) => {
                    told.push(oneof.name().to_owned());
                    self.oneof(&oneof);
                }
                None => self.field(&field, false),
            }
        }
        for range in &proto.extension_range {
            let (first, last) = (range.start(), range.end() - 1);
            self.line(&format!("extensions {};", span(first, last, 536_870_911)));
        }
        for inner in message.child_messages().filter(|inner| !inner.is_map_entry() && !is_group(message, inner)) {
            self.message(&inner);
        }
        for inner in message.child_enums() {
            self.enumeration(&inner);
        }
        self.extensions(message.child_extensions().collect());
    }

    fn reserved(&mut self, proto: &DescriptorProto) {
        let ranges: Vec<String> =
            proto.reserved_range.iter().map(|range| span(range.start(), range.end() - 1, 536_870_911)).collect();
        if !ranges.is_empty() {
            self.line(&format!("reserved {};", ranges.join(", ")));
        }
        let names: Vec<String> = proto.reserved_name.iter().map(|name| quoted(name)).collect();
        if !names.is_empty() {
            self.line(&format!("reserved {};", names.join(", ")));
        }
    }

    fn oneof(&mut self, oneof: &OneofDescriptor) {
        self.block(&format!("oneof {}", oneof.name()), |out| {
            out.options(&oneof.options(), false);
            for field in oneof.fields() {
                out.field(&field, true);
            }
        });
    }

    fn field(&mut self, field: &FieldDescriptor, in_oneof: bool) {
        let proto = field.field_descriptor_proto();
        let mut brackets = option_list(&field.options());
        if let Some(default) = &proto.default_value {
            let value = match field.kind() {
                Kind::String => quoted(default),
                // The default of bytes is escaped in the descriptor already.
                Kind::Bytes => format!("\"{default}\""),
                _ => default.clone(),
            };
            brackets.insert(0, ("default".into(), value));
        }
        if proto.json_name() != camel(field.name()) && !proto.json_name().is_empty() {
            brackets.push(("json_name".into(), quoted(proto.json_name())));
        }
        let label = match in_oneof || field.is_map() {
            true => "",
            false => label(field.cardinality(), proto.proto3_optional(), self.syntax),
        };
        if field.is_group()
            && let Kind::Message(group) = field.kind()
        {
            let head = format!("{label}group {} = {}{}", group.name(), field.number(), bracketed(&brackets));
            return self.block(&head, |out| out.message_body(&group));
        }
        let of = type_name(&field.kind(), field.is_map());
        self.line(&format!("{label}{of} {} = {}{};", field.name(), field.number(), bracketed(&brackets)));
    }

    fn enumeration(&mut self, one: &EnumDescriptor) {
        self.block(&format!("enum {}", one.name()), |out| {
            let proto = one.enum_descriptor_proto();
            out.options(&one.options(), false);
            let ranges: Vec<String> =
                proto.reserved_range.iter().map(|range| span(range.start(), range.end(), i32::MAX)).collect();
            if !ranges.is_empty() {
                out.line(&format!("reserved {};", ranges.join(", ")));
            }
            let names: Vec<String> = proto.reserved_name.iter().map(|name| quoted(name)).collect();
            if !names.is_empty() {
                out.line(&format!("reserved {};", names.join(", ")));
            }
            for value in &proto.value {
                let options = one.get_value_by_name(value.name()).map(|value| option_list(&value.options()));
                let brackets = bracketed(&options.unwrap_or_default());
                out.line(&format!("{} = {}{brackets};", value.name(), value.number()));
            }
        });
    }

    /// Extensions of one message stand together.
    fn extensions(&mut self, all: Vec<ExtensionDescriptor>) {
        let mut told: Vec<String> = Vec::new();
        for one in &all {
            let of = one.containing_message().full_name().to_owned();
            if told.contains(&of) {
                continue;
            }
            self.block(&format!("extend .{of}"), |out| {
                for field in all.iter().filter(|other| other.containing_message().full_name() == of) {
                    let proto = field.field_descriptor_proto();
                    let label = label(field.cardinality(), proto.proto3_optional(), out.syntax);
                    let (of, brackets) = (type_name(&field.kind(), false), bracketed(&option_list(&field.options())));
                    out.line(&format!("{label}{of} {} = {}{brackets};", field.name(), field.number()));
                }
            });
            told.push(of);
        }
    }

    fn service(&mut self, service: &ServiceDescriptor) {
        self.block(&format!("service {}", service.name()), |out| {
            out.options(&service.options(), false);
            for method in service.methods() {
                let stream = |is: bool| if is { "stream " } else { "" };
                let head = format!(
                    "rpc {}({}.{}) returns ({}.{})",
                    method.name(),
                    stream(method.is_client_streaming()),
                    method.input().full_name(),
                    stream(method.is_server_streaming()),
                    method.output().full_name(),
                );
                let options = method.options();
                match option_list(&options).is_empty() {
                    true => out.line(&format!("{head};")),
                    false => out.block(&head, |out| out.options(&options, false)),
                }
            }
        });
    }
}

/// In the order of the file; the descriptor's own iterator goes by number.
fn fields_as_written(message: &MessageDescriptor, proto: &DescriptorProto) -> Vec<FieldDescriptor> {
    proto.field.iter().filter_map(|field| message.get_field_by_name(field.name())).collect()
}

fn is_group(message: &MessageDescriptor, inner: &MessageDescriptor) -> bool {
    message.fields().any(|field| field.is_group() && matches!(field.kind(), Kind::Message(of) if of == *inner))
}

fn label(cardinality: Cardinality, proto3_optional: bool, syntax: Syntax) -> &'static str {
    match (cardinality, syntax) {
        (Cardinality::Repeated, _) => "repeated ",
        (Cardinality::Required, _) => "required ",
        (Cardinality::Optional, Syntax::Proto2) => "optional ",
        (Cardinality::Optional, Syntax::Proto3) if proto3_optional => "optional ",
        (Cardinality::Optional, Syntax::Proto3) => "",
    }
}

fn type_name(kind: &Kind, is_map: bool) -> String {
    match kind {
        Kind::Message(entry) if is_map => {
            let of = |field: FieldDescriptor| type_name(&field.kind(), false);
            format!("map<{}, {}>", of(entry.map_entry_key_field()), of(entry.map_entry_value_field()))
        }
        Kind::Message(message) => format!(".{}", message.full_name()),
        Kind::Enum(one) => format!(".{}", one.full_name()),
        scalar => format!("{scalar:?}"),
    }
}

fn bracketed(options: &[(String, String)]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let all: Vec<String> = options.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!(" [{}]", all.join(", "))
}

/// The options that are set, by name: those of others in brackets.
fn option_list(options: &DynamicMessage) -> Vec<(String, String)> {
    let own = options.fields().map(|(field, value)| (field.name().to_owned(), field.kind(), value));
    let others = options.extensions().map(|(field, value)| (format!("(.{})", field.full_name()), field.kind(), value));
    let mut all = Vec::new();
    for (name, kind, value) in own.chain(others) {
        match value {
            Value::List(items) => all.extend(items.iter().map(|item| (name.clone(), shown(&kind, item)))),
            value => all.push((name, shown(&kind, value))),
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn shown(kind: &Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Enum(of), Value::EnumNumber(number)) => {
            of.get_value(*number).map_or_else(|| number.to_string(), |value| value.name().to_owned())
        }
        (_, Value::String(text)) => quoted(text),
        (_, Value::Message(message)) => format!("{{ {} }}", message.to_text_format()),
        (_, other) => other.to_string(),
    }
}

fn span(first: i32, last: i32, max: i32) -> String {
    match (first == last, last >= max) {
        (true, _) => first.to_string(),
        (_, true) => format!("{first} to max"),
        _ => format!("{first} to {last}"),
    }
}

/// The name that a field has in JSON unless it says another one.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut after_sign = false;
    for letter in name.chars() {
        match (letter, after_sign) {
            ('_', _) => after_sign = true,
            (letter, true) => {
                out.extend(letter.to_uppercase());
                after_sign = false;
            }
            (letter, false) => out.push(letter),
        }
    }
    out
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if u32::from(letter) < 32 => {
                let _ = write!(out, "\\{:03o}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
