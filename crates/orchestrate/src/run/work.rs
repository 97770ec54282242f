//! What a node does is somebody else's: this is how it is asked to, and how it speaks while it works.

use async_trait::async_trait;
use kernel::Result;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// How a node came to a good end. `R` is the report: rows, bytes, versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished<R> {
    Done(R),
    /// There was nothing new, and nothing was written.
    UpToDate(R),
}

#[async_trait]
pub trait Work<R>: Send + Sync {
    /// Called when all upstream nodes have come to a good end; never twice at once for one node, and never again after
    /// an `Ok`. What it has committed must be found again by a further call: after an error whose `advice` says retry
    /// it is called anew with the next attempt, and the process may die at any await.
    ///
    /// When `task.cancel` is cancelled it should return soon, with `Kind::Stopped` if it is not done. Otherwise it is
    /// dropped at an await point after the grace time, so an await must never stand between two halves of a commit.
    async fn run(&self, task: Task<R>) -> Result<Finished<R>>;
}

/// One attempt at one node.
pub struct Task<R> {
    pub node: String,
    /// From 1.
    pub attempt: u32,
    pub cancel: CancellationToken,
    pub(super) desk: Arc<Desk<R>>,
}

impl<R> Clone for Task<R> {
    fn clone(&self) -> Self {
        let Self { node, attempt, cancel, desk } = self;
        Self { node: node.clone(), attempt: *attempt, cancel: cancel.clone(), desk: Arc::clone(desk) }
    }
}

impl<R: Clone> Task<R> {
    /// Adds to what this attempt has done. Cheap: told to the listener now and then, not at each call.
    pub fn progress(&self, rows: u64, bytes: u64) {
        self.desk.rows.fetch_add(rows, Ordering::Relaxed);
        self.desk.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Says how many bytes this attempt will come to, where that is known: a share can then be shown.
    pub fn expect_bytes(&self, bytes: u64) {
        self.desk.bytes_total.store(bytes, Ordering::Relaxed);
    }

    /// Leaves the report of what is committed so far, for the case that the node fails or is stopped after it.
    pub fn keep(&self, report: R) {
        *self.desk.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }

    /// What was kept last, by this attempt or an earlier one.
    pub fn kept(&self) -> Option<R> {
        self.desk.kept()
    }
}

/// Where a node lays down what is to be seen from outside.
pub(super) struct Desk<R> {
    rows: AtomicU64,
    bytes: AtomicU64,
    /// 0 is unknown.
    bytes_total: AtomicU64,
    kept: Mutex<Option<R>>,
}

impl<R: Clone> Desk<R> {
    pub fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self { rows: zero(), bytes: zero(), bytes_total: zero(), kept: Mutex::new(None) }
    }

    pub fn kept(&self) -> Option<R> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rows and bytes of this attempt.
    pub fn seen(&self) -> (u64, u64) {
        (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Bytes that this attempt will come to, if it said so.
    pub fn bytes_total(&self) -> Option<u64> {
        Some(self.bytes_total.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }

    pub fn restart(&self) {
        self.bytes_total.store(0, Ordering::Relaxed);
        self.rows.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
    }
}
