//! Slows down who guesses passwords: each failure makes the next attempt wait longer. Attempts are counted by user and
//! network together, by network, and by user over all networks; those of a browser in which the user signed in before
//! are counted by browser alone.

use super::peer::network;
use super::token::SecretHash;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Attempts without any wait for one user from one network, or from one known browser.
const FREE_FOR_PAIR: u32 = 5;
/// Attempts without any wait from one network, behind which many people may sit.
const FREE_FOR_NETWORK: u32 = 20;
/// Attempts without any wait for one user from all networks together.
const FREE_FOR_USER: u32 = 100;
/// How long it takes until one attempt for a user counts no more. It is longer than a single network can make them
/// come, so that no single network makes a user wait elsewhere.
const USER_RECOVERY: Duration = Duration::from_secs(6);
/// Longest wait.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long without an attempt until everything is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
/// Most entries that are remembered; beyond it those with the fewest failures go.
const MAX_ENTRIES: usize = 10_000;

/// Counts attempts to sign in.
#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<HashMap<Key, Attempts>>);

/// Somebody who tries to sign in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guesser<'a> {
    /// Whom they say they are.
    pub(super) user: &'a str,
    /// Where they are.
    pub(super) address: Option<IpAddr>,
    /// Their browser, if that user signed in there before.
    pub(super) device: Option<SecretHash>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Device(SecretHash),
    Pair(String, Option<IpAddr>),
    Network(IpAddr),
    User(String),
}

#[derive(Clone, Copy, Debug)]
struct Attempts {
    count: u32,
    last: Instant,
}

impl Limiter {
    /// Takes up an attempt, which counts as failed until [`succeeded`](Self::succeeded).
    ///
    /// # Errors
    /// With how long to wait before the next attempt.
    pub(super) fn begin(&self, who: Guesser<'_>, now: Instant) -> Result<(), Duration> {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = who.keys();
        let wait = keys
            .iter()
            .filter_map(|key| attempts.get(key).map(|seen| seen.wait(key, now)))
            .max()
            .unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        for key in keys {
            let first = Attempts {
                count: 0,
                last: now,
            };
            let recovers = matches!(key, Key::User(_));
            let seen = attempts.entry(key).or_insert(first);
            seen.recover(recovers, now);
            seen.count = seen.count.saturating_add(1);
            seen.last = now;
        }
        if attempts.len() > MAX_ENTRIES {
            forget_best(&mut attempts);
        }
        Ok(())
    }

    /// The attempt was no guess: what was counted of the user here is forgotten, and of the network this one alone, so
    /// that who knows one password guesses no more of others.
    pub(super) fn succeeded(&self, who: Guesser<'_>) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in who.keys() {
            if let Key::Network(_) | Key::User(_) = key
                && let Some(seen) = attempts.get_mut(&key)
                && seen.count > 1
            {
                seen.count -= 1;
            } else {
                attempts.remove(&key);
            }
        }
    }
}

/// Forgets the half with fewer failures; of those with as many, the ones that are quiet for longer.
fn forget_best(attempts: &mut HashMap<Key, Attempts>) {
    let mut all: Vec<(u32, Instant)> = attempts.values().map(Attempts::badness).collect();
    let (_, middle, _) = all.select_nth_unstable(MAX_ENTRIES / 2);
    let middle = *middle;
    attempts.retain(|_, seen| seen.badness() > middle);
}

impl Guesser<'_> {
    fn keys(&self) -> Vec<Key> {
        if let Some(device) = self.device {
            return vec![Key::Device(device)];
        }
        let (user, network) = (self.user.to_owned(), self.address.map(network));
        let mut keys = vec![Key::Pair(user.clone(), network), Key::User(user)];
        keys.extend(network.map(Key::Network));
        keys
    }
}

impl Attempts {
    fn badness(&self) -> (u32, Instant) {
        (self.count, self.last)
    }

    /// Forgets with time.
    fn recover(&mut self, gradually: bool, now: Instant) {
        let quiet = now.duration_since(self.last);
        if quiet > FORGET_AFTER {
            self.count = 0;
        } else if gradually {
            let recovered = quiet.as_secs() / USER_RECOVERY.as_secs();
            let recovered = u32::try_from(recovered).unwrap_or(u32::MAX);
            self.count = self.count.saturating_sub(recovered);
        }
    }

    fn wait(mut self, key: &Key, now: Instant) -> Duration {
        let free = match key {
            Key::Device(_) | Key::Pair(..) => FREE_FOR_PAIR,
            Key::Network(_) => FREE_FOR_NETWORK,
            Key::User(_) => FREE_FOR_USER,
        };
        let last = self.last;
        self.recover(matches!(key, Key::User(_)), now);
        let Some(beyond) = self.count.checked_sub(free) else {
            return Duration::ZERO;
        };
        let delay = Duration::from_secs(1 << beyond.min(6)).min(MAX_WAIT);
        delay.saturating_sub(now.duration_since(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesser(user: &str, last: u8) -> Guesser<'_> {
        Guesser {
            user,
            address: Some([192, 0, 2, last].into()),
            device: None,
        }
    }

    fn from<'a>(user: &'a str, address: &str) -> Guesser<'a> {
        Guesser {
            address: Some(address.parse().unwrap()),
            ..guesser(user, 0)
        }
    }

