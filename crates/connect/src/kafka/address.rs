//! `kafka://user:password@host:9092,host2:9092`

/// Where a cluster is, and who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// As the client library wants them: `host:9092,host2:9092`.
    pub brokers: String,
    pub user: Option<String>,
    pub password: String,
}

impl Address {
    /// Reads it; the message holds nothing of what was written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("kafka://").ok_or("write it as `kafka://host:9092`")?;
        // A password may hold any sign that nobody escaped: the last `@` ends it.
        let (user, brokers) = rest.rsplit_once('@').map_or((None, rest), |(user, brokers)| (Some(user), brokers));
        let brokers = brokers.trim_end_matches('/');
        let good = |broker: &str| {
            let (host, port) = broker.rsplit_once(':').unwrap_or((broker, "9092"));
            !host.is_empty() && !host.contains(['/', '?', '#', ' ']) && port.parse::<u16>().is_ok()
        };
        if brokers.is_empty() || !brokers.split(',').all(good) {
            return Err("write its brokers as `host:9092`, several with commas between them".into());
        }
        let (user, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            Some((user, password)) => (Some(unescaped(user)), unescaped(password)),
            None => (None, String::new()),
        };
        Ok(Self { brokers: brokers.to_owned(), user, password })
    }
}

/// Text of a URL without its `%20`; what is no such escape stays.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let hex = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok()).filter(|_| *byte == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_brokers_and_maybe_a_user() {
        let read = |text: &str| {
            Address::parse(text).map(|a| format!("{}|{}|{}", a.brokers, a.user.unwrap_or_default(), a.password))
        };
        assert_eq!(read("kafka://a:9092,b:9093/").as_deref(), Ok("a:9092,b:9093||"));
        assert_eq!(read("kafka://ana:p%40s@s@a").as_deref(), Ok("a|ana|p@s@s"));
        for bad in ["a:9092", "kafka://", "kafka://a:x", "kafka://a,,b", "kafka://a:9092/topic"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
