//! Which path leads where: the [list](super::routes), behind the guard.

use super::app::App;
use super::assets;
use super::auth::guard;
use super::completion::run_to_end;
use super::problem::wrong_method;
use super::routes;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use std::sync::Arc;

/// The largest body of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Every path, behind the guard.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for (route, handler) in routes::list() {
        router = router.route(route.path, handler);
    }
    router
        .fallback(get(assets::file))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(app.clone(), guard))
        .layer(from_fn_with_state(app.core.deeds.clone(), run_to_end))
        .with_state(app.clone())
}
