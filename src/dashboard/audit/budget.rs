//! How many refusals are worth a record: the first ones of everybody, then few, and the rest is counted. Whoever is
//! refused again and again cannot fill the log, nor push older records out of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Most users whose budgets are remembered.
const MAX_USERS: usize = 10_000;

/// Who was refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused<'a> {
    /// All who have not shown who they are, together.
    Strangers,
    /// Somebody known.
    User(&'a str),
}

/// The budgets of all who may be refused.
#[derive(Debug)]
pub(super) struct Budgets {
    strangers: Budget,
    users: HashMap<String, Budget>,
}

impl Budgets {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            strangers: Budget::new(STRANGERS, now),
            users: HashMap::new(),
        }
    }

    /// Takes one record from a budget and gives how many were left out since the one before; or none, and counts
    /// one more that is left out.
    pub(super) fn spend(&mut self, who: Refused<'_>, now: Instant) -> Option<u64> {
        let name = match who {
            Refused::Strangers => return self.strangers.spend(now),
            Refused::User(name) => name,
        };
        if !self.users.contains_key(name) && self.users.len() >= MAX_USERS {
            self.users.retain(|_, budget| !budget.is_whole(now));
        }
        if !self.users.contains_key(name) && self.users.len() >= MAX_USERS {
            return self.strangers.spend(now);
        }
        let budget = self.users.entry(name.to_owned());
        budget.or_insert_with(|| Budget::new(USER, now)).spend(now)
    }
}

/// How large a budget is.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// So many records at once,
    at_once: u64,
    /// and one more each time that this has passed.
    each: Duration,
}

const STRANGERS: Limits = Limits {
    at_once: 600,
    each: Duration::from_secs(1),
};

const USER: Limits = Limits {
    at_once: 100,
    each: Duration::from_secs(10),
};

/// Counts down with each record, and up again with time.
#[derive(Debug)]
struct Budget {
    limits: Limits,
    left: u64,
    filled: Instant,
    left_out: u64,
}

impl Budget {
    fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            left: limits.at_once,
            filled: now,
            left_out: 0,
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        let more = passed.as_secs() / self.limits.each.as_secs();
        if more > 0 {
            self.left = self.left.saturating_add(more).min(self.limits.at_once);
            self.filled = now;
        }
    }

    fn is_whole(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left == self.limits.at_once
    }

    fn spend(&mut self, now: Instant) -> Option<u64> {
        self.fill(now);
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        for (who, limits) in [(Refused::Strangers, STRANGERS), (Refused::User("a"), USER)] {
            let now = Instant::now();
            let mut budgets = Budgets::new(now);
            let written = (0..10_000).filter(|_| budgets.spend(who, now).is_some());
            assert_eq!(written.count() as u64, limits.at_once);
            let later = now + limits.each;
            assert_eq!(budgets.spend(who, later), Some(10_000 - limits.at_once));
            assert_eq!(budgets.spend(who, later), None);
            assert_eq!(budgets.spend(who, now + 3 * limits.each), Some(1));
            assert_eq!(budgets.spend(who, now + 3 * limits.each), Some(0));
        }
    }

    #[test]
    fn the_flood_of_one_leaves_the_others_their_records() {
        let now = Instant::now();
        let mut budgets = Budgets::new(now);
        for _ in 0..10_000 {
            budgets.spend(Refused::User("mallory"), now);
        }
        assert_eq!(budgets.spend(Refused::User("alice"), now), Some(0));
        assert_eq!(budgets.spend(Refused::Strangers, now), Some(0));
    }

    #[test]
    fn memory_has_a_bound() {
        let now = Instant::now();
        let mut budgets = Budgets::new(now);
        for n in 0..2 * MAX_USERS {
            budgets.spend(Refused::User(&n.to_string()), now);
        }
        assert_eq!(budgets.users.len(), MAX_USERS);
    }
}
