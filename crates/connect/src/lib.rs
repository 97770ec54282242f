//! Where rows come from. [`all`] is the whole list of connectors: a new one is a module here, a line there and an
//! example project.

pub mod broker;
mod cells;
pub mod files;
mod json_path;
#[cfg(feature = "kafka")]
pub mod kafka;
mod marks;
pub mod mongodb;
pub mod mysql;
mod postgres;
pub mod push;
#[cfg(feature = "kafka")]
mod records;
#[cfg(feature = "kafka")]
mod registry;
pub mod rest;
mod secret;
mod spec;
pub mod sqlite;
mod system;
mod tls;
mod way;

pub use spec::{Discover, Discovered, Fault, Finding, Grade, Listen, Listening, Opening, Pending, Progress, Spec};
pub use system::{of_place, system};

/// Every connector, in the order in which `lavra connectors` shows them.
pub fn all() -> Vec<Spec> {
    vec![
        files::spec(),
        postgres::spec(),
        mysql::spec(),
        mongodb::spec(),
        sqlite::spec(),
        #[cfg(feature = "kafka")]
        kafka::spec(),
        rest::spec(),
        push::spec(),
    ]
}

/// The connector of this name.
pub fn by_name(name: &str) -> Option<Spec> {
    all().into_iter().find(|spec| spec.name == name)
}

/// The connector whose connections are URLs of this scheme.
pub fn by_scheme(scheme: &str) -> Option<Spec> {
    all().into_iter().find(|spec| spec.schemes.contains(&scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connector_says_what_it_takes() {
        for spec in all() {
            let schema = (spec.options_schema)();
            assert_eq!(schema["additionalProperties"], false, "{} must refuse unknown options", spec.name);
            assert!(!spec.summary.is_empty() && spec.example.contains(&format!("connector: {}", spec.name)));
            for (option, about) in schema["properties"].as_object().expect("options") {
                assert!(about["description"].is_string(), "{}.{option} needs a description", spec.name);
            }
        }
    }
}
