//! What every implementation of a trait must pass.

pub mod broker;
pub mod clock;
pub mod engine;
pub mod keys;
pub mod ledger;
pub mod mask;
mod plain;
pub mod sink;
pub mod source;
pub mod stage;
#[cfg(test)]
mod tests;
pub mod vault;
