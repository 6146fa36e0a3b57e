//! Starts the supervisor of a run, and finds it and what it left behind. Nothing else starts it.

use crate::spool::RunDir;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// In the environment of everything a run starts: the folder of the run.
pub(super) const MARK: &str = "SWITCHYARD_RUN";

/// The process that supervises a run.
#[derive(Debug)]
pub(super) enum Supervisor {
    /// Started by this agent.
    Child(Box<Child>),
    /// Started by an agent before this one.
    Process {
        pid: i32,
        /// Ticks since boot, because a pid is used again.
        started: u64,
    },
    /// There is none.
    Gone,
}

impl Supervisor {
    /// Starts one as a process of its own that outlives this one; it makes itself the leader of a session.
    /// Needs a tokio runtime.
    pub(super) fn start(dir: &RunDir) -> io::Result<Self> {
        let errors = File::create(dir.path().join("supervisor.err"))?;
        let child = Command::new(std::env::current_exe()?)
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

    /// The supervisor of `dir` that an earlier agent started, if it is alive.
    pub(super) fn find(dir: &RunDir) -> Self {
        let is_it = |pid: i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0).skip(1);
            words.next() == Some(b"supervise")
                && words.next() == Some(dir.path().as_os_str().as_encoded_bytes())
        };
        let found = pids().into_iter().filter(|pid| is_it(*pid));
        let mut found = found.filter_map(|pid| Some((pid, started(pid)?)));
        found
            .next()
            .map_or(Self::Gone, |(pid, started)| Self::Process { pid, started })
    }

    /// Whether it still runs. One of our own that ended is reaped.
    pub(super) fn is_alive(&mut self) -> bool {
        match self {
            Self::Child(child) => matches!(child.try_wait(), Ok(None)),
            Self::Process { pid, started: then } => started(*pid) == Some(*then),
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

/// What the supervisor wrote to its standard error before it ended, if anything.
pub(super) fn last_words(dir: &RunDir) -> Option<String> {
    let text = fs::read(dir.path().join("supervisor.err")).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .map(str::to_owned)
}

/// Sends `signal` to every process that a run started and that is still there; how many there were.
pub(super) fn signal_leftovers(dir: &RunDir, signal: Signal) -> usize {
    let mark = [
        MARK.as_bytes(),
        b"=",
        dir.path().as_os_str().as_encoded_bytes(),
    ]
    .concat();
    let has_mark = |pid: &i32| is_marked(*pid, &mark);
    let left: Vec<i32> = pids().into_iter().filter(has_mark).collect();
    for pid in &left {
        match kill(Pid::from_raw(*pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!("cannot end process {pid} of {}: {error}", dir.run_id()),
        }
    }
    left.len()
}

fn is_marked(pid: i32, mark: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable == mark)
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir(Path::new("/proc"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// When a process was started, in ticks since boot; `None` where there is none, or only its remains.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RunId;

    fn dir(folder: &Path) -> RunDir {
        RunDir::new(folder, &RunId::new("2025-12-14T10-30-00-switch").unwrap())
    }

    #[test]
    fn what_a_run_left_behind_is_found_by_its_environment() {
        let folder = tempfile::tempdir().unwrap();
        let dir = dir(folder.path());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env(MARK, dir.path())
            .spawn()
            .unwrap();
        while signal_leftovers(&dir, Signal::SIGKILL) == 0 {
            std::thread::yield_now();
        }
        assert!(!child.wait().unwrap().success());
        assert_eq!(signal_leftovers(&dir, Signal::SIGKILL), 0);
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let me = i32::try_from(std::process::id()).unwrap();
        let started = started(me).unwrap();
        assert!(Supervisor::Process { pid: me, started }.is_alive());
        assert!(
            !Supervisor::Process {
                pid: me,
                started: started + 1
            }
            .is_alive()
        );
        let folder = tempfile::tempdir().unwrap();
        assert!(!Supervisor::find(&dir(folder.path())).is_alive());
    }
}
