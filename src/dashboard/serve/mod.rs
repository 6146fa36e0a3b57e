//! Takes connections in, each with a limit on everything: how many there are, how long a request may take to come,
//! and how long an answer may wait to be taken.

mod entrance;
mod gate;
mod patient;
mod read_ahead;
mod socket;

pub(super) use entrance::Entrance;
pub(crate) use gate::{Connection, TooManyHosts};
pub use socket::SOCKET;
pub(super) use socket::bind as bind_local;

use super::auth::Peer;
use super::config::Config;
use crate::lifecycle::Shutdown;
use axum::body::Body;
use axum::http::Request;
use gate::Gate;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use patient::Patient;
use read_ahead::ReadAhead;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service;

/// How long the head of a request may take, from the moment it is waited for.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// The largest head, in bytes,
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// and the most headers in it.
const MAX_HEADERS: usize = 100;
/// After an error of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);
/// How often such errors are told in the journal.
const REFUSALS_INTERVAL: Duration = Duration::from_secs(60);

/// Serves until `shutdown`, and then until every request is answered.
pub(super) async fn serve(
    listener: TcpListener,
    local: Option<UnixListener>,
    config: &Config,
    entrance: Entrance,
    shutdown: Shutdown,
) -> io::Result<()> {
    let gate = Gate::new(config.limits, &config.proxy.trusted);
    let (ending, ends) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut refusals = Refusals::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted.map(|(stream, from)| Accepted::Network(stream, from)),
            accepted = from_socket(local.as_ref()) => accepted.map(Accepted::Local),
            Some(_) = connections.join_next() => continue,
            () = shutdown.wait() => break,
        };
        match accepted {
            Ok(Accepted::Network(stream, from)) => {
                let Some(connection) = gate.enter(from.ip()) else {
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let peer = Peer::Address(from.ip().to_canonical());
                connections.spawn(talk(
                    stream,
                    peer,
                    connection,
                    entrance.clone(),
                    ends.clone(),
                ));
            }
            Ok(Accepted::Local(stream)) => {
                let connection = gate.enter_unchecked();
                let entrance = entrance.clone();
                connections.spawn(talk(
                    stream,
                    Peer::Socket,
                    connection,
                    entrance,
                    ends.clone(),
                ));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if let Some(times) = refusals.count(Instant::now()) {
                    tracing::error!(%error, times, "cannot accept connections: raise the limit of open files");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    ending.send_replace(true);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Counts how often no connection could be taken in, so that it is told now and then only.
#[derive(Debug, Default)]
struct Refusals {
    told: Option<Instant>,
    untold: u64,
}

impl Refusals {
    /// Counts one more; gives how many there were since it was told last, where it is to be told again.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now < told + REFUSALS_INTERVAL) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

enum Accepted {
    Network(tokio::net::TcpStream, SocketAddr),
    Local(tokio::net::UnixStream),
}

async fn from_socket(listener: Option<&UnixListener>) -> io::Result<tokio::net::UnixStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

/// Serves one connection.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    connection: Connection,
    entrance: Entrance,
    mut ends: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(connection.clone());
        let entrance = entrance.clone();
        // It is always ready.
        async move { entrance.router().await.call(request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(ReadAhead::new(stream))), service)
        .with_upgrades();
    let mut served = std::pin::pin!(served);
    tokio::select! {
        // What goes wrong on one connection is the matter of its peer.
        _ = served.as_mut() => return,
        _ = ends.wait_for(|ends| *ends) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

/// Errors that say nothing about the next connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Removes the socket in the data folder.
pub(super) fn clean_up(data_dir: &Path) {
    socket::remove(data_dir);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_cannot_be_taken_in_are_told_once_a_minute_with_their_count() {
        let (mut refusals, began) = (Refusals::default(), Instant::now());
        let tenths = (0..1_200).map(|n| began + n * Duration::from_millis(100));
        let told: Vec<u64> = tenths.filter_map(|now| refusals.count(now)).collect();
        assert_eq!(told, [1, 600]);
    }
}
