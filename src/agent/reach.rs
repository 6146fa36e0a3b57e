//! Finds out which of the dashboard's addresses answers, as RFC 8305 ("Happy Eyeballs") says.

use super::connect::ConnectError;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

/// How long the resolver may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one address may take to answer.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two attempts, while none has succeeded: the "Connection Attempt Delay" of RFC 8305, section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How many addresses of a host are tried.
const MAX_ADDRESSES: usize = 16;

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

/// Connects to the first of the host's addresses that answers.
pub(super) async fn reach(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let lookup = |source| ConnectError::Lookup {
        host: host.to_owned(),
        source,
    };
    let found = timeout(LOOKUP_TIMEOUT, lookup_host((host, port))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let addresses = in_order(found.map_err(lookup)?.collect());
    if addresses.is_empty() {
        return Err(lookup(io::ErrorKind::AddrNotAvailable.into()));
    }
    let connect = |address| async move {
        let connected = timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await;
        connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    };
    let stream = race(addresses, connect).await;
    let stream = stream.map_err(|tried| ConnectError::Unreachable {
        host: host.to_owned(),
        port,
        tried,
    })?;
    // Lines are sent when they are there; a socket without it would hold small ones back.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::warn!("cannot set TCP_NODELAY: {error}");
    }
    Ok(stream)
}

/// The families in turn, beginning with that of the first address, which is the resolver's choice.
fn in_order(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv6) else {
        return addresses;
    };
    let mut seen = Vec::new();
    addresses.retain(|address| {
        let is_new = !seen.contains(address);
        seen.push(*address);
        is_new
    });
    let (preferred, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [preferred.next(), other.next()];
        if pair.iter().all(Option::is_none) {
            break;
        }
        ordered.extend(pair.into_iter().flatten());
    }
    ordered.truncate(MAX_ADDRESSES);
    ordered
}

/// Tries one address after the other, the next when one has failed or has not answered for a while, and all at once
/// from then on. The first that answers wins.
async fn race<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, Tried> {
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    let mut tried = Tried::default();
    loop {
        if let Some(address) = waiting.next() {
            let attempt = connect(address);
            running.push(async move { (address, attempt.await) });
        } else if running.is_empty() {
            return Err(tried);
        }
        let is_more = waiting.len() > 0;
        tokio::select! {
            Some((address, connected)) = running.next() => match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => tried.0.push((address, error)),
            },
            () = sleep(ATTEMPT_DELAY), if is_more => {}
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

    #[test]
    fn the_families_take_turns_and_the_resolvers_first_is_first() {
        let found = addresses(&[
            "[2001:db8::1]",
            "[2001:db8::2]",
            "[2001:db8::3]",
            "192.0.2.1",
            "192.0.2.2",
        ]);
        let wanted = addresses(&[
            "[2001:db8::1]",
            "192.0.2.1",
            "[2001:db8::2]",
            "192.0.2.2",
            "[2001:db8::3]",
        ]);
        assert_eq!(in_order(found), wanted);
        let found = addresses(&["192.0.2.1", "192.0.2.1", "[2001:db8::1]"]);
        assert_eq!(in_order(found), addresses(&["192.0.2.1", "[2001:db8::1]"]));
        assert!(in_order(Vec::new()).is_empty());
        let many = (0..200).map(|last| SocketAddr::from(([192, 0, 2, last], 443)));
        assert_eq!(in_order(many.collect()).len(), MAX_ADDRESSES);
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
        assert_eq!(race(all, connect).await.unwrap(), good);
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
        let tried = race(all.clone(), connect).await.unwrap_err();
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
        assert_eq!(race(all, connect).await.unwrap(), first);
    }
}
