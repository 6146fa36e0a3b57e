//! Stands in for the dashboard.

pub mod config;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[error("there is no dashboard yet")]
pub struct Error;

/// Serves on `listener` until `shutdown`.
pub async fn run(
    _listener: std::net::TcpListener,
    _config: config::Config,
    _shutdown: crate::lifecycle::Shutdown,
) -> Result<(), Error> {
    Err(Error)
}
