//! Reads and writes of files on the way of async tasks.
//!
//! What is in the page cache takes microseconds, less than to hand the other tasks of a thread to another one. Where
//! the disk is behind, no task may wait for it on a thread that others need: then the work blocks a thread of its own,
//! and few of them at a time, since each thread keeps memory for good.
//!
//! Nobody knows before that a disk hangs. So work is never on the last thread that others need: of several works that
//! come at once all but one thread may be held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::block_in_place;
use tokio::time::timeout;

/// Work that takes longer waits for the disk.
const SLOW: Duration = Duration::from_millis(10);
/// How many threads may wait for the disk; others wait for one of them.
const MAX_BLOCKED_THREADS: usize = 4;

/// The threads of the runtime that may be at work with files at the same time: all but one.
#[derive(Clone, Debug)]
pub(crate) struct SharedThreads {
    /// 0 where there is one thread alone, which others need.
    most: usize,
    free: Arc<Semaphore>,
}

impl SharedThreads {
    /// Of the runtime that this is called in. One that can move no task to another thread has its own.
    pub(crate) fn of_runtime() -> Self {
        let most = Handle::try_current().map_or(1, |runtime| match runtime.runtime_flavor() {
            RuntimeFlavor::CurrentThread => 1,
            _ => runtime.metrics().num_workers() - 1,
        });
        let free = Arc::new(Semaphore::new(most));
        Self { most, free }
    }

    /// A thread that may be held; `None` where all of them have been held for as long as a disk that hangs would.
    async fn hold(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(thread) = self.free.try_acquire() {
            return Some(thread);
        }
        timeout(SLOW, self.free.acquire()).await.ok()?.ok()
    }
}

/// Work of one kind: reads, or writes.
#[derive(Debug)]
pub(crate) struct DiskWork {
    is_slow: AtomicBool,
    shared: SharedThreads,
    threads: Semaphore,
}

impl DiskWork {
    pub(crate) fn on(shared: SharedThreads) -> Self {
        Self {
            is_slow: AtomicBool::new(false),
            shared,
            threads: Semaphore::new(MAX_BLOCKED_THREADS),
        }
    }

    /// Does work that is mostly done from memory: on this thread, unless the last one had to wait for the disk.
    pub(crate) async fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.shared.most == 0 || self.is_slow.load(Ordering::Relaxed) {
            return self.block(work).await;
        }
        let Some(_held) = self.shared.hold().await else {
            self.is_slow.store(true, Ordering::Relaxed);
            return self.block(work).await;
        };
        self.timed(work)
    }

    /// Does work that waits for the disk.
    pub(crate) async fn block<T>(&self, work: impl FnOnce() -> T) -> T {
        // It is never closed; without a permit the work is done all the same.
        let _thread = self.threads.acquire().await.ok();
        block_in_place(|| self.timed(work))
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        let is_slow = began.elapsed() > SLOW;
        self.is_slow.store(is_slow, Ordering::Relaxed);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::{Arc, Mutex};
    use std::thread::{ThreadId, current, sleep};

    #[tokio::test]
    async fn work_that_does_not_wait_stays_on_its_thread() {
        let work = DiskWork::on(SharedThreads::of_runtime());
        // On a runtime of one thread `block_in_place` panics.
        for _ in 0..100 {
            assert_eq!(work.run(|| current().id()).await, current().id());
        }
    }

    #[test]
    fn a_disk_that_hangs_never_holds_the_last_thread_that_others_need() {
        for workers in 1..=3 {
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.worker_threads(workers).enable_all().build();
            let runtime = runtime.unwrap();
            let _inside = runtime.enter();
            let work = Arc::new(DiskWork::on(SharedThreads::of_runtime()));
            let (hang, hung) = std::sync::mpsc::sync_channel::<()>(0);
            let hung = Arc::new(Mutex::new(hung));
            for _ in 0..8 {
                let (work, hung) = (Arc::clone(&work), Arc::clone(&hung));
                runtime.spawn(async move { work.run(|| hung.lock().unwrap().recv().ok()).await });
            }
            let (said, heard) = std::sync::mpsc::sync_channel(20);
            runtime.spawn(async move {
                for turn in 0..20 {
                    tokio::time::sleep(SLOW).await;
                    said.send(turn).unwrap();
                }
            });
            for turn in 0..20 {
                let soon = Duration::from_secs(30);
                assert_eq!(heard.recv_timeout(soon), Ok(turn), "{workers} threads");
            }
            drop(hang);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_slow_disk_holds_few_threads_and_the_others_go_on() {
        let work = Arc::new(DiskWork::on(SharedThreads::of_runtime()));
        work.block(|| sleep(2 * SLOW)).await;
        let busy: Arc<Mutex<(usize, usize)>> = Arc::default();
        let all: Vec<_> = (0..40)
            .map(|_| {
                let (work, busy) = (Arc::clone(&work), Arc::clone(&busy));
                tokio::spawn(async move {
                    work.block(|| {
                        let now = {
                            let mut busy = busy.lock().unwrap();
                            busy.0 += 1;
                            busy.1 = busy.1.max(busy.0);
                            busy.0
                        };
                        sleep(2 * SLOW);
                        busy.lock().unwrap().0 -= 1;
                        (now, current().id())
                    })
                    .await
                })
            })
            .collect();
        let mut threads: HashSet<ThreadId> = HashSet::new();
        for one in all {
            threads.insert(one.await.unwrap().1);
        }
        assert!(busy.lock().unwrap().1 <= MAX_BLOCKED_THREADS);
        assert!(!threads.is_empty());
        work.block(|| ()).await;
        assert!(!work.is_slow.load(Ordering::Relaxed), "it is fast again");
    }
}
