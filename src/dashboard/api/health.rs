//! `GET /health`: whether the dashboard can store what comes.

use crate::dashboard::app::App;
use crate::dashboard::problem::Problem;
use axum::extract::State;
use axum::response::IntoResponse;
use std::sync::Arc;

pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Problem> {
    match app.core.health.reason() {
        None => Ok(axum::Json(serde_json::json!({ "status": "ok" }))),
        Some(why) => Err(Problem::unavailable(why)),
    }
}
