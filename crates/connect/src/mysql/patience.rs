//! How long a server may be silent: the driver waits for ever.

use super::options::Options;
use kernel::{Error, Kind, Result};
use std::time::Duration;

/// `timeout_ms`.
#[derive(Debug, Clone, Copy)]
pub struct Patience(Duration);

/// A query may have to sort before its first row, and a question to look at much: so many times as long.
const BEGINNING: u32 = 10;

impl Patience {
    pub fn of(options: &Options) -> Self {
        Self(Duration::from_millis(options.timeout_ms))
    }

    /// Waits for what the server has at hand, such as the next row of an answer that has begun.
    pub async fn soon<T>(self, what: &str, asked: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let late = || Error::new(Kind::Unreachable, what, "the server says nothing (`timeout_ms`)");
        within(self.0, asked).await.unwrap_or_else(|| Err(late()))
    }

    /// Waits for what the server may have to work for: the beginning of an answer.
    pub async fn beginning<T>(self, what: &str, asked: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let late = || {
            let detail = format!(
                "the server says nothing, {BEGINNING} times as long as `timeout_ms`: set it higher if a query takes long to \
                 begin, for example for want of an index in whose order it reads"
            );
            Error::new(Kind::Unreachable, what, detail)
        };
        within(self.0.saturating_mul(BEGINNING), asked).await.unwrap_or_else(|| Err(late()))
    }
}

/// None when it takes longer.
async fn within<T>(wait: Duration, asked: impl Future<Output = T> + Send) -> Option<T> {
    let mut asked = Box::pin(asked);
    let answer = tokio::time::timeout(wait, asked.as_mut()).await.ok();
    if answer.is_none() {
        cut(asked);
    }
    answer
}

/// Ends a connection, or what holds one, at once. Dropped where a runtime is at hand, the driver would read what is left of
/// the answer first, for ever, and keep the connection open.
pub fn cut(held: impl Send) {
    std::thread::scope(|scope| {
        // Where no thread can be had, it is dropped here.
        let _ = std::thread::Builder::new().spawn_scoped(scope, move || drop(held));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(timeout_ms: u64) -> Patience {
        Patience::of(&Options { timeout_ms, ..Options::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_may_be_silent_for_so_long_and_longer_before_it_begins() {
        let answer = async |millis: u64| {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(7)
        };
        let patience = patience(1000);
        assert_eq!(patience.soon("read", answer(900)).await.expect("an answer"), 7);
        let told = patience.soon("read", answer(1100)).await.expect_err("silence");
        assert!(told.kind == Kind::Unreachable && told.to_string().contains("`timeout_ms`"), "{told}");
        assert_eq!(patience.beginning("read", answer(9900)).await.expect("an answer"), 7);
        let told = patience.beginning("read", answer(10_100)).await.expect_err("silence");
        assert!(told.kind == Kind::Unreachable && told.to_string().contains("set it higher"), "{told}");
    }

    #[tokio::test]
    async fn no_wait_is_too_long_to_be_waited() {
        let forever = patience(u64::MAX);
        assert_eq!(forever.beginning("read", async { Ok(1) }).await.expect("an answer"), 1);
    }

    #[tokio::test]
    async fn what_is_cut_sees_no_runtime() {
        struct Held<'a>(&'a mut bool);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                *self.0 = tokio::runtime::Handle::try_current().is_ok();
            }
        }
        let mut has_runtime = true;
        cut(Held(&mut has_runtime));
        assert!(!has_runtime);
    }
}
