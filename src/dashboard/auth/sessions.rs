//! Who is signed in. A session is a random cookie of which only the hash is kept.

use super::token::{SecretHash, new_token};
use crate::dashboard::clock::ClockTrust;
use crate::dashboard::config::SessionLimits;
use crate::protocol::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The most there are at a time. Of whoever has most, the one unused for longest makes room.
const MOST: usize = 10_000;

/// A session, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The user.
    pub(crate) user: String,
    /// The hash of the password's hash and of the secret of the codes that let them in; with others it is over.
    pub(crate) password: SecretHash,
    /// When they signed in.
    pub(crate) created: Timestamp,
    /// Their last request.
    pub(crate) seen: Timestamp,
    /// Where they signed in from.
    #[serde(default)]
    pub(crate) address: Option<IpAddr>,
}

/// A session, for an admin to look at. The hash of its cookie names it, and opens nothing.
#[derive(Debug, Serialize)]
pub(crate) struct SessionView {
    id: SecretHash,
    user: String,
    created: Timestamp,
    seen: Timestamp,
    address: Option<IpAddr>,
    /// Whether it is that of whoever looks.
    current: bool,
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    limits: SessionLimits,
    /// A session that is over by a clock that is not believed opens nothing, and is kept.
    pub(crate) clock: Arc<ClockTrust>,
    held: Mutex<HashMap<SecretHash, Session>>,
    ends: watch::Sender<()>,
}

