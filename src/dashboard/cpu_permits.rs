//! Permits to use a processor for longer than a task may: for searches and for requests for many hosts. All processors
//! but one may have such work, and one where there is only one, however many ask for it: the lines of runs go on beside
//! it. Without a permit there are a search's second thread, which works only while nobody waits for a permit, and the few
//! passwords that are checked at a time, so that nobody has to wait for searches to sign in.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a permit is kept before it is given to whoever waits for it, as soon as the work can be interrupted.
const SLICE: Duration = Duration::from_millis(10);
/// Longest wait of a request for a permit. A search that the disk holds up keeps its permit for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

static OF_MACHINE: LazyLock<CpuPermits> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, NonZero::get);
    CpuPermits::new(count_for(processors), LONGEST_WAIT)
});

/// The permits. Whoever asks first gets the first one.
#[derive(Clone, Debug)]
pub(crate) struct CpuPermits {
    free: Arc<Semaphore>,
    longest_wait: Duration,
    waits: Arc<Waits>,
}

/// What is known of those who wait.
#[derive(Debug, Default)]
struct Waits {
    count: AtomicUsize,
    /// Whether somebody waited in vain, and no owner of a permit gave a sign of life since. Nobody waits until one does.
    are_vain: AtomicBool,
}

/// Counts one who waits, until it is dropped.
struct Wait<'a>(&'a AtomicUsize);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A permit, until it is dropped.
#[derive(Debug)]
pub(crate) struct CpuPermit {
    of: CpuPermits,
    since: Instant,
    /// None where the wait for it was in vain; its owner works all the same.
    permit: Option<OwnedSemaphorePermit>,
}

impl CpuPermits {
    /// Those of this machine, which all of the program shares.
    pub(crate) fn of_machine() -> Self {
        OF_MACHINE.clone()
    }

    /// So many permits, each of which a request waits for at most so long.
    pub(crate) fn new(count: usize, longest_wait: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            longest_wait,
            waits: Arc::default(),
        }
    }

    /// Whether somebody waits for one.
    pub(crate) fn has_waiters(&self) -> bool {
        self.waits.count.load(Ordering::Relaxed) > 0
    }

    /// Waits for a permit.
    pub(crate) async fn acquire(&self) -> CpuPermit {
        if let Some(permit) = self.without_wait() {
            return permit;
        }
        let _wait = self.wait();
        match timeout(self.longest_wait, Arc::clone(&self.free).acquire_owned()).await {
            // Nobody closes the semaphore.
            Ok(permit) => self.permit(permit.ok()),
            Err(_) => {
                self.waits.are_vain.store(true, Ordering::Relaxed);
                self.permit(None)
            }
        }
    }

    /// Blocks this thread of `spawn_blocking` until there is a permit.
    pub(crate) fn blocking_acquire(&self) -> CpuPermit {
        self.without_wait().unwrap_or_else(|| {
            let _wait = self.wait();
            // Without a timer, which panics while the runtime ends.
            let permit = Handle::current().block_on(Arc::clone(&self.free).acquire_owned());
            self.permit(permit.ok())
        })
    }

    /// A permit where nobody need wait for it.
    fn without_wait(&self) -> Option<CpuPermit> {
        match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => Some(self.permit(Some(permit))),
            Err(_) => {
                let are_vain = self.waits.are_vain.load(Ordering::Relaxed);
                are_vain.then(|| self.permit(None))
            }
        }
    }

    fn wait(&self) -> Wait<'_> {
        self.waits.count.fetch_add(1, Ordering::Relaxed);
        Wait(&self.waits.count)
    }

    fn permit(&self, permit: Option<OwnedSemaphorePermit>) -> CpuPermit {
        CpuPermit {
            of: self.clone(),
            since: Instant::now(),
            permit,
        }
    }
}

impl CpuPermit {
    /// Gives the permit to whoever waits for it and waits for the next one, where it was kept for long enough. For
    /// threads of `spawn_blocking`.
    pub(crate) fn yield_to_waiters(&mut self) {
        if self.since.elapsed() < SLICE {
            return;
        }
        if self.permit.is_some() {
            // Whoever has it goes on.
            self.of.waits.are_vain.store(false, Ordering::Relaxed);
        }
        if self.permit.is_none() || self.of.has_waiters() {
            self.give_back();
            *self = self.of.blocking_acquire();
        }
    }

    fn give_back(&mut self) {
        if self.permit.take().is_some() {
            self.of.waits.are_vain.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for CpuPermit {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// How many permits there are on a machine with so many processors.
fn count_for(processors: usize) -> usize {
    processors.saturating_sub(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::thread;
    use tokio::task::{spawn_blocking, yield_now};

    const SOON: Duration = Duration::from_secs(30);

    async fn until_waiting(permits: &CpuPermits, count: usize) {
        let waiting = async {
            while permits.waits.count.load(Ordering::Relaxed) < count {
                yield_now().await;
            }
        };
        timeout(SOON, waiting).await.unwrap();
    }

    #[test]
    fn one_processor_is_left_where_there_is_more_than_one() {
        let counts = [1, 2, 3, 4, 64].map(count_for);
        assert_eq!(counts, [1, 1, 2, 3, 63]);
    }

    #[tokio::test]
    async fn whoever_asks_first_has_the_first_permit() {
        let permits = CpuPermits::new(1, SOON);
        let permit = permits.acquire().now_or_never();
        assert!(permit.is_some() && !permits.has_waiters());
        let (mut first, mut second) = (Box::pin(permits.acquire()), Box::pin(permits.acquire()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(permit);
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.now_or_never().is_some());
        assert!(second.now_or_never().is_some());
        assert!(!permits.has_waiters());
    }

    #[tokio::test]
    async fn a_permit_that_was_kept_long_enough_goes_to_who_waits_and_comes_back_behind_them() {
        let permits = CpuPermits::new(1, SOON);
        let mut permit = permits.acquire().await;
        let mut other = Box::pin(permits.acquire());
        assert!(other.as_mut().now_or_never().is_none());
        let thread = spawn_blocking(move || {
            while permit.since.elapsed() < SLICE {
                thread::yield_now();
            }
            permit.yield_to_waiters();
            permit.permit.is_some()
        });
        let other = other.await;
        until_waiting(&permits, 1).await;
        drop(other);
        assert!(thread.await.unwrap());
    }

    #[tokio::test]
    async fn after_a_wait_in_vain_nobody_waits_until_a_permit_comes_back() {
        let permits = CpuPermits::new(1, Duration::from_millis(1));
        let first = permits.acquire().await;
        let in_vain = permits.acquire().await;
        assert!(first.permit.is_some() && in_vain.permit.is_none());
        let at_once = permits.acquire().now_or_never().unwrap();
        assert!(at_once.permit.is_none() && permits.blocking_acquire().permit.is_none());
        drop((in_vain, at_once, first));
        let permit = permits.acquire().now_or_never().unwrap();
        assert!(permit.permit.is_some());
        assert!(permits.acquire().now_or_never().is_none(), "it waits again");
    }

    #[tokio::test]
    async fn whoever_has_a_permit_and_goes_on_is_waited_for_again() {
        let permits = CpuPermits::new(1, Duration::from_millis(1));
        let mut first = permits.acquire().await;
        assert!(permits.acquire().await.permit.is_none());
        while first.since.elapsed() < SLICE {
            thread::yield_now();
        }
        first.yield_to_waiters();
        assert!(first.permit.is_some());
        assert!(permits.acquire().now_or_never().is_none());
    }
}
