//! Starts the supervisor of a run, and finds the one that an earlier agent started. Nothing else starts it.

use crate::proctree::ProcessId;
use crate::spool::{self, RunDir};
use std::fs::{self, File};
use std::io;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// This very program, even where its file was replaced or removed since it began.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// The process that supervises a run.
#[derive(Debug)]
pub(super) enum Supervisor {
    /// Started by this agent.
    Child(Box<Child>),
    /// Started by an agent before this one.
    Process(ProcessId),
    /// There is none.
    Gone,
}

impl Supervisor {
    /// Starts one as a process that outlives this one: it makes itself the leader of a session. Needs a
    /// tokio runtime.
    pub(super) fn start(dir: &RunDir) -> io::Result<Self> {
        let errors = File::create(dir.path().join("supervisor.err"))?;
        let child = Command::new(OWN_PROGRAM)
            .arg0("switchyard")
            .arg("supervise")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(errors.try_clone()?)
            .stderr(errors)
            .current_dir("/")
            .kill_on_drop(false)
            .spawn()?;
        Ok(Self::Child(Box::new(child)))
    }

    /// The one that wrote itself down in `dir`.
    pub(super) fn find(dir: &RunDir) -> Self {
        processes(dir).map_or(Self::Gone, |found| Self::Process(found.supervisor))
    }

    /// Whether it still runs. One of our own that ended is reaped.
    pub(super) fn is_alive(&mut self) -> bool {
        match self {
            Self::Child(child) => matches!(child.try_wait(), Ok(None)),
            Self::Process(id) => id.is_alive(),
            Self::Gone => false,
        }
    }

    /// Ends one that does not do its work.
    pub(super) fn kill(&mut self) {
        if let Self::Child(child) = self
            && let Err(error) = child.start_kill()
        {
            tracing::warn!("cannot end a supervisor: {error}");
        }
    }
}

/// What the supervisor of `dir` wrote down of itself and its child.
pub(super) fn processes(dir: &RunDir) -> Option<spool::Supervisor> {
    spool::read_json(&dir.supervisor()).ok().flatten()
}

/// The last line that the supervisor wrote to its standard error, if any.
pub(super) fn last_words(dir: &RunDir) -> Option<String> {
    let text = fs::read(dir.path().join("supervisor.err")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().rev();
    lines
        .find(|line| !line.trim().is_empty())
        .map(str::to_owned)
}
