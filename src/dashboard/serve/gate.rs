//! Counts connections, and lets in no more than there may be.

use crate::dashboard::auth::network;
use crate::dashboard::config::Limits;
use crate::protocol::HostId;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most connections of one user that count as theirs, and not as a stranger's.
const MAX_OF_USER: usize = 1_024;
/// The same of one host, which needs one, and for a moment two when it comes anew.
const MAX_OF_HOST: usize = 8;

/// Lets connections in.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    proxies: Vec<IpAddr>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    strangers: usize,
    /// Strangers, of addresses that have a limit only.
    by_network: HashMap<IpAddr, usize>,
    hosts: usize,
    by_known: HashMap<Known, usize>,
    refused: u64,
}

/// Who has shown who they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Known {
    /// By the token of a host.
    Host(HostId),
    /// In any other way.
    User(String),
}

/// A connection that is counted until the last of these is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    counts: Arc<Mutex<Counts>>,
    limits: Limits,
    standing: Mutex<Standing>,
}

/// As what a connection is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// As one of a stranger, from this network if that has a limit.
    Stranger(Option<IpAddr>),
    /// As one of a trusted proxy, which speaks for many.
    Proxy,
    Known(Known),
}

/// A host may not stay connected: hosts have all places that are not kept for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} hosts are connected, and the remaining connections are reserved for people: raise `limits.connections` of the dashboard"
)]
pub(crate) struct TooManyHosts(usize);

/// Which limit keeps a connection out.
#[derive(Clone, Copy, Debug)]
enum Full {
    All(usize),
    Strangers(usize),
    Address(usize),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(most) => write!(f, "{most} connections are open: raise limits.connections"),
            Self::Strangers(most) => write!(
                f,
                "{most} connections are open that have not signed in or sent a token: if they come through a proxy, add its address to proxy.trusted; else raise limits.strangers"
            ),
            Self::Address(most) => write!(
                f,
                "{most} connections from this address are open that have not signed in or sent a token: if it is a proxy, add it to proxy.trusted; else raise limits.connections_per_address"
            ),
        }
    }
}

impl Gate {
    pub(super) fn new(limits: Limits, proxies: &[IpAddr]) -> Self {
        Self {
            limits,
            proxies: proxies.iter().map(IpAddr::to_canonical).collect(),
            counts: Arc::new(Mutex::new(Counts::default())),
        }
    }

    /// Lets a connection in, unless there are too many.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Connection> {
        let address = address.to_canonical();
        let standing = if self.proxies.contains(&address) {
            // Behind a proxy that is trusted, strangers are counted by request.
            Standing::Proxy
        } else {
            Standing::Stranger((!address.is_loopback()).then(|| network(address)))
        };
        let mut counts = lock(&self.counts);
        if let Some(full) = self.full(&counts, &standing) {
            counts.refused += 1;
            // The first, and then ever fewer, so that a flood does not fill the log.
            if counts.refused.is_power_of_two() {
                tracing::warn!(%address, refused = counts.refused, "too many connections: closed at once, because {full}");
            }
            return None;
        }
        Some(self.count(counts, standing))
    }

    fn full(&self, counts: &Counts, standing: &Standing) -> Option<Full> {
        let limits = self.limits;
        if counts.all >= limits.connections {
            return Some(Full::All(limits.connections));
        }
        let Standing::Stranger(network) = standing else {
            return None;
        };
        let near = network.and_then(|network| counts.by_network.get(&network).copied());
        if near.unwrap_or(0) >= limits.connections_per_address {
            return Some(Full::Address(limits.connections_per_address));
        }
        (counts.strangers >= limits.strangers).then_some(Full::Strangers(limits.strangers))
    }

    /// Lets a connection in that no stranger can make.
    pub(super) fn enter_unchecked(&self) -> Connection {
        self.count(lock(&self.counts), Standing::Stranger(None))
    }

    fn count(&self, mut counts: MutexGuard<'_, Counts>, standing: Standing) -> Connection {
        counts.all += 1;
        counts.add(&standing);
        Connection(Arc::new(Inside {
            counts: Arc::clone(&self.counts),
            limits: self.limits,
            standing: Mutex::new(standing),
        }))
    }
}

impl Counts {
    fn add(&mut self, standing: &Standing) {
        match standing {
            Standing::Stranger(network) => {
                self.strangers += 1;
                if let Some(network) = network {
                    *self.by_network.entry(*network).or_default() += 1;
                }
            }
            Standing::Proxy => {}
            Standing::Known(known) => {
                self.hosts += usize::from(matches!(known, Known::Host(_)));
                *self.by_known.entry(known.clone()).or_default() += 1;
            }
        }
    }

    fn remove(&mut self, standing: &Standing) {
        match standing {
            Standing::Stranger(network) => {
                self.strangers -= 1;
                if let Some(network) = network {
                    take_one(&mut self.by_network, network);
                }
            }
            Standing::Proxy => {}
            Standing::Known(known) => {
                self.hosts -= usize::from(matches!(known, Known::Host(_)));
                take_one(&mut self.by_known, known);
            }
        }
    }
}

fn take_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Connection {
    /// They have shown who they are, and count no more as a stranger; as one only while they have very many.
    pub(crate) fn vouch_for_user(&self, name: &str) {
        let mut counts = lock(&self.0.counts);
        let mut standing = self.0.standing();
        // A proxy may send the requests of several users over one connection: it is counted for the first of them.
        if !matches!(*standing, Standing::Known(_)) {
            let known = Known::User(name.to_owned());
            count_as(&mut counts, &mut standing, known, MAX_OF_USER);
        }
    }

    /// It is a host's.
    ///
    /// # Errors
    /// When no more hosts may be connected.
    pub(crate) fn vouch_for_host(&self, host: &HostId) -> Result<(), TooManyHosts> {
        let mut counts = lock(&self.0.counts);
        let mut standing = self.0.standing();
        if matches!(*standing, Standing::Known(Known::Host(_))) {
            return Ok(());
        }
        let most = self.0.limits.hosts();
        if counts.hosts >= most {
            return Err(TooManyHosts(most));
        }
        count_as(
            &mut counts,
            &mut standing,
            Known::Host(host.clone()),
            MAX_OF_HOST,
        );
        Ok(())
    }
}

/// Counts a connection as one of theirs, unless they have `most` already.
fn count_as(counts: &mut Counts, standing: &mut Standing, known: Known, most: usize) {
    if counts.by_known.get(&known).copied().unwrap_or(0) >= most {
        return;
    }
    let new = Standing::Known(known);
    counts.remove(standing);
    counts.add(&new);
    *standing = new;
}

impl Inside {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.all -= 1;
        counts.remove(&self.standing());
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
