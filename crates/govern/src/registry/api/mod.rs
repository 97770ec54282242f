//! The registry over HTTP, as clients of Confluent's know it: `application/vnd.schemaregistry.v1+json`.

mod ask;
mod password;
mod schemas;
mod settings;
mod subjects;
#[cfg(test)]
mod tests;

pub use password::{Password, router_for};

use super::store::{Fault, Registry};
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

const CONTENT: &str = "application/vnd.schemaregistry.v1+json";
/// No schema of this size is one that somebody wrote.
const BODY_BYTES_MAX: usize = 4 << 20;

/// The whole API over one registry; to be served as it is, or under a path.
pub fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/", get(|| async { Reply(json!({})) }))
        .route("/v1/metadata/id", get(|| async { Reply(json!({ "scope": { "path": [], "clusters": {} }, "id": "" })) }))
        .route("/contexts", get(|| async { Reply(json!(["."])) }))
        .route("/schemas", get(schemas::list))
        .route("/schemas/types", get(schemas::types))
        .route("/schemas/ids/{id}", get(schemas::by_id))
        .route("/schemas/ids/{id}/schema", get(schemas::text_by_id))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects))
        .route("/schemas/ids/{id}/versions", get(schemas::versions))
        .route("/schemas/guids/{guid}", get(schemas::by_guid))
        .route("/schemas/guids/{guid}/ids", get(schemas::ids_of_guid))
        .route("/subjects", get(subjects::list))
        .route("/subjects/{subject}", post(subjects::find).delete(subjects::delete))
        .route("/subjects/{subject}/metadata", get(subjects::with_metadata))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route("/subjects/{subject}/versions/{version}", get(subjects::version).delete(subjects::delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::text))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referenced_by))
        .route("/compatibility/subjects/{subject}/versions", post(subjects::check_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(subjects::check))
        .route("/config", get(settings::config).put(settings::set_config).delete(settings::unset_config))
        .route(
            "/config/{subject}",
            get(settings::subject_config).put(settings::set_subject_config).delete(settings::unset_subject_config),
        )
        .route("/mode", get(settings::mode).put(settings::set_mode).delete(settings::unset_mode))
        .route(
            "/mode/{subject}",
            get(settings::subject_mode).put(settings::set_subject_mode).delete(settings::unset_subject_mode),
        )
        .fallback(|| async { Fault::new(404, "HTTP 404 Not Found") })
        .method_not_allowed_fallback(|| async { Fault::new(405, "HTTP 405 Method Not Allowed") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(registry)
}

/// An answer in the API's own content type.
pub struct Reply<T>(pub T);

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        Json(self.0).into_response().with_content()
    }
}

trait WithContent {
    fn with_content(self) -> Self;
}

impl WithContent for Response<Body> {
    fn with_content(mut self) -> Self {
        self.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(CONTENT));
        self
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body: Value = json!({ "error_code": self.code, "message": self.message });
        (status, Json(body)).into_response().with_content()
    }
}

/// A schema's text by itself.
pub fn bare(text: String) -> Response {
    text.into_response().with_content()
}
