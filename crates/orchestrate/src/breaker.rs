//! A circuit breaker for calls to one outside system. Pure: the time is an argument.
//!
//! States, rules and names are those of resilience4j with a time-based sliding window
//! (<https://resilience4j.readme.io/docs/circuitbreaker>). Three things differ. A result counts only in the state in which its
//! call was permitted, so that a call that began before the trouble does not judge what came after it. A call that goes on
//! and on gives its place to another. And the defaults are for sources, which make a call every now and then, where
//! resilience4j's are for requests.

#[cfg(test)]
mod tests;

use kernel::clock::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

const SECOND_MICROS: i64 = 1_000_000;

/// When a breaker opens, and how it closes again. Rates are percentages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerConfig {
    /// It opens when this share of the calls failed, or more.
    pub failure_rate_threshold: f64,
    /// It opens when this share of the calls was slow, or more.
    pub slow_call_rate_threshold: f64,
    /// A call that takes longer is slow.
    pub slow_call_duration_threshold: Duration,
    /// Calls of this time are looked at, in whole seconds.
    pub sliding_window_size: Duration,
    /// With fewer calls in the window no rate is computed.
    pub minimum_number_of_calls: u64,
    pub permitted_number_of_calls_in_half_open_state: u64,
    pub wait_duration_in_open_state: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failure_rate_threshold: 50.0,
            slow_call_rate_threshold: 100.0,
            slow_call_duration_threshold: Duration::from_secs(60),
            sliding_window_size: Duration::from_secs(60),
            minimum_number_of_calls: 5,
            permitted_number_of_calls_in_half_open_state: 2,
            wait_duration_in_open_state: Duration::from_secs(30),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls pass, and their results are counted.
    Closed,
    /// No call passes before the wait is over.
    Open,
    /// A few calls pass; their results decide.
    HalfOpen,
}

impl BreakerState {
    pub fn word(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half_open",
        }
    }
}

/// The right to one call; it is given back with [`Breaker::record`] or [`Breaker::release`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not given back is missing in the half-open state"]
pub struct Permit {
    /// The state in which it was given: states are numbered as they come.
    turn: u64,
    /// Another call was given its place.
    is_lent: bool,
}

/// What is known of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BreakerView {
    pub state: BreakerState,
    /// In percent; `None` with fewer calls than the minimum.
    pub failure_rate: Option<f64>,
    pub slow_call_rate: Option<f64>,
    /// Calls in the window.
    pub buffered_calls: u64,
    pub failed_calls: u64,
    pub slow_calls: u64,
    /// Calls that were refused, since the start.
    pub not_permitted_calls: u64,
    /// Microseconds since 1970, when the next call may pass; only while it is open.
    pub retry_at: Option<i64>,
}

#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
    turn: u64,
    window: Window,
    not_permitted: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open { until: Timestamp },
    HalfOpen { permits_left: u64 },
}

impl Breaker {
    pub fn new(config: BreakerConfig) -> Self {
        let window = Window::of(&config);
        Self { config, state: State::Closed, turn: 0, window, not_permitted: 0 }
    }

    /// Asks for a call; refused, it says when to ask again.
    pub fn acquire(&mut self, now: Timestamp) -> Result<Permit, Timestamp> {
        if let State::Open { until } = self.state
            && now >= until
        {
            let permits_left = self.config.permitted_number_of_calls_in_half_open_state.max(1);
            self.turn_to(State::HalfOpen { permits_left });
        }
        let again = match &mut self.state {
            State::Closed => None,
            State::Open { until } => Some(*until),
            // The calls that were let through are not back yet.
            State::HalfOpen { permits_left: 0 } => Some(Timestamp(now.0.saturating_add(SECOND_MICROS))),
            State::HalfOpen { permits_left } => {
                *permits_left -= 1;
                None
            }
        };
        match again {
            None => Ok(Permit { turn: self.turn, is_lent: false }),
            Some(again) => {
                self.not_permitted += 1;
                Err(again)
            }
        }
    }

