//! A contract in Protobuf. A field is its number, so one keeps the number that it had, and one that went leaves its own behind.

use super::{Column, Table, inner_name, no_type, parts};
use crate::registry::protobuf::ProtobufSchema;
use arrow::datatypes::{DataType, TimeUnit};
use kernel::error::{Error, Result};
use prost_reflect::MessageDescriptor;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

pub fn schema(table: &Table<'_>, before: Option<&str>) -> Result<String> {
    let before = before.and_then(|text| ProtobufSchema::read(text, &[]).ok());
    let root = before.as_ref().and_then(|file| file.message(&table.name));
    let mut file = File { imports: BTreeSet::new() };
    let mut body = String::new();
    comment(table.doc, 0, &mut body);
    file.message(&table.name, &table.columns, root.as_ref(), 0, &mut body)?;
    let mut text = format!("syntax = \"proto3\";\n\npackage {};\n\n", table.space);
    for import in &file.imports {
        let _ = writeln!(text, "import \"{import}\";");
    }
    if !file.imports.is_empty() {
        text.push('\n');
    }
    text.push_str(&body);
    Ok(text)
}

struct File {
    imports: BTreeSet<&'static str>,
}

/// The numbers that a message has, and those that it had.
struct Numbers {
    by_name: BTreeMap<String, u32>,
    reserved: BTreeSet<u32>,
    next: u32,
}

impl Numbers {
    fn of(before: Option<&MessageDescriptor>) -> Self {
        let by_name: BTreeMap<String, u32> = before
            .iter()
            .flat_map(|message| message.fields())
            .map(|field| (field.name().to_owned(), field.number()))
            .collect();
        let reserved: BTreeSet<u32> = before.iter().flat_map(|message| message.reserved_ranges()).flatten().collect();
        let next = by_name.values().chain(&reserved).max().map_or(1, |last| last + 1);
        Self { by_name, reserved, next }
    }

    fn take(&mut self, name: &str) -> u32 {
        if let Some(number) = self.by_name.remove(name) {
            return number;
        }
        // These are the format's own.
        if (19_000..20_000).contains(&self.next) {
            self.next = 20_000;
        }
        self.next += 1;
        self.next - 1
    }
}

impl File {
    fn message(
        &mut self,
        name: &str,
        columns: &[Column<'_>],
        before: Option<&MessageDescriptor>,
        depth: usize,
        out: &mut String,
    ) -> Result<()> {
        let indent = "  ".repeat(depth);
        let _ = writeln!(out, "{indent}message {name} {{");
        let mut numbers = Numbers::of(before);
        let (mut fields, mut inner) = (String::new(), String::new());
        for column in columns {
            let number = numbers.take(&column.name);
            comment(column.doc, depth + 1, &mut fields);
            let of = self.type_of(column, column.of, before, depth + 1, &mut inner)?;
            let is_single = !of.starts_with("repeated ");
            let label = if column.may_be_null && is_single { "optional " } else { "" };
            let _ = writeln!(fields, "{indent}  {label}{of} {} = {number};", column.name);
        }
        let mut gone: Vec<u32> = numbers.by_name.into_values().chain(numbers.reserved).collect();
        gone.sort_unstable();
        if !gone.is_empty() {
            let list: Vec<String> = gone.iter().map(u32::to_string).collect();
            let _ = writeln!(out, "{indent}  reserved {};", list.join(", "));
        }
        out.push_str(&fields);
        out.push_str(&inner);
        let _ = writeln!(out, "{indent}}}");
        Ok(())
    }

    fn type_of(
        &mut self,
        column: &Column<'_>,
        of: &DataType,
        before: Option<&MessageDescriptor>,
        depth: usize,
        inner: &mut String,
    ) -> Result<String> {
        let known = |name: &str| before.and_then(|message| message.child_messages().find(|child| child.name() == name));
        Ok(match of {
            // A decimal is its digits: the format has no exact number with a point.
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Decimal128(..) => "string".into(),
            DataType::Boolean => "bool".into(),
            DataType::Int8 | DataType::Int16 | DataType::Int32 => "int32".into(),
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => "uint32".into(),
            DataType::Int64 => "int64".into(),
            DataType::Float32 => "float".into(),
            DataType::Float64 => "double".into(),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytes".into(),
            DataType::Date32 => {
                self.imports.insert("google/type/date.proto");
                "google.type.Date".into()
            }
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                self.imports.insert("google/protobuf/timestamp.proto");
                "google.protobuf.Timestamp".into()
            }
            // Without a zone it is no point in time.
            DataType::Timestamp(TimeUnit::Microsecond, None) | DataType::Time64(TimeUnit::Microsecond) => {
                "string".into()
            }
            DataType::Struct(fields) => {
                let name = inner_name("", &column.name);
                self.message(&name, &parts(fields), known(&name).as_ref(), depth, inner)?;
                name
            }
            DataType::List(item) | DataType::LargeList(item) => {
                let of = self.type_of(column, item.data_type(), before, depth, inner)?;
                if of.starts_with("repeated ") {
                    return Err(Error::project(
                        "make the Protobuf schema of a contract",
                        format!("the column `{}` is a list of lists, which Protobuf does not have", column.name),
                    ));
                }
                format!("repeated {of}")
            }
            _ => return Err(no_type(column, "Protobuf")),
        })
    }
}

fn comment(doc: Option<&str>, depth: usize, out: &mut String) {
    for line in doc.unwrap_or_default().lines() {
        let _ = writeln!(out, "{}// {}", "  ".repeat(depth), line.trim());
    }
}
