//! The schema registry: schemas of events in Avro, JSON Schema and Protobuf, and which changes of them break whom.
//!
//! From the inside out: [`schema`] reads one, [`change`] says what a change breaks (rules in `avro`, `json`,
//! `protobuf`), [`store`] keeps subjects, versions and ids in a ledger, [`api`] is that over HTTP, [`contract`] makes schemas
//! of contracts, and [`wire`] is the head of a message that names its schema.

pub mod api;
mod avro;
mod change;
mod contract;
mod json;
mod protobuf;
mod schema;
mod store;
pub mod wire;

pub use api::router;
pub use change::{Incompatible, Level};
pub use contract::definition;
pub use schema::{Definition, Parsed, Reference, SchemaType};
pub use store::{Answer, Config, Fault, Listed, Mode, Page, Policy, Registered, Registry, Request, Wanted, Which};
