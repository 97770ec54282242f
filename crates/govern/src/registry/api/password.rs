//! The API for one who signs in, where others than this machine can reach it.

use super::router;
use crate::registry::store::Registry;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a client has to send; kept as a digest, so that comparing takes as long whatever it sends.
#[derive(Clone)]
pub struct Password([u8; 32]);

impl Password {
    pub fn new(user: &str, password: &str) -> Self {
        Self(digest(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
    }

    fn fits(&self, sent: &str) -> bool {
        self.0 == digest(sent)
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// The whole API, for whoever knows the password.
pub fn router_for(registry: Arc<Registry>, password: Password) -> Router {
    router(registry).layer(from_fn_with_state(password, signed_in))
}

async fn signed_in(State(password): State<Password>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match password.fits(sent) {
        true => next.run(request).await,
        false => {
            let asked = [(header::WWW_AUTHENTICATE, "Basic realm=\"schema registry\"")];
            (StatusCode::UNAUTHORIZED, asked, "{\"error_code\":401,\"message\":\"Unauthorized\"}").into_response()
        }
    }
}
