//! Which path leads where.

use super::api::{commands, download, health, hosts, lines, login, metrics, runs, search, sockets};
use super::app::App;
use super::assets;
use super::auth::guard;
use super::problem::{no_such_path, wrong_method};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use std::sync::Arc;

/// The largest body of a request, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Every path, behind the guard.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(assets::page))
        .route("/hosts/{*place}", get(assets::page))
        .route("/health", get(health::health))
        .route("/api/login", post(login::login))
        .route("/api/logout", post(login::logout))
        .route("/metrics", get(metrics::metrics))
        .route("/ws/agent", get(sockets::agent))
        .route("/ws/browser", get(sockets::browser))
        .route("/api/hosts", get(hosts::hosts))
        .route("/api/hosts/{id}", get(hosts::host))
        .route("/api/hosts/{id}/command", post(commands::command))
        .route(
            "/api/commands",
            post(commands::bulk).layer(DefaultBodyLimit::max(commands::MAX_BULK_BYTES)),
        )
        .route("/api/hosts/{id}/runs", get(runs::runs))
        .route("/api/hosts/{id}/runs/{run}", get(runs::run))
        .route("/api/hosts/{id}/runs/{run}/lines", get(lines::lines))
        .route("/api/hosts/{id}/runs/{run}/search", get(search::search))
        .route("/api/hosts/{id}/logs/download", get(download::download))
        .route("/api/{*rest}", any(no_such_path))
        .route("/ws/{*rest}", any(no_such_path))
        .fallback(get(assets::file))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(app.clone(), guard))
        .with_state(app.clone())
}
