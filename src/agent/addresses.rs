//! The order in which the addresses of the dashboard are tried.

use std::net::SocketAddr;

/// How many addresses of a host are tried.
const MAX_ADDRESSES: usize = 16;

/// How many addresses are remembered on which connections came to nothing.
const MAX_FAILED: usize = 64;

/// An address to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) address: SocketAddr,
    /// A connection to it came to nothing before.
    pub(super) has_failed: bool,
}

/// Addresses that took a connection which then came to nothing, such as one whose large packets get lost, or one with
/// no dashboard behind it. Those that failed last are at the end.
#[derive(Debug, Default)]
pub(super) struct FailedAddresses(Vec<SocketAddr>);

impl FailedAddresses {
    /// A connection to this address came to nothing.
    pub(super) fn add(&mut self, address: SocketAddr) {
        self.remove(address);
        self.0.push(address);
        if self.0.len() > MAX_FAILED {
            self.0.remove(0);
        }
    }

    /// A connection to this address was of use.
    pub(super) fn remove(&mut self, address: SocketAddr) {
        self.0.retain(|failed| *failed != address);
    }

    /// Puts the addresses of a host into the order in which they are tried: those that failed come last, and of them
    /// that which failed longest ago is first.
    pub(super) fn order(&self, addresses: Vec<SocketAddr>) -> Vec<Candidate> {
        let failure = |address: &SocketAddr| self.0.iter().position(|failed| failed == address);
        let mut ordered = alternated(addresses);
        // It is stable, and `None` is the least.
        ordered.sort_by_key(failure);
        ordered.truncate(MAX_ADDRESSES);
        let candidate = |address: SocketAddr| Candidate {
            address,
            has_failed: failure(&address).is_some(),
        };
        ordered.into_iter().map(candidate).collect()
    }
}

/// The families in turn, beginning with that of the first address, which is the resolver's choice.
fn alternated(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
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
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let parse = |text: &&str| format!("{text}:443").parse().unwrap();
        texts.iter().map(parse).collect()
    }

    fn ordered(failed: &FailedAddresses, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let candidates = failed.order(addresses);
        candidates.iter().map(|tried| tried.address).collect()
    }

    #[test]
    fn the_families_take_turns_and_the_resolvers_first_is_first() {
        let none = FailedAddresses::default();
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
        assert_eq!(ordered(&none, found), wanted);
        let found = addresses(&["192.0.2.1", "192.0.2.1", "[2001:db8::1]"]);
        assert_eq!(
            ordered(&none, found),
            addresses(&["192.0.2.1", "[2001:db8::1]"])
        );
        assert!(ordered(&none, Vec::new()).is_empty());
        let many = (0..200).map(|last| SocketAddr::from(([192, 0, 2, last], 443)));
        assert_eq!(ordered(&none, many.collect()).len(), MAX_ADDRESSES);
    }

    #[test]
    fn addresses_that_failed_come_last_and_each_has_its_turn() {
        let mut failed = FailedAddresses::default();
        let all = addresses(&["[2001:db8::1]", "192.0.2.1", "192.0.2.2"]);
        let mut tried = Vec::new();
        for _ in 0..6 {
            let first = ordered(&failed, all.clone())[0];
            failed.add(first);
            tried.push(first);
        }
        assert_eq!(tried, [all.clone(), all.clone()].concat());
        let candidates = failed.order(all.clone());
        assert!(candidates.iter().all(|candidate| candidate.has_failed));
        failed.remove(all[2]);
        let candidates = failed.order(all.clone());
        assert_eq!(candidates[0].address, all[2]);
        assert!(!candidates[0].has_failed && candidates[1].has_failed);
    }

    #[test]
    fn however_many_addresses_fail_those_behind_them_are_tried_too() {
        let mut failed = FailedAddresses::default();
        let many = (0..40).map(|last| SocketAddr::from(([192, 0, 2, last], 443)));
        let many: Vec<_> = many.collect();
        for address in &many {
            assert_eq!(ordered(&failed, many.clone())[0], *address);
            failed.add(*address);
        }
        for last in 0..200 {
            failed.add(SocketAddr::from(([198, 51, 100, last], 443)));
        }
        assert_eq!(failed.0.len(), MAX_FAILED);
    }
}
