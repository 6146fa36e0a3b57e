//! A run as a transient service of systemd, by `systemd-run` and `systemctl`.

use super::{processes, systemd_run};
use crate::spool::RunDir;
use futures_util::FutureExt;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long systemd may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How the units of runs begin.
const PREFIX: &str = "switchyard-run-";

/// How the units begin that end runs.
const SETTLE_PREFIX: &str = "switchyard-settle-";

/// What systemd says of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It runs, begins, ends, or will be started again.
    Alive,
    /// It is over, or there is none.
    Gone,
    /// systemd has not answered yet.
    Unknown,
}

/// The service of one run.
#[derive(Debug)]
pub(crate) struct Unit {
    name: String,
    /// `systemd-run`, which ends when the service is ready.
    starter: Option<Child>,
    question: Option<JoinHandle<State>>,
}

impl Unit {
    /// Asks systemd for it; what goes wrong is written to `errors`.
    pub(super) fn start(dir: &RunDir, errors: File) -> io::Result<Self> {
        let program = systemd_run::own_path()?;
        let arguments = systemd_run::run(dir, &name(dir), &program, variable);
        Ok(Self {
            starter: Some(ask_for(arguments, errors.into())?),
            ..Self::of(dir)
        })
    }

    /// The one of an earlier agent.
    pub(super) fn of(dir: &RunDir) -> Self {
        Self {
            name: name(dir),
            starter: None,
            question: None,
        }
    }

    /// Whether it runs; systemd is asked only once the process is gone, and without waiting for the answer.
    pub(super) fn look(&mut self, dir: &RunDir) -> State {
        if let Some(starter) = &mut self.starter {
            match starter.try_wait() {
                Ok(None) => return State::Alive,
                Ok(Some(_)) | Err(_) => self.starter = None,
            }
        }
        if processes(dir).is_some_and(|found| found.supervisor.is_alive()) {
            self.question = None;
            return State::Alive;
        }
        let name = &self.name;
        let question = self
            .question
            .get_or_insert_with(|| tokio::spawn(ask(name.clone())));
        match question.now_or_never() {
            None => State::Unknown,
            Some(answer) => {
                self.question = None;
                answer.unwrap_or(State::Unknown)
            }
        }
    }

    /// Kills all that is in it.
    pub(super) fn kill(&self) {
        let name = self.name.clone();
        tokio::spawn(async move {
            let arguments = ["kill", "--kill-whom=all", "--signal=KILL", name.as_str()];
            if systemctl(&arguments).await.is_none() {
                tracing::warn!("systemd could not kill {name}");
            }
        });
    }
}

/// Starts what ends a run whose supervisor is gone. It needs to see and to end every process, which the agent's
/// own service may not.
pub(super) fn settle(dir: &RunDir) -> io::Result<Child> {
    let program = systemd_run::own_path()?;
    let unit = format!("{SETTLE_PREFIX}{}.service", dir.run_id());
    ask_for(
        systemd_run::settle(dir, &unit, &program, variable),
        Stdio::inherit(),
    )
}

fn ask_for(arguments: Vec<OsString>, errors: Stdio) -> io::Result<Child> {
    Command::new("systemd-run")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .kill_on_drop(false)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("systemd-run: {error}")))
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn name(dir: &RunDir) -> String {
    format!("{PREFIX}{}.service", dir.run_id())
}

async fn ask(name: String) -> State {
    let arguments = ["show", "--property=LoadState,ActiveState", name.as_str()];
    match systemctl(&arguments).await {
        Some(said) => state(&said),
        None => {
            tracing::warn!("systemd does not report the state of {name}");
            State::Unknown
        }
    }
}

/// What `systemctl show` said. A unit that was collected is shown as a success, so `LoadState` counts first.
fn state(said: &str) -> State {
    let is = |line: &str| said.lines().any(|said| said == line);
    let is_over = is("ActiveState=inactive") || is("ActiveState=failed");
    if is("LoadState=not-found") || is_over {
        State::Gone
    } else {
        State::Alive
    }
}

/// What `systemctl` printed, if it answered in time and without an error.
pub(in crate::agent) async fn systemctl(arguments: &[&str]) -> Option<String> {
    let asked = Command::new("systemctl")
        .arg("--no-ask-password")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(ANSWER, asked).await.ok()?.ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(said)
}

/// Warns of runs that go on as services and whose folder this agent does not have.
pub(in crate::agent) async fn warn_of_strangers(state_dir: PathBuf) {
    let pattern = format!("{PREFIX}*");
    let arguments = ["list-units", "--plain", "--no-legend", "--all", &pattern];
    let said = systemctl(&arguments).await.unwrap_or_default();
    let units = said
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    for unit in units {
        let run = unit.strip_prefix(PREFIX).unwrap_or(unit);
        let run = run.strip_suffix(".service").unwrap_or(run);
        if !state_dir.join("runs").join(run).is_dir() {
            tracing::warn!(
                run,
                "{unit} is running, but its folder is not in {}",
                state_dir.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_was_collected_is_gone_although_it_looks_like_a_success() {
        let state = |load, active| state(&format!("LoadState={load}\nActiveState={active}\n"));
        assert_eq!(state("not-found", "inactive"), State::Gone);
        assert_eq!(state("loaded", "failed"), State::Gone);
        assert_eq!(state("loaded", "active"), State::Alive);
        assert_eq!(state("loaded", "activating"), State::Alive);
        assert_eq!(state("loaded", "deactivating"), State::Alive);
    }
}
