//! `GET /health`: whether the dashboard can store what comes.

use crate::dashboard::app::App;
use crate::dashboard::auth::{Identity, Role};
use crate::dashboard::problem::Problem;
use crate::dashboard::routes::Access;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use std::sync::Arc;

/// In the place of a reason, which may name hosts and files.
const UNTOLD_REASON: &str =
    "the dashboard cannot store output; the reason is in its journal, and in /health for admins";
/// In the place of warnings.
const UNTOLD_WARNING: &str =
    "there is a warning; its text is in the dashboard's journal, and in /health for admins";

/// Answers everybody. What is wrong is for those who see every host and decide who comes in; others learn that
/// something is, and where it stands.
pub(crate) async fn health(
    State(app): State<Arc<App>>,
    identity: Option<Extension<Identity>>,
) -> Result<impl IntoResponse, Problem> {
    let tells_all = identity.is_some_and(|Extension(identity)| {
        Access::EveryHost(Role::Admin).allows(&identity).is_ok()
    });
    if let Some(reason) = app.core.health.reason() {
        let reason = match tells_all {
            true => app.core.without_paths(&reason),
            false => UNTOLD_REASON.to_owned(),
        };
        return Err(Problem::unavailable(reason));
    }
    let mut warnings = app.core.health.warnings();
    warnings.extend(app.core.clock.warning());
    if !tells_all && !warnings.is_empty() {
        warnings = vec![UNTOLD_WARNING.to_owned()];
    }
    let mut health = serde_json::json!({ "status": "ok" });
    if !warnings.is_empty() {
        health["warnings"] = warnings.into();
    }
    Ok(Json(health))
}
