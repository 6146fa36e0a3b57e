//! `GET /health`: whether the dashboard can store what comes.

use crate::dashboard::app::App;
use crate::dashboard::problem::Problem;
use axum::extract::State;
use axum::response::IntoResponse;
use std::sync::Arc;

pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    if let Some(why) = app.core.health.reason() {
        return Err(Problem::unavailable(app.core.without_paths(&why)));
    }
    let doubt = app.core.clock.doubt().map(|doubt| doubt.to_string());
    let mut warnings = app.core.health.warnings();
    warnings.extend(doubt);
    let mut health = serde_json::json!({ "status": "ok" });
    if !warnings.is_empty() {
        health["warnings"] = warnings.into();
    }
    Ok(axum::Json(health))
}
