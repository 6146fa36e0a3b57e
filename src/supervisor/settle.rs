//! The end of a run that nobody saw, because its supervisor is gone for good.

use super::hold::Hold;
use super::outcome;
use super::reserve;
use super::unit_end::{self, UnitEnd};
use super::waiter::{self, End};
use super::{Error, create, failure, read_spec};
use crate::proctree::{self, ProcessId};
use crate::protocol::{CauseKind, Phase, Progress, Status, Timestamp};
use crate::runlog::{self, LogError, LogWriter, RunResult};
use crate::spool::{self, RunDir, Spec, StopOrder};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long an activation that nobody supervises is waited for; then its run is lost, and it goes on.
const ACTIVATION: Duration = Duration::from_secs(15 * 60);

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// What is known of the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    /// The host has restarted since.
    is_other_boot: bool,
    /// How systemd says that the supervisor ended.
    unit: Option<UnitEnd>,
    /// How the last program that was started ended, as its waiter says.
    program: Option<End>,
    /// A check was running, whose exit code is not the run's.
    is_checking: bool,
    /// Something that the run left behind still runs.
    left_behind: bool,
}

/// Ends the run of this folder, if it has no end, after what is left of it has ended.
///
/// # Errors
/// When its supervisor lives, or the result cannot be stored.
pub fn settle(rundir: &Path) -> Result<(), Error> {
    let rundir = RunDir::at(rundir).ok_or_else(|| Error::NoRunDir(rundir.to_owned()))?;
    let hold = Hold::take(&rundir)?;
    settle_held(&rundir, &hold)
}

/// The same where this process has the run already.
pub(super) fn settle_held(rundir: &RunDir, hold: &Hold) -> Result<(), Error> {
    let child = hold.previous.and_then(|previous| previous.child);
    let Some(writer) = begun(rundir)? else {
        let result = not_begun(rundir);
        let writer = create(rundir, &read_spec(rundir)?)?;
        return outcome::store(rundir, writer, (None, result));
    };
    if writer.footer().is_some() {
        spool::remove_captures(rundir.path());
        return Ok(());
    }
    reserve::release(rundir);
    super::claim(rundir, child)?;
    let progress: Progress = spool::read_json(&rundir.progress())
        .ok()
        .flatten()
        .unwrap_or_default();
    let is_other_boot = spool::is_other_boot(rundir);
    let unit = UnitEnd::find(rundir);
    // One that has said nothing yet is one, too.
    let is_activating = || {
        let mut left = proctree::of_run(rundir.path(), child).into_iter();
        progress.phase().is_some_and(Phase::is_activating) || left.any(ProcessId::activates)
    };
    let is_service = unit.is_some() || Path::new("/run/systemd/system").is_dir();
    let goes_on = is_service && !is_other_boot && is_activating() && !await_activation(rundir);
    // Before it is ended, which is no end of its own.
    let program = waiter::last_end(rundir);
    waiter::claim_next(rundir);
    let is_over = is_other_boot || !goes_on && proctree::end_run(rundir.path(), child);
    let facts = Facts {
        is_other_boot,
        unit,
        program,
        is_checking: progress.phase() == Some(Phase::Testing),
        left_behind: !is_over,
    };
    let (status, exit_code, message) = decide(&facts);
    tracing::error!(run = %rundir.run_id(), "{status}: {message}");
    let result = RunResult {
        generation_after: outcome::generation(),
        system_after: outcome::system(&writer.header().command),
        ..result(status, message, progress)
    };
    outcome::store(rundir, writer, (exit_code, result))
}

