//! What comes from outside: signals, and the order to stop.

use super::Error;
use crate::spool::{self, RunDir, StopOrder};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

/// Signals and the folder of the run, as two descriptors to poll.
pub(super) struct Watch {
    signals: SignalFd,
    folder: Inotify,
    order_path: PathBuf,
    /// Whether there may be an order that was not read.
    ordered: bool,
}

impl Watch {
    /// From here on SIGTERM and SIGINT are orders to stop, and SIGHUP is nothing. Children start with all
    /// of them unblocked: the standard library empties their mask.
    pub(super) fn new(rundir: &RunDir) -> Result<Self, Error> {
        let mask: SigSet = [
            Signal::SIGCHLD,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
        ]
        .into_iter()
        .collect();
        mask.thread_block()
            .map_err(Error::system("block signals"))?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(Error::system("watch for signals"))?;
        let folder = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)
            .map_err(Error::system("make an inotify watch"))?;
        let written = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE;
        folder
            .add_watch(rundir.path(), written)
            .map_err(Error::system("watch the folder of the run"))?;
        Ok(Self {
            signals,
            folder,
            order_path: rundir.stop(),
            ordered: true,
        })
    }

    /// What becomes readable when something comes.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.signals.as_fd(), self.folder.as_fd()]
    }

    /// An order that came since the last call. A signal is one too, without force and without a name.
    pub(super) fn order(&mut self) -> Option<StopOrder> {
        let mut signalled = None;
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if [Signal::SIGTERM as u32, Signal::SIGINT as u32].contains(&signal.ssi_signo) {
                signalled = Some(StopOrder {
                    requested_by: None,
                    force: false,
                });
            }
        }
        while let Ok(events) = self.folder.read_events() {
            self.ordered |= events
                .iter()
                .any(|event| event.name.as_deref() == self.order_path.file_name());
        }
        if !std::mem::take(&mut self.ordered) {
            return signalled;
        }
        match spool::read_json(&self.order_path) {
            Ok(order) => order.or(signalled),
            Err(error) => {
                tracing::error!(path = %self.order_path.display(), %error, "an order to stop cannot be read");
                signalled
            }
        }
    }
}
