//! Starts the supervisor of a run, and finds the one that an earlier agent started. Nothing else starts it.
//!
//! Under systemd each run is a transient service of its own, which nothing that happens to the agent's service
//! reaches; elsewhere the supervisor is the leader of a session.

mod systemd_run;
mod unit;

use super::Error;
use super::config::SupervisorKind;
use crate::proctree::{self, ProcessId};
use crate::spool::{self, RunDir};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};
use unit::{State, Unit};
pub(super) use unit::{systemctl, warn_of_strangers};

/// This very program, even where its file was replaced or removed since it began.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// How supervisors are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Launcher {
    /// As transient services.
    Systemd,
    /// As processes.
    Process,
}

impl Launcher {
    /// What the configuration means here.
    pub(super) fn new(kind: SupervisorKind) -> Result<Self, Error> {
        let offered = Path::new("/run/systemd/system").is_dir();
        Self::choose(kind, offered, is_service())
    }

    fn choose(kind: SupervisorKind, offered: bool, is_service: bool) -> Result<Self, Error> {
        match kind {
            SupervisorKind::Auto if offered && is_service => Ok(Self::Systemd),
            SupervisorKind::Systemd if !offered => Err(Error::NoSystemd),
            SupervisorKind::Systemd => Ok(Self::Systemd),
            SupervisorKind::Process if is_service => Err(Error::ProcessInService),
            SupervisorKind::Auto | SupervisorKind::Process => Ok(Self::Process),
        }
    }

    /// Starts one that outlives this process; where that fails, why is noted for the run's result. Needs a tokio
    /// runtime.
    pub(super) fn start(self, dir: &RunDir) -> Supervisor {
        self.try_start(dir).unwrap_or_else(|error| {
            tracing::error!(run = %dir.run_id(), "cannot start the supervisor of this run: {error}");
            // What cannot be noted was logged.
            let _ = fs::write(dir.last_words(), error.to_string());
            Supervisor::Gone
        })
    }

    fn try_start(self, dir: &RunDir) -> io::Result<Supervisor> {
        let errors = File::create(dir.last_words())?;
        match self {
            Self::Systemd => Ok(Supervisor::Unit(Box::new(Unit::start(dir, errors)?))),
            Self::Process => {
                let child = own("supervise")
                    .arg(dir.path())
                    .stdout(errors.try_clone()?)
                    .stderr(errors)
                    .spawn()?;
                Ok(Supervisor::Child(Box::new(child)))
            }
        }
    }

    /// The same for a run that an earlier agent took and may have started in its last moment. systemd itself
    /// starts no unit twice.
    pub(super) fn start_unless_started(self, dir: &RunDir) -> Supervisor {
        let started = match self {
            Self::Systemd => None,
            Self::Process => proctree::supervising(dir.path()),
        };
        started.map_or_else(|| self.start(dir), Supervisor::Process)
    }

    /// Starts the program that ends the run of a supervisor that is gone for good. Of a run that has not begun
    /// no process can be left, so that one ends even where systemd starts nothing.
    pub(super) fn settle(self, dir: &RunDir, has_begun: bool) -> io::Result<Child> {
        if self == Self::Systemd && has_begun {
            unit::settle(dir)
        } else {
            own("supervise").arg("--settle").arg(dir.path()).spawn()
        }
    }

    /// The one that an earlier agent started for `dir`, alive or not.
    pub(super) fn find(self, dir: &RunDir) -> Supervisor {
        match self {
            Self::Systemd => Supervisor::Unit(Box::new(Unit::of(dir))),
            Self::Process => {
                let found = processes(dir);
                found.map_or(Supervisor::Gone, |found| {
                    Supervisor::Process(found.supervisor)
                })
            }
        }
    }
}

/// Whether systemd started this very process, and not one above it, such as a terminal.
fn is_service() -> bool {
    let is_own = |pid: String| pid.parse() == Ok(std::process::id());
    std::env::var_os("INVOCATION_ID").is_some()
        && std::env::var("SYSTEMD_EXEC_PID").map_or(true, is_own)
}

fn own(mode: &str) -> Command {
    let mut command = Command::new(OWN_PROGRAM);
    command
        .arg0("switchyard")
        .arg(mode)
        .stdin(Stdio::null())
        .current_dir("/")
        .kill_on_drop(false);
    command
}

/// What supervises a run.
#[derive(Debug)]
pub(super) enum Supervisor {
    /// A process that this agent started.
    Child(Box<Child>),
    /// A process that an agent before this one started.
    Process(ProcessId),
    /// A transient service.
    Unit(Box<Unit>),
    /// There is none.
    Gone,
}

impl Supervisor {
    /// Whether it still runs, or will again. One of our own that ended is reaped.
    pub(super) fn is_alive(&mut self, dir: &RunDir) -> bool {
        match self {
            Self::Child(child) => matches!(child.try_wait(), Ok(None)),
            Self::Process(id) => id.is_alive(),
            // systemd may be about to start it again.
            Self::Unit(unit) => unit.look(dir) != State::Gone,
            Self::Gone => false,
        }
    }

    /// Ends one that does not do its work, with all that belongs to it.
    pub(super) fn kill(&mut self) {
        match self {
            Self::Child(child) => {
                if let Err(error) = child.start_kill() {
                    tracing::warn!("cannot end a supervisor: {error}");
                }
            }
            Self::Unit(unit) => unit.kill(),
            Self::Process(_) | Self::Gone => {}
        }
    }
}

/// What the supervisor of `dir` wrote down of itself and its child.
pub(super) fn processes(dir: &RunDir) -> Option<spool::Supervisor> {
    spool::read_json(&dir.supervisor()).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_starts_services_and_everything_else_starts_processes() {
        use SupervisorKind::{Auto, Process, Systemd};
        let choose = |kind, offered, is_service| Launcher::choose(kind, offered, is_service).ok();
        assert_eq!(choose(Auto, true, true), Some(Launcher::Systemd));
        assert_eq!(choose(Auto, true, false), Some(Launcher::Process));
        assert_eq!(choose(Auto, false, true), Some(Launcher::Process));
        assert_eq!(choose(Systemd, true, false), Some(Launcher::Systemd));
        assert_eq!(choose(Systemd, false, false), None);
        assert_eq!(choose(Process, true, false), Some(Launcher::Process));
        assert_eq!(choose(Process, true, true), None);
    }
}
