//! When a question that failed is asked again.

use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use kernel::clock::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// How long a server asks to wait, when it says so.
pub type Wait = Option<Duration>;

/// Whether this status may pass, and after how long.
pub fn later(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Wait> {
    let is_spent = || text(headers, "x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    match status {
        408 | 425 | 429 | 500.. => Some(named(headers, now)),
        // GitHub and others refuse so what was asked too often.
        403 if headers.contains_key(RETRY_AFTER) || is_spent() => Some(named(headers, now)),
        _ => None,
    }
}

/// `Retry-After`, else the time at which a quota is full again, as seconds from now or since 1970.
fn named(headers: &HeaderMap, now: Timestamp) -> Wait {
    text(headers, "retry-after").and_then(|after| after_of(after.trim(), now)).or_else(|| reset(headers, now))
}

/// Seconds or a date (RFC 9110 §10.2.3).
fn after_of(after: &str, now: Timestamp) -> Wait {
    if !after.is_empty() && after.bytes().all(|byte| byte.is_ascii_digit()) {
        // What is too long for 64 bits is as long as can be.
        return Some(after.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    // A recipient takes all three ways to write a date (RFC 9110 §5.6.7): today's, that of RFC 850, and that of `asctime`.
    let date = DateTime::parse_from_rfc2822(after).map(|date| date.timestamp_micros());
    let older = || {
        let in_form = |form| NaiveDateTime::parse_from_str(after, form).map(|date| date.and_utc().timestamp_micros());
        in_form("%A, %d-%b-%y %H:%M:%S GMT").or_else(|_| in_form("%a %b %e %H:%M:%S %Y"))
    };
    Some(until(date.or_else(|_| older()).ok()?, now))
}

fn reset(headers: &HeaderMap, now: Timestamp) -> Wait {
    let reset = ["x-ratelimit-reset", "ratelimit-reset"].iter().find_map(|name| text(headers, name))?;
    let seconds = reset.trim().parse::<i64>().ok()?;
    match seconds {
        SINCE_1970.. => Some(until(seconds.saturating_mul(1_000_000), now)),
        0.. => Some(Duration::from_secs(seconds.unsigned_abs())),
        _ => None,
    }
}

/// As seconds from now this would be 30 years.
const SINCE_1970: i64 = 1_000_000_000;

fn until(micros: i64, now: Timestamp) -> Duration {
    Duration::from_micros(micros.saturating_sub(now.0).max(0).unsigned_abs())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The wait where none is named: anything from nothing to a ceiling that doubles, up to a minute. Many that failed together
/// come back one by one so.
pub fn backoff(first: Duration, tries: u32, dice: &mut fastrand::Rng) -> Duration {
    let ceiling = first.saturating_mul(1 << tries.min(16)).min(Duration::from_secs(60));
    Duration::from_millis(dice.u64(0..=u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX)))
}

/// Servers, by scheme, host and port, that asked to be left alone for longer than anybody waits here, and until when. An error
/// has no room for a time, so that whoever tries again after one comes too early; what they then open is told by this.
static LEFT_ALONE: LazyLock<Mutex<HashMap<String, Timestamp>>> = LazyLock::new(Mutex::default);

/// A server that names a later time is mistaken, or its clock is.
const LEFT_ALONE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Nobody of this process asks this URL's server before `wait` is over; gives the time at which it is.
pub fn leave_alone(url: &Url, wait: Duration, now: Timestamp) -> Timestamp {
    let micros = i64::try_from(wait.min(LEFT_ALONE_MAX).as_micros()).unwrap_or(i64::MAX);
    let until = Timestamp(now.0.saturating_add(micros));
    let mut all = LEFT_ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = all.entry(server(url)).or_insert(until);
    *kept = until.max(*kept);
    *kept
}

/// Until when this URL's server is left alone.
pub fn left_alone(url: &Url, now: Timestamp) -> Option<Timestamp> {
    let mut all = LEFT_ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = server(url);
    let until = *all.get(&server)?;
    if now < until {
        return Some(until);
    }
    all.remove(&server);
    None
}

fn server(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// For messages.
pub fn shown(at: Timestamp) -> String {
    let time = DateTime::from_timestamp_micros(at.0).unwrap_or(DateTime::UNIX_EPOCH);
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_below_a_ceiling_that_doubles_up_to_a_minute() {
        let mut dice = fastrand::Rng::with_seed(7);
        for (tries, ceiling) in [(0, 500), (1, 1_000), (4, 8_000), (7, 60_000), (u32::MAX, 60_000)] {
            let waits: Vec<_> =
                (0..500).map(|_| backoff(Duration::from_millis(500), tries, &mut dice).as_millis()).collect();
            assert!(waits.iter().all(|wait| *wait <= ceiling), "try {tries}");
            assert!(waits.iter().any(|wait| *wait < ceiling / 10) && waits.iter().any(|wait| *wait > ceiling * 9 / 10));
        }
    }

    #[test]
    fn a_server_is_left_alone_until_its_time_and_for_a_day_at_most() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let [one, same, port, scheme] = [
            "https://left-alone.example/a?b=c",
            "https://left-alone.example:443/z",
            "https://left-alone.example:444/a",
            "http://left-alone.example/a",
        ]
        .map(url);
        let day = 86_400_000_000;
        assert_eq!(leave_alone(&one, Duration::MAX, Timestamp(5)), Timestamp(day + 5));
        assert_eq!(leave_alone(&same, Duration::from_secs(1), Timestamp(6)), Timestamp(day + 5), "the later one");
        assert_eq!(left_alone(&same, Timestamp(day + 4)), Some(Timestamp(day + 5)));
        assert_eq!((left_alone(&port, Timestamp(6)), left_alone(&scheme, Timestamp(6))), (None, None));
        assert_eq!(left_alone(&one, Timestamp(day + 5)), None);
        assert_eq!(left_alone(&one, Timestamp(6)), None, "what is over is forgotten");
        assert_eq!(shown(Timestamp(1_767_225_600_999_999)), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn a_server_says_in_many_ways_how_long_to_wait() {
        let now = Timestamp(1_445_412_480_000_000);
        let asked = |status, name: &'static str, value: &str| {
            let mut headers = HeaderMap::from_iter([(name.parse().expect("a name"), value.parse().expect("a value"))]);
            headers.insert("x-ratelimit-remaining", "0".parse().expect("a value"));
            later(status, &headers, now)
        };
        let seconds = |n| Some(Some(Duration::from_secs(n)));
        assert_eq!(asked(429, "retry-after", "7"), seconds(7));
        assert_eq!(asked(503, "retry-after", "Wed, 21 Oct 2015 07:28:30 GMT"), seconds(30));
        assert_eq!(asked(503, "retry-after", "Wed, 21 Oct 2015 07:00:00 GMT"), seconds(0));
        assert_eq!(asked(503, "retry-after", "Wednesday, 21-Oct-15 07:28:30 GMT"), seconds(30));
        assert_eq!(asked(503, "retry-after", "Wed Oct 21 07:28:30 2015"), seconds(30));
        assert_eq!(asked(503, "retry-after", "Sun Nov  1 07:28:00 2015"), seconds(11 * 86_400));
        assert_eq!(asked(429, "retry-after", "99999999999999999999999"), Some(Some(Duration::MAX)));
        for odd in ["soon", "", "-5", "1.5", "Wed, 99 Oct 2015 07:28:30 GMT"] {
            assert_eq!(asked(429, "retry-after", odd), Some(None), "{odd}");
            let headers = [("retry-after", odd), ("x-ratelimit-reset", "1445412500")];
            let headers = headers.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
            assert_eq!(later(429, &HeaderMap::from_iter(headers), now), seconds(20), "{odd} hides nothing");
        }
        assert_eq!(asked(403, "x-ratelimit-reset", "1445412500"), seconds(20));
        assert_eq!(asked(429, "ratelimit-reset", "5"), seconds(5));
        assert_eq!(asked(500, "server", "x"), Some(None));
        assert_eq!(asked(404, "retry-after", "7"), None);
        assert_eq!(later(403, &HeaderMap::new(), now), None);
    }
}
