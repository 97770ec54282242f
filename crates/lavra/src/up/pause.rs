//! From making way for a command that needs the project alone to being at work again. The process is not ended by what is
//! away at that moment: it stays paused, tells it, and tries again.

use super::state::{self, ProcessState, ProcessView};
use super::{Begun, LOOK_EVERY, Process, Signals, asked_to_make_way, options};
use kernel::error::{Error, Kind, Result};
use orchestrate::RunLock;
use orchestrate::lock::is_asked_to_make_way;
use orchestrate::up::UpEvent;

/// Why a process could not begin.
pub struct Unready {
    pub error: Error,
    /// Whether it may be gone when it is tried again, with nobody mending the project.
    pub may_pass: bool,
}

impl From<Error> for Unready {
    fn from(error: Error) -> Self {
        let may_pass = match error.kind {
            // A full disk, a ledger that is locked for long, what did not answer in time.
            Kind::Unreachable | Kind::Storage | Kind::Conflict | Kind::Stopped => true,
            Kind::Project | Kind::Contract | Kind::Refused | Kind::Data | Kind::Memory | Kind::Internal => false,
        };
        Self { error, may_pass }
    }
}

impl Process {
    /// Begins anew once nobody wants the project alone; `None` when it is told to end before that.
    pub(super) async fn come_back(
        &self,
        mut paused: ProcessView,
        signals: &mut Signals,
    ) -> Result<Option<(Begun, RunLock)>> {
        let retry = options(&self.wiring, self.call.sources.len()).retry;
        let (mut dice, mut failures) = (fastrand::Rng::new(), 0_u32);
        while let Some(lock) = self.free(signals).await {
            let begun = tokio::select! {
                biased;
                () = signals.told_to_end() => break,
                () = asked_to_make_way(&self.state) => continue,
                begun = self.begin(paused.address) => begun,
            };
            let Unready { error, may_pass } = match begun {
                Ok(begun) => return Ok(Some((begun, lock))),
                Err(unready) => unready,
            };
            // Who wants the project alone need not wait for the next try.
            drop(lock);
            if !may_pass {
                self.tell_end(paused);
                return Err(error);
            }
            failures = failures.saturating_add(1);
            let wait = retry.wait(failures, &mut dice);
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.teller.tell(&UpEvent::ResumeFailed { wait_ms, fault: (&error).into() });
            self.tell_failure(&mut paused, &error);
            tokio::select! {
                () = signals.told_to_end() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.tell_end(paused);
        Ok(None)
    }

    /// Waits until nobody wants the project alone; `None` when it is told to end before that.
    async fn free(&self, signals: &mut Signals) -> Option<RunLock> {
        loop {
            if !is_asked_to_make_way(&self.state)
                && let Ok(lock) = RunLock::share(&self.state, &self.holder)
            {
                return Some(lock);
            }
            tokio::select! {
                () = signals.told_to_end() => return None,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Shows why none of the sources is taken in.
    fn tell_failure(&self, paused: &mut ProcessView, error: &Error) {
        let failure = state::failure(error, self.wiring.clock.now().0);
        for source in &mut paused.sources {
            source.last_failure = Some(failure.clone());
        }
        self.show(paused);
    }

    fn tell_end(&self, paused: ProcessView) {
        let now = self.wiring.clock.now().0;
        self.show(&ProcessView { state: ProcessState::Stopped, updated_at: now, ..paused });
    }

    /// That it can't be shown ends nothing.
    pub(super) fn show(&self, view: &ProcessView) {
        if let Err(error) = state::put(&self.state, view) {
            tracing::warn!("{error}; `lavra status` shows what is old");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_to_mend_may_pass() {
        let may_pass = |kind| Unready::from(Error::new(kind, "begin", "")).may_pass;
        assert!([Kind::Unreachable, Kind::Storage, Kind::Conflict].into_iter().all(may_pass));
        assert!(![Kind::Project, Kind::Refused, Kind::Contract, Kind::Internal].into_iter().any(may_pass));
    }
}
