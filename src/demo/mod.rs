//! Stands in for the demo.

use std::net::SocketAddr;

/// How large it is and where it listens.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many agents.
    pub hosts: usize,
    /// Of the page; a loopback address.
    pub listen: SocketAddr,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[error("there is no demo yet")]
pub struct Error;

/// Runs until `shutdown`.
pub async fn run(_options: Options, _shutdown: crate::lifecycle::Shutdown) -> Result<(), Error> {
    Err(Error)
}

pub mod stand_in;
