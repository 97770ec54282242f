//! The floor that every room stands on: the nouns, the laws and the traits of Lavra. No I/O, no clock, no SQL engine.

pub mod audit;
pub mod broker;
pub mod classification;
pub mod clock;
pub mod contract;
pub mod diagnostic;
pub mod draft;
pub mod engine;
pub mod error;
pub mod function;
pub mod gate;
pub mod keys;
pub mod laws;
pub mod ledger;
pub mod mask;
pub mod name;
pub mod position;
pub mod sink;
pub mod source;
pub mod span;
pub mod stage;
pub mod suggest;
pub mod vault;

pub use classification::Classification;
pub use contract::{Contract, Entity, Property};
pub use diagnostic::Diagnostic;
pub use error::{Error, Kind, Result, advice};
pub use name::TableName;
pub use position::{Point, Positions};
