//! The result of a run, in the words of its user, and its footer.

use super::execution::End;
use super::program::{Cause, Interruption};
use super::recorder::{LeftOut, Recorder};
use super::{Error, command, failure, gap, tree};
use crate::progress::MAX_MESSAGE_BYTES;
use crate::protocol::{self, CauseKind, CommandName, Phase, Progress, Status, Timestamp};
use crate::runlog::{LogWriter, RunResult};
use crate::spool::{self, RunDir, Spec};
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long git and systemd may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How long the footer is tried to be written, such as on a full disk.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// What to tell of an activation that ended while the host did.
pub(super) const OF_SHUTDOWN: &str = "The host shut down during the activation; it is unknown whether that was complete. Switch again.";

/// How a run ended.
pub(super) struct Outcome {
    status: Status,
    exit_code: Option<i32>,
    message: Option<String>,
    causes: Vec<protocol::Cause>,
}

impl Outcome {
    /// Puts the end of a run into words.
    pub(super) fn of(end: End, recorder: &Recorder, spec: &Spec) -> Self {
        let mut causes = Vec::new();
        let (status, exit_code, message) = match end {
            End::Ok(message) => (Status::Ok, Some(0), message),
            End::Failed { code, message } => {
                causes = recorder.causes();
                (Status::Error, code, Some(message))
            }
            End::Interrupted(interruption) => {
                let (status, code, message) = interrupted(&interruption, spec);
                if let (Cause::Timeout, Some(message)) = (&interruption.cause, &message) {
                    causes = vec![failure::only(CauseKind::Timeout, message)];
                }
                (status, code, message)
            }
            End::Unseen(message) => (Status::Lost, None, Some(message)),
        };
        let outcome = Self {
            status,
            exit_code,
            // It may name a program, whose name holds whatever the configuration put there.
            message: message.map(|message| recorder.masked(&message)),
            causes,
        };
        let outcome = match recorder.left_out() {
            Some(left_out) => outcome.with_left_out(left_out),
            None => outcome,
        };
        outcome.with_a_cause()
    }

    /// A run that failed has a cause, whatever is known of it; no other run has one.
    fn with_a_cause(mut self) -> Self {
        if self.status != Status::Error {
            self.causes.clear();
        } else if self.causes.is_empty()
            && let Some(message) = &self.message
        {
            self.causes = vec![failure::only(CauseKind::Other, message)];
        }
        self
    }

    /// A run whose log is not whole says so. On a host without room on its disk it is no success, either.
    fn with_left_out(self, left_out: &LeftOut) -> Self {
        let (lines, cause) = (left_out.lines, left_out.cause.in_words());
        let words = format!("{lines} lines of output could not be stored: {cause}");
        let is_why = self.status == Status::Ok && matches!(left_out.cause, gap::Cause::Disk(_));
        Self {
            status: if is_why { Status::Error } else { self.status },
            message: Some(match self.message {
                Some(message) if is_why => format!("{words}\n{message}"),
                Some(message) => format!("{message}\n{words}"),
                None => words,
            }),
            ..self
        }
    }

    /// The message, which says of a system that was made of no commit that it was.
    fn message_with_changes(&self, spec: &Spec, local_changes: Option<bool>) -> Option<String> {
        let is_of_changes = self.status == Status::Ok
            && local_changes == Some(true)
            && matches!(spec.command.as_str(), "switch" | "test" | "boot" | "build");
        if !is_of_changes {
            return self.message.clone();
        }
        let words = format!(
            "with local changes in {} that are in no commit; the next pull discards them",
            spec.work_dir.display()
        );
        Some(match &self.message {
            Some(message) => format!("{message}\n{words}"),
            None => words,
        })
    }

    /// The footer, but for what the log counts itself.
    pub(super) fn into_result(
        self,
        progress: Progress,
        spec: &Spec,
        took: Duration,
        local_changes: Option<bool>,
    ) -> (Option<i32>, RunResult) {
        let message = self.message_with_changes(spec, local_changes);
        let result = RunResult {
            status: self.status,
            completed: Timestamp::now(),
            message: message.map(bounded),
            cause: self.causes,
            lines: 0,
            errors: None,
            duration_ms: u64::try_from(took.as_millis()).ok(),
            progress,
            generation_after: generation(),
            system_after: system(&spec.command),
            revision: revision(spec, local_changes),
        };
        (self.exit_code, result)
    }
}

/// Writes the footer and makes the log durable, after which nothing else of the output is kept. Tries again for a
/// while, because a full disk may have room again.
pub(super) fn store(
    rundir: &RunDir,
    mut writer: LogWriter,
    (exit_code, result): (Option<i32>, RunResult),
) -> Result<(), Error> {
    let begin = Instant::now();
    let mut pause = Duration::from_millis(50);
    while let Err(error) = writer.finish(exit_code, result.clone()) {
        if begin.elapsed() > STORE_TIMEOUT {
            return Err(error.into());
        }
        tracing::error!(%error, "the result cannot be stored; the next attempt follows");
        sleep(pause);
        pause = (2 * pause).min(Duration::from_secs(5));
    }
    writer.sync_handle().sync()?;
    spool::remove_captures(rundir.path());
    Ok(())
}

