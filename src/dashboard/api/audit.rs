//! `GET /api/audit?limit=&before=&host=&user=&action=&result=`: who did what, the newest first. `before` is the `next`
//! of the page before; the others leave out what is not asked for.

use crate::dashboard::app::App;
use crate::dashboard::audit::{self, Action, Filter, Page};
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
    host: Option<String>,
    user: Option<String>,
    action: Option<Action>,
    result: Option<String>,
}

pub(crate) async fn audit(
    State(app): State<Arc<App>>,
    Params(which): Params<Which>,
) -> Result<Json<Page>, Problem> {
    let limit = which.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let folder = app.audit.folder().to_owned();
    let filter = Filter {
        host: which.host,
        user: which.user,
        action: which.action,
        result: which.result,
    };
    let read =
        tokio::task::spawn_blocking(move || audit::read(&folder, which.before, limit, &filter));
    let page = read.await.map_err(|error| Problem::internal(&error))?;
    page.map(Json).map_err(|error| Problem::internal(&error))
}
