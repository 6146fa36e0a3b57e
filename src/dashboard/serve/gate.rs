//! Counts connections, and lets in no more than there may be.

use crate::dashboard::auth::network;
use crate::dashboard::config::Limits;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// Only of addresses that have a limit.
    by_network: HashMap<IpAddr, usize>,
    refused: u64,
}

/// A connection that is counted until the last of these is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    counts: Arc<Mutex<Counts>>,
    network: Option<IpAddr>,
    is_stranger: AtomicBool,
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
        // Behind a proxy that is trusted, strangers are counted by request.
        let is_proxy = self.proxies.contains(&address);
        let speaks_for_many = address.is_loopback() || is_proxy;
        let network = (!speaks_for_many).then(|| network(address));
        let mut counts = lock(&self.counts);
        let near = network.and_then(|network| counts.by_network.get(&network).copied());
        let limits = self.limits;
        if counts.all >= limits.connections
            || (!is_proxy && counts.strangers >= limits.strangers)
            || near.unwrap_or(0) >= limits.connections_per_address
        {
            counts.refused += 1;
            // The first, and then ever fewer, so that a flood does not fill the log.
            if counts.refused.is_power_of_two() {
                tracing::warn!(%address, refused = counts.refused, "too many connections: closed at once");
            }
            return None;
        }
        Some(self.count(counts, network, !is_proxy))
    }

    /// Lets a connection in that no stranger can make.
    pub(super) fn enter_unchecked(&self) -> Connection {
        self.count(lock(&self.counts), None, true)
    }

    fn count(
        &self,
        mut counts: MutexGuard<'_, Counts>,
        network: Option<IpAddr>,
        is_stranger: bool,
    ) -> Connection {
        counts.all += 1;
        counts.strangers += usize::from(is_stranger);
        if let Some(network) = network {
            *counts.by_network.entry(network).or_default() += 1;
        }
        Connection(Arc::new(Inside {
            counts: Arc::clone(&self.counts),
            network,
            is_stranger: AtomicBool::new(is_stranger),
        }))
    }
}

impl Connection {
    /// They have shown who they are.
    pub(crate) fn vouch(&self) {
        if self.0.is_stranger.swap(false, Ordering::Relaxed) {
            lock(&self.0.counts).strangers -= 1;
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.all -= 1;
        if *self.is_stranger.get_mut() {
            counts.strangers -= 1;
        }
        if let Some(network) = self.network
            && let Some(count) = counts.by_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_network.remove(&network);
            }
        }
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, connections_per_address: usize, strangers: usize) -> Gate {
        let proxy = "192.0.2.1".parse().unwrap();
        let limits = Limits {
            connections,
            connections_per_address,
            strangers,
        };
        Gate::new(limits, &[proxy])
    }

    fn from(gate: &Gate, address: &str) -> Option<Connection> {
        gate.enter(address.parse().unwrap())
    }

    #[test]
    fn strangers_take_no_place_from_those_who_are_known() {
        let gate = gate(10, 10, 2);
        let known = from(&gate, "127.0.0.1").unwrap();
        known.vouch();
        known.vouch();
        let (one, two) = (from(&gate, "127.0.0.1"), from(&gate, "127.0.0.1"));
        assert!(one.is_some() && two.is_some());
        assert!(from(&gate, "127.0.0.1").is_none());
        drop(one);
        assert!(from(&gate, "127.0.0.1").is_some());
    }

    #[test]
    fn connections_of_a_trusted_proxy_are_no_strangers() {
        let gate = gate(10, 10, 1);
        let held: Vec<_> = (0..5).map(|_| from(&gate, "192.0.2.1")).collect();
        assert!(held.iter().all(Option::is_some));
        let _stranger = from(&gate, "198.51.100.1").unwrap();
        assert!(from(&gate, "198.51.100.1").is_none());
    }

    #[test]
    fn an_address_has_its_limit_and_who_speaks_for_many_has_none() {
        let gate = gate(100, 2, 100);
        let held: Vec<_> = ["198.51.100.1"; 2].iter().map(|a| from(&gate, a)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(from(&gate, "198.51.100.1").is_none());
        assert!(from(&gate, "198.51.100.2").is_some());
        let many: Vec<_> = ["127.0.0.1", "::1", "192.0.2.1", "::ffff:192.0.2.1"]
            .iter()
            .flat_map(|address| (0..4).map(|_| from(&gate, address)))
            .collect();
        assert!(many.iter().all(Option::is_some));
        let network: Vec<_> = (0..3)
            .map(|n| from(&gate, &format!("2001:db8::{n}")))
            .collect();
        assert!(network[1].is_some() && network[2].is_none());
    }

    #[test]
    fn in_all_there_are_no_more_than_there_may_be_and_none_is_forgotten() {
        let gate = gate(2, 10, 10);
        let one = from(&gate, "198.51.100.1").unwrap();
        let other = one.clone();
        let two = from(&gate, "198.51.100.2");
        two.as_ref().unwrap().vouch();
        assert!(from(&gate, "198.51.100.3").is_none());
        drop(one);
        assert!(from(&gate, "198.51.100.3").is_none(), "it is still held");
        drop(other);
        drop(two);
        let counts = lock(&gate.counts);
        assert_eq!((counts.all, counts.strangers), (0, 0));
        assert!(counts.by_network.is_empty());
    }
}