    #[test]
    fn each_guess_beyond_the_free_ones_waits_longer() {
        let limiter = Limiter::default();
        let mut now = Instant::now();
        for _ in 0..FREE_FOR_PAIR {
            limiter.begin(guesser("alice", 1), now).unwrap();
        }
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = limiter.begin(guesser("alice", 1), now).unwrap_err();
            assert!(limiter.begin(guesser("bob", 2), now).is_ok());
            now += wait;
            limiter.begin(guesser("alice", 1), now).unwrap();
            waits.push(wait.as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn who_guesses_from_one_network_for_days_makes_the_user_wait_nowhere_else() {
        let limiter = Limiter::default();
        let mut now = Instant::now();
        for _ in 0..5_000 {
            while let Err(wait) = limiter.begin(guesser("alice", 1), now) {
                now += wait;
            }
            assert!(limiter.begin(guesser("alice", 2), now).is_ok());
            limiter.succeeded(guesser("alice", 2));
        }
    }

    #[test]
    fn many_networks_together_get_few_guesses_and_a_known_browser_passes() {
        let limiter = Limiter::default();
        let now = Instant::now();
        let looked_at = (0..10_000u32).filter(|n| {
            let address = IpAddr::from(n.to_be_bytes());
            let guesser = Guesser {
                address: Some(address),
                ..guesser("alice", 0)
            };
            limiter.begin(guesser, now).is_ok()
        });
        assert_eq!(looked_at.count() as u32, FREE_FOR_USER);
        assert!(limiter.begin(guesser("alice", 2), now).is_err());
        let known = Guesser {
            device: Some(SecretHash::of("x")),
            ..guesser("alice", 2)
        };
        for _ in 0..FREE_FOR_PAIR {
            assert!(limiter.begin(known, now).is_ok());
        }
        assert!(limiter.begin(known, now).is_err(), "it may be stolen");
    }

    #[test]
    fn a_network_that_tries_many_users_waits_too() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for n in 0..FREE_FOR_NETWORK {
            limiter.begin(guesser(&n.to_string(), 1), now).unwrap();
        }
        assert!(limiter.begin(guesser("x", 1), now).is_err());
        assert!(limiter.begin(guesser("x", 2), now).is_ok());
        assert!(limiter.begin(guesser("x", 1), now + MAX_WAIT).is_ok());
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for n in 0..FREE_FOR_NETWORK {
            let (user, address) = (n.to_string(), format!("2001:db8::{n}"));
            limiter.begin(from(&user, &address), now).unwrap();
        }
        assert!(limiter.begin(from("x", "2001:db8::ffff:1"), now).is_err());
        assert!(limiter.begin(from("x", "2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn a_password_that_is_known_buys_no_guesses_of_others() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for n in 1..FREE_FOR_NETWORK {
            limiter.begin(guesser(&n.to_string(), 1), now).unwrap();
            limiter.begin(guesser("mallory", 1), now).unwrap();
            limiter.succeeded(guesser("mallory", 1));
        }
        limiter.begin(guesser("x", 1), now).unwrap();
        assert!(limiter.begin(guesser("y", 1), now).is_err());
    }

    #[test]
    fn success_and_time_make_it_forget() {
        let limiter = Limiter::default();
        let alice = guesser("alice", 1);
        let now = Instant::now();
        for _ in 0..FREE_FOR_PAIR {
            limiter.begin(alice, now).unwrap();
        }
        let later = now + FORGET_AFTER + Duration::from_secs(1);
        for _ in 0..FREE_FOR_PAIR {
            limiter.begin(alice, later).unwrap();
        }
        assert!(limiter.begin(alice, later).is_err());
        limiter.succeeded(alice);
        assert!(limiter.begin(alice, later).is_ok());
    }

    #[test]
    fn a_flood_of_other_names_makes_it_forget_nobody_who_guesses() {
        let limiter = Limiter::default();
        let mut now = Instant::now();
        let mut looked_at = 0;
        for n in 0..100 {
            if limiter.begin(guesser("alice", 1), now).is_ok() {
                looked_at += 1;
            }
            for m in 0..2_000u32 {
                let name = format!("{n}-{m}");
                let address = IpAddr::from((n * 10_000 + m).to_be_bytes());
                let other = Guesser {
                    address: Some(address),
                    ..guesser(&name, 0)
                };
                let _ = limiter.begin(other, now);
            }
            now += Duration::from_millis(600);
        }
        assert!(looked_at <= 12, "{looked_at} guesses in a minute");
        assert!(limiter.0.lock().unwrap().len() <= MAX_ENTRIES);
    }
}
