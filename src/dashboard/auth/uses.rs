//! When each token was last used, and by how many connections it is now: whoever replaces one sees whether the old
//! one is still needed. It is no state worth a write for each request, so it begins anew with the dashboard, and
//! says since when it counts.

use super::token::SecretHash;
use crate::protocol::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The uses of every token that opened something.
#[derive(Debug)]
pub(crate) struct Uses {
    since: Timestamp,
    held: Mutex<HashMap<SecretHash, Use>>,
}

/// How one token is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) last: Timestamp,
    pub(super) connections: usize,
}

impl Uses {
    pub(super) fn new(since: Timestamp) -> Self {
        let held = Mutex::default();
        Self { since, held }
    }

    /// Uses before this are not known.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// Somebody came in with this token.
    pub(super) fn used(&self, token: SecretHash, now: Timestamp) {
        self.change(token, now, |_| ());
    }

    /// Somebody stays with this token, until what this gives is dropped.
    pub(crate) fn connect(self: &Arc<Self>, token: SecretHash) -> Connected {
        self.change(token, Timestamp::now(), |found| found.connections += 1);
        let uses = Arc::clone(self);
        Connected { uses, token }
    }

    pub(super) fn of(&self, token: SecretHash) -> Option<Use> {
        self.lock().get(&token).copied()
    }

    fn change(&self, token: SecretHash, now: Timestamp, change: impl FnOnce(&mut Use)) {
        let mut held = self.lock();
        let found = held.entry(token).or_insert(Use {
            last: now,
            connections: 0,
        });
        found.last = found.last.max(now);
        change(found);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SecretHash, Use>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that a token opened.
#[derive(Debug)]
pub(crate) struct Connected {
    uses: Arc<Uses>,
    token: SecretHash,
}

impl Drop for Connected {
    fn drop(&mut self) {
        let leave = |found: &mut Use| found.connections = found.connections.saturating_sub(1);
        self.uses.change(self.token, Timestamp::now(), leave);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_connected_until_the_last_of_its_connections_ends() {
        let uses = Arc::new(Uses::new(Timestamp::from_millis(0)));
        let token = SecretHash::of("t");
        assert_eq!(uses.of(token), None);
        uses.used(token, Timestamp::from_millis(7));
        let last = Timestamp::from_millis(7);
        let connections = 0;
        assert_eq!(uses.of(token), Some(Use { last, connections }));
        let (old, new) = (uses.connect(token), uses.connect(token));
        drop(old);
        assert_eq!(uses.of(token).unwrap().connections, 1);
        drop(new);
        let after = uses.of(token).unwrap();
        assert!(after.connections == 0 && after.last > last);
        uses.used(token, last);
        assert_eq!(uses.of(token), Some(after), "the clock does not go back");
    }
}
