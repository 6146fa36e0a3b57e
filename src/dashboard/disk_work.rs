//! Reads and writes of files on the way of async tasks.
//!
//! What is in the page cache takes microseconds, less than to hand the other tasks of a thread to another one. Where
//! the disk is behind, no task may wait for it on a thread that others need: then the work blocks a thread of its own,
//! and few of them at a time, since each thread keeps memory for good.
//!
//! Nobody knows before that a disk hangs. So work is never on the last thread that others need: of several works that
//! come at once all but one thread may be held.

use super::shared_threads::SharedThreads;
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

    /// The threads that this may hold.
    pub(crate) fn threads(&self) -> &SharedThreads {
        &self.shared
    }

    /// Does work that is mostly done from memory: on this thread, unless the last one had to wait for the disk.
    pub(crate) async fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.shared.has_none() || self.is_slow.load(Ordering::Relaxed) {
            return self.block(work).await;
        }
        let Some(_held) = self.shared.hold(SLOW).await else {
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
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream as Peer;
    use std::sync::mpsc::sync_channel;
    use std::sync::{Arc, Mutex};
    use std::thread::{ThreadId, current, sleep};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    const SOON: Duration = Duration::from_secs(30);

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
                assert_eq!(heard.recv_timeout(SOON), Ok(turn), "{workers} threads");
            }
            drop(hang);
        }
    }

    /// A socket of the test, and its other end on the runtime this is called in.
    fn connected() -> (Peer, UnixStream) {
        let (ours, theirs) = Peer::pair().unwrap();
        ours.set_read_timeout(Some(SOON)).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, UnixStream::from_std(theirs).unwrap())
    }

    fn is_echoed(peer: &mut Peer) -> bool {
        peer.write_all(b".").unwrap();
        peer.read_exact(&mut [0]).is_ok()
    }

    /// On each of these runtimes every thread that may be held is, each by the one event that it took from the kernel.
    #[test]
    fn sockets_are_heard_while_the_thread_that_took_the_only_event_is_held() {
        for workers in [2, 2, 2, 3, 4] {
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.worker_threads(workers).enable_all().build();
            let runtime = runtime.unwrap();
            let _inside = runtime.enter();
            let shared = SharedThreads::of_runtime();
            shared.keep_runtime_awake().unwrap();
            let work = Arc::new(DiskWork::on(shared));
            let (mut echoed, mut echoes) = connected();
            runtime.spawn(async move {
                while let Ok(byte) = echoes.read_u8().await {
                    echoes.write_u8(byte).await.unwrap();
                }
            });
            let (hang, hung) = sync_channel::<()>(0);
            let hung = Arc::new(Mutex::new(hung));
            let (began, begins) = sync_channel(workers);
            let mut writers: Vec<Peer> = (0..workers)
                .map(|_| {
                    let (writer, mut lines) = connected();
                    let (work, hung, began) = (Arc::clone(&work), Arc::clone(&hung), began.clone());
                    runtime.spawn(async move {
                        lines.read_u8().await.unwrap();
                        let hang = || (began.send(()), hung.lock().unwrap().recv().ok());
                        let _ = work.run(hang).await;
                    });
                    writer
                })
                .collect();
            assert!(is_echoed(&mut echoed));
            for (n, writer) in writers.iter_mut().enumerate() {
                writer.write_all(b".").unwrap();
                begins.recv_timeout(SOON).unwrap();
                assert!(is_echoed(&mut echoed), "{n} of {workers} threads are held");
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
