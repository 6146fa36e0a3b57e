//! Notices that something in the folder of a run changed.

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, sleep_until};

/// How often to look where the kernel has no watch left to give.
const POLL: Duration = Duration::from_millis(50);

/// The least time between two changes that are told, so that a child that prints without a pause does not
/// cost a look a line.
const QUIET: Duration = Duration::from_millis(2);

/// A watch on a folder.
#[derive(Debug)]
pub(super) struct Watch {
    told: Option<Instant>,
    /// `None`: look every now and then.
    inotify: Option<AsyncFd<Queue>>,
}

#[derive(Debug)]
struct Queue(Inotify);

impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watch {
    /// Watches `folder`. Needs a tokio runtime.
    pub(super) fn new(folder: &Path) -> Self {
        let inotify = match Self::watch(folder) {
            Ok(inotify) => Some(inotify),
            Err(error) => {
                tracing::warn!(
                    "cannot watch {} ({error}), so it is read every {} ms; raise fs.inotify.max_user_instances",
                    folder.display(),
                    POLL.as_millis()
                );
                None
            }
        };
        Self {
            told: None,
            inotify,
        }
    }

    #[expect(
        deprecated,
        reason = "its successor is unsafe; the descriptor lives exactly as long as the queue"
    )]
    fn watch(folder: &Path) -> io::Result<AsyncFd<Queue>> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let flags =
            AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(folder, flags)?;
        AsyncFd::new(Queue(inotify))
    }

    /// Returns after a change, at once if there was one since the last call and that is a moment ago. Safe
    /// to cancel.
    pub(super) async fn changed(&mut self) {
        if let Some(told) = self.told {
            sleep_until(told + QUIET).await;
        }
        self.wait().await;
        self.told = Some(Instant::now());
    }

    async fn wait(&self) {
        let Some(inotify) = &self.inotify else {
            return sleep(POLL).await;
        };
        match inotify.readable().await {
            Ok(mut ready) => {
                // What changed is seen from the files themselves; the queue is only emptied.
                while inotify.get_ref().0.read_events().is_ok() {}
                ready.clear_ready();
            }
            Err(_) => sleep(POLL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_line_that_is_appended_wakes_whoever_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(folder.path());
        assert!(
            timeout(Duration::from_millis(20), watch.changed())
                .await
                .is_err()
        );
        std::fs::write(folder.path().join("x"), "1").unwrap();
        timeout(Duration::from_secs(5), watch.changed())
            .await
            .unwrap();
        assert!(
            timeout(Duration::from_millis(20), watch.changed())
                .await
                .is_err()
        );
    }
}
