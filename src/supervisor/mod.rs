//! Runs one run, as its folder's spec says: starts the programs, reads what they print, writes the spool.
//!
//! A synchronous program of one thread around one `poll`: the two pipes of the child, signals, and the
//! folder of the run, into which the agent puts the order to stop. It never waits for the agent.

mod attend;
mod capture;
mod checkpoint;
mod checks;
mod child;
mod command;
mod ending;
mod execution;
mod failed_units;
mod failure;
mod fd_store;
mod gap;
mod hold;
mod interpreter;
mod journal;
mod lines;
mod memory;
mod outcome;
mod pace;
mod program;
mod programs;
mod quota;
mod recorder;
mod reserve;
mod settle;
mod standing;
mod streams;
mod tail;
mod tree;
mod unit_end;
mod waiter;
mod watch;

pub use settle::settle;
pub use unit_end::note_end;
pub use waiter::wait;

use crate::lifecycle;
use crate::proctree::ProcessId;
use crate::protocol::{Timestamp, shorten_name};
use crate::runlog::{Header, LogError, LogWriter, RunMeta};
use crate::spool::{self, RunDir, Spec, Supervisor};
use hold::Hold;
use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// What can keep a run from being run, or its result from being stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder's name is not the id of a run.
    #[error("{} is not the folder of a run: its name is not a run id", .0.display())]
    NoRunDir(PathBuf),
    /// There is no spec, or it cannot be read, or it is that of another run.
    #[error("{}: {source}; the agent writes it before it starts the supervisor", path.display())]
    Spec {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// Another supervisor runs it already.
    #[error("{} is being run by {}", rundir.display(), process(*.pid))]
    Running {
        /// The folder.
        rundir: PathBuf,
        /// The other one, where it has written that down.
        pid: Option<i32>,
    },
    /// A file of the folder cannot be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The spool cannot be made, or its footer not be written.
    #[error(transparent)]
    Spool(#[from] LogError),
    /// The system refused what the supervisor needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

fn process(pid: Option<i32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl Error {
    fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System {
            what,
            source: source.into(),
        }
    }
}

/// Runs the run of this folder to its end and writes its footer. A run that has one is left alone. One that was
/// begun and never ended goes on where systemd kept the pipes of its program; elsewhere it becomes `lost`, after
/// what is left of it was ended.
///
/// To be called on the only thread of a process of its own, because it adopts and reaps every descendant
/// and takes the signals of the process.
///
/// # Errors
/// When the run cannot begin, or its result cannot be stored; the failure of a step is a result.
pub fn run(rundir: &Path) -> Result<(), Error> {
    let rundir = RunDir::at(rundir).ok_or_else(|| Error::NoRunDir(rundir.to_owned()))?;
    let spec = read_spec(&rundir)?;
    let hold = Hold::take(&rundir)?;
    let child = hold.previous.and_then(|previous| previous.child);
    match settle::begun(&rundir)? {
        Some(writer) if writer.footer().is_some() => {
            // systemd takes a service that ends before it is ready for a failure, and starts it again, for ever.
            lifecycle::notify_ready("the run is over");
            // The one before may have been killed before it did that.
            writer.sync_handle().sync()?;
            spool::remove_captures(rundir.path());
            Ok(())
        }
        Some(writer) if fd_store::is_there() => execute(&rundir, &spec, Some(writer), child),
        None if child.is_none() && is_late(&spec) => {
            lifecycle::notify_ready("the command has expired");
            settle::too_late(&rundir, &spec)
        }
        // A program begins behind the header of its log.
        None if child.is_none() => execute(&rundir, &spec, None, None),
        _ => settle::settle_held(&rundir, &hold),
    }
}

/// Whether the supervisor was started so late that nobody expects the run to begin any more. The agent took it in time.
fn is_late(spec: &Spec) -> bool {
    let begin_by = spec.begin_by;
    begin_by.is_some_and(|begin_by| spool::is_past(begin_by, spool::START_GRACE))
}

fn read_spec(rundir: &RunDir) -> Result<Spec, Error> {
    let path = rundir.spec();
    let read = spool::read_json::<Spec>(&path).and_then(|spec| {
        let spec = spec.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        if spec.run_id == *rundir.run_id() {
            Ok(spec)
        } else {
            Err(io::Error::other(format!(
                "it is the spec of {}",
                spec.run_id
            )))
        }
    });
    read.map_err(|source| Error::Spec { path, source })
}

/// Writes down who runs the run.
fn claim(rundir: &RunDir, child: Option<ProcessId>) -> Result<(), Error> {
    let supervisor = ProcessId::own().ok_or(Error::System {
        what: "read /proc/self/stat",
        source: Errno::ENOENT.into(),
    })?;
    let path = rundir.supervisor();
    spool::write_json(&path, &Supervisor { supervisor, child })
        .map_err(|source| Error::File { path, source })
}

/// Has on disk who runs the run, and that it has a log.
fn sync(rundir: &RunDir) -> Result<(), Error> {
    for path in [rundir.supervisor().as_path(), rundir.path()] {
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}

fn execute(
    rundir: &RunDir,
    spec: &Spec,
    writer: Option<LogWriter>,
    child: Option<ProcessId>,
) -> Result<(), Error> {
    // Fails where this process leads a group already, which is as good.
    let _ = nix::unistd::setsid();
    nix::sys::prctl::set_child_subreaper(true).map_err(Error::system("adopt orphans"))?;
    let watch = watch::Watch::new(rundir)?;
    let claimed = claim(rundir, child);
    let writer = match writer {
        Some(writer) => {
            // On a full disk as well the program that goes on must be read.
            if let Err(error) = claimed {
                tracing::warn!(%error, "the supervisor of the run cannot be stored");
            }
            writer
        }
        None => {
            claimed?;
            let writer = create(rundir, spec)?;
            // After a loss of power nobody may take it for a run that did not begin.
            sync(rundir)?;
            writer
        }
    };
    lifecycle::notify_ready(&format!("running {}", spec.command));
    execution::execute(rundir, spec, watch, writer)
}

fn create(rundir: &RunDir, spec: &Spec) -> Result<LogWriter, LogError> {
    // A header that is too long could not be read again.
    let (mut nonce, mut requested_by) = (spec.nonce.clone(), spec.requested_by.clone());
    shorten_name(&mut nonce);
    shorten_name(&mut requested_by);
    let header = Header {
        command: spec.command.clone(),
        host_id: spec.host_id.clone(),
        meta: RunMeta {
            nonce,
            requested_by,
            queued: Some(spec.queued),
            started: Timestamp::now(),
            generation_before: spec.generation_before,
            number: 0,
            then: None,
            after: None,
        },
    };
    reserve::keep(rundir);
    LogWriter::create(rundir.path(), rundir.run_id(), &header)
}
