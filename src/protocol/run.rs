//! A run's states and its progress.

use super::{Cause, CommandName, HostId, RunId, Seq, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Where a run stands. `queued` and `running` are followed by exactly one of the others; only `lost`
/// may later be replaced, by what really happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Asked for; the host has not begun.
    Queued,
    /// The spool exists on the host.
    Running,
    /// Every step and check ended with 0.
    Ok,
    /// A step or a check failed.
    Error,
    /// Ended because somebody asked for it.
    Stopped,
    /// Nobody saw its end.
    Lost,
    /// The host did not come for it in time.
    Expired,
    /// The host refused it.
    Rejected,
}

impl Status {
    /// Whether the run is over.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a status; one that this program does not know is a run that goes on, whose end is yet to be told.
pub(super) fn status_or_running<'de, D: Deserializer<'de>>(from: D) -> Result<Status, D::Error> {
    Ok(known(from)?.unwrap_or(Status::Running))
}

/// Reads a status; one that this program does not know is no success.
pub(super) fn status_or_error<'de, D: Deserializer<'de>>(from: D) -> Result<Status, D::Error> {
    Ok(known(from)?.unwrap_or(Status::Error))
}

/// Reads the beginnings of phases, without those that this program does not know.
fn known_phases<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PhaseMark>, D::Error> {
    let marks = Option::<Vec<Known<PhaseMark>>>::deserialize(from)?;
    Ok(marks.into_iter().flatten().filter_map(Known::get).collect())
}

/// Reads a value, or `None` where it is null or one that this program does not know.
fn known<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Ok(Known::deserialize(from)?.get())
}

/// A value of a newer program may be one that this program does not know.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Known<T> {
    It(T),
    Other(IgnoredAny),
}

impl<T> Known<T> {
    pub(super) fn get(self) -> Option<T> {
        match self {
            Self::It(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

/// What a running run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// git fetches the configuration.
    Pull,
    /// nix evaluates it.
    Evaluation,
    /// nix fetches store paths.
    Download,
    /// nix builds derivations.
    Building,
    /// `switch-to-configuration` stops units and runs the activation script.
    Activation,
    /// `switch-to-configuration` reloads, restarts and starts units.
    Switch,
    /// The host's checks run.
    Testing,
}

impl Phase {
    /// Whether the machine is half way between two systems, so that stopping the run would leave it there.
    pub fn is_activating(self) -> bool {
        matches!(self, Self::Activation | Self::Switch)
    }
}

/// The beginning of a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseMark {
    /// Which one.
    pub phase: Phase,
    /// The first line that belongs to it.
    pub seq: Seq,
    /// When it began.
    pub started: Timestamp,
}

/// How far a run is. Counts are null where nix did not say them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The phases so far, in the order in which they happened; one may come again.
    #[serde(default, deserialize_with = "known_phases")]
    pub phases: Vec<PhaseMark>,
    /// Derivations built, or in phase `download` paths fetched.
    pub done: Option<u64>,
    /// How many nix expects; grows while it finds more to do.
    pub expected: Option<u64>,
    /// How many are being worked on.
    pub running: Option<u64>,
    /// How many failed.
    pub failed: Option<u64>,
    /// The host's checks, once they run.
    pub tests: Option<Tests>,
}

impl Progress {
    /// The phase the run is in.
    pub fn phase(&self) -> Option<Phase> {
        self.phases.last().map(|mark| mark.phase)
    }
}

/// How far a host's checks are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tests {
    /// The number, from 1, of the check that runs or ran last; 0 before the first.
    pub current: u64,
    /// How many there are.
    pub total: u64,
    /// How many ended with 0.
    pub passed: u64,
    /// Whether they are still going on.
    pub running: bool,
    /// `ok` or `error` once all are through, else null.
    #[serde(default, deserialize_with = "known")]
    pub result: Option<Status>,
}

