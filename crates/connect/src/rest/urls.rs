//! Where requests may go. A link to the next page comes from outside, and whoever follows it takes credentials along.

use kernel::error::{Error, Result, redacted};
use std::sync::Arc;
use url::Url;

/// The API's own place, and others that were allowed.
#[derive(Debug, Clone)]
pub struct Home {
    base: Url,
    allowed: Arc<[String]>,
}

impl Home {
    pub fn new(connection: &str, allowed: &[String]) -> Result<Self, String> {
        let base = Url::parse(connection).map_err(|e| format!("`{}` is no URL: {e}", redacted(connection)))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err("it must start with https:// or http:// and a host".into());
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err("credentials stand under `auth`, not in the URL".into());
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err("parameters stand under `params`, not in the URL".into());
        }
        Ok(Self { base, allowed: allowed.into() })
    }

    /// The URL of a path whose values are put in.
    pub fn join(&self, path: &str) -> Result<Url, url::ParseError> {
        let base = self.base.as_str().trim_end_matches('/');
        let path = path.trim_start_matches('/');
        Url::parse(&if path.is_empty() { base.to_owned() } else { format!("{base}/{path}") })
    }

    /// Scheme, host and port, for messages.
    pub fn shown(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    pub fn is_secure(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        self.base.scheme() == "https" || ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    }

    pub fn admits(&self, url: &Url) -> bool {
        let is_weaker = self.base.scheme() == "https" && url.scheme() != "https";
        let host = url.host_str().unwrap_or_default();
        url.origin() == self.base.origin() || !is_weaker && self.allowed.iter().any(|allowed| allowed == host)
    }

    /// The URL of a link in the answer to `asked`. Servers behind a proxy may not know that they are asked by `https`.
    pub fn follow(&self, asked: &Url, link: &str, shown: &str) -> Result<Url> {
        let wrong = |e: url::ParseError| Error::data(shown, format!("its link to the next page is no URL: {e}"));
        let mut url = asked.join(link).map_err(wrong)?;
        if self.base.scheme() == "https" && url.scheme() == "http" && url.host_str() == self.base.host_str() {
            // Where no port is written, that of the scheme is meant.
            let _ = url.set_scheme("https");
        }
        if self.admits(&url) {
            return Ok(url);
        }
        let host = url.host_str().unwrap_or_default();
        // Of the same host it is the port that differs, also where none is written.
        let is_same = self.base.host_str() == Some(host);
        let port = url.port().or_else(|| url.port_or_known_default().filter(|_| is_same));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let detail = format!(
            "its link to the next page leads away, to {}://{host}{port}, and would take the credentials there; if that is \
             right, name `{host}` under `allow_hosts`: that allows it with every port",
            url.scheme()
        );
        Err(Error::refused(shown, detail))
    }

    /// What a position keeps of a URL: within the API's own place without that place, and never with a key in it.
    pub fn keep(&self, mut url: Url, key: Option<&str>) -> String {
        if let Some(key) = key.filter(|key| url.query_pairs().any(|(name, _)| name == *key)) {
            let others: Vec<(String, String)> = url
                .query_pairs()
                .filter(|(name, _)| name != key)
                .map(|(n, v)| (n.into_owned(), v.into_owned()))
                .collect();
            url.query_pairs_mut().clear().extend_pairs(others);
        }
        match (url.origin() == self.base.origin(), url.query()) {
            (false, _) => url.into(),
            (true, Some(query)) => format!("{}?{query}", url.path()),
            (true, None) => url.path().to_owned(),
        }
    }

    /// The URL that was kept.
    pub fn kept(&self, kept: &str, shown: &str) -> Result<Url> {
        self.follow(&self.base, kept, shown)
    }
}

/// Puts values into a path or a text: `customers/{customer_id}/orders`. A name that has no value stays.
pub fn fill(text: &str, values: &[(String, String)], encode: bool) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        let name = format!("{{{name}}}");
        if !text.contains(&name) {
            return text;
        }
        let value = if encode { segment(value) } else { value.clone() };
        text.replace(&name, &value)
    })
}

/// The names in braces.
pub fn names(text: &str) -> Vec<&str> {
    let inner = text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
    inner.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).collect()
}

/// As a segment of a path (RFC 3986 §2.3).
fn segment(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.');
    let encode = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Home {
        Home::new("https://api.example.com/v2/", &["cdn.example.com".into()]).expect("a home")
    }

    #[test]
    fn a_link_is_followed_where_credentials_may_go() {
        let home = home();
        let asked = home.join("/orders").expect("a URL");
        let follow = |link: &str| home.follow(&asked, link, "GET orders").map(String::from).map_err(|e| e.detail);
        assert_eq!(follow("?page=2"), Ok("https://api.example.com/v2/orders?page=2".into()));
        assert_eq!(follow("http://api.example.com/v2/orders?c=x"), Ok("https://api.example.com/v2/orders?c=x".into()));
        assert_eq!(follow("https://cdn.example.com/x"), Ok("https://cdn.example.com/x".into()));
        for away in [
            "https://evil.example/x?token=SECRET",
            "http://cdn.example.com/x",
            "//api.example.com:8443/x",
            "ftp://api.example.com/x",
        ] {
            let why = follow(away).expect_err(away);
            assert!(why.contains("leads away") && !why.contains("SECRET"), "{why}");
        }
        let why = follow("//api.example.com:8443/x").expect_err("another port");
        assert!(why.contains("https://api.example.com:8443,") && why.contains("`api.example.com` under"), "{why}");
        let local = Home::new("http://127.0.0.1:8080/v1", &[]).expect("a home");
        let asked = local.join("orders").expect("a URL");
        let error = local.follow(&asked, "http://127.0.0.1/v1/orders?page=2", "GET orders").expect_err("another port");
        assert!(error.detail.contains("http://127.0.0.1:80,"), "{error}");
    }

    #[test]
    fn a_position_keeps_no_key_and_no_host() {
        let home = home();
        let url = |text: &str| Url::parse(text).expect("a URL");
        let kept = home.keep(url("https://api.example.com/v2/orders?page=2&api_key=SECRET"), Some("api_key"));
        assert_eq!(kept, "/v2/orders?page=2");
        assert_eq!(home.kept(&kept, "x").expect("a URL").as_str(), "https://api.example.com/v2/orders?page=2");
        assert_eq!(home.keep(url("https://cdn.example.com/x"), None), "https://cdn.example.com/x");
    }

    #[test]
    fn values_are_put_into_paths_as_segments() {
        let values = [("id".to_owned(), "a/../b c".to_owned())];
        assert_eq!(fill("customers/{id}/orders", &values, true), "customers/a%2F..%2Fb%20c/orders");
        assert_eq!(fill("{id} {other}", &values, false), "a/../b c {other}");
        assert_eq!(names("a/{x}/{y_1}/{}/{ z }"), ["x", "y_1"]);
    }

    #[test]
    fn a_base_with_credentials_or_parameters_is_refused() {
        for bad in ["https://u:p@host/", "https://host/?key=x", "ftp://host", "host/path", "file:///x"] {
            assert!(Home::new(bad, &[]).is_err(), "{bad}");
        }
        assert!(Home::new("not a url u:SECRET@", &[]).is_err_and(|why| why.contains("no URL")));
    }
}
