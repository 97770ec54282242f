//! ODCS as it is written, v3.0.0 to v3.2.0, every field of it and no other. Field docs are what editors show.

mod quality;
mod schema;
mod server;

pub use quality::{Arguments, Metric, Quality, QualityKind};
pub use schema::{
    EnumValue, LogicalType, LogicalTypeOptions, MapType, ObjectType, Property, References, Relationship, SchemaObject,
    Synonym,
};
pub use server::Server;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A struct of ODCS: fields that must be there, and fields that may. Written out, the same four attributes on some two
/// hundred fields would hide which fields there are.
macro_rules! record {
    (
        $(#[$meta:meta])* $name:ident
        must { $($(#[$must_meta:meta])* $must:ident: $must_type:ty),* $(,)? }
        may { $($(#[$may_meta:meta])* $may:ident: $may_type:ty),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub struct $name {
            $($(#[$must_meta])* pub $must: $must_type,)*
            $(#[serde(default, skip_serializing_if = "Option::is_none")] $(#[$may_meta])* pub $may: Option<$may_type>,)*
        }
    };
}
pub(crate) use record;

record! {
    /// A data contract: what a producer promises about tables.
    Odcs
    must {
        /// Version of the standard.
        api_version: ApiVersion,
        kind: Kind,
        /// Identifies the contract through all of its versions.
        id: String,
        /// Version of this contract; each stored row carries it.
        version: String,
    }
    may {
        name: String,
        /// `proposed`, `draft`, `active`, `deprecated`, `retired`. Required before v3.2.0.
        status: String,
        domain: String,
        data_product: String,
        tenant: String,
        tags: Vec<String>,
        description: Description,
        context: Context,
        servers: Vec<Server>,
        /// The tables.
        schema: Vec<SchemaObject>,
        team: Team,
        roles: Vec<Role>,
        support: Vec<Support>,
        price: Price,
        sla_default_element: String,
        /// `retention` says how long rows are kept.
        sla_properties: Vec<Sla>,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
        /// `on_violation`, `schema_change` and `owner` mean something to Lavra; others are kept.
        custom_properties: Vec<CustomProperty>,
        contract_created_ts: String,
    }
}

/// A version of the standard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    #[serde(rename = "v3.0.0")]
    V3_0_0,
    #[serde(rename = "v3.0.1")]
    V3_0_1,
    #[serde(rename = "v3.0.2")]
    V3_0_2,
    #[default]
    #[serde(rename = "v3.1.0")]
    V3_1_0,
    #[serde(rename = "v3.2.0")]
    V3_2_0,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    #[default]
    DataContract,
}

record! {
    /// What the data is for.
    Description
    must {}
    may {
        purpose: String,
        usage: String,
        limitations: String,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
        custom_properties: Vec<CustomProperty>,
    }
}

/// What a machine reader should know (v3.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Context {
    Text(String),
    Parts(ContextParts),
}

record! {
    ContextParts
    must {}
    may { instructions: String, verified_statements: Vec<Statement>, constraints: Vec<ContextConstraint> }
}

record! {
    Statement
    must { question: String }
    may {
        id: String,
        answer: String,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
        tags: Vec<String>,
        custom_properties: Vec<CustomProperty>,
    }
}

record! {
    ContextConstraint
    must { constraint: String }
    may {
        id: String,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
        tags: Vec<String>,
        custom_properties: Vec<CustomProperty>,
    }
}

/// Who answers for the data: a team (v3.1), or a list of people (v3.0).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Team {
    Team(TeamParts),
    Members(Vec<Member>),
}

record! {
    TeamParts
    must {}
    may {
        id: String,
        name: String,
        description: String,
        members: Vec<Member>,
        tags: Vec<String>,
        custom_properties: Vec<CustomProperty>,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
    }
}

record! {
    Member
    must {}
    may {
        id: String,
        username: String,
        name: String,
        description: String,
        /// `owner` is who answers for the contract.
        role: String,
        date_in: String,
        date_out: String,
        replaced_by_username: String,
        tags: Vec<String>,
        custom_properties: Vec<CustomProperty>,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
    }
}

record! {
    Role
    must { role: String }
    may {
        id: String,
        description: String,
        access: String,
        first_level_approvers: String,
        second_level_approvers: String,
        custom_properties: Vec<CustomProperty>,
    }
}

record! {
    Support
    must { channel: String }
    may {
        id: String,
        url: String,
        description: String,
        tool: String,
        scope: String,
        invitation_url: String,
        custom_properties: Vec<CustomProperty>,
    }
}

record! {
    Price
    must {}
    may { id: String, price_amount: f64, price_currency: String, price_unit: String }
}

record! {
    /// A promise about service: latency, availability, retention.
    Sla
    must { property: String, value: Value }
    may {
        id: String,
        value_ext: Value,
        /// `d`, `m`, `y` or their long forms.
        unit: String,
        element: String,
        driver: String,
        description: String,
        scheduler: String,
        schedule: String,
        custom_properties: Vec<CustomProperty>,
        authoritative_definitions: Vec<AuthoritativeDefinition>,
    }
}

record! {
    AuthoritativeDefinition
    must { url: String, #[serde(rename = "type")] kind: String }
    may { id: String, description: String }
}

record! {
    CustomProperty
    must { property: String, value: Value }
    may { id: String, description: String, vendor: String }
}
