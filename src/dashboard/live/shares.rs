//! What all pages and long requests of one user hold together. One user may have hundreds of them, so what each may hold
//! by itself bounds nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Semaphore;

/// Most long messages that a user's pages may have sent, or half sent, and not yet granted. Each may have 1 MiB, and as
/// much again once it is read.
const MAX_LONG_MESSAGES: usize = 4;
/// Most long frames that may be on their way to a user's pages; each has up to 1 MiB.
const MAX_LONG_FRAMES: usize = 32;
/// Most requests with a long body that a user may have under way. Each takes some MiB until it is answered.
const MAX_LONG_BODIES: usize = 2;
/// Most subscriptions of all pages of a user. Each takes some hundred bytes, and a kilobyte where its names are long.
pub(super) const MAX_SUBSCRIPTIONS: usize = 20_000;

/// The shares of all users.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<String, Weak<Share>>>);

impl Shares {
    /// The share of a user, for as long as somebody holds it.
    pub(crate) fn of(&self, user: &str) -> Arc<Share> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = all.get(user).and_then(Weak::upgrade) {
            return share;
        }
        all.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Share::default());
        all.insert(user.to_owned(), Arc::downgrade(&share));
        share
    }
}

/// What the pages and requests of one user have together.
#[derive(Debug)]
pub(crate) struct Share {
    pub(super) long_messages: Arc<Semaphore>,
    pub(super) long_frames: Arc<Semaphore>,
    pub(crate) long_bodies: Arc<Semaphore>,
    subscriptions: AtomicUsize,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            long_messages: Arc::new(Semaphore::new(MAX_LONG_MESSAGES)),
            long_frames: Arc::new(Semaphore::new(MAX_LONG_FRAMES)),
            long_bodies: Arc::new(Semaphore::new(MAX_LONG_BODIES)),
            subscriptions: AtomicUsize::new(0),
        }
    }
}

impl Share {
    /// Counts one more subscription until it is dropped; none where there are too many.
    pub(super) fn subscription(self: &Arc<Self>) -> Option<CountedSubscription> {
        let counted = CountedSubscription(Arc::clone(self));
        let before = self.subscriptions.fetch_add(1, Ordering::Relaxed);
        (before < MAX_SUBSCRIPTIONS).then_some(counted)
    }
}

/// One subscription in the count of its user.
#[derive(Debug)]
pub(super) struct CountedSubscription(Arc<Share>);

impl Drop for CountedSubscription {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_user_share_and_those_of_others_have_their_own() {
        let shares = Shares::default();
        let (alice, again, bob) = (shares.of("alice"), shares.of("alice"), shares.of("bob"));
        assert!(Arc::ptr_eq(&alice, &again) && !Arc::ptr_eq(&alice, &bob));
        drop((alice, again));
        let carol = shares.of("carol");
        assert_eq!(shares.0.lock().unwrap().len(), 2, "alice has no page");
        drop((bob, carol));
    }

    #[test]
    fn subscriptions_are_counted_until_they_are_gone() {
        let share = Arc::new(Share::default());
        let begin = |_| share.subscription();
        let mut all: Vec<_> = (0..MAX_SUBSCRIPTIONS).map_while(begin).collect();
        assert_eq!(all.len(), MAX_SUBSCRIPTIONS);
        assert!(share.subscription().is_none() && share.subscription().is_none());
        all.pop();
        assert!(share.subscription().is_some());
    }
}
