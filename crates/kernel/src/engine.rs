//! The only door to SQL.

use crate::error::Result;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;

/// Who asks, and for what. Nothing is planned without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub user: String,
    pub purpose: String,
    /// What it may open, as `decrypt(person)`; empty for nearly everybody.
    pub grants: Vec<String>,
}

impl Session {
    /// The project's own owner at its own machine.
    pub fn owner(purpose: &str) -> Self {
        Self { user: "owner".into(), purpose: purpose.into(), grants: Vec::new() }
    }
}

/// A result that is read as it is made.
pub struct Rows {
    pub schema: SchemaRef,
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

#[async_trait]
pub trait Engine: Send + Sync {
    /// Plans and starts one `SELECT`. Anything that writes is refused.
    async fn query(&self, session: &Session, sql: &str) -> Result<Rows>;
}