impl Sessions {
    /// None yet.
    pub(crate) fn new(limits: SessionLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// How long one lasts at most, in seconds.
    pub(super) fn lifetime(&self) -> u64 {
        self.limits.lifetime
    }

    /// Goes on with what was stored.
    pub(super) fn load(&self, stored: impl IntoIterator<Item = (SecretHash, Session)>) {
        self.lock().extend(stored);
    }

    /// Everything that lives, to store.
    pub(crate) fn all(&self, now: Timestamp) -> Vec<(SecretHash, Session)> {
        let mut held = self.lock();
        self.forget_ended(&mut held, now);
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
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(String, SecretHash), getrandom::Error> {
        let cookie = new_token()?;
        let mut held = self.lock();
        self.forget_ended(&mut held, now);
        if held.len() >= MOST {
            make_room(&mut held);
        }
        let session = Session {
            user: user.to_owned(),
            password,
            created: now,
            seen: now,
            address,
        };
        let id = SecretHash::of(&cookie);
        held.insert(id, session);
        Ok((cookie, id))
    }

    /// The living session of a cookie's hash; a `use_of_it` keeps it alive.
    pub(super) fn find(&self, id: SecretHash, now: Timestamp, use_of_it: bool) -> Option<Session> {
        let mut held = self.lock();
        let session = held.get_mut(&id)?;
        let is_believed = self.clock.is_believed();
        if !session.lives(self.limits, now) {
            if is_believed {
                held.remove(&id);
            }
            return None;
        }
        if is_believed {
            // One that began by a clock that was ahead does not last until that time comes.
            session.created = session.created.min(now);
            session.seen = session.seen.min(now);
            if use_of_it {
                session.seen = now;
            }
        }
        Some(session.clone())
    }

    /// Every living session, the latest first, for whoever is in by `own`.
    pub(crate) fn list(&self, now: Timestamp, own: Option<SecretHash>) -> Vec<SessionView> {
        let mut all = self.all(now);
        all.sort_by_key(|(_, session)| std::cmp::Reverse(session.created));
        let view = |(id, session): (SecretHash, Session)| SessionView {
            id,
            user: session.user,
            created: session.created,
            seen: session.seen,
            address: session.address,
            current: own == Some(id),
        };
        all.into_iter().map(view).collect()
    }

    /// Ends a session; gives whose it was.
    pub(crate) fn remove(&self, id: SecretHash) -> Option<String> {
        let session = self.lock().remove(&id)?;
        self.ends.send_replace(());
        Some(session.user)
    }

    /// Ends every session, or every one of a user; gives how many.
    pub(crate) fn remove_all(&self, user: Option<&str>) -> usize {
        let mut held = self.lock();
        let before = held.len();
        held.retain(|_, session| user.is_some_and(|user| session.user != user));
        let ended = before - held.len();
        drop(held);
        if ended > 0 {
            self.ends.send_replace(());
        }
        ended
    }

    /// Changes whenever a session was ended.
    pub(super) fn ends(&self) -> watch::Receiver<()> {
        self.ends.subscribe()
    }

    fn forget_ended(&self, held: &mut HashMap<SecretHash, Session>, now: Timestamp) {
        if self.clock.is_believed() {
            held.retain(|_, session| session.lives(self.limits, now));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SecretHash, Session>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends one session of the user who has most, so that nobody signs others out by signing in again and again.
fn make_room(held: &mut HashMap<SecretHash, Session>) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for session in held.values() {
        *counts.entry(&session.user).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or_default();
    let of_most = held
        .iter()
        .filter(|(_, one)| counts[one.user.as_str()] == most);
    let oldest = of_most.min_by_key(|(_, session)| session.seen);
    if let Some(id) = oldest.map(|(id, _)| *id) {
        held.remove(&id);
    }
}

impl Session {
    fn lives(&self, limits: SessionLimits, now: Timestamp) -> bool {
        let within = |since: Timestamp, seconds: u64| {
            let limit = i64::try_from(seconds).unwrap_or(i64::MAX);
            now.millis().saturating_sub(since.millis()) < limit.saturating_mul(1000)
        };
        within(self.seen, limits.idle) && within(self.created, limits.lifetime)
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
            .create("alice", SecretHash::of("p"), None, at(0))
            .unwrap();
        (sessions, id)
    }

    #[test]
    fn a_session_lives_while_it_is_used_and_at_most_seven_days() {
        let (sessions, id) = begun();
        for hour in (0..7 * 24).step_by(11) {
            assert_eq!(
                sessions.find(id, at(hour * HOUR), true).unwrap().user,
                "alice"
            );
        }
        assert!(sessions.find(id, at(7 * 24 * HOUR), true).is_none());
        let (sessions, id) = begun();
        assert!(sessions.find(id, at(12 * HOUR), true).is_none());
        assert!(sessions.all(at(0)).is_empty());
    }

    #[test]
    fn a_session_that_is_over_by_a_wrong_clock_opens_nothing_and_lives_when_it_is_right() {
        let (sessions, id) = begun();
        let now = at(400 * 24 * HOUR);
        sessions.clock.doubt_for_test(at(0));
        assert!(sessions.find(id, now, true).is_none());
        assert_eq!(sessions.all(now).len(), 1, "it is stored");
        sessions
            .create("bob", SecretHash::of("p"), None, now)
            .unwrap();
        assert!(sessions.find(id, at(HOUR), true).is_some());
    }

    #[test]
    fn a_session_that_began_by_a_clock_that_was_ahead_lasts_no_longer_than_others() {
        let sessions = Sessions::default();
        let (_, id) = sessions
            .create("alice", SecretHash::of("p"), None, at(400 * 24 * HOUR))
            .unwrap();
        assert!(sessions.find(id, at(0), false).is_some());
        assert!(sessions.find(id, at(12 * HOUR), false).is_none());
    }

    #[test]
    fn signing_out_ends_it_and_is_announced() {
        let (sessions, id) = begun();
        let mut ends = sessions.ends();
        sessions.remove(id);
        assert!(ends.has_changed().unwrap());
        assert!(sessions.find(id, at(1), true).is_none());
        ends.mark_unchanged();
        sessions.remove(id);
        assert!(!ends.has_changed().unwrap());
    }

    #[test]
    fn what_was_stored_goes_on_and_holds_no_cookie() {
        let (sessions, id) = begun();
        let after_restart = Sessions::default();
        after_restart.load(sessions.all(at(HOUR)));
        assert!(after_restart.find(id, at(HOUR), true).is_some());
        assert!(
            after_restart
                .find(SecretHash::of(&id.to_string()), at(HOUR), true)
                .is_none()
        );
    }

    #[test]
    fn of_whoever_has_most_sessions_the_one_unused_for_longest_makes_room() {
        let (sessions, of_alice) = begun();
        let begin = |n| {
            let begun = sessions.create("bob", SecretHash::of("p"), None, at(n));
            begun.unwrap().1
        };
        let most = i64::try_from(MOST).unwrap();
        let (first, second) = (begin(1), begin(2));
        let kept = sessions.get(second).unwrap();
        let more = (3..most).map(|n| (SecretHash::of(&n.to_string()), kept.clone()));
        sessions.load(more);
        assert_eq!(sessions.all(at(0)).len(), MOST);
        begin(most);
        assert_eq!(sessions.all(at(0)).len(), MOST);
        assert!(sessions.find(first, at(most), true).is_none());
        assert!(sessions.find(second, at(most), true).is_some());
        assert!(sessions.find(of_alice, at(most), true).is_some());
    }

    #[test]
    fn looking_at_a_session_does_not_keep_it_alive() {
        let (sessions, id) = begun();
        assert!(sessions.find(id, at(11 * HOUR), false).is_some());
        assert!(sessions.find(id, at(12 * HOUR), false).is_none());
    }

    #[test]
    fn all_sessions_of_one_or_of_everybody_can_be_ended() {
        let (sessions, alice) = begun();
        let (_, bob) = sessions
            .create("bob", SecretHash::of("p"), None, at(0))
            .unwrap();
        assert_eq!(sessions.remove_all(Some("alice")), 1);
        assert!(sessions.find(alice, at(1), true).is_none());
        assert!(sessions.find(bob, at(1), true).is_some());
        let ends = sessions.ends();
        assert_eq!(sessions.remove_all(None), 1);
        assert!(ends.has_changed().unwrap() && sessions.list(at(1), None).is_empty());
    }
}
