//! What a request asks for: its query, its body, a version in its path.

use crate::registry::schema::{Definition, or_default};
use crate::registry::store::{Answer, Fault, Page, Registered, Request, Which};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// All that the query of a request can say. Clients spell truth as `true` and `True`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Query {
    #[serde(deserialize_with = "truth")]
    pub deleted: bool,
    #[serde(deserialize_with = "truth", alias = "deleted_only")]
    pub deleted_only: bool,
    #[serde(deserialize_with = "truth")]
    pub permanent: bool,
    #[serde(deserialize_with = "truth")]
    pub normalize: bool,
    #[serde(deserialize_with = "truth")]
    pub verbose: bool,
    #[serde(deserialize_with = "truth")]
    pub force: bool,
    #[serde(deserialize_with = "truth")]
    pub default_to_global: bool,
    #[serde(deserialize_with = "truth")]
    pub latest_only: bool,
    #[serde(deserialize_with = "truth")]
    pub fetch_max_id: bool,
    pub subject_prefix: String,
    pub subject: String,
    pub format: String,
    pub offset: usize,
    pub limit: i64,
}

fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(from)?.eq_ignore_ascii_case("true"))
}

impl Query {
    pub fn which(&self) -> Which {
        match (self.deleted_only, self.deleted) {
            (true, _) => Which::Deleted,
            (_, true) => Which::All,
            _ => Which::Live,
        }
    }

    pub fn page(&self) -> Page {
        Page { offset: self.offset, limit: self.limit }
    }

    /// The beginning of the names that are asked for. `:*:` is all contexts, of which there is one.
    pub fn prefix(&self) -> Answer<&str> {
        let prefix = self.subject_prefix.as_str();
        let bare = prefix.strip_prefix(":*:").or_else(|| prefix.strip_prefix(":.:")).unwrap_or(prefix);
        match bare.starts_with(":.") {
            true => Err(Fault::new(
                42208,
                format!("`{prefix}` is in a context, and this registry has none but the default one"),
            )),
            false => Ok(bare),
        }
    }
}

/// The body of a registration, a look-up or a check.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Posted {
    #[serde(flatten)]
    definition: Definition,
    #[serde(deserialize_with = "or_default")]
    id: Option<i32>,
    #[serde(deserialize_with = "or_default")]
    version: Option<i32>,
}

pub fn body<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    serde_json::from_slice(bytes).map_err(|e| Fault::new(400, format!("the body is not what is asked for: {e}")))
}

pub fn request(bytes: &[u8], normalize: bool) -> Answer<Request> {
    let value: Value = body(bytes)?;
    if let Some(other) = value.get("schemaType").and_then(Value::as_str)
        && crate::registry::SchemaType::parse(other).is_none()
    {
        return Err(Fault::invalid_schema(format!("`{other}` is no schema type; there are AVRO, JSON and PROTOBUF")));
    }
    let posted: Posted = body(bytes)?;
    // What is not set is written as -1, and a version as 0, by clients that have no word for nothing.
    let set = |number: Option<i32>, from: i32| number.filter(|number| *number >= from);
    let (id, version) = (set(posted.id, 0), set(posted.version, 1));
    Ok(Request { definition: posted.definition, normalize, id, version })
}

/// `latest` and -1 are the last version.
pub fn version(text: &str) -> Answer<Option<i32>> {
    match text.trim() {
        "latest" | "-1" => Ok(None),
        number => match number.parse::<i32>() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(Fault::new(
                42202,
                format!(
                    "The specified version '{text}' is not a valid version id. Allowed values are between [1, 2^31-1] and \
                     the string \"latest\""
                ),
            )),
        },
    }
}

pub fn id(text: &str) -> Answer<i32> {
    text.parse().map_err(|_| Fault::new(404, "HTTP 404 Not Found"))
}

/// What is said of a schema without saying where it is.
pub fn schema(definition: &Definition, guid: &str) -> Map<String, Value> {
    let mut fields = match json!(definition) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.insert("guid".into(), json!(guid));
    fields
}

/// A version of a subject.
pub fn whole(found: &Registered, definition: &Definition) -> Value {
    let mut fields = Map::new();
    fields.insert("subject".into(), json!(found.subject));
    fields.insert("version".into(), json!(found.version));
    fields.insert("id".into(), json!(found.id));
    fields.extend(schema(definition, &found.guid));
    Value::Object(fields)
}
