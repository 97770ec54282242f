//! What is written down before anything hidden is opened.

use crate::engine::Session;
use crate::error::Result;
use async_trait::async_trait;

/// A record that is only ever added to, and shows what was done to it afterwards.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Called before the first row is made; `sql` holds no value. The record is durable when this returns its number; an
    /// error refuses the query.
    async fn begin(&self, session: &Session, sql: &str, grants: &[String]) -> Result<u64>;

    /// Called once behind the last row given: how many there were, and whether they are all. An opening without an end was
    /// broken off.
    async fn end(&self, number: u64, rows: u64, whole: bool) -> Result<()>;
}