/// The log of a run that had begun. One whose header is not whole makes way, and is kept.
pub(super) fn begun(rundir: &RunDir) -> Result<Option<LogWriter>, Error> {
    match LogWriter::open(rundir.path(), rundir.run_id()) {
        Ok(writer) => Ok(Some(writer)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(LogError::NoHeader(_)) => {
            let (log, index) = runlog::paths(rundir.path(), rundir.run_id());
            let aside = log.with_extension("log.broken");
            fs::rename(&log, &aside).map_err(|source| Error::File { path: log, source })?;
            remove(index)?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn remove(path: PathBuf) -> Result<(), Error> {
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::File { path, source })
        }
        _ => Ok(()),
    }
}

/// An activation is never ended because something of ours died, unless somebody forced it. Says whether what is left
/// may be ended.
fn await_activation(rundir: &RunDir) -> bool {
    let begin = Instant::now();
    let is_forced = || {
        let order: Option<StopOrder> = spool::read_json(&rundir.stop()).ok().flatten();
        order.is_some_and(|order| order.force)
    };
    let goes_on = || {
        !proctree::of_run(rundir.path(), None).is_empty() || !proctree::of_activation().is_empty()
    };
    while goes_on() && !is_forced() {
        if begin.elapsed() > ACTIVATION {
            return false;
        }
        sleep(INTERVAL);
    }
    true
}

/// The status, the exit code, and what to tell the user.
fn decide(facts: &Facts) -> (Status, Option<i32>, String) {
    if facts.is_other_boot {
        let message = "Result unknown: the host restarted during the run.";
        return (Status::Lost, None, message.to_owned());
    }
    let supervisor = match &facts.unit {
        Some(end) => end.in_words(),
        None => "its supervisor died during the run".to_owned(),
    };
    let rest = if facts.left_behind {
        "some of its processes still run"
    } else {
        "no process of the run is left"
    };
    match facts.program {
        Some(End::Exited(code)) if code != 0 && !facts.is_checking => (
            Status::Error,
            Some(code),
            format!(
                "ended with exit code {code}; its last lines may be missing, because {supervisor}"
            ),
        ),
        Some(End::Exited(code)) => (
            Status::Lost,
            None,
            format!(
                "Result unknown: {supervisor}; its last program ended with exit code {code}; {rest}"
            ),
        ),
        _ => (
            Status::Lost,
            None,
            format!("Result unknown: {supervisor}; {rest}"),
        ),
    }
}

/// Ends a run that has not begun, because it is too late for that.
pub(super) fn too_late(rundir: &RunDir, spec: &Spec) -> Result<(), Error> {
    let message = "The run was not started: its supervisor came up only after the command had expired. Nothing was done. Send the command again.";
    let result = result(Status::Error, message.to_owned(), Progress::default());
    outcome::store(rundir, create(rundir, spec)?, (None, result))
}

fn not_begun(rundir: &RunDir) -> RunResult {
    let words = fs::read(rundir.last_words()).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let last = words.lines().rfind(|line| !line.trim().is_empty());
    let said = last.map_or_else(String::new, |last| format!(" It said: {last}"));
    let systemd = unit_end::spawn_failure(rundir)
        .map_or_else(String::new, |why| format!(" systemd says: {why}"));
    let message = format!("The run was not started: its supervisor did not start.{systemd}{said}");
    result(Status::Error, message, Progress::default())
}

fn result(status: Status, message: String, progress: Progress) -> RunResult {
    let cause = match status {
        Status::Error => vec![failure::only(CauseKind::Other, &message)],
        _ => Vec::new(),
    };
    RunResult {
        message: Some(message),
        cause,
        progress,
        ..RunResult::ended_at(status, Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{CommandName, HostId, RunId};

    fn decided(facts: &Facts) -> (Status, Option<i32>) {
        let (status, exit_code, _) = decide(facts);
        (status, exit_code)
    }

    #[test]
    fn a_run_whose_end_nobody_saw_is_lost_and_never_ok() {
        let program = |code| Facts {
            program: Some(End::Exited(code)),
            ..Facts::default()
        };
        assert_eq!(decided(&Facts::default()), (Status::Lost, None));
        assert_eq!(decided(&program(0)), (Status::Lost, None));
        assert_eq!(decided(&program(4)), (Status::Error, Some(4)));
        let checking = Facts {
            is_checking: true,
            ..program(4)
        };
        assert_eq!(decided(&checking), (Status::Lost, None));
        let restarted = Facts {
            is_other_boot: true,
            ..program(4)
        };
        assert_eq!(decided(&restarted), (Status::Lost, None));
    }

    #[test]
    fn a_run_whose_supervisor_json_a_loss_of_power_damaged_is_settled() {
        for damaged in ["", "{\"supervisor\":{\"pid\":7", "\0\0\0\0", "[]"] {
            let folder = tempfile::tempdir().unwrap();
            let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
            let rundir = RunDir::new(folder.path(), &run_id);
            fs::create_dir_all(rundir.path()).unwrap();
            let header = runlog::Header::started_at(
                HostId::new("h1").unwrap(),
                CommandName::new("switch").unwrap(),
                Timestamp::now(),
            );
            LogWriter::create(rundir.path(), &run_id, &header).unwrap();
            fs::write(rundir.supervisor(), damaged).unwrap();
            settle(rundir.path()).unwrap();
            let log = LogWriter::open(rundir.path(), &run_id).unwrap();
            let footer = log.footer().unwrap();
            assert_eq!(footer.result.status, Status::Lost, "{damaged:?}");
        }
    }

    #[test]
    fn what_systemd_says_is_told() {
        let facts = Facts {
            unit: Some(UnitEnd {
                service_result: "oom-kill".to_owned(),
                exit_code: "killed".to_owned(),
                exit_status: "KILL".to_owned(),
            }),
            ..Facts::default()
        };
        let (_, _, message) = decide(&facts);
        assert_eq!(
            message,
            "Result unknown: its supervisor was killed because memory ran out; no process of the run is left"
        );
    }
}
