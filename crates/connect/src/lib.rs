//! Where rows come from. [`all`] is the whole list of connectors: a new one is a module here, a line there and an
//! example project.

pub mod files;
mod spec;
mod system;

pub use system::{of_place, system};

pub use spec::{Discover, Discovered, Fault, Finding, Grade, Opening, Pending, Progress, Spec};

/// Every connector, in the order in which `lavra connectors` shows them.
pub fn all() -> Vec<Spec> {
    vec![files::spec()]
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
