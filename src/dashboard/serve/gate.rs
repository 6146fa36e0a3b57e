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
    "{0} hosts are connected, and the other connections are kept for people: raise `limits.connections` of the dashboard"
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
            Self::All(most) => write!(f, "there are {most} connections: raise limits.connections"),
            Self::Strangers(most) => write!(
                f,
                "{most} connections are of strangers, who have not shown who they are: if a proxy passes them on, name its address in proxy.trusted; else raise limits.strangers"
            ),
            Self::Address(most) => write!(
                f,
                "{most} connections from that address are of strangers, who have not shown who they are: if it is a proxy, name it in proxy.trusted; else raise limits.connections_per_address"
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
mod tests {
    use super::*;

    fn gate(connections: usize, connections_per_address: usize, strangers: usize) -> Gate {
        let proxy = "192.0.2.1".parse().unwrap();
        let limits = Limits {
            connections,
            connections_per_address,
            strangers,
            people: 1,
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
        known.vouch_for_user("anna");
        known.vouch_for_user("anna");
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
        two.as_ref().unwrap().vouch_for_user("anna");
        assert!(from(&gate, "198.51.100.3").is_none());
        drop(one);
        assert!(from(&gate, "198.51.100.3").is_none(), "it is still held");
        drop(other);
        drop(two);
        let counts = lock(&gate.counts);
        assert_eq!((counts.all, counts.strangers), (0, 0));
        assert!(counts.by_network.is_empty() && counts.by_known.is_empty());
    }

    fn host(n: usize) -> HostId {
        HostId::new(&format!("h{n}")).unwrap()
    }

    #[test]
    fn who_is_known_takes_no_place_of_the_strangers_at_the_same_address() {
        let gate = gate(100, 2, 50);
        let mut held = Vec::new();
        for n in 0..10 {
            let connection = from(&gate, "198.51.100.1").expect("the others are known");
            connection.vouch_for_host(&host(n)).unwrap();
            held.push(connection);
        }
        held.extend((0..2).map(|_| from(&gate, "198.51.100.1").unwrap()));
        assert!(from(&gate, "198.51.100.1").is_none(), "two strangers");
        drop(held);
        let counts = lock(&gate.counts);
        assert_eq!((counts.all, counts.strangers, counts.hosts), (0, 0, 0));
        assert!(counts.by_network.is_empty() && counts.by_known.is_empty());
    }

    #[test]
    fn whoever_is_kept_out_finds_the_key_that_helps() {
        let gate = gate(4, 1, 2);
        let full = |address: &str| {
            let standing = Standing::Stranger(Some(network(address.parse().unwrap())));
            let full = gate.full(&lock(&gate.counts), &standing);
            full.map(|full| full.to_string()).unwrap_or_default()
        };
        let one = from(&gate, "198.51.100.1");
        let text = full("198.51.100.1");
        assert!(
            text.contains("proxy.trusted") && text.contains("limits.connections_per_address"),
            "{text}"
        );
        let two = from(&gate, "198.51.100.2");
        let text = full("198.51.100.3");
        assert!(
            text.contains("proxy.trusted") && text.contains("limits.strangers"),
            "{text}"
        );
        for connection in [&one, &two] {
            connection.as_ref().unwrap().vouch_for_user("anna");
        }
        let held = [from(&gate, "198.51.100.1"), from(&gate, "198.51.100.2")];
        assert!(held.iter().all(Option::is_some));
        assert!(full("198.51.100.3").contains("limits.connections"));
    }

    #[test]
    fn one_token_makes_no_crowd_known() {
        let gate = gate(1_000, 2, 50);
        let mut held = Vec::new();
        while let Some(connection) = from(&gate, "198.51.100.1") {
            connection.vouch_for_host(&host(1)).unwrap();
            held.push(connection);
        }
        assert_eq!(held.len(), MAX_OF_HOST + 2);
    }

    #[test]
    fn hosts_take_no_place_that_is_kept_for_people_and_a_proxy_may_pass_on_both() {
        let gate = gate(10, 10, 4);
        let through_proxy = || from(&gate, "192.0.2.1").unwrap();
        let mut held = Vec::new();
        for n in 0..5 {
            let connection = through_proxy();
            connection.vouch_for_host(&host(n)).unwrap();
            held.push(connection);
        }
        let one_more = through_proxy();
        assert_eq!(one_more.vouch_for_host(&host(9)), Err(TooManyHosts(5)));
        one_more.vouch_for_user("anna");
        assert!(held[0].vouch_for_host(&host(0)).is_ok(), "it is in");
        held.pop();
        // A proxy's connection that was a person's may become a host's.
        assert!(one_more.vouch_for_host(&host(9)).is_ok());
        let counts = lock(&gate.counts);
        assert_eq!((counts.hosts, counts.by_known.len()), (5, 5));
    }
}
