//! Makes logs durable away from the path of the lines: one thread, at most every 200 ms.

use super::health::Health;
use crate::runlog::SyncHandle;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const EVERY: Duration = Duration::from_millis(200);

/// A log whose durability somebody waits for. Progress is counted in marks, which its owner gives a meaning.
#[derive(Debug)]
pub(crate) struct Syncing {
    handle: SyncHandle,
    wanted: AtomicU64,
    done: AtomicU64,
    queued: AtomicBool,
    bell: Arc<Notify>,
}

impl Syncing {
    /// `bell` rings whenever more became durable.
    pub(crate) fn new(handle: SyncHandle, bell: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            handle,
            wanted: AtomicU64::new(0),
            done: AtomicU64::new(0),
            queued: AtomicBool::new(false),
            bell,
        })
    }

    /// The same log with nothing on disk: for marks that change their meaning.
    pub(crate) fn anew(&self) -> Arc<Self> {
        Self::new(self.handle.clone(), Arc::clone(&self.bell))
    }

    /// The highest mark that is on disk.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }
}

#[derive(Debug, Default)]
struct Queue {
    dirty: Vec<Arc<Syncing>>,
    busy: bool,
    closed: bool,
}

/// The handle to the thread. A log stands in its queue once, so the queue is no longer than there are open logs.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<(Mutex<Queue>, Condvar)>,
}

impl Syncer {
    /// Starts the thread.
    pub(crate) fn start(health: Arc<Health>) -> std::io::Result<Self> {
        let shared = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("syncer".into())
            .spawn(move || run(&theirs, &health))?;
        Ok(Self { shared })
    }

    /// Asks for everything written so far, which is `mark`.
    pub(crate) fn want(&self, log: &Arc<Syncing>, mark: u64) {
        log.wanted.store(mark, Ordering::Release);
        if !log.queued.swap(true, Ordering::AcqRel) {
            let (queue, turn) = &*self.shared;
            lock(queue).dirty.push(Arc::clone(log));
            turn.notify_all();
        }
    }

    /// Returns when nothing is left to do, or after `limit`; then ends the thread.
    pub(crate) fn finish(&self, limit: Duration) {
        let (queue, turn) = &*self.shared;
        let mut state = lock(queue);
        state.closed = true;
        turn.notify_all();
        let idle =
            turn.wait_timeout_while(state, limit, |state| state.busy || !state.dirty.is_empty());
        drop(idle);
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run((queue, turn): &(Mutex<Queue>, Condvar), health: &Health) {
    loop {
        let mut state = lock(queue);
        state.busy = false;
        turn.notify_all();
        while state.dirty.is_empty() {
            if state.closed {
                return;
            }
            state = turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.busy = true;
        let dirty = std::mem::take(&mut state.dirty);
        drop(state);
        let began = Instant::now();
        for log in dirty {
            // Cleared first: what is written from now on asks again. A swap, because a plain store might
            // become visible only behind the load below, and a mark set in between would be missed by both.
            log.queued.swap(false, Ordering::AcqRel);
            let mark = log.wanted.load(Ordering::Acquire);
            match log.handle.sync() {
                Ok(()) => {
                    log.done.fetch_max(mark, Ordering::AcqRel);
                    log.bell.notify_one();
                }
                Err(error) => {
                    health.fault(error.to_string());
                    let mut state = lock(queue);
                    if !state.closed && !log.queued.swap(true, Ordering::AcqRel) {
                        state.dirty.push(log);
                    }
                }
            }
        }
        let state = lock(queue);
        let rest = EVERY.saturating_sub(began.elapsed());
        let waited = turn.wait_timeout_while(state, rest, |state| !state.closed);
        drop(waited);
    }
}
