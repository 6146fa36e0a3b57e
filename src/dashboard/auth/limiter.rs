//! Slows down who guesses passwords: each failure makes the next attempt wait longer. Attempts are counted by user and
//! network together, by network, and by user over all networks; those of a browser in which the user signed in before
//! are counted by browser alone.
//!
//! Whoever has one IPv6 network may have all those of a home or of a site, so these are counted too, as is the network
//! around an IPv4 address. Many people may sit there, who need not know each other: a smaller network takes only a part
//! of what the larger one has, and a site a quarter of what a user has.

use super::peer::{home, network, wider};
use super::token::SecretHash;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many attempts are free of any wait, and how long it takes until one of them counts no more.
#[derive(Clone, Copy, Debug)]
struct Limit {
    free: u32,
    /// None where an attempt counts until all is forgotten.
    recovery: Option<Duration>,
}

/// One user from one network, or from one known browser.
const PAIR: Limit = Limit::lasting(5);
/// One network, behind which many people may sit.
const NETWORK: Limit = Limit::lasting(20);
/// All networks of a home (56 bits of IPv6),
const HOME: Limit = Limit::fading(40, 8);
/// and of a site (48 bits of IPv6, 24 of IPv4).
const SITE: Limit = Limit::fading(100, 2);
/// One user from all networks together. One attempt counts for longer than a single network can make them come, so that
/// no single network makes a user wait elsewhere.
const USER: Limit = Limit::fading(100, 6);
/// The part of it that a home may take,
const USER_FROM_HOME: Limit = Limit::fading(15, 40);
/// and the one of a site: a quarter, at once and in the long run.
const USER_FROM_SITE: Limit = Limit::fading(25, 24);
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
    Home(IpAddr),
    Site(IpAddr),
    User(String),
    UserFromHome(String, IpAddr),
    UserFromSite(String, IpAddr),
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
            let limit = key.limit();
            let seen = attempts.entry(key).or_insert(first);
            seen.recover(limit, now);
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
            if let Key::Device(_) | Key::Pair(..) = key {
                attempts.remove(&key);
            } else if let Some(seen) = attempts.get_mut(&key) {
                seen.count = seen.count.saturating_sub(1);
                if seen.count == 0 {
                    attempts.remove(&key);
                }
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
        let user = || self.user.to_owned();
        let mut keys = vec![
            Key::Pair(user(), self.address.map(network)),
            Key::User(user()),
        ];
        let Some(address) = self.address else {
            return keys;
        };
        keys.push(Key::Network(network(address)));
        if !address.is_loopback() {
            let site = wider(address);
            keys.extend([Key::Site(site), Key::UserFromSite(user(), site)]);
        }
        if let Some(home) = home(address).filter(|_| !address.is_loopback()) {
            keys.extend([Key::Home(home), Key::UserFromHome(user(), home)]);
        }
        keys
    }
}

impl Limit {
    const fn lasting(free: u32) -> Self {
        Self {
            free,
            recovery: None,
        }
    }

    const fn fading(free: u32, seconds: u64) -> Self {
        Self {
            free,
            recovery: Some(Duration::from_secs(seconds)),
        }
    }
}

impl Key {
    fn limit(&self) -> Limit {
        match self {
            Self::Device(_) | Self::Pair(..) => PAIR,
            Self::Network(_) => NETWORK,
            Self::Home(_) => HOME,
            Self::Site(_) => SITE,
            Self::User(_) => USER,
            Self::UserFromHome(..) => USER_FROM_HOME,
            Self::UserFromSite(..) => USER_FROM_SITE,
        }
    }
}

impl Attempts {
    fn badness(&self) -> (u32, Instant) {
        (self.count, self.last)
    }

    /// Forgets with time.
    fn recover(&mut self, limit: Limit, now: Instant) {
        let quiet = now.duration_since(self.last);
        if quiet > FORGET_AFTER {
            self.count = 0;
        } else if let Some(recovery) = limit.recovery {
            let recovered = quiet.as_secs() / recovery.as_secs();
            let recovered = u32::try_from(recovered).unwrap_or(u32::MAX);
            self.count = self.count.saturating_sub(recovered);
        }
    }

