//! Makes logs durable away from the path of the lines: one thread, at most every 200 ms, for all logs together.

mod barrier;

use super::health::{Health, Part};
use crate::runlog::{LogError, SyncHandle};
use barrier::Barrier;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const EVERY: Duration = Duration::from_millis(200);

/// A log whose durability somebody waits for. Progress is counted in marks, which its owner gives a meaning.
#[derive(Debug)]
pub(crate) struct Syncing {
    handle: SyncHandle,
    /// What it is in `/health`.
    part: Part,
    wanted: AtomicU64,
    done: AtomicU64,
    queued: AtomicBool,
    /// Whether it was made durable at least once, be it the header alone.
    synced: AtomicBool,
    /// The kernel tells of a failed write once, and takes what it could not write for written from then on: no later
    /// sync of this log means anything.
    failed: AtomicBool,
    /// Whether the next success ends the fault of an earlier handle of the same log.
    is_retry: AtomicBool,
    bell: Arc<Notify>,
}

impl Syncing {
    /// `bell` rings whenever more became durable, and when that failed.
    pub(crate) fn new(handle: SyncHandle, part: Part, bell: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            handle,
            part,
            wanted: AtomicU64::new(0),
            done: AtomicU64::new(0),
            queued: AtomicBool::new(false),
            synced: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            is_retry: AtomicBool::new(false),
            bell,
        })
    }

    /// The same for a log of which everything up to `mark` is on disk.
    pub(crate) fn durable_to(
        mark: u64,
        handle: SyncHandle,
        part: Part,
        bell: Arc<Notify>,
    ) -> Arc<Self> {
        let durable = Self::new(handle, part, bell);
        durable.wanted.store(mark, Ordering::Release);
        durable.done.store(mark, Ordering::Release);
        durable.synced.store(true, Ordering::Release);
        durable
    }

    /// The same log with nothing on disk: for marks that change their meaning.
    pub(crate) fn anew(&self) -> Arc<Self> {
        Self::new(
            self.handle.clone(),
            self.part.clone(),
            Arc::clone(&self.bell),
        )
    }

    /// The same for another handle, after a failure.
    pub(crate) fn of(&self, handle: SyncHandle) -> Arc<Self> {
        let again = Self::new(handle, self.part.clone(), Arc::clone(&self.bell));
        again.is_retry.store(true, Ordering::Release);
        again
    }

    /// What it is in `/health`.
    pub(crate) fn part(&self) -> &Part {
        &self.part
    }

    /// The highest mark that is on disk.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Whether everything that was asked for is on disk, and something was.
    pub(crate) fn is_settled(&self) -> bool {
        let is_queued = self.queued.load(Ordering::Acquire);
        let is_done = self.done() >= self.wanted.load(Ordering::Acquire);
        !is_queued && is_done && self.synced.load(Ordering::Acquire) && !self.has_failed()
    }

    /// What was written may not be where it should be: as after a sync that failed.
    pub(crate) fn give_up(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether what lies behind the highest mark must be written again, and then be followed anew.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

impl Syncing {
    /// Makes this log durable up to `mark`.
    fn sync(&self, mark: u64, health: &Health) {
        match self.handle.sync() {
            Ok(()) => self.is_durable(mark, health),
            Err(error) => self.fail(&error, health),
        }
    }

    /// Everything up to `mark` is on disk, if it is still in the file that has the log's name.
    fn is_durable(&self, mark: u64, health: &Health) {
        match self.handle.check_in_place() {
            Ok(()) => {
                self.done.fetch_max(mark, Ordering::AcqRel);
                self.synced.store(true, Ordering::Release);
                if self.is_retry.swap(false, Ordering::AcqRel) {
                    health.well(&self.part);
                }
                self.bell.notify_one();
            }
            Err(error) => self.fail(&error, health),
        }
    }

    fn fail(&self, error: &LogError, health: &Health) {
        health.fault(&self.part, &error.to_string());
        self.failed.store(true, Ordering::Release);
        self.bell.notify_one();
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
    /// Starts the thread, for the logs below this folder.
    pub(crate) fn start(logs: &Path, health: Arc<Health>) -> std::io::Result<Self> {
        let barrier = Barrier::of(logs);
        let way = if barrier.is_some() {
            "many logs are synced by one sync of their file system"
        } else {
            "each log is synced by itself: a sync of this file system does not report every failed write"
        };
        tracing::info!("{way}");
        let shared = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("syncer".into())
            .spawn(move || run(&theirs, barrier, &health))?;
        Ok(Self { shared })
    }

    /// Asks for everything written so far, which is `mark`; after [`finish`](Self::finish) in vain.
    pub(crate) fn want(&self, log: &Arc<Syncing>, mark: u64) {
        log.wanted.store(mark, Ordering::Release);
        if !log.queued.swap(true, Ordering::AcqRel) {
            let (queue, turn) = &*self.shared;
            let mut state = lock(queue);
            if !state.closed {
                state.dirty.push(Arc::clone(log));
                turn.notify_all();
            }
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

fn run((queue, turn): &(Mutex<Queue>, Condvar), mut barrier: Option<Barrier>, health: &Health) {
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
        sync_all(dirty, barrier.as_mut(), health);
        let state = lock(queue);
        let rest = EVERY.saturating_sub(began.elapsed());
        let waited = turn.wait_timeout_while(state, rest, |state| !state.closed);
        drop(waited);
    }
}

/// Makes logs durable, with one sync for all of them where there are many.
fn sync_all(dirty: Vec<Arc<Syncing>>, barrier: Option<&mut Barrier>, health: &Health) {
    // Cleared and read before the sync: what is written from now on asks again. A swap, because a plain store might
    // become visible only behind the load, and a mark set in between would be missed by both.
    let marked = dirty.into_iter().map(|log| {
        log.queued.swap(false, Ordering::AcqRel);
        let mark = log.wanted.load(Ordering::Acquire);
        (log, mark)
    });
    let mut marked: Vec<_> = marked.filter(|(log, _)| !log.has_failed()).collect();
    let Some(barrier) = barrier else {
        return marked
            .iter()
            .for_each(|(log, mark)| log.sync(*mark, health));
    };
    if barrier.is_worth_it(marked.len()) {
        let covered = |log: &Syncing| log.handle.device().is_ok_and(|on| barrier.covers(on));
        let (together, rest): (Vec<_>, Vec<_>) =
            marked.into_iter().partition(|(log, _)| covered(log));
        // Whose write failed is told by a sync of each.
        let is_synced = barrier.sync().is_ok();
        for (log, mark) in together {
            match is_synced {
                true => log.is_durable(mark, health),
                false => log.sync(mark, health),
            }
        }
        marked = rest;
    }
    let began = Instant::now();
    marked
        .iter()
        .for_each(|(log, mark)| log.sync(*mark, health));
    if !marked.is_empty() {
        barrier.synced_singly(marked.len(), began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::{host, run_id, switch};
    use crate::protocol::Timestamp;
    use crate::runlog::{Header, LogWriter};

    fn log(dir: &std::path::Path) -> LogWriter {
        let header = Header::started_at(host("h1"), switch(), Timestamp::from_millis(0));
        LogWriter::create(dir, &run_id("2025-12-14T10-30-00-switch"), &header).unwrap()
    }

    fn part() -> Part {
        Part::Log(host("h1"), run_id("2025-12-14T10-30-00-switch"))
    }

    #[tokio::test]
    async fn every_mark_is_reached_and_the_bell_rings() {
        let dir = tempfile::tempdir().unwrap();
        let syncer = Syncer::start(dir.path(), Arc::default()).unwrap();
        let bell = Arc::new(Notify::new());
        let log = Syncing::new(log(dir.path()).sync_handle(), part(), Arc::clone(&bell));
        let began = Instant::now();
        for mark in 1..4 {
            syncer.want(&log, mark);
            while log.done() < mark {
                bell.notified().await;
            }
        }
        assert!(began.elapsed() >= 2 * EVERY, "more often than every 200 ms");
        assert_eq!(log.anew().done(), 0);
    }

    #[tokio::test]
    async fn what_was_asked_for_is_done_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let syncer = Syncer::start(dir.path(), Arc::default()).unwrap();
        let log = Syncing::new(log(dir.path()).sync_handle(), part(), Arc::default());
        syncer.want(&log, 1);
        syncer.want(&log, 2);
        syncer.finish(Duration::from_secs(10));
        assert_eq!(log.done(), 2);
    }

    #[tokio::test]
    async fn behind_a_sync_that_failed_nothing_of_that_log_counts_as_durable() {
        let dir = tempfile::tempdir().unwrap();
        let health = Arc::new(Health::default());
        let syncer = Syncer::start(dir.path(), Arc::clone(&health)).unwrap();
        let bell = Arc::new(Notify::new());
        let mut writer = log(dir.path());
        let whole = writer.sync_handle();
        // What cannot be synced: a pipe.
        let (pipe, _writer) = std::io::pipe().unwrap();
        let pipe: std::os::fd::OwnedFd = pipe.into();
        writer.replace_log_file_for_test(pipe.into());
        let log = Syncing::new(writer.sync_handle(), part(), Arc::clone(&bell));
        syncer.want(&log, 1);
        bell.notified().await;
        assert!(log.has_failed() && health.reason().is_some());
        syncer.want(&log, 2);
        let other = Syncing::new(whole, part(), Arc::clone(&bell));
        syncer.want(&other, 1);
        while other.done() < 1 {
            bell.notified().await;
        }
        assert_eq!(log.done(), 0);
    }

    #[tokio::test]
    async fn many_logs_are_durable_together_and_one_whose_file_is_gone_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let health = Arc::new(Health::default());
        let logs: Vec<_> = (0..40)
            .map(|n| {
                let dir = dir.path().join(n.to_string());
                std::fs::create_dir(&dir).unwrap();
                Syncing::new(log(&dir).sync_handle(), part(), Arc::default())
            })
            .collect();
        std::fs::remove_dir_all(dir.path().join("7")).unwrap();
        let marked = |log: &Arc<Syncing>| log.wanted.store(1, Ordering::Release);
        logs.iter().for_each(marked);
        let mut barrier = Barrier::of(dir.path()).unwrap();
        sync_all(logs.clone(), Some(&mut barrier), &health);
        for (n, log) in logs.iter().enumerate() {
            assert_eq!((log.done(), log.has_failed()), (u64::from(n != 7), n == 7));
        }
        assert!(health.reason().unwrap().contains("/7/"));
    }
}
