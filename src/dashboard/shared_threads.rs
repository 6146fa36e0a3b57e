//! The threads of the runtime that work with files may hold, and the thread that keeps the others awake meanwhile.
//!
//! One thread of the runtime waits for sockets and timers in the kernel; the others sleep until they are told of a
//! second task. A thread that took a single event from the kernel and is then held by the disk leaves nobody who looks
//! for the next event: every socket is deaf until the disk is back, however many threads sleep. Tokio can hand the
//! kernel over before each task, as an unstable option alone (`Builder::enable_eager_driver_handoff`). Here a thread of
//! our own looks now and then: while work is held, it gives the runtime an empty task. That wakes a thread that sleeps,
//! which finds nothing else to do and waits for the kernel.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Time between two looks at whether work is held, and so about how long sockets may be deaf.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// After so many looks in a row that found nothing held, the thread sleeps until the next work.
const LOOKS_BEFORE_SLEEP: u32 = 20;

/// The threads of the runtime that may be at work with files at the same time: all but one.
#[derive(Clone, Debug)]
pub(crate) struct SharedThreads {
    /// 0 where there is one thread alone, which others need.
    most: usize,
    watched: Arc<Watched>,
}

/// What the thread that looks shares with the work.
#[derive(Debug)]
struct Watched {
    free: Semaphore,
    /// Whether the thread sleeps, and has to be woken by the next work.
    sleeps: AtomicBool,
    thread: OnceLock<Thread>,
}

impl SharedThreads {
    /// Of the runtime that this is called in. One that can move no task to another thread has its own.
    pub(crate) fn of_runtime() -> Self {
        let most = Handle::try_current().map_or(1, |runtime| match runtime.runtime_flavor() {
            RuntimeFlavor::CurrentThread => 1,
            _ => runtime.metrics().num_workers() - 1,
        });
        let watched = Watched {
            free: Semaphore::new(most),
            sleeps: AtomicBool::new(false),
            thread: OnceLock::new(),
        };
        let watched = Arc::new(watched);
        Self { most, watched }
    }

    /// Starts the thread that keeps this runtime awake while work is held. It ends with the last clone of this.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn keep_runtime_awake(&self) -> io::Result<()> {
        let runtime = Handle::current();
        // Where there is no second thread, all work is done on threads of its own.
        let has_others = runtime.runtime_flavor() != RuntimeFlavor::CurrentThread && self.most > 0;
        if !has_others || self.watched.thread.get().is_some() {
            return Ok(());
        }
        let (watched, most) = (Arc::downgrade(&self.watched), self.most);
        let thread = thread::Builder::new().name("disk-watch".to_owned());
        let thread = thread.spawn(move || watch(&watched, most, &runtime))?;
        // It is never set twice: there is one core, which is made by one task.
        let _ = self.watched.thread.set(thread.thread().clone());
        Ok(())
    }

    /// Whether no thread may ever be held.
    pub(crate) fn has_none(&self) -> bool {
        self.most == 0
    }

    /// A thread that may be held; `None` where all of them have been held for `patience`.
    pub(crate) async fn hold(&self, patience: Duration) -> Option<SemaphorePermit<'_>> {
        let free = &self.watched.free;
        let thread = match free.try_acquire() {
            Ok(thread) => thread,
            Err(_) => timeout(patience, free.acquire()).await.ok()?.ok()?,
        };
        self.watched.wake();
        Some(thread)
    }
}

impl Watched {
    /// Wakes the thread if it sleeps. Called when work was begun.
    fn wake(&self) {
        // Either this sees that the thread sleeps, or the thread sees that work was begun: see `watch`.
        fence(Ordering::SeqCst);
        if self.sleeps.load(Ordering::Relaxed) && self.sleeps.swap(false, Ordering::Relaxed) {
            self.thread.get().inspect(|thread| thread.unpark());
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.thread.get().inspect(|thread| thread.unpark());
    }
}

/// Looks for held work until nobody has [`SharedThreads`] any more.
fn watch(watched: &Weak<Watched>, most: usize, runtime: &Handle) {
    let mut idle_looks = 0;
    while let Some(now) = watched.upgrade() {
        if now.free.available_permits() < most {
            idle_looks = 0;
            // Where no thread sleeps this is nothing, and where the runtime has ended, too.
            runtime.spawn(async {});
        } else {
            idle_looks += 1;
        }
        let mut sleeps = idle_looks >= LOOKS_BEFORE_SLEEP;
        if sleeps {
            now.sleeps.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            // Without its thread here nobody could wake this one.
            let can_sleep = now.thread.get().is_some();
            sleeps = can_sleep && now.free.available_permits() == most;
            now.sleeps.fetch_and(sleeps, Ordering::Relaxed);
        }
        drop(now);
        if sleeps {
            thread::park();
            idle_looks = 0;
        }
        thread::park_timeout(LOOK_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const SOON: Duration = Duration::from_secs(30);

    fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < SOON, "{what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_thread_sleeps_while_nothing_is_held_and_is_awake_again_with_the_next_work() {
        let threads = SharedThreads::of_runtime();
        threads.keep_runtime_awake().unwrap();
        let sleeps = || threads.watched.sleeps.load(Ordering::Relaxed);
        for _ in 0..2 {
            wait_until("it sleeps", sleeps);
            let held = threads.hold(SOON).await.unwrap();
            wait_until("it is awake", || !sleeps());
            drop(held);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_thread_ends_with_the_last_work() {
        for waits_for_sleep in [false, true] {
            let threads = SharedThreads::of_runtime();
            let (weak, runtime) = (Arc::downgrade(&threads.watched), Handle::current());
            let thread = thread::spawn(move || watch(&weak, 1, &runtime));
            threads.watched.thread.set(thread.thread().clone()).unwrap();
            let sleeps = || threads.watched.sleeps.load(Ordering::Relaxed);
            wait_until("it sleeps", || !waits_for_sleep || sleeps());
            drop(threads);
            wait_until("it ends", || thread.is_finished());
        }
    }
}
