//! Webhooks: others post JSON, and are answered with success when it is durable.

mod delivery;
mod door;
mod fields;
mod options;
mod signature;
mod source;
#[cfg(test)]
mod tests;

use crate::spec::{Finding, Grade, Opening, Pending, Spec};
use futures::FutureExt;
use kernel::Result;
use kernel::source::Source;
use options::AuthType;
pub use options::Options;

pub fn spec() -> Spec {
    Spec {
        name: "push",
        summary: "JSON that others post: webhooks, answered when it is durable",
        schemes: &[],
        example: EXAMPLE,
        options_schema: || {
            let mut schema = schemars::schema_for!(Options).to_value();
            schema["required"] = serde_json::json!(options::REQUIRED);
            schema
        },
        check: |given| Options::check(given).err().unwrap_or_default(),
        fits: |_, _| Vec::new(),
        way: |_| None,
        repeats: |_, _| None,
        open: |opening| async move { open(&opening) }.boxed(),
        pending: |_| async { Ok(Vec::<Pending>::new()) }.boxed(),
        changes: |_| false,
        probe: |opening| async move { probe(opening) }.boxed(),
        discover: None,
        listen: Some(source::listen),
    }
}

fn open(opening: &Opening) -> Result<Box<dyn Source>> {
    Options::read(&opening.source, &opening.options)?;
    Ok(Box::new(source::Nobody))
}

fn probe(opening: &Opening) -> Vec<Finding> {
    let subject = "senders";
    let (grade, found, remedy) = match Options::read(&opening.source, &opening.options) {
        Err(error) => (Grade::Bad, error.to_string(), Some("mend the options".to_owned())),
        Ok(options) if options.auth.kind == AuthType::None => {
            let remedy = "give `auth` a secret, or let only the senders' network reach it".to_owned();
            (Grade::Warning, "anybody who reaches it can send".to_owned(), Some(remedy))
        }
        Ok(_) => (Grade::Good, "sign in".to_owned(), None),
    };
    vec![Finding { subject, grade, found, remedy }]
}

const EXAMPLE: &str = "\
connector: push
path: /hooks/payments             # where `lavra up` takes POST requests
auth: { type: hmac, scheme: github, secret: \"${HOOK_SECRET}\" }
body_bytes_max: 1048576
schedule: continuous
";