    /// Takes the result of a call.
    pub fn record(&mut self, permit: Permit, is_failure: bool, took: Duration, now: Timestamp) {
        if permit.turn != self.turn {
            return;
        }
        self.window.add(now, is_failure, took > self.config.slow_call_duration_threshold);
        let minimum = match self.state {
            State::Closed => self.config.minimum_number_of_calls.max(1),
            State::HalfOpen { .. } => self.config.permitted_number_of_calls_in_half_open_state.max(1),
            State::Open { .. } => return,
        };
        let Some(rates) = self.window.rates(minimum) else { return };
        let is_bad =
            rates.failed >= self.config.failure_rate_threshold || rates.slow >= self.config.slow_call_rate_threshold;
        match self.state {
            _ if is_bad => {
                let wait = i64::try_from(self.config.wait_duration_in_open_state.as_micros()).unwrap_or(i64::MAX);
                self.turn_to(State::Open { until: Timestamp(now.0.saturating_add(wait)) });
            }
            State::HalfOpen { .. } => self.turn_to(State::Closed),
            State::Closed | State::Open { .. } => {}
        }
    }

    /// Gives a permit back unused: the call was not made, was dropped, or tells nothing.
    pub fn release(&mut self, mut permit: Permit) {
        self.lend(&mut permit);
    }

    /// Gives the place of a call that goes on to another one, so that nobody waits for its end. Its result counts all the same.
    pub fn lend(&mut self, permit: &mut Permit) {
        if let State::HalfOpen { permits_left } = &mut self.state
            && permit.turn == self.turn
            && !permit.is_lent
        {
            *permits_left += 1;
            permit.is_lent = true;
        }
    }

    pub fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// When a call may pass; `None` when one may pass now.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::HalfOpen { .. } => None,
        }
    }

    pub fn view(&mut self, now: Timestamp) -> BreakerView {
        // What made it open stays to be seen until it closes.
        if let State::Closed = self.state {
            self.window.forget(now);
        }
        let rates = self.window.rates(match self.state {
            State::Closed => self.config.minimum_number_of_calls.max(1),
            State::Open { .. } | State::HalfOpen { .. } => 1,
        });
        let all = self.window.all();
        BreakerView {
            state: self.state(),
            failure_rate: rates.map(|rates| rates.failed),
            slow_call_rate: rates.map(|rates| rates.slow),
            buffered_calls: all.calls,
            failed_calls: all.failed,
            slow_calls: all.slow,
            not_permitted_calls: self.not_permitted,
            retry_at: self.retry_at().map(|at| at.0),
        }
    }

    fn turn_to(&mut self, state: State) {
        // An open breaker goes on showing what opened it.
        if !matches!(state, State::Open { .. }) {
            self.window = match state {
                State::HalfOpen { .. } => Window::endless(),
                State::Closed | State::Open { .. } => Window::of(&self.config),
            };
        }
        self.state = state;
        self.turn += 1;
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    calls: u64,
    failed: u64,
    slow: u64,
}

#[derive(Debug, Clone, Copy)]
struct Rates {
    failed: f64,
    slow: f64,
}

/// Calls of the last seconds, a count for each.
#[derive(Debug)]
struct Window {
    /// `None` holds all.
    seconds: Option<i64>,
    counts: VecDeque<(i64, Count)>,
}

impl Window {
    fn of(config: &BreakerConfig) -> Self {
        let seconds = i64::try_from(config.sliding_window_size.as_secs()).unwrap_or(i64::MAX).max(1);
        Self { seconds: Some(seconds), counts: VecDeque::new() }
    }

    fn endless() -> Self {
        Self { seconds: None, counts: VecDeque::new() }
    }

    fn add(&mut self, now: Timestamp, is_failure: bool, is_slow: bool) {
        self.forget(now);
        let second = now.0.div_euclid(SECOND_MICROS);
        if self.counts.back().is_none_or(|(last, _)| *last < second) {
            self.counts.push_back((second, Count::default()));
        }
        if let Some((_, count)) = self.counts.back_mut() {
            count.calls += 1;
            count.failed += u64::from(is_failure);
            count.slow += u64::from(is_slow);
        }
    }

    fn forget(&mut self, now: Timestamp) {
        let Some(seconds) = self.seconds else { return };
        let first = now.0.div_euclid(SECOND_MICROS) - seconds + 1;
        while self.counts.front().is_some_and(|(second, _)| *second < first) {
            self.counts.pop_front();
        }
    }

    fn all(&self) -> Count {
        self.counts.iter().fold(Count::default(), |all, (_, one)| Count {
            calls: all.calls + one.calls,
            failed: all.failed + one.failed,
            slow: all.slow + one.slow,
        })
    }

    fn rates(&self, minimum: u64) -> Option<Rates> {
        let Count { calls, failed, slow } = self.all();
        let percent = |part: u64| part as f64 * 100.0 / calls as f64;
        (calls >= minimum).then(|| Rates { failed: percent(failed), slow: percent(slow) })
    }
}
