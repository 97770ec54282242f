//! `up:` of lavra.yaml: how a long-running process behaves.

use super::config::Config;
use kernel::diagnostic::Diagnostic;
use kernel::draft::Draft;
use kernel::span;
use orchestrate::BreakerConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// A source's commits, unless it says otherwise.
pub const COMMIT_EVERY: Duration = Duration::from_secs(5);

/// How `lavra up` and `lavra worker` behave.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// Where `/status`, `/metrics`, `/healthz` and `/readyz` are served. Default: `127.0.0.1:7400`
    #[serde(default)]
    pub listen: Option<String>,
    /// Models are made after commits, but no more often than this. Default: `30 seconds`
    #[serde(default)]
    pub models_every: Option<String>,
    /// How long the end may take once it is asked for. Default: `30 seconds`
    #[serde(default)]
    pub drain_timeout: Option<String>,
    /// How long one call of an outside system may take before it is given up. Default: `5 minutes`. Sources of `rest` have
    /// limits of their own for each question.
    #[serde(default)]
    pub call_timeout: Option<String>,
    /// The longest wait before a source that waits for an outside system is tried again; five times that for one that somebody
    /// has to mend. Default: `60 seconds`
    #[serde(default)]
    pub retry_max: Option<String>,
    /// When an outside system is left alone for a while.
    #[serde(default)]
    pub breaker: BreakerDraft,
}

/// The circuit breaker of each outside system: the names and the meaning are those of resilience4j.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BreakerDraft {
    /// It opens when this percentage of the calls failed, or more. Default: 50
    #[serde(default)]
    pub failure_rate_threshold: Option<f64>,
    /// It opens when this percentage of the calls was slow, or more. Default: 100
    #[serde(default)]
    pub slow_call_rate_threshold: Option<f64>,
    /// A call that takes longer is slow. Default: `60 seconds`
    #[serde(default)]
    pub slow_call_duration_threshold: Option<String>,
    /// Calls of this time are looked at. Default: `60 seconds`
    #[serde(default)]
    pub sliding_window_size: Option<String>,
    /// With fewer calls in the window it does not open. Default: 5
    #[serde(default)]
    pub minimum_number_of_calls: Option<u64>,
    /// So many calls are tried before it closes. Default: 2
    #[serde(default)]
    pub permitted_number_of_calls_in_half_open_state: Option<u64>,
    /// How long it stays open before some calls are tried. Default: `30 seconds`
    #[serde(default)]
    pub wait_duration_in_open_state: Option<String>,
}

impl Running {
    pub fn models_every(&self) -> Duration {
        or(&self.models_every, Duration::from_secs(30))
    }

    pub fn drain_timeout(&self) -> Duration {
        or(&self.drain_timeout, Duration::from_secs(30))
    }

    pub fn call_timeout(&self) -> Duration {
        or(&self.call_timeout, Duration::from_secs(300))
    }

    pub fn retry_max(&self) -> Duration {
        or(&self.retry_max, Duration::from_secs(60))
    }

    pub fn breaker(&self) -> BreakerConfig {
        let (draft, usual) = (&self.breaker, BreakerConfig::default());
        BreakerConfig {
            failure_rate_threshold: draft.failure_rate_threshold.unwrap_or(usual.failure_rate_threshold),
            slow_call_rate_threshold: draft.slow_call_rate_threshold.unwrap_or(usual.slow_call_rate_threshold),
            slow_call_duration_threshold: or(&draft.slow_call_duration_threshold, usual.slow_call_duration_threshold),
            sliding_window_size: or(&draft.sliding_window_size, usual.sliding_window_size),
            minimum_number_of_calls: draft.minimum_number_of_calls.unwrap_or(usual.minimum_number_of_calls),
            permitted_number_of_calls_in_half_open_state: draft
                .permitted_number_of_calls_in_half_open_state
                .unwrap_or(usual.permitted_number_of_calls_in_half_open_state),
            wait_duration_in_open_state: or(&draft.wait_duration_in_open_state, usual.wait_duration_in_open_state),
        }
    }

