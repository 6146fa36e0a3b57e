//! `GET /health`: whether the dashboard can store what comes.

use crate::dashboard::app::App;
use crate::dashboard::problem::Problem;
use axum::extract::State;
use axum::response::IntoResponse;
use std::sync::{Arc, PoisonError, RwLock};

/// Whether the dashboard can store, and if not, why.
#[derive(Debug, Default)]
pub(crate) struct Health(RwLock<Option<String>>);

impl Health {
    /// Says that it cannot store, and why; or, with `None`, that it can again.
    pub(crate) fn set(&self, trouble: Option<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Why it cannot store.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    match app.health.trouble() {
        None => Ok(axum::Json(serde_json::json!({ "status": "ok" }))),
        Some(why) => Err(Problem::unavailable(why)),
    }
}
