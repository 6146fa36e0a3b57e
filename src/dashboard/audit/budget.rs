//! How many refusals are worth a record: the first ones of everybody, then few, and the rest is counted. Their bytes
//! are bounded by how large the log may be: whoever is refused again and again takes a year to push older records out
//! of it.

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
    max_bytes: u64,
}

impl Budgets {
    /// For a log of so many bytes.
    pub(super) fn new(max_bytes: u64, now: Instant) -> Self {
        Self {
            strangers: Budget::new(STRANGERS, max_bytes, now),
            users: HashMap::new(),
            max_bytes,
        }
    }

    /// Takes one record of so many bytes from a budget and gives how many were left out since the one before; or none,
    /// and counts one more that is left out.
    pub(super) fn spend(&mut self, who: Refused<'_>, bytes: usize, now: Instant) -> Option<u64> {
        self.of(who, now).spend(bytes, now)
    }

    /// Counts one more that is left out.
    pub(super) fn leave_out(&mut self, who: Refused<'_>, now: Instant) {
        self.of(who, now).left_out += 1;
    }

    fn of(&mut self, who: Refused<'_>, now: Instant) -> &mut Budget {
        let name = match who {
            Refused::Strangers => return &mut self.strangers,
            Refused::User(name) => name,
        };
        if !self.users.contains_key(name) && self.users.len() >= MAX_USERS {
            self.users.retain(|_, budget| !budget.is_whole(now));
        }
        if !self.users.contains_key(name) && self.users.len() >= MAX_USERS {
            return &mut self.strangers;
        }
        let budget = self.users.entry(name.to_owned());
        budget.or_insert_with(|| Budget::new(USER, self.max_bytes, now))
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

/// The part of the log that refusals take at once,
const BYTES_AT_ONCE: u64 = 64;
/// and how long they take to fill all of it, in seconds: a year.
const YEAR_SECONDS: u64 = 365 * 24 * 3_600;

/// Counts down with each record, and up again with time.
#[derive(Debug)]
struct Budget {
    limits: Limits,
    left: u64,
    filled: Instant,
    bytes: Bytes,
    left_out: u64,
}

/// The same of the bytes of records.
#[derive(Debug)]
struct Bytes {
    /// How large the log may be.
    of_log: u64,
    left: u64,
    filled: Instant,
}

impl Bytes {
    fn new(of_log: u64, now: Instant) -> Self {
        Self {
            of_log,
            left: of_log / BYTES_AT_ONCE,
            filled: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs();
        let more = u128::from(passed) * u128::from(self.of_log) / u128::from(YEAR_SECONDS);
        if more > 0 {
            let more = u64::try_from(more).unwrap_or(u64::MAX);
            self.left = self
                .left
                .saturating_add(more)
                .min(self.of_log / BYTES_AT_ONCE);
            self.filled = now;
        }
    }

    fn is_whole(&self) -> bool {
        self.left == self.of_log / BYTES_AT_ONCE
    }
}

impl Budget {
    fn new(limits: Limits, max_bytes: u64, now: Instant) -> Self {
        Self {
            limits,
            left: limits.at_once,
            filled: now,
            bytes: Bytes::new(max_bytes, now),
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
        self.bytes.fill(now);
    }

    fn is_whole(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left == self.limits.at_once && self.bytes.is_whole() && self.left_out == 0
    }

    fn spend(&mut self, bytes: usize, now: Instant) -> Option<u64> {
        self.fill(now);
        let bytes_left = self.bytes.left.checked_sub(bytes as u64);
        let (Some(bytes_left), Some(left)) = (bytes_left, self.left.checked_sub(1)) else {
            self.left_out += 1;
            return None;
        };
        (self.left, self.bytes.left) = (left, bytes_left);
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
            let mut budgets = Budgets::new(1 << 30, now);
            let written = (0..10_000).filter(|_| budgets.spend(who, 300, now).is_some());
            assert_eq!(written.count() as u64, limits.at_once);
            let later = now + limits.each;
            assert_eq!(
                budgets.spend(who, 300, later),
                Some(10_000 - limits.at_once)
            );
            assert_eq!(budgets.spend(who, 300, later), None);
            assert_eq!(budgets.spend(who, 300, now + 3 * limits.each), Some(1));
            assert_eq!(budgets.spend(who, 300, now + 3 * limits.each), Some(0));
        }
    }

    #[test]
    fn refusals_take_a_year_to_fill_the_log_however_long_each_is() {
        let begin = Instant::now();
        let max_bytes = 1 << 30;
        let mut budgets = Budgets::new(max_bytes, begin);
        let (mut taken, mut left_out) = (0, 0);
        for second in 0..30 * 24 * 3_600 {
            let now = begin + Duration::from_secs(second);
            if let Some(count) = budgets.spend(Refused::Strangers, 2_200, now) {
                (taken, left_out) = (taken + 2_200, left_out + count);
            }
        }
        assert!(
            (max_bytes / 64..max_bytes / 9).contains(&taken),
            "{taken} bytes in 30 days"
        );
        let written = taken / 2_200;
        assert!(
            written + left_out > 29 * 24 * 3_600,
            "{left_out} of them counted"
        );
    }

    #[test]
    fn the_flood_of_one_leaves_the_others_their_records() {
        let now = Instant::now();
        let mut budgets = Budgets::new(1 << 30, now);
        for _ in 0..10_000 {
            budgets.spend(Refused::User("mallory"), 300, now);
        }
        assert_eq!(budgets.spend(Refused::User("alice"), 300, now), Some(0));
        assert_eq!(budgets.spend(Refused::Strangers, 300, now), Some(0));
    }

    #[test]
    fn memory_has_a_bound() {
        let now = Instant::now();
        let mut budgets = Budgets::new(1 << 30, now);
        for n in 0..2 * MAX_USERS {
            budgets.spend(Refused::User(&n.to_string()), 300, now);
        }
        assert_eq!(budgets.users.len(), MAX_USERS);
    }
}
