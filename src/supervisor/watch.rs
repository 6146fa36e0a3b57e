//! What comes from outside: signals, and the order to stop.

use super::Error;
use crate::spool::{self, RunDir, StopOrder};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::Signal;
use signal_hook::low_level::pipe;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Signals and the folder of the run, as descriptors to poll.
///
/// Signals are handled and not blocked: a blocked one would stay so in the children, and SIGTERM not end them.
pub(super) struct Watch {
    /// SIGTERM and SIGINT.
    stops: UnixStream,
    /// SIGCHLD, and SIGHUP, which means nothing.
    others: UnixStream,
    folder: Inotify,
    order_path: PathBuf,
    /// Whether there may be an order that was not read.
    ordered: bool,
    /// Whether a file of the folder was written since the last question.
    changed: bool,
}

impl Watch {
    /// From here on SIGTERM and SIGINT are orders to stop, and SIGHUP is nothing.
    pub(super) fn new(rundir: &RunDir) -> Result<Self, Error> {
        let stops = bytes_of(&[Signal::SIGTERM, Signal::SIGINT])
            .map_err(Error::system("watch for signals"))?;
        let others = bytes_of(&[Signal::SIGCHLD, Signal::SIGHUP])
            .map_err(Error::system("watch for signals"))?;
        let folder = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)
            .map_err(Error::system("make an inotify watch"))?;
        let written = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE;
        folder
            .add_watch(rundir.path(), written)
            .map_err(Error::system("watch the folder of the run"))?;
        Ok(Self {
            stops,
            others,
            folder,
            order_path: rundir.stop(),
            ordered: true,
            changed: true,
        })
    }

    /// What becomes readable when something comes.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.stops.as_fd(), self.others.as_fd(), self.folder.as_fd()]
    }

    /// Whether a file of the folder was written since the last call.
    pub(super) fn changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Takes an order back that is not obeyed, so that no later supervisor obeys it. One with force that came in its
    /// place meanwhile stays, and is found by the next question.
    pub(super) fn refuse(&self) {
        let refused = self.order_path.with_extension("refused");
        // A signal left no file.
        if std::fs::rename(&self.order_path, &refused).is_err() {
            return;
        }
        let came_meanwhile = spool::read_json::<StopOrder>(&refused);
        let _ = match came_meanwhile {
            Ok(Some(order)) if order.force => std::fs::rename(&refused, &self.order_path),
            _ => std::fs::remove_file(&refused),
        };
    }

    /// An order that came since the last call. A signal is one too, without force and without a name.
    pub(super) fn order(&mut self) -> Option<StopOrder> {
        drained(&mut self.others);
        let signalled = drained(&mut self.stops).then_some(StopOrder {
            requested_by: None,
            force: false,
        });
        while let Ok(events) = self.folder.read_events() {
            self.changed = true;
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
                tracing::error!(path = %self.order_path.display(), %error, "a request to stop cannot be read");
                signalled
            }
        }
    }
}

/// A stream on which a byte comes with each of these signals.
fn bytes_of(signals: &[Signal]) -> io::Result<UnixStream> {
    let (bytes, handler) = UnixStream::pair()?;
    bytes.set_nonblocking(true)?;
    for signal in signals {
        pipe::register(*signal as i32, handler.try_clone()?)?;
    }
    Ok(bytes)
}

/// Reads all there is; `true` if there was something.
fn drained(bytes: &mut UnixStream) -> bool {
    let mut some = false;
    let mut buffer = [0; 64];
    while matches!(bytes.read(&mut buffer), Ok(1..)) {
        some = true;
    }
    some
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_is_refused_is_gone_but_not_one_with_force_that_has_taken_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2025-12-14T10-30-00-switch");
        std::fs::create_dir(&path).unwrap();
        let rundir = RunDir::at(&path).unwrap();
        let mut watch = Watch::new(&rundir).unwrap();
        let give = |force| {
            let order = StopOrder {
                requested_by: None,
                force,
            };
            spool::write_json(&rundir.stop(), &order).unwrap();
        };
        give(false);
        assert!(watch.order().is_some_and(|order| !order.force));
        watch.refuse();
        assert!(watch.order().is_none() && !rundir.stop().exists());
        give(false);
        assert!(watch.order().is_some());
        give(true);
        watch.refuse();
        assert!(watch.order().is_some_and(|order| order.force));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    }
}