    fn spans(&self) -> [(&'static str, Option<&str>); 7] {
        let breaker = &self.breaker;
        [
            ("up.models_every", self.models_every.as_deref()),
            ("up.drain_timeout", self.drain_timeout.as_deref()),
            ("up.call_timeout", self.call_timeout.as_deref()),
            ("up.retry_max", self.retry_max.as_deref()),
            ("up.breaker.slow_call_duration_threshold", breaker.slow_call_duration_threshold.as_deref()),
            ("up.breaker.sliding_window_size", breaker.sliding_window_size.as_deref()),
            ("up.breaker.wait_duration_in_open_state", breaker.wait_duration_in_open_state.as_deref()),
        ]
    }
}

/// A span of time that is longer than nothing.
pub fn span(text: &str) -> Option<Duration> {
    let micros = span::micros(text).filter(|micros| *micros > 0)?;
    u64::try_from(micros).ok().map(Duration::from_micros)
}

fn or(text: &Option<String>, usual: Duration) -> Duration {
    text.as_deref().and_then(span).unwrap_or(usual)
}

/// What of `up` can't be meant.
pub fn faults(draft: &Draft<Config>) -> Vec<Diagnostic> {
    let up = &draft.value.up;
    let mut faults = Vec::new();
    for (path, _) in up.spans().into_iter().filter(|(_, text)| text.is_some_and(|text| span(text).is_none())) {
        faults.push(draft.fault(path, "this is not a span of time").help(Some(span::HOW)));
    }
    let rates = [
        ("up.breaker.failure_rate_threshold", up.breaker.failure_rate_threshold),
        ("up.breaker.slow_call_rate_threshold", up.breaker.slow_call_rate_threshold),
    ];
    for (path, _) in rates.into_iter().filter(|(_, rate)| rate.is_some_and(|rate| !(rate > 0.0 && rate <= 100.0))) {
        faults.push(draft.fault(path, "this is no percentage").help(Some("more than 0, at most 100")));
    }
    let numbers = [
        ("up.breaker.minimum_number_of_calls", up.breaker.minimum_number_of_calls),
        (
            "up.breaker.permitted_number_of_calls_in_half_open_state",
            up.breaker.permitted_number_of_calls_in_half_open_state,
        ),
    ];
    for (path, _) in numbers.into_iter().filter(|(_, number)| *number == Some(0)) {
        faults.push(draft.fault(path, "this must be 1 or more"));
    }
    if up.listen.as_deref().is_some_and(|listen| listen.parse::<std::net::SocketAddr>().is_err()) {
        let help = "an IP address and a port: `127.0.0.1:7400`; port 0 takes a free one";
        faults.push(draft.fault("up.listen", "this is no address to listen on").help(Some(help)));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Draft<Config> {
        let text = format!("project: x\nup: {text}\n");
        kernel::draft::read::<Config>("lavra.yaml", &text, &|_| None).expect("a config")
    }

    #[test]
    fn what_is_said_holds_and_the_rest_is_usual() {
        let up = config("{ models_every: 2 minutes, breaker: { minimum_number_of_calls: 9 } }").value.up;
        assert_eq!((up.models_every().as_secs(), up.drain_timeout().as_secs()), (120, 30));
        let breaker = up.breaker();
        assert_eq!((breaker.minimum_number_of_calls, breaker.failure_rate_threshold), (9, 50.0));
    }

    #[test]
    fn what_can_not_be_meant_is_told() {
        for (text, told) in [
            ("{ models_every: soon }", "not a span of time"),
            ("{ drain_timeout: 0 seconds }", "not a span of time"),
            ("{ listen: here }", "no address"),
            ("{ breaker: { failure_rate_threshold: 0 } }", "no percentage"),
            ("{ breaker: { slow_call_rate_threshold: 101 } }", "no percentage"),
            ("{ breaker: { minimum_number_of_calls: 0 } }", "1 or more"),
        ] {
            let faults: String = faults(&config(text)).iter().map(|fault| fault.message.clone()).collect();
            assert!(faults.contains(told), "{text}: {faults}");
        }
        assert!(faults(&config("{ listen: '127.0.0.1:0', drain_timeout: 5 seconds }")).is_empty());
    }
}
