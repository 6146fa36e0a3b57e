//! The dashboard: takes what the agents send, stores it, and shows it to browsers.

mod api;
mod app;
mod assets;
pub mod auth;
pub mod config;
mod extract;
mod problem;
mod router;

use crate::config_file::ConfigError;
use crate::lifecycle::{self, Shutdown};
use crate::logging;
use app::App;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why the dashboard ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Agents or users file cannot be used.
    #[error("who may come in is not clear")]
    Credentials(#[from] ConfigError),
    /// The socket does not serve.
    #[error("cannot serve: {0}")]
    Serve(#[from] std::io::Error),
}

/// Serves on `listener` until `shutdown`.
pub async fn run(
    listener: std::net::TcpListener,
    config: config::Config,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let app = Arc::new(App::load(&config)?);
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    logging::announce(&format!("listening on http://{address}"));
    lifecycle::notify_ready(&format!("listening on {address}"));
    let service = router::router(&app).into_make_service_with_connect_info::<SocketAddr>();
    let ends = async move { shutdown.wait().await };
    axum::serve(listener, service)
        .with_graceful_shutdown(ends)
        .await?;
    Ok(())
}
