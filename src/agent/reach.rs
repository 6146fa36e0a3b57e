//! Finds out which of the dashboard's addresses answers, as RFC 8305 ("Happy Eyeballs") says.

use super::addresses::{Candidate, FailedAddresses};
use super::connect::ConnectError;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

/// How long the resolver may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one address may take to answer.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two attempts, while none has succeeded: the "Connection Attempt Delay" of RFC 8305, section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How long the others are given before an address is tried again on which a connection came to nothing: it may well
/// be the fastest to take one.
const FAILED_DELAY: Duration = Duration::from_secs(2);

/// The addresses that did not answer, and why, in the order in which they failed.
#[derive(Debug, Default)]
pub(super) struct Tried(Vec<(SocketAddr, io::Error)>);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (address, error)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            let ip = address.ip();
            match error.kind() {
                io::ErrorKind::TimedOut => {
                    write!(
                        f,
                        "{comma}{ip}: no answer within {} s",
                        ADDRESS_TIMEOUT.as_secs()
                    )?;
                }
                _ => write!(f, "{comma}{ip}: {error}")?,
            }
        }
        Ok(())
    }
}

/// Connects to the first of the host's addresses that answers, and gives that address. Those that failed come last.
pub(super) async fn reach(
    host: &str,
    port: u16,
    failed: &FailedAddresses,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let lookup = |source| ConnectError::Lookup {
        host: host.to_owned(),
        source,
    };
    let found = timeout(LOOKUP_TIMEOUT, lookup_host((host, port))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let candidates = failed.order(found.map_err(lookup)?.collect());
    if candidates.is_empty() {
        return Err(lookup(io::ErrorKind::AddrNotAvailable.into()));
    }
    let connect = |address| async move {
        let connected = timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await;
        connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    };
    let reached = race(candidates, connect).await;
    let (stream, address) = reached.map_err(|tried| ConnectError::Unreachable {
        host: host.to_owned(),
        port,
        tried,
    })?;
    // Lines are sent when they are there; a socket without it would hold small ones back.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::warn!("cannot set TCP_NODELAY: {error}");
    }
    Ok((stream, address))
}

/// Tries one address after the other, the next when one has failed or has not answered for a while, and all at once
/// from then on. The first that answers wins. One on which a connection came to nothing before waits for longer, and
/// also when another one has failed.
async fn race<T, F: Future<Output = io::Result<T>>>(
    candidates: Vec<Candidate>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(T, SocketAddr), Tried> {
    let mut waiting = candidates.into_iter().peekable();
    let mut running = FuturesUnordered::new();
    let mut tried = Tried::default();
    loop {
        if let Some(Candidate { address, .. }) = waiting.next() {
            let attempt = connect(address);
            running.push(async move { (address, attempt.await) });
        } else if running.is_empty() {
            return Err(tried);
        }
        let next = waiting.peek();
        let is_more = next.is_some();
        let must_wait = next.is_some_and(|next| next.has_failed);
        let delay = if must_wait {
            FAILED_DELAY
        } else {
            ATTEMPT_DELAY
        };
        let mut due = pin!(sleep(delay));
        loop {
            tokio::select! {
                biased;
                Some((address, connected)) = running.next() => match connected {
                    Ok(stream) => return Ok((stream, address)),
                    Err(error) => {
                        tried.0.push((address, error));
                        if running.is_empty() || (is_more && !must_wait) {
                            break;
                        }
                    }
                },
                () = &mut due, if is_more => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::Instant;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let parse = |text: &&str| format!("{text}:443").parse().unwrap();
        texts.iter().map(parse).collect()
    }

    /// Candidates of which these have failed.
    fn candidates(addresses: &[SocketAddr], failed: &[SocketAddr]) -> Vec<Candidate> {
        let candidate = |address: &SocketAddr| Candidate {
            address: *address,
            has_failed: failed.contains(address),
        };
        addresses.iter().map(candidate).collect()
    }

    #[tokio::test]
    async fn addresses_that_do_not_answer_do_not_keep_the_good_one_from_being_tried() {
        let all = addresses(&["192.0.2.1", "[2001:db8::1]", "192.0.2.2", "192.0.2.3"]);
        let good = all[3];
        let connect = |address| async move {
            if address != good {
                std::future::pending::<()>().await;
            }
            Ok(address)
        };
        let begin = Instant::now();
        let all = candidates(&all, &[]);
        assert_eq!(race(all, connect).await.unwrap(), (good, good));
        assert!(begin.elapsed() >= 3 * ATTEMPT_DELAY, "one at a time");
        assert!(begin.elapsed() < ADDRESS_TIMEOUT);
    }

    #[tokio::test]
    async fn after_a_failure_the_next_is_tried_at_once_and_all_failures_are_named() {
        let order = Mutex::new(Vec::new());
        let connect = |address: SocketAddr| {
            order.lock().unwrap().push(address);
            async move { Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionRefused)) }
        };
        let all = addresses(&["[2001:db8::1]", "192.0.2.1", "192.0.2.2"]);
        let tried = race(candidates(&all, &[]), connect).await.unwrap_err();
        assert_eq!(*order.lock().unwrap(), all);
        let said = tried.to_string();
        for address in &all {
            assert!(
                said.contains(&format!("{}: connection refused", address.ip())),
                "{said}"
            );
        }
    }

    #[tokio::test]
    async fn a_late_answer_of_an_early_address_counts() {
        let all = addresses(&["192.0.2.1", "192.0.2.2"]);
        let first = all[0];
        let connect = |address| async move {
            if address != first {
                std::future::pending::<()>().await;
            }
            sleep(2 * ATTEMPT_DELAY).await;
            Ok(address)
        };
        let all = candidates(&all, &[]);
        assert_eq!(race(all, connect).await.unwrap(), (first, first));
    }

    #[tokio::test]
    async fn an_address_that_failed_does_not_win_because_it_is_the_fastest_to_take_a_connection() {
        let all = addresses(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let (refuses, slow, failed) = (all[0], all[1], all[2]);
        let connect = |address| async move {
            if address == slow {
                sleep(3 * ATTEMPT_DELAY).await;
            }
            if address == refuses {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            Ok(address)
        };
        let all = candidates(&all, &[failed]);
        assert_eq!(race(all, connect).await.unwrap(), (slow, slow));
    }

    #[tokio::test]
    async fn an_address_that_failed_is_tried_when_the_others_do_not_answer() {
        let all = addresses(&["192.0.2.1", "192.0.2.2"]);
        let (silent, failed) = (all[0], all[1]);
        let connect = |address| async move {
            if address == silent {
                std::future::pending::<()>().await;
            }
            Ok(address)
        };
        let waiting = candidates(&all, &[failed]);
        assert_eq!(race(waiting, connect).await.unwrap(), (failed, failed));
        let alone = candidates(&[failed], &[failed]);
        assert_eq!(race(alone, connect).await.unwrap(), (failed, failed));
    }
}
