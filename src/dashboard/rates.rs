//! How often each user, host and address may ask. Who asks more often is told to wait, and nobody else notices.

use super::allowance::Allowance;
use super::auth::SecretHash;
use crate::protocol::HostId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most who are remembered; beyond it those go who asked least.
const MOST: usize = 10_000;

/// Whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// Somebody who is known, over HTTP,
    User(String),
    /// and by messages over all their WebSockets together.
    Page(String),
    /// Somebody known, by what they do and is written down: one for each record of the audit log.
    Deeds(String),
    /// Somebody who signed in.
    SignIns(String),
    /// A host that connects.
    Host(HostId),
    /// Whoever comes with this enrolment secret, from wherever: each time costs a record and a commit.
    Enrolment(SecretHash),
    /// Those of an address, or of an IPv6 network of 64 bits, who have not shown who they are.
    Network(IpAddr),
}

/// What a request counts for, or a message of a page,
pub(crate) const REQUEST: u32 = 10;
/// and a file of the page, which is in memory: the page has 80.
pub(crate) const FILE: u32 = 1;

impl Who {
    /// So many requests at once, and then so many a second.
    fn allowance(&self) -> Allowance {
        let (at_once, a_second) = match self {
            // A page that is scrolled as fast as can be asks for 22 pages of lines a second, and a script may ask for
            // each of some hundred hosts.
            Self::User(_) => (3_000, 200),
            // A page that shows 50 running hosts sends 100 a second.
            Self::Page(_) => (10_000, 1_000),
            // 190 MB of the audit log a day at most. A script may send a command to each of some thousand hosts.
            Self::Deeds(_) => (10_000, 5),
            Self::SignIns(_) => (1_000, 1),
            // An agent waits a second at least before it comes back.
            Self::Host(_) => (600, 5),
            Self::Enrolment(_) => (60, 1),
            // Many people may share an address, and this is the page for a hundred of them.
            Self::Network(_) => (1_000, 50),
        };
        Allowance::new(at_once * REQUEST, a_second * REQUEST)
    }
}

/// What is left to everybody.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    left: HashMap<Who, Allowance>,
    refused: u64,
}

impl Rates {
    /// Lets somebody ask for what counts for so much.
    ///
    /// # Errors
    /// With how long they must wait, if they have asked too often.
    pub(crate) fn ask(&self, who: &Who, much: u32, now: Instant) -> Result<(), Duration> {
        let mut table = self.table();
        let allowance = table.of(who, now);
        let Some(at) = allowance.wait(now) else {
            allowance.spend(much);
            return Ok(());
        };
        table.refused += 1;
        // The first, and then ever fewer, so that a flood does not fill the log.
        if table.refused.is_power_of_two() {
            tracing::warn!(?who, refused = table.refused, "too many requests");
        }
        Err(at.saturating_duration_since(now))
    }

    /// Takes so much from somebody if all of it is there.
    ///
    /// # Errors
    /// With how long they must wait until it is.
    pub(crate) fn charge(&self, who: &Who, much: u32, now: Instant) -> Result<(), Duration> {
        self.table().of(who, now).spend_all(much, now)
    }

    /// Gives back to somebody what was charged and not used.
    pub(crate) fn give_back(&self, who: &Who, much: u32) {
        if let Some(allowance) = self.table().left.get_mut(who) {
            allowance.give_back(much);
        }
    }

    /// Takes so much from somebody, whether it is there or not.
    pub(crate) fn spend(&self, who: &Who, much: u32, now: Instant) {
        self.table().of(who, now).spend(much);
    }

