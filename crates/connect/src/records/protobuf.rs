//! Protobuf values: each becomes the JSON object that it stands for, and is read as such.

mod value;

use super::frame::{self, Run};
use super::{Decode, Records, Rows};
use crate::files::json::JsonRecords;
use crate::registry::{Reference, Registry, Schema};
use base64::prelude::{BASE64_STANDARD, Engine};
use kernel::gate::Malformed;
use kernel::{Entity, Error, Result};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

pub struct Protobuf {
    registry: Registry,
    json: JsonRecords,
    /// By the schema's id.
    pools: HashMap<u32, DescriptorPool>,
}

/// Files that refer to each other in a ring have no end.
const REFERENCES_MAX: usize = 1_000;

impl Protobuf {
    pub fn new(entity: Arc<Entity>, registry: Registry) -> Self {
        Self { registry, json: JsonRecords::new(entity), pools: HashMap::new() }
    }

    fn rows(&mut self, mut run: Run) -> Result<Rows> {
        if run.records.is_empty() {
            return Ok(run.without_rows());
        }
        let Some(pool) = self.pool(run.id)? else { return Ok(run.without_schema()) };
        let file = pool.get_file_by_name(&file_name(run.id));
        let file = file.ok_or_else(|| Error::internal("read Protobuf", "the schema's own file is missing"))?;
        let (mut text, mut places): (Vec<u8>, Vec<(i64, Range<usize>)>) = (Vec::new(), Vec::new());
        for (offset, value) in &run.records {
            let body = frame::split(value).map(|(_, body)| body).unwrap_or_default();
            let message = indexes(body).and_then(|(path, body)| {
                let kind = find(file.messages(), &path)?;
                DynamicMessage::decode(kind, body).ok()
            });
            let start = text.len();
            match message {
                Some(message) => {
                    value::message(&mut text, &message);
                    places.push((*offset, start..text.len()));
                    text.push(b'\n');
                }
                None => {
                    let reason = "its bytes are no message of the Protobuf schema that it names".to_owned();
                    run.malformed.push(Malformed { offset: *offset, reason });
                }
            }
        }
        let mut read = self.json.read(text, &places)?;
        read.malformed.extend(run.malformed);
        read.malformed.sort_by_key(|bad| bad.offset);
        Ok(Rows { batch: read.batch, offsets: read.numbers, malformed: read.malformed })
    }

    /// The schema's files, or `None` when the registry has no such schema.
    fn pool(&mut self, id: u32) -> Result<Option<DescriptorPool>> {
        if let Some(pool) = self.pools.get(&id) {
            return Ok(Some(pool.clone()));
        }
        let what = || format!("read records of Protobuf schema {id}");
        let Some(schema) = self.registry.by_id(id) else { return Ok(None) };
        if schema.kind != "PROTOBUF" {
            return Err(Error::project(what(), format!("it is a schema of {}: set `format`", schema.kind)));
        }
        let mut files = Texts::default();
        files.add(&file_name(id), &schema)?;
        let mut left: Vec<Reference> = schema.references.clone();
        while let Some(reference) = left.pop() {
            if files.0.contains_key(&reference.name) {
                continue;
            }
            if files.0.len() > REFERENCES_MAX {
                return Err(Error::data(what(), "its references have no end"));
            }
            let other = self.registry.referenced(&reference)?;
            files.add(&reference.name, &other)?;
            left.extend(other.references);
        }
        let mut resolver = ChainFileResolver::new();
        resolver.add(files);
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        let compiled = compiler.open_file(file_name(id));
        compiled.map_err(|e| Error::data(what(), "the registry's text of it can't be compiled").because(e))?;
        let pool = compiler.descriptor_pool();
        self.pools.insert(id, pool.clone());
        Ok(Some(pool))
    }
}

impl Decode for Protobuf {
    fn decode(&mut self, records: Records) -> Result<Vec<Rows>> {
        let runs = frame::runs(&records);
        self.registry.look_up(frame::ids(&runs))?;
        runs.into_iter().map(|run| self.rows(run)).collect()
    }
}

fn file_name(id: u32) -> String {
    format!("registry/{id}.proto")
}

/// The texts of a schema and of what it refers to, by the names that they import each other by.
#[derive(Default)]
struct Texts(HashMap<String, File>);

impl Texts {
    fn add(&mut self, name: &str, schema: &Schema) -> Result<()> {
        let unread = |e| Error::data("read a Protobuf schema", "the registry's text of it can't be read").because(e);
        let file = match compiled(name, &schema.schema) {
            Some(file) => file,
            None => File::from_source(name, &schema.schema).map_err(unread)?,
        };
        self.0.insert(name.to_owned(), file);
        Ok(())
    }
}

/// Confluent's serializers register a compiled file in Base64; registries other than theirs give that back as it came.
fn compiled(name: &str, text: &str) -> Option<File> {
    let file = File::decode_file_descriptor_proto(BASE64_STANDARD.decode(text).ok()?.as_slice()).ok()?;
    let mut file = file.file_descriptor_proto().clone();
    file.name = Some(name.to_owned());
    Some(File::from_file_descriptor_proto(file))
}

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        self.0.get(name).cloned().ok_or_else(|| protox::Error::file_not_found(name))
    }
}

/// Which message of the file it is, as a path of places, and what is behind that. One zero stands for the first.
fn indexes(mut bytes: &[u8]) -> Option<(Vec<usize>, &[u8])> {
    let count = usize::try_from(zigzag(&mut bytes)?).ok()?;
    if count == 0 {
        return Some((vec![0], bytes));
    }
    if count > bytes.len() {
        return None;
    }
    let path = (0..count).map(|_| usize::try_from(zigzag(&mut bytes)?).ok()).collect::<Option<_>>()?;
    Some((path, bytes))
}

fn zigzag(bytes: &mut &[u8]) -> Option<i64> {
    let mut known = 0u64;
    for bits in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        known |= u64::from(byte & 0x7f) << bits;
        if byte & 0x80 == 0 {
            return Some((known >> 1) as i64 ^ -((known & 1) as i64));
        }
    }
    None
}

/// Counts as Java's writer does, by what the schema's text declares: the entries of maps, which are messages too, are not
/// among them.
fn find(messages: impl Iterator<Item = MessageDescriptor>, path: &[usize]) -> Option<MessageDescriptor> {
    let (first, rest) = path.split_first()?;
    let found = messages.filter(|message| !message.is_map_entry()).nth(*first)?;
    if rest.is_empty() {
        Some(found)
    } else {
        find(Box::new(found.child_messages()) as Box<dyn Iterator<Item = _>>, rest)
    }
}
