//! Whose turn it is to search. One search of a user runs at a time, so that nobody has to wait for what somebody else
//! looks for, unless very many do. Each has a processor in turn with all other long work; where nobody waits for one, it
//! may take a second.

use crate::dashboard::cpu_permits::{CpuPermit, CpuPermits};
use crate::dashboard::visits::{Visit, Visits};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many threads search at once.
const AT_ONCE: usize = 2;
/// How many searches of one user run at once.
const AT_ONCE_FOR_USER: usize = 1;
/// How many of one user run or wait to.
const MOST_FOR_USER: usize = 16;
/// How long a search waits for those before it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets few searches run at a time.
#[derive(Debug)]
pub(crate) struct Searches {
    threads: Threads,
    processors: CpuPermits,
    waiting: Visits,
    by_user: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// The threads that may search.
#[derive(Clone, Debug)]
struct Threads {
    all: Arc<Semaphore>,
    /// How many searches wait for one.
    missed: Arc<AtomicUsize>,
}

/// The right to search, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    threads: Threads,
    processors: CpuPermits,
    _of_all: OwnedSemaphorePermit,
    _of_user: OwnedSemaphorePermit,
    _visit: Visit,
}

/// The right to search with one more thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    threads: Threads,
    processors: CpuPermits,
    _of_all: OwnedSemaphorePermit,
}

impl Turn {
    /// Blocks until there is a processor for the search, which is to be given to those who wait now and then.
    pub(crate) fn processor(&self) -> CpuPermit {
        self.processors.blocking_acquire()
    }

    /// A second thread, where nobody else waits for one.
    pub(crate) fn helper(&self) -> Option<Helper> {
        let permit = Arc::clone(&self.threads.all).try_acquire_owned().ok()?;
        Some(Helper {
            threads: self.threads.clone(),
            processors: self.processors.clone(),
            _of_all: permit,
        })
    }
}

impl Helper {
    /// Whether a search waits for this thread, or anybody for a processor: it is to be given back then.
    pub(crate) fn is_missed(&self) -> bool {
        self.threads.missed.load(Ordering::Relaxed) > 0 || self.processors.has_waiters()
    }
}

impl Threads {
    /// Waits for one.
    async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        let _miss = Miss::begin(&self.missed);
        Arc::clone(&self.all).acquire_owned().await.ok()
    }
}

/// Counts one that waits, until it is dropped.
struct Miss<'a>(&'a AtomicUsize);

impl<'a> Miss<'a> {
    fn begin(missed: &'a AtomicUsize) -> Self {
        missed.fetch_add(1, Ordering::Relaxed);
        Self(missed)
    }
}

impl Drop for Miss<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Searches {
    /// Searches that share these processors with other work.
    pub(crate) fn new(processors: CpuPermits) -> Self {
        Self {
            threads: Threads {
                all: Arc::new(Semaphore::new(AT_ONCE)),
                missed: Arc::default(),
            },
            processors,
            waiting: Visits::at_most(MOST_FOR_USER),
            by_user: Mutex::default(),
        }
    }

    /// Waits for a turn; none where that takes too long, or too many of this user wait already.
    pub(crate) async fn turn(&self, user: &str) -> Option<Turn> {
        let visit = self.waiting.begin(user)?;
        let own = self.of_user(user);
        let turn = async {
            let of_user = own.acquire_owned().await.ok()?;
            let of_all = self.threads.acquire().await?;
            Some(Turn {
                threads: self.threads.clone(),
                processors: self.processors.clone(),
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

    fn searches() -> Searches {
        Searches::new(CpuPermits::new(1, Duration::from_secs(30)))
    }

    fn now(searches: &Searches, user: &str) -> Option<Option<Turn>> {
        searches.turn(user).now_or_never()
    }

    #[tokio::test]
    async fn a_user_has_one_turn_at_a_time_and_others_have_theirs_meanwhile() {
        let searches = searches();
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
    async fn a_second_thread_is_had_where_nobody_waits_and_is_missed_where_somebody_does() {
        let searches = searches();
        let alice = now(&searches, "alice").flatten().unwrap();
        let helper = alice.helper().unwrap();
        assert!(!helper.is_missed() && alice.helper().is_none());
        let mut bob = Box::pin(searches.turn("bob"));
        assert!(bob.as_mut().now_or_never().is_none() && helper.is_missed());
        drop(helper);
        assert!(bob.now_or_never().flatten().is_some());
        assert!(!alice.helper().unwrap().is_missed());
    }

    #[tokio::test]
    async fn of_one_user_few_wait_and_none_is_remembered_that_is_over() {
        let searches = searches();
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
