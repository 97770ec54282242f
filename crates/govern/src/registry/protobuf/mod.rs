//! Protobuf: reading a file with what it imports, from text or from a descriptor, and what changes between two.
//!
//! Imports are looked up among the references and the few files that everybody has ([`known`]); no disk, no network.

mod compare;
mod fields;
mod known;
mod print;
#[cfg(test)]
mod tests;

pub use compare::compare;

use super::schema::Resolved;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::Message;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{FileDescriptor, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use std::collections::HashMap;

/// A file that was read.
#[derive(Debug, Clone)]
pub struct ProtobufSchema {
    file: FileDescriptor,
    /// What its author wrote, if that was text.
    text: Option<String>,
}

/// What a file is called that has no name of its own.
const MAIN: &str = "schema.proto";

impl ProtobufSchema {
    pub fn read(text: &str, resolved: &[Resolved]) -> Result<Self, String> {
        let mut sources = HashMap::new();
        for one in resolved {
            sources.insert(one.name.clone(), source(&one.name, &one.definition.schema)?);
        }
        let name = match resolved.iter().any(|one| one.name == MAIN) {
            true => "the-schema.proto",
            false => MAIN,
        };
        sources.insert(name.to_owned(), source(name, text)?);
        let mut resolver = ChainFileResolver::new();
        resolver.add(Sources(sources));
        resolver.add(GoogleFileResolver::new());
        resolver.add(known::Known);
        let mut compiler = Compiler::with_file_resolver(resolver);
        let told = |error: protox::Error| match error.is_file_not_found() {
            true => format!("{error}: an import has to be among the references of the schema"),
            false => format!("this is no Protobuf schema: {error}"),
        };
        compiler.include_source_info(false).open_file(name).map_err(told)?;
        let pool = compiler.descriptor_pool();
        let file = pool.get_file_by_name(name).ok_or("this is no Protobuf schema: it was not compiled")?;
        let text = descriptor(text).is_none().then(|| text.to_owned());
        Ok(Self { file, text })
    }

    /// What its author wrote; of a descriptor the same as text.
    pub fn kept(&self) -> String {
        self.text.clone().unwrap_or_else(|| self.canonical())
    }

    /// The same file without comments, in one layout.
    pub fn canonical(&self) -> String {
        print::print(&self.file)
    }

    /// The descriptor, as clients that have no compiler ask for it.
    pub fn serialized(&self) -> String {
        STANDARD.encode(self.file.encode_to_vec())
    }

    /// A message of the file itself.
    pub fn message(&self, name: &str) -> Option<MessageDescriptor> {
        self.file.messages().find(|message| message.name() == name)
    }
}

fn source(name: &str, text: &str) -> Result<File, String> {
    let told = |error: &dyn std::fmt::Display| format!("`{name}` is no Protobuf schema: {error}");
    match descriptor(text) {
        Some(mut bytes) => {
            // Of a field that comes twice the last one counts: the file gets the name that it is imported by.
            bytes.push(0x0a);
            prost_reflect::prost::encoding::encode_varint(name.len() as u64, &mut bytes);
            bytes.extend_from_slice(name.as_bytes());
            File::decode_file_descriptor_proto(bytes.as_slice()).map_err(|e| told(&e))
        }
        None => File::from_source(name, text).map_err(|e| told(&e)),
    }
}

/// The bytes of a descriptor, which some clients register in base64 in the place of a text.
fn descriptor(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    FileDescriptorProto::decode(bytes.as_slice()).is_ok().then_some(bytes)
}

struct Sources(HashMap<String, File>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        self.0.get(name).cloned().ok_or_else(|| protox::Error::file_not_found(name))
    }
}
