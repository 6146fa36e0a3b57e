//! Reads and writes of files on the way of async tasks.
//!
//! What is in the page cache takes microseconds, less than to hand the other tasks of a thread to another one. Where
//! the disk is behind, no task may wait for it on a thread that others need: then the work blocks a thread of its own,
//! and few of them at a time, since each thread keeps memory for good.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

/// Work that takes longer waits for the disk.
const SLOW: Duration = Duration::from_millis(10);
/// How many threads may wait for the disk; others wait for one of them.
const MAX_BLOCKED_THREADS: usize = 4;

/// Work of one kind: reads, or writes.
#[derive(Debug)]
pub(crate) struct DiskWork {
    is_slow: AtomicBool,
    threads: Semaphore,
}

impl Default for DiskWork {
    fn default() -> Self {
        Self {
            is_slow: AtomicBool::new(false),
            threads: Semaphore::new(MAX_BLOCKED_THREADS),
        }
    }
}

impl DiskWork {
    /// Does work that is mostly done from memory: on this thread, unless the last one had to wait for the disk.
    pub(crate) async fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.is_slow.load(Ordering::Relaxed) {
            return self.block(work).await;
        }
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
        let work = DiskWork::default();
        // On a runtime of one thread `block_in_place` panics.
        for _ in 0..100 {
            assert_eq!(work.run(|| current().id()).await, current().id());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_slow_disk_holds_few_threads_and_the_others_go_on() {
        let work = Arc::new(DiskWork::default());
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
