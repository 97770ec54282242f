//! Which outside system a source reads, without anything secret: sources of one system share its circuit breaker.

use serde_json::Value;
use std::collections::BTreeMap;

/// Options that say where a source is, the first that is there.
const PLACES: [&str; 8] =
    ["connection", "url", "base_url", "endpoint", "brokers", "bootstrap_servers", "service_url", "path"];

/// The machine's own files.
pub const DISK: &str = "disk";

/// The host and port, the bucket, or `disk`. `store` has the settings of object stores, which may name another endpoint.
/// What can't be read as any of them is `otherwise`, so that no secret is shown.
pub fn system(options: &Value, store: &BTreeMap<String, String>, otherwise: &str) -> String {
    let place = PLACES.iter().find_map(|name| first(&options[*name]));
    place.map_or(otherwise.to_owned(), |place| of_place(place, store).unwrap_or_else(|| otherwise.to_owned()))
}

/// The same of one place.
pub fn of_place(place: &str, store: &BTreeMap<String, String>) -> Option<String> {
    let Some((scheme, rest)) = place.split_once("://") else { return without_scheme(place) };
    match scheme {
        "file" | "sqlite" => return Some(DISK.to_owned()),
        "s3" | "s3a" => {
            if let Some(endpoint) = store.get("aws_endpoint").or_else(|| store.get("endpoint")) {
                return host(endpoint);
            }
            return bucket(scheme, rest);
        }
        "gs" | "az" | "azure" | "adl" | "abfs" | "abfss" => return bucket(scheme, rest),
        _ => {}
    }
    authority(rest)
}

/// `a:9092,b:9092`, `host=db port=5432 …`, or a path.
fn without_scheme(place: &str) -> Option<String> {
    let pairs: BTreeMap<&str, &str> = place.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
    if let Some(host) = pairs.get("host").filter(|host| are_hosts(host)) {
        return Some(pairs.get("port").map_or_else(|| (*host).to_owned(), |port| format!("{host}:{port}")));
    }
    let is_hosts = are_hosts(place) && place.split(',').all(|host| host.contains(':'));
    match is_hosts {
        true => Some(place.to_owned()),
        false if place.contains(['@', '=']) => None,
        false => Some(DISK.to_owned()),
    }
}

fn host(url: &str) -> Option<String> {
    authority(url.split_once("://").map_or(url, |(_, rest)| rest))
}

/// The hosts of a URL behind its scheme, also where there are several: `u:p@a:1,b:2/db`. A password in which nobody escaped
/// a `/` or `@` makes it two-minded; then nothing is said.
fn authority(rest: &str) -> Option<String> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(end);
    let hosts = authority.split_once('@').map_or(authority, |(_, hosts)| hosts);
    (are_hosts(hosts) && !behind.contains('@')).then(|| hosts.to_owned())
}

fn bucket(scheme: &str, rest: &str) -> Option<String> {
    let bucket = rest.split('/').next().filter(|bucket| !bucket.contains('@') && !bucket.is_empty())?;
    Some(format!("{scheme}://{bucket}"))
}

fn are_hosts(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:,[]".contains(c))
}

fn first(value: &Value) -> Option<&str> {
    match value {
        Value::Array(all) => all.first().and_then(Value::as_str),
        one => one.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_system_is_a_host_and_never_a_secret() {
        let store = BTreeMap::new();
        for (options, shown) in [
            (json!({ "connection": "postgres://u:SECRET@db.acme:5433/shop" }), "db.acme:5433"),
            (json!({ "connection": "postgres://u:SEC/RET@db/shop" }), "x"),
            (json!({ "connection": "postgres://u:123/4@db/shop" }), "x"),
            (json!({ "connection": "postgres://u:SEC@RET@db/shop" }), "x"),
            (json!({ "connection": "postgres://u:SEC?RET@db/shop" }), "x"),
            (json!({ "connection": "host=db user=u password=SECRET port=5432" }), "db:5432"),
            (json!({ "connection": "mongodb://u:SECRET@a:1,b:2/shop?x=SECRET" }), "a:1,b:2"),
            (json!({ "connection": "k1:9092,k2:9092" }), "k1:9092,k2:9092"),
            (json!({ "connection": "sqlite:///var/shop.db" }), "disk"),
            (json!({ "connection": "user:SECRET@db" }), "x"),
            (json!({ "url": "https://api.acme/v1?key=SECRET" }), "api.acme"),
            (json!({ "path": "data/*.csv" }), "disk"),
            (json!({ "path": ["s3://raw/a", "data"] }), "s3://raw"),
            (json!({}), "x"),
        ] {
            assert_eq!(system(&options, &store, "x"), shown, "{options}");
        }
        let store = BTreeMap::from([("aws_endpoint".to_owned(), "http://minio:9000".to_owned())]);
        assert_eq!(of_place("s3://raw/a", &store).as_deref(), Some("minio:9000"));
    }
}
