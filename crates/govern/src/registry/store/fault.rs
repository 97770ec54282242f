//! Why the registry does not do what it is asked, by the numbers of the API.

use crate::registry::change::Incompatible;
use kernel::error::Error;
use std::fmt;

/// The first three digits of `code` are the HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub code: u32,
    pub message: String,
    /// The version that a schema does not go with, and why, when that is it.
    pub incompatible: Option<(i32, Vec<Incompatible>)>,
}

pub type Answer<T> = Result<T, Fault>;

impl Fault {
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), incompatible: None }
    }

    pub fn status(&self) -> u16 {
        let status = if self.code >= 1000 { self.code / 100 } else { self.code };
        u16::try_from(status).unwrap_or(500)
    }

    pub fn subject_not_found(subject: &str) -> Self {
        Self::new(40401, format!("Subject '{subject}' not found."))
    }

    pub fn version_not_found(version: impl fmt::Display) -> Self {
        Self::new(40402, format!("Version {version} not found."))
    }

    pub fn schema_not_found() -> Self {
        Self::new(40403, "Schema not found")
    }

    pub fn id_not_found(id: impl fmt::Display) -> Self {
        Self::new(40403, format!("Schema {id} not found"))
    }

    pub fn invalid_schema(why: impl fmt::Display) -> Self {
        Self::new(42201, format!("Invalid schema: {why}"))
    }

    pub fn not_permitted(why: impl Into<String>) -> Self {
        Self::new(42205, why)
    }

    pub fn busy() -> Self {
        Self::new(50002, "others write to the registry all the time; try again")
    }

    pub fn incompatible(subject: &str, version: i32, level: &str, why: Vec<Incompatible>) -> Self {
        let list = messages(version, level, &why);
        let message = format!(
            "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]",
            list.join(", ")
        );
        Self { code: 409, message, incompatible: Some((version, why)) }
    }
}

/// What a check of compatibility answers, in the form that clients know.
pub fn messages(version: i32, level: &str, why: &[Incompatible]) -> Vec<String> {
    let told =
        why.iter().map(|one| format!("{{errorType:'{}', description:'{}', at:'{}'}}", one.rule, one.why, one.at));
    told.chain([format!("{{oldSchemaVersion: {version}}}"), format!("{{compatibility: '{level}'}}")]).collect()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {})", self.message, self.code)
    }
}

/// What the ledger says stays in the log of the process; whoever asks is told that the store failed.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(50001, format!("Error in the backend data store: {error}"))
    }
}
