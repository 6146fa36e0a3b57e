//! How systemd says that the service of a run ended.

use super::command;
use crate::spool::{self, RunDir};
use serde::{Deserialize, Serialize};
use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long the journal may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// `SERVICE_RESULT`, `EXIT_CODE` and `EXIT_STATUS` of systemd.exec(5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnitEnd {
    pub(super) service_result: String,
    pub(super) exit_code: String,
    pub(super) exit_status: String,
}

/// Writes down what systemd says, as `ExecStopPost` of a run's service. It runs before another start, too, so
/// it decides nothing.
pub fn note_end(rundir: &Path) {
    let Some(rundir) = RunDir::at(rundir) else {
        return tracing::error!("{} is not the folder of a run", rundir.display());
    };
    let variable = |name| env::var(name).unwrap_or_default();
    let end = UnitEnd {
        service_result: variable("SERVICE_RESULT"),
        exit_code: variable("EXIT_CODE"),
        exit_status: variable("EXIT_STATUS"),
    };
    if let Err(error) = spool::write_json(&rundir.unit_end(), &end) {
        // The journal of systemd has it, too.
        tracing::warn!(run = %rundir.run_id(), %error, ?end, "cannot write down how the service ended");
    }
}

impl UnitEnd {
    /// What was written down, or else what systemd told the journal.
    pub(super) fn find(rundir: &RunDir) -> Option<Self> {
        let noted: Option<Self> = spool::read_json(&rundir.unit_end()).ok().flatten();
        noted.or_else(|| Self::in_journal(&ask_journal(rundir)?))
    }

    /// From the last entries about the unit, as JSON, one a line.
    fn in_journal(entries: &str) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "UPPERCASE")]
        struct Entry {
            unit_result: Option<String>,
            exit_code: Option<String>,
            exit_status: Option<String>,
        }
        let mut found = None;
        for entry in entries.lines() {
            let Ok(entry) = serde_json::from_str::<Entry>(entry) else {
                continue;
            };
            let end: &mut Self = found.get_or_insert_default();
            for (known, said) in [
                (&mut end.service_result, entry.unit_result),
                (&mut end.exit_code, entry.exit_code),
                (&mut end.exit_status, entry.exit_status),
            ] {
                if let Some(said) = said {
                    *known = said;
                }
            }
        }
        found
    }

    /// For the user, as a part of a sentence.
    pub(super) fn in_words(&self) -> String {
        let status = &self.exit_status;
        match (self.service_result.as_str(), self.exit_code.as_str()) {
            ("oom-kill", _) => "its supervisor was killed because memory ran out".to_owned(),
            ("timeout", _) => "systemd stopped its supervisor, which took too long".to_owned(),
            ("watchdog", _) => "systemd ended its supervisor, which hung".to_owned(),
            (_, "killed" | "dumped") => format!("its supervisor was killed by signal {status}"),
            (_, "exited") => format!("its supervisor ended with exit code {status}"),
            (result, _) => format!("its supervisor ended ({result})"),
        }
    }
}

/// Why systemd could not even start the service of a run, in its own words, as far as the journal has them.
pub(super) fn spawn_failure(rundir: &RunDir) -> Option<String> {
    let mut journal = Command::new("journalctl");
    journal
        .args(["--no-pager", "--boot", "--output=cat", "--lines=1"])
        // SD_MESSAGE_SPAWN_FAILED of systemd's sd-messages.h.
        .arg("MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7")
        .arg(format!("UNIT=switchyard-run-{}.service", rundir.run_id()));
    let said = command::ask(&mut journal, ANSWER)?.text;
    let said = said.lines().next()?.trim();
    (!said.is_empty()).then(|| said.to_owned())
}

/// The messages of systemd about the end of a process of the unit and of the unit itself.
fn ask_journal(rundir: &RunDir) -> Option<String> {
    let mut journal = Command::new("journalctl");
    journal
        .args(["--no-pager", "--boot", "--output=json", "--lines=8"])
        .args([
            "MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15",
            "MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c",
        ])
        .arg(format!("UNIT=switchyard-run-{}.service", rundir.run_id()));
    Some(command::ask(&mut journal, ANSWER)?.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_says_how_a_unit_ended() {
        let entries = r#"{"EXIT_CODE":"killed","EXIT_STATUS":"9","UNIT":"x","MESSAGE":"…"}
{"UNIT_RESULT":"signal","UNIT":"x"}
"#;
        let end = UnitEnd::in_journal(entries).unwrap();
        assert_eq!(end.in_words(), "its supervisor was killed by signal 9");
        assert_eq!(UnitEnd::in_journal(""), None);
    }

    #[test]
    fn each_end_has_its_words() {
        let words = |result: &str, code: &str, status: &str| {
            UnitEnd {
                service_result: result.to_owned(),
                exit_code: code.to_owned(),
                exit_status: status.to_owned(),
            }
            .in_words()
        };
        assert_eq!(
            words("exit-code", "exited", "1"),
            "its supervisor ended with exit code 1"
        );
        assert_eq!(
            words("timeout", "killed", "KILL"),
            "systemd stopped its supervisor, which took too long"
        );
        assert_eq!(words("protocol", "", ""), "its supervisor ended (protocol)");
    }
}