    /// When somebody may go on; none where at once.
    pub(crate) fn wait(&self, who: &Who, now: Instant) -> Option<Instant> {
        self.table().left.get_mut(who)?.wait(now)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn of(&mut self, who: &Who, now: Instant) -> &mut Allowance {
        if self.left.len() >= MOST && !self.left.contains_key(who) {
            self.forget(now);
        }
        self.left
            .entry(who.clone())
            .or_insert_with(|| who.allowance())
    }

    /// Forgets everybody to whom all is left, which changes nothing for them; and if that is not enough, the half
    /// that asked less.
    fn forget(&mut self, now: Instant) {
        self.left.retain(|_, allowance| allowance.spent(now) > 0.0);
        if self.left.len() < MOST {
            return;
        }
        let mut spent: Vec<f64> = self.left.values_mut().map(|left| left.spent(now)).collect();
        let (_, middle, _) = spent.select_nth_unstable_by(MOST / 2, f64::total_cmp);
        let middle = *middle;
        self.left
            .retain(|_, allowance| allowance.spent(now) > middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Who {
        Who::User(name.to_owned())
    }

    fn ask(rates: &Rates, who: &Who, now: Instant) -> Result<(), Duration> {
        rates.ask(who, REQUEST, now)
    }

    #[test]
    fn who_asks_too_often_is_told_how_long_to_wait_and_others_are_not() {
        let rates = Rates::default();
        // She is counted from her first request on.
        rates.spend(&user("alice"), 0, Instant::now());
        let now = Instant::now();
        for _ in 0..3_001 {
            ask(&rates, &user("alice"), now).unwrap();
        }
        let wait = ask(&rates, &user("alice"), now).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1));
        assert!(ask(&rates, &user("bob"), now).is_ok());
        assert!(ask(&rates, &user("alice"), now + wait).is_ok());
        let later = now + Duration::from_secs(1);
        let second = (0..1_000).filter(|_| ask(&rates, &user("alice"), later).is_ok());
        assert!((190..=201).contains(&second.count()));
    }

    #[test]
    fn what_is_charged_is_there_or_nothing_is_taken() {
        let rates = Rates::default();
        let (who, now) = (Who::Deeds("alice".to_owned()), Instant::now());
        rates.charge(&who, 90_000, now).unwrap();
        let wait = rates.charge(&who, 20_000, now).unwrap_err();
        assert!(wait.as_secs() >= 199, "{wait:?}");
        rates.charge(&who, 10_000, now).unwrap();
        rates.give_back(&who, 3_000);
        rates.charge(&who, 3_000, now).unwrap();
        assert!(rates.charge(&who, 1, now).is_err());
        rates.give_back(&who, 300_000);
        assert!(
            rates.charge(&who, 100_001, now).is_err(),
            "no more than at first"
        );
        rates.charge(&who, 100_000, now).unwrap();
        rates.give_back(&who, 0);
        assert!(rates.charge(&who, REQUEST, now).is_err());
        let later = now + Duration::from_secs(1);
        assert!(rates.charge(&who, REQUEST, later).is_ok());
    }

    #[test]
    fn who_is_refused_pays_nothing_for_it() {
        let rates = Rates::default();
        let now = Instant::now();
        for _ in 0..10_000 {
            let _ = ask(&rates, &user("alice"), now);
        }
        assert!(ask(&rates, &user("alice"), now + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn a_table_of_ever_more_addresses_has_a_bound_and_keeps_those_who_ask_most() {
        let rates = Rates::default();
        let now = Instant::now();
        let busy = user("busy");
        while ask(&rates, &busy, now).is_ok() {}
        for n in 0..10 * MOST as u32 {
            let who = Who::Network(std::net::Ipv4Addr::from_bits(n).into());
            ask(&rates, &who, now).unwrap();
        }
        assert!(rates.table().left.len() <= MOST);
        assert!(ask(&rates, &busy, now).is_err(), "it is still remembered");
        let later = now + Duration::from_secs(3_600);
        for n in 0..2 * MOST as u32 {
            let who = Who::Network(std::net::Ipv4Addr::from_bits(n).into());
            rates.spend(&who, REQUEST, later);
        }
        assert!(rates.table().left.len() <= MOST);
    }
}
