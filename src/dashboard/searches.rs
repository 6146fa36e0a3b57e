//! Whose turn it is to search: each search takes a core. One of a user runs at a time, so that nobody has to wait for
//! what somebody else looks for, unless very many do.

use super::visits::{Visit, Visits};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many searches run at once,
const AT_ONCE: usize = 2;
/// and how many of one user.
const AT_ONCE_FOR_USER: usize = 1;
/// How many of one user run or wait to.
const MOST_FOR_USER: usize = 16;
/// How long a search waits for those before it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets few searches run at a time.
#[derive(Debug)]
pub(crate) struct Searches {
    all: Arc<Semaphore>,
    waiting: Visits,
    by_user: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// The right to search, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_user: OwnedSemaphorePermit,
    _visit: Visit,
}

impl Default for Searches {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Visits::at_most(MOST_FOR_USER),
            by_user: Mutex::default(),
        }
    }
}

impl Searches {
    /// Waits for a turn; none where that takes too long, or too many of this user wait already.
    pub(crate) async fn turn(&self, user: &str) -> Option<Turn> {
        let visit = self.waiting.begin(user)?;
        let own = self.of_user(user);
        let turn = async {
            let of_user = own.acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(Turn {
                _of_all: of_all,
                _of_user: of_user,
                _visit: visit,
            })
        };
        timeout(PATIENCE, turn).await.ok().flatten()
    }

    fn of_user(&self, user: &str) -> Arc<Semaphore> {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = by_user.get(user).and_then(Weak::upgrade) {
            return own;
        }
        by_user.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(AT_ONCE_FOR_USER));
        by_user.insert(user.to_owned(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn now(searches: &Searches, user: &str) -> Option<Option<Turn>> {
        searches.turn(user).now_or_never()
    }

    #[tokio::test]
    async fn a_user_has_one_turn_at_a_time_and_others_have_theirs_meanwhile() {
        let searches = Searches::default();
        let alice = now(&searches, "alice").flatten();
        assert!(alice.is_some() && now(&searches, "alice").is_none());
        let bob = now(&searches, "bob").flatten();
        assert!(bob.is_some() && now(&searches, "carol").is_none());
        drop(bob);
        assert!(now(&searches, "carol").flatten().is_some());
        drop(alice);
        assert!(now(&searches, "alice").flatten().is_some());
    }

    #[tokio::test]
    async fn of_one_user_few_wait_and_none_is_remembered_that_is_over() {
        let searches = Searches::default();
        let turn = now(&searches, "alice").flatten();
        let mut waiting: Vec<_> = (1..MOST_FOR_USER)
            .map(|_| Box::pin(searches.turn("alice")))
            .collect();
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none());
        }
        assert!(matches!(now(&searches, "alice"), Some(None)), "too many");
        drop((turn, waiting));
        assert!(now(&searches, "bob").flatten().is_some());
        assert!(now(&searches, "alice").flatten().is_some());
        assert_eq!(searches.by_user.lock().unwrap().len(), 1);
    }
}
