//! Who is signed in. A session is a random cookie of which only the hash is kept.

use super::token::{SecretHash, new_token};
use crate::protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A session without a request for so long is over: 12 hours, in milliseconds.
const IDLE_MS: i64 = 12 * 3600 * 1000;
/// And in any case after 7 days.
pub(super) const MAX_AGE_MS: i64 = 7 * 24 * 3600 * 1000;
/// The most there are at a time; the one unused for longest makes room.
const MOST: usize = 10_000;

/// A session, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The user.
    pub(crate) user: String,
    /// The hash of the password's hash that let them in; with another password it is over.
    pub(crate) password: SecretHash,
    /// When they signed in.
    pub(crate) created: Timestamp,
    /// Their last request, to the minute.
    pub(crate) seen: Timestamp,
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    held: Mutex<HashMap<SecretHash, Session>>,
    ends: watch::Sender<()>,
}

impl Sessions {
    /// Goes on with what was stored.
    pub(crate) fn load(&self, stored: impl IntoIterator<Item = (SecretHash, Session)>) {
        self.lock().extend(stored);
    }

    /// Everything that lives, to store.
    pub(crate) fn all(&self, now: Timestamp) -> Vec<(SecretHash, Session)> {
        let mut held = self.lock();
        held.retain(|_, session| session.lives(now));
        held.iter().map(|(id, held)| (*id, held.clone())).collect()
    }

    /// One of them, to store.
    pub(crate) fn get(&self, id: SecretHash) -> Option<Session> {
        self.lock().get(&id).cloned()
    }

    /// Begins a session and gives its cookie, which is kept nowhere, and its id.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub(super) fn create(
        &self,
        user: &str,
        password: SecretHash,
        now: Timestamp,
    ) -> Result<(String, SecretHash), getrandom::Error> {
        let cookie = new_token()?;
        let mut held = self.lock();
        held.retain(|_, session| session.lives(now));
        if held.len() >= MOST {
            let oldest = held.iter().min_by_key(|(_, session)| session.seen);
            if let Some(id) = oldest.map(|(id, _)| *id) {
                held.remove(&id);
            }
        }
        let session = Session {
            user: user.to_owned(),
            password,
            created: now,
            seen: now,
        };
        let id = SecretHash::of(&cookie);
        held.insert(id, session);
        Ok((cookie, id))
    }

    /// The living session of a cookie's hash; being looked for keeps it alive.
    pub(super) fn find(&self, id: SecretHash, now: Timestamp) -> Option<Session> {
        let mut held = self.lock();
        let session = held.get_mut(&id)?;
        if !session.lives(now) {
            held.remove(&id);
            return None;
        }
        session.seen = session.seen.max(now);
        Some(session.clone())
    }

    /// Ends a session.
    pub(super) fn remove(&self, id: SecretHash) {
        if self.lock().remove(&id).is_some() {
            self.ends.send_replace(());
        }
    }

    /// Changes whenever somebody signed out.
    pub(super) fn ends(&self) -> watch::Receiver<()> {
        self.ends.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SecretHash, Session>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn lives(&self, now: Timestamp) -> bool {
        now.millis() - self.seen.millis() < IDLE_MS
            && now.millis() - self.created.millis() < MAX_AGE_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600 * 1000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn begun() -> (Sessions, SecretHash) {
        let sessions = Sessions::default();
        let (_, id) = sessions
            .create("alice", SecretHash::of("p"), at(0))
            .unwrap();
        (sessions, id)
    }

    #[test]
    fn a_session_lives_while_it_is_used_and_at_most_seven_days() {
        let (sessions, id) = begun();
        for hour in (0..7 * 24).step_by(11) {
            assert_eq!(sessions.find(id, at(hour * HOUR)).unwrap().user, "alice");
        }
        assert!(sessions.find(id, at(7 * 24 * HOUR)).is_none());
        let (sessions, id) = begun();
        assert!(sessions.find(id, at(12 * HOUR)).is_none());
        assert!(sessions.all(at(0)).is_empty());
    }

    #[test]
    fn signing_out_ends_it_and_is_announced() {
        let (sessions, id) = begun();
        let mut ends = sessions.ends();
        sessions.remove(id);
        assert!(ends.has_changed().unwrap());
        assert!(sessions.find(id, at(1)).is_none());
        ends.mark_unchanged();
        sessions.remove(id);
        assert!(!ends.has_changed().unwrap());
    }

    #[test]
    fn what_was_stored_goes_on_and_holds_no_cookie() {
        let (sessions, id) = begun();
        let after_restart = Sessions::default();
        after_restart.load(sessions.all(at(HOUR)));
        assert!(after_restart.find(id, at(HOUR)).is_some());
        assert!(
            after_restart
                .find(SecretHash::of(&id.to_string()), at(HOUR))
                .is_none()
        );
    }

    #[test]
    fn the_session_unused_for_longest_makes_room() {
        let (sessions, first) = begun();
        for n in 1..=MOST as i64 {
            sessions.create("bob", SecretHash::of("p"), at(n)).unwrap();
        }
        assert_eq!(sessions.all(at(0)).len(), MOST);
        assert!(sessions.find(first, at(MOST as i64)).is_none());
    }
}
