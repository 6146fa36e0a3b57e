//! `GET /api/audit?limit=&before=`: who did what, the newest first. `before` is the `next` of the page before.

use crate::dashboard::app::App;
use crate::dashboard::audit::{self, Page};
use crate::dashboard::extract::Params;
use crate::dashboard::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use std::sync::Arc;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

#[derive(Deserialize)]
pub(crate) struct Which {
    limit: Option<usize>,
    before: Option<u64>,
}

pub(crate) async fn audit(
    State(app): State<Arc<App>>,
    Params(which): Params<Which>,
) -> Result<Json<Page>, Problem> {
    let limit = which.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let path = app.audit.path().to_owned();
    let read = tokio::task::spawn_blocking(move || audit::read(&path, which.before, limit));
    let page = read.await.map_err(|error| Problem::internal(&error))?;
    page.map(Json).map_err(|error| Problem::internal(&error))
}