fn interrupted(interruption: &Interruption, spec: &Spec) -> (Status, Option<i32>, Option<String>) {
    let phase = interruption.phase.map_or_else(String::new, |phase| {
        // A phase is its word.
        let word = serde_json::to_string(&phase).unwrap_or_default();
        format!(" in phase {}", word.trim_matches('"'))
    });
    let activating = interruption.phase.is_some_and(Phase::is_activating);
    let (status, code, mut message) = match &interruption.cause {
        Cause::Stop { by, .. } => {
            let by = match by {
                Some(by) => format!(" by {by}"),
                // systemd ended the activation, perhaps before it ended us.
                None if is_shutting_down() && activating => {
                    return (Status::Lost, None, Some(OF_SHUTDOWN.to_owned()));
                }
                None if is_shutting_down() => " because the host is shutting down".to_owned(),
                None => String::new(),
            };
            (Status::Stopped, None, format!("stopped{by}{phase}"))
        }
        Cause::Timeout => {
            let limit = spec.timeout.unwrap_or_default();
            (
                Status::Error,
                Some(124),
                format!("ended{phase}: the run took longer than its timeout of {limit} s"),
            )
        }
    };
    if activating {
        message.push_str("; the host may be left between two systems, so switch again");
    }
    if interruption.left_behind {
        message.push_str("; some of its processes could not be ended");
    }
    (status, code, Some(message))
}

/// Whether systemd is ending everything, and the run with it.
pub(super) fn is_shutting_down() -> bool {
    let mut systemctl = Command::new("systemctl");
    systemctl.args(["--no-ask-password", "is-system-running"]);
    command::ask(&mut systemctl, ANSWER).is_some_and(|said| said.text.trim() == "stopping")
}

/// Most that stands behind the message of a failure, in bytes.
const MAX_REMARKS_BYTES: usize = 1024;

/// The beginning of a message that is too long.
fn bounded(mut message: String) -> String {
    let limit = MAX_MESSAGE_BYTES + MAX_REMARKS_BYTES;
    if message.len() > limit {
        message.truncate(message.floor_char_boundary(limit));
        message.push('…');
    }
    message
}

/// The number in `system-42-link`, to which the system profile of NixOS points.
pub(super) fn generation() -> Option<u64> {
    let link = fs::read_link("/nix/var/nix/profiles/system").ok()?;
    let name = link.file_name()?.to_str()?;
    let number = name.strip_prefix("system-")?.strip_suffix("-link")?;
    number.parse().ok()
}

/// The store path of the system that a command leaves: of the next boot after `boot`, else the running one.
pub(super) fn system(command: &CommandName) -> Option<String> {
    let system = if command.is_boot() {
        fs::canonicalize("/nix/var/nix/profiles/system")
    } else {
        fs::read_link("/run/current-system")
    };
    system.ok()?.into_os_string().into_string().ok()
}

/// The commit that a run used; `None` where its files were others when its step began, or are at its end: nix itself
/// may write the lock file anew.
fn revision(spec: &Spec, local_changes: Option<bool>) -> Option<String> {
    let is_commit =
        || local_changes == Some(false) && tree::has_changes(&spec.work_dir) == Some(false);
    // A pull has made it what it is.
    if spec.command.as_str() == "pull" || is_commit() {
        tree::commit(&spec.work_dir)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: Status, message: Option<&str>) -> Outcome {
        Outcome {
            status,
            exit_code: Some(0),
            message: message.map(str::to_owned),
            causes: Vec::new(),
        }
    }

    #[test]
    fn of_a_run_that_only_its_full_disk_failed_the_disk_is_the_cause() {
        let left_out = LeftOut {
            lines: 7,
            cause: gap::Cause::Disk("No space left on device".to_owned()),
        };
        let of_disk = "7 lines of output could not be stored: No space left on device";
        let none = "no checks ran: there is no executable T*.sh in /checks";
        let full = outcome(Status::Ok, Some(none));
        let full = full.with_left_out(&left_out).with_a_cause();
        assert_eq!(full.status, Status::Error);
        assert_eq!(full.causes[0].summary, of_disk);
        assert_eq!(full.message.unwrap(), format!("{of_disk}\n{none}"));
        let failed = outcome(Status::Error, Some("it failed"));
        let failed = failed.with_left_out(&left_out).with_a_cause();
        assert_eq!(failed.causes[0].summary, "it failed");
        assert_eq!(failed.message.unwrap(), format!("it failed\n{of_disk}"));
    }

    #[test]
    fn a_run_that_waited_for_the_dashboard_is_as_good_as_its_steps() {
        let left_out = LeftOut {
            lines: 7,
            cause: gap::Cause::Unacknowledged(1 << 20),
        };
        let ended = outcome(Status::Ok, Some("all is well")).with_left_out(&left_out);
        assert_eq!(ended.status, Status::Ok);
        assert!(ended.message.unwrap().starts_with("all is well\n7 lines"));
    }
}