    fn wait(mut self, key: &Key, now: Instant) -> Duration {
        let (last, limit) = (self.last, key.limit());
        self.recover(limit, now);
        let Some(beyond) = self.count.checked_sub(limit.free) else {
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
        for _ in 0..PAIR.free {
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
        assert_eq!(looked_at.count() as u32, USER.free);
        assert!(limiter.begin(guesser("alice", 2), now).is_err());
        let known = Guesser {
            device: Some(SecretHash::of("x")),
            ..guesser("alice", 2)
        };
        for _ in 0..PAIR.free {
            assert!(limiter.begin(known, now).is_ok());
        }
        assert!(limiter.begin(known, now).is_err(), "it may be stolen");
    }

    #[test]
    fn a_network_that_tries_many_users_waits_too() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for n in 0..NETWORK.free {
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
        for n in 0..NETWORK.free {
            let (user, address) = (n.to_string(), format!("2001:db8::{n}"));
            limiter.begin(from(&user, &address), now).unwrap();
        }
        assert!(limiter.begin(from("x", "2001:db8::ffff:1"), now).is_err());
        assert!(limiter.begin(from("x", "2001:db8:0:1::1"), now).is_ok());
    }

    /// Guesses for a user from fresh networks of the prefix, without a pause and then as fast as it may for hours; gives
    /// how many were looked at, all in all.
    fn guesses(limiter: &Limiter, prefix: &str, hours: u64, mut now: Instant) -> (u32, Instant) {
        let end = now + Duration::from_secs(3_600 * hours);
        let mut looked_at = 0;
        for n in 0u32.. {
            let address = format!("{prefix}{:02x}::1", n % 256);
            match limiter.begin(from("ada", &address), now) {
                Ok(()) => looked_at += 1,
                Err(wait) if now + wait < end => now += wait,
                Err(_) => break,
            }
        }
        (looked_at, now)
    }

    #[test]
    fn a_home_with_many_networks_makes_a_user_wait_nowhere_else() {
        let limiter = Limiter::default();
        let (looked_at, now) = guesses(&limiter, "2001:db8:0:ab", 48, Instant::now());
        assert!(looked_at > USER.free, "{looked_at} guesses");
        for address in ["192.0.2.1", "2001:db8:1::1", "2001:db8:0:cd00::1"] {
            assert_eq!(limiter.begin(from("ada", address), now), Ok(()));
        }
        assert!(
            limiter
                .begin(from("ada", "2001:db8:0:abff::1"), now)
                .is_err()
        );
    }

    #[test]
    fn three_sites_with_many_networks_make_a_user_wait_nowhere_else() {
        let limiter = Limiter::default();
        let begin = Instant::now();
        for site in 1..4 {
            for n in 0..2_000 {
                let address = format!("2001:db8:{site}:{:x}::1", n * 16);
                let _ = limiter.begin(from("ada", &address), begin);
            }
        }
        assert_eq!(limiter.begin(from("ada", "2001:db8:9::1"), begin), Ok(()));
    }

    #[test]
    fn a_site_that_tries_many_users_waits_and_its_neighbours_do_not() {
        let limiter = Limiter::default();
        let now = Instant::now();
        let looked_at = (0..4_000u32).filter(|n| {
            let (user, address) = (n.to_string(), format!("2001:db8:0:{:x}::1", n * 16));
            limiter.begin(from(&user, &address), now).is_ok()
        });
        assert_eq!(looked_at.count() as u32, SITE.free);
        assert!(limiter.begin(from("x", "2001:db8:0:ffff::1"), now).is_err());
        assert!(limiter.begin(from("x", "2001:db8:1::1"), now).is_ok());
        // A home takes only a part of what its site has.
        for n in 0..200u32 {
            let (user, address) = (n.to_string(), format!("2001:db8:2:{n:x}::1"));
            let _ = limiter.begin(from(&user, &address), now);
        }
        assert!(limiter.begin(from("x", "2001:db8:2:ff::1"), now).is_err());
        assert!(limiter.begin(from("x", "2001:db8:2:ff00::1"), now).is_ok());
    }

    #[test]
    fn people_behind_one_ipv4_address_or_beside_it_sign_in_as_often_as_they_like() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for n in 0..1_000 {
            let user = n.to_string();
            let who = guesser(&user, (n % 7) as u8);
            limiter.begin(who, now).unwrap();
            limiter.succeeded(who);
        }
    }

    #[test]
    fn a_password_that_is_known_buys_no_guesses_of_others() {
        let limiter = Limiter::default();
        let now = Instant::now();
        for n in 1..NETWORK.free {
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
        for _ in 0..PAIR.free {
            limiter.begin(alice, now).unwrap();
        }
        let later = now + FORGET_AFTER + Duration::from_secs(1);
        for _ in 0..PAIR.free {
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
