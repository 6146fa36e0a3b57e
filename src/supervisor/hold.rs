//! The right to run a run, or to settle it: one process has it at a time, for as long as it lives.
//!
//! It is a lock on the folder itself, because what a process writes down of itself comes too late: an agent may find
//! none of it, and start another supervisor, while the first is between its fork and its first line of code.

use super::Error;
use crate::proctree::ProcessId;
use crate::spool::{self, RunDir, Supervisor};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A supervisor that was killed while it started a program leaves the lock to that for a moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// The right, until it is dropped.
pub(super) struct Hold {
    /// `None` where the file system has no locks.
    _lock: Option<Flock<File>>,
    /// What the process before this one wrote down, if there was one.
    pub(super) previous: Option<Supervisor>,
}

impl Hold {
    /// # Errors
    /// When another process has it.
    pub(super) fn take(rundir: &RunDir) -> Result<Self, Error> {
        let begin = Instant::now();
        loop {
            // Whoever had the lock a moment ago has written by now.
            let attempt = lock(rundir)?;
            let previous = previous(rundir)?;
            if let Attempt::Done(lock) = attempt {
                return Ok(Self {
                    _lock: lock,
                    previous,
                });
            }
            if begin.elapsed() > PATIENCE {
                return Err(Error::Running {
                    rundir: rundir.path().to_owned(),
                    pid: None,
                });
            }
            sleep(PAUSE);
        }
    }
}

enum Attempt {
    /// With the lock, where there are locks.
    Done(Option<Flock<File>>),
    /// Another process has it.
    Taken,
}

fn lock(rundir: &RunDir) -> Result<Attempt, Error> {
    let folder = File::open(rundir.path()).map_err(|source| Error::File {
        path: rundir.path().to_owned(),
        source,
    })?;
    match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Attempt::Done(Some(lock))),
        Err((_, Errno::EWOULDBLOCK)) => Ok(Attempt::Taken),
        Err((_, error)) => {
            tracing::warn!(%error, "the folder of the run cannot be locked");
            Ok(Attempt::Done(None))
        }
    }
}

/// What the supervisor before this one wrote down, if there was one. There may be only one at a time.
fn previous(rundir: &RunDir) -> Result<Option<Supervisor>, Error> {
    let path = rundir.supervisor();
    let previous: Option<Supervisor> = match spool::read_json(&path) {
        // A loss of power emptied it: it is not synced. That of a living process is whole, as it is replaced whole.
        Err(error) if is_damaged(&error) => {
            tracing::warn!(path = %path.display(), %error, "the notes of the previous supervisor are damaged and ignored");
            None
        }
        read => read.map_err(|source| Error::File { path, source })?,
    };
    match previous.map(|p| p.supervisor) {
        Some(other) if other.is_alive() && Some(other) != ProcessId::own() => Err(Error::Running {
            rundir: rundir.path().to_owned(),
            pid: Some(other.pid),
        }),
        _ => Ok(previous),
    }
}

/// Whether a file can be read and holds something else than what was written.
fn is_damaged(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
