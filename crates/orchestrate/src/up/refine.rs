//! What depends on sources is made after their commits, but no more often than was agreed on.

use super::Up;
use super::event::UpEvent;
use async_trait::async_trait;
use futures::FutureExt;
use kernel::error::{Error, Result};
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The longest wait behind a failure.
const WAIT_MAX: Duration = Duration::from_secs(300);

#[async_trait]
pub trait Refine: Send + Sync {
    /// Makes what depends on these sources; what is up to date is left. After an error it is asked again: with the next
    /// commit, or after a while without one. When `cancel` is cancelled it should end soon. Answers whether there was
    /// anything to make.
    async fn refine(&self, sources: &BTreeSet<String>, cancel: &CancellationToken) -> Result<bool>;
}

impl Up {
    pub(super) async fn refine_on_and_on(self: Arc<Self>) {
        let Some(refine) = self.refine.clone() else { return };
        let every = self.options.models_every;
        let (mut not_before, mut again, mut failures) = (Instant::now(), None, 0_u32);
        let mut look = not_before + every;
        while self.wait_for_news(again.unwrap_or(look), not_before).await {
            let mut changed = std::mem::take(&mut *self.state.changed.lock().unwrap_or_else(PoisonError::into_inner));
            // Nobody tells of commits of other processes, so they are looked for.
            if Instant::now() >= look {
                changed.extend(self.others());
                look = Instant::now() + every;
            }
            if changed.is_empty() {
                continue;
            }
            let begun = Instant::now();
            let outcome = AssertUnwindSafe(refine.refine(&changed, &self.cancel)).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|_| Err(Error::internal("make the models", "their code panicked")));
            not_before = begun + if matches!(outcome, Ok(false)) { Duration::ZERO } else { every };
            let Err(error) = outcome else {
                (again, failures) = (None, 0);
                continue;
            };
            failures = failures.saturating_add(1);
            let wait = every.saturating_mul(2_u32.saturating_pow(failures)).min(WAIT_MAX.max(every));
            again = Some(Instant::now() + wait);
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            if !self.cancel.is_cancelled() {
                (self.tell)(UpEvent::ModelsFailed { wait_ms, fault: (&error).into() });
            }
            // They are owed, but are no news.
            self.state.changed.lock().unwrap_or_else(PoisonError::into_inner).extend(changed);
        }
    }

    /// False when the process ends.
    async fn wait_for_news(&self, at_the_latest: Instant, not_before: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => return false,
            () = self.state.news.notified() => {}
            () = sleep_until(at_the_latest) => {}
        }
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => false,
            () = sleep_until(not_before) => true,
        }
    }
}