/// One execution of one command on one host, as browsers and other programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub run_id: RunId,
    /// The host.
    pub host_id: HostId,
    /// What ran.
    pub command: CommandName,
    /// Where it stands.
    pub status: Status,
    /// Orders the runs: grows from run to run as the dashboard learns of them, whatever the clocks say. 0 for
    /// runs from before it was counted.
    #[serde(default)]
    pub number: u64,
    /// The command to start once this run was `ok`.
    #[serde(default)]
    pub then: Option<CommandName>,
    /// The run before it, which had it as `then`.
    #[serde(default)]
    pub after: Option<RunId>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// When it was asked for.
    pub queued: Option<Timestamp>,
    /// When it is given up, while it has not begun.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// When its end was asked for, while it has not ended.
    #[serde(default)]
    pub stop_requested: Option<Timestamp>,
    /// When it began, by the host's clock.
    pub started: Option<Timestamp>,
    /// When it ended, by the host's clock.
    pub completed: Option<Timestamp>,
    /// How long it took, by a clock that never jumps.
    pub duration_ms: Option<u64>,
    /// Of the step that ended it.
    pub exit_code: Option<i32>,
    /// What to tell the user.
    pub message: Option<String>,
    /// Why it failed, the most important cause first; empty unless it did.
    #[serde(default, deserialize_with = "super::causes")]
    pub cause: Vec<Cause>,
    /// How many lines there are.
    pub lines: Seq,
    /// How many of them came from standard error; unknown where the index was rebuilt.
    pub errors: Option<u64>,
    /// What it is doing, while it runs.
    pub phase: Option<Phase>,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
    /// The system profile's generation before it.
    pub generation_before: Option<u64>,
    /// And after it.
    pub generation_after: Option<u64>,
    /// The store path of the system after it: the one of the next boot for `boot`, else the running one.
    #[serde(default)]
    pub system_after: Option<String>,
    /// The configuration's revision after it.
    pub revision: Option<String>,
    /// Whether the index was lost and made anew, so that times are good to the second and streams unknown.
    #[serde(default)]
    pub index_rebuilt: bool,
}

impl Run {
    /// A run that was asked for and has not begun.
    pub fn queued(run_id: RunId, host_id: HostId, command: CommandName) -> Self {
        Self {
            run_id,
            host_id,
            command,
            status: Status::Queued,
            number: 0,
            then: None,
            after: None,
            requested_by: None,
            queued: None,
            expires: None,
            stop_requested: None,
            started: None,
            completed: None,
            duration_ms: None,
            exit_code: None,
            message: None,
            cause: Vec::new(),
            lines: 0,
            errors: Some(0),
            phase: None,
            progress: Progress::default(),
            generation_before: None,
            generation_after: None,
            system_after: None,
            revision: None,
            index_rebuilt: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_wire() {
        for status in [
            Status::Queued,
            Status::Running,
            Status::Ok,
            Status::Error,
            Status::Stopped,
            Status::Lost,
            Status::Expired,
            Status::Rejected,
        ] {
            assert_eq!(
                serde_json::to_string(&status).unwrap(),
                format!("\"{status}\"")
            );
        }
        assert_eq!(
            serde_json::to_string(&Phase::Evaluation).unwrap(),
            "\"evaluation\""
        );
    }

    #[test]
    fn only_queued_and_running_are_not_final() {
        assert!(!Status::Queued.is_final() && !Status::Running.is_final());
        assert!(Status::Lost.is_final() && Status::Expired.is_final() && Status::Ok.is_final());
    }

    #[test]
    fn phases_that_are_not_known_are_left_out() {
        let json = r#"{"phases":[{"phase":"pull","seq":0,"started":"2025-12-14T10:30:00.000Z"},
            {"phase":"confirming","seq":1,"started":"2025-12-14T10:30:00.000Z"}],
            "tests":{"current":1,"total":1,"passed":1,"running":false,"result":"splendid"}}"#;
        let progress: Progress = serde_json::from_str(json).unwrap();
        assert_eq!(progress.phase(), Some(Phase::Pull));
        assert_eq!(progress.phases.len(), 1);
        assert_eq!(progress.tests.unwrap().result, None);
    }

    #[test]
    fn an_absent_field_of_progress_is_null() {
        assert_eq!(
            serde_json::from_str::<Progress>("{}").unwrap(),
            Progress::default()
        );
        assert_eq!(
            serde_json::from_str::<Progress>(r#"{"phases":null}"#).unwrap(),
            Progress::default()
        );
    }
}
