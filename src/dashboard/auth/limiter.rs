//! Slows down who guesses passwords: each failure makes the next attempt wait longer, for a user and for an address.

use super::peer::network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Attempts without any wait: for one user, and for one address, behind which many may sit.
const FREE_FOR_USER: u32 = 5;
const FREE_FOR_ADDRESS: u32 = 20;
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(60);
/// After so long without an attempt everything is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);
/// The most users and addresses that are remembered; beyond it the ones quiet for longest go.
const MOST: usize = 10_000;

/// Counts attempts.
#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<HashMap<Key, Attempts>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(String),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Attempts {
    count: u32,
    last: Instant,
}

impl Limiter {
    /// Takes up an attempt, which counts as failed until [`succeeded`](Self::succeeded); or says how long to wait.
    pub(super) fn begin(
        &self,
        user: &str,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<Key> = keys(user, address).collect();
        let wait = keys
            .iter()
            .filter_map(|key| attempts.get(key).map(|seen| seen.wait(key, now)))
            .max()
            .unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        for key in keys {
            let seen = attempts.entry(key).or_insert(Attempts {
                count: 0,
                last: now,
            });
            if now.duration_since(seen.last) > FORGOTTEN {
                seen.count = 0;
            }
            seen.count = seen.count.saturating_add(1);
            seen.last = now;
        }
        if attempts.len() > MOST {
            let mut times: Vec<Instant> = attempts.values().map(|seen| seen.last).collect();
            let (_, middle, _) = times.select_nth_unstable(MOST / 2);
            let middle = *middle;
            attempts.retain(|_, seen| seen.last > middle);
        }
        Ok(())
    }

    /// The attempt was no guess: forgets what was counted.
    pub(super) fn succeeded(&self, user: &str, address: Option<IpAddr>) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(user, address) {
            attempts.remove(&key);
        }
    }
}

impl Attempts {
    fn wait(self, key: &Key, now: Instant) -> Duration {
        let free = match key {
            Key::User(_) => FREE_FOR_USER,
            Key::Address(_) => FREE_FOR_ADDRESS,
        };
        let Some(beyond) = self.count.checked_sub(free) else {
            return Duration::ZERO;
        };
        let delay = Duration::from_secs(1 << beyond.min(6)).min(LONGEST);
        delay.saturating_sub(now.duration_since(self.last))
    }
}

fn keys(user: &str, address: Option<IpAddr>) -> impl Iterator<Item = Key> {
    let network = address.map(|address| Key::Address(network(address)));
    [Some(Key::User(user.to_owned())), network]
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    #[test]
    fn each_guess_beyond_the_free_ones_waits_longer() {
        let limiter = Limiter::default();
        let mut now = Instant::now();
        for _ in 0..FREE_FOR_USER {
            limiter.begin("alice", address(1), now).unwrap();
        }
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = limiter.begin("alice", address(2), now).unwrap_err();
            assert!(limiter.begin("bob", address(2), now).is_ok());
            now += wait;
            limiter.begin("alice", None, now).unwrap();
            waits.push(wait.as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn an_address_that_tries_many_users_waits_too() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for n in 0..FREE_FOR_ADDRESS {
            limiter.begin(&n.to_string(), address(1), now).unwrap();
        }
        assert!(limiter.begin("x", address(1), now).is_err());
        assert!(limiter.begin("x", address(2), now).is_ok());
        assert!(limiter.begin("x", address(1), now + LONGEST).is_ok());
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for n in 0..FREE_FOR_ADDRESS {
            let address = format!("2001:db8::{n}").parse().unwrap();
            limiter.begin(&n.to_string(), Some(address), now).unwrap();
        }
        let of = |text: &str| Some(text.parse().unwrap());
        assert!(limiter.begin("x", of("2001:db8::ffff:1"), now).is_err());
        assert!(limiter.begin("x", of("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn success_and_time_make_it_forget() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for _ in 0..FREE_FOR_USER {
            limiter.begin("alice", None, now).unwrap();
        }
        let later = now + FORGOTTEN + Duration::from_secs(1);
        limiter.begin("alice", None, later).unwrap();
        limiter.begin("alice", None, later).unwrap();
        for _ in 0..3 {
            limiter.begin("alice", None, later).unwrap();
        }
        assert!(limiter.begin("alice", None, later).is_err());
        limiter.succeeded("alice", None);
        assert!(limiter.begin("alice", None, later).is_ok());
    }

    #[test]
    fn memory_has_a_bound() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for n in 0..MOST as u32 + 100 {
            let at = now + Duration::from_millis(n.into());
            limiter.begin(&n.to_string(), None, at).unwrap();
        }
        assert!(limiter.0.lock().unwrap().len() <= MOST);
    }
}
