//! The schema registry: schemas of events in Avro, JSON Schema and Protobuf, and which changes of them break whom.
//!
//! From the inside out: [`schema`] reads one, [`change`] says what a change breaks (rules in `avro`, `json`,
//! `protobuf`), [`store`] keeps subjects, versions and ids in a ledger, [`api`] is that over HTTP, [`contract`] makes schemas
//! of contracts, [`access`] is what the rest of the program sees, be it the embedded registry or another's ([`remote`]), and
//! [`wire`] is the head of a message that names its schema.

mod access;
pub mod api;
mod avro;
mod change;
mod contract;
mod json;
mod percent;
mod protobuf;
mod remote;
mod schema;
mod store;
pub mod wire;

pub use access::{Schemas, Verdict};
pub use api::{Password, router, router_for};
pub use change::{Incompatible, Level};
pub use contract::definition;
pub use remote::Remote;
pub use schema::{Definition, Parsed, Reference, SchemaType};
pub use store::{Answer, Config, Fault, Listed, Mode, Page, Policy, Registered, Registry, Request, Wanted, Which};
