//! `GET /health`: whether the dashboard can store what comes.

use crate::dashboard::app::App;
use crate::dashboard::problem::Problem;
use axum::extract::State;
use axum::response::IntoResponse;
use std::sync::Arc;

pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    let doubt = app.core.clock.doubt();
    match app.core.health.reason() {
        None if let Some(doubt) = doubt => {
            let warnings = [doubt.to_string()];
            let health = serde_json::json!({ "status": "ok", "warnings": warnings });
            Ok(axum::Json(health))
        }
        None => Ok(axum::Json(serde_json::json!({ "status": "ok" }))),
        Some(why) => Err(Problem::unavailable(app.core.without_paths(&why))),
    }
}
