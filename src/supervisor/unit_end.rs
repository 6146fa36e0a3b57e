//! How systemd says that the service of a run ended.

use super::checkpoint::Clock;
use super::{command, journal};
use crate::proctree::ACTIVATION_UNIT;
use crate::progress::Killed;
use crate::spool::{self, RunDir};
use serde::{Deserialize, Serialize};
use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long systemd and the journal may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The result of a service that systemd ended because the kernel killed a process of it.
const OOM_KILL: &str = "oom-kill";

/// The messages of systemd, from its sd-messages.h.
const PROCESS_EXIT: &str = "98e322203f7a4ed290d09fe03c09fe15";
const FAILURE_RESULT: &str = "d9b373ed55a64feb8242e02dbe79a49c";
const SPAWN_FAILED: &str = "641257651c1b4ec9a8624d7a40a9e1e7";
const OOMD_KILL: &str = "d989611b15e44c9dbf31e3c81256e4ed";
const RESOURCES: &str = "ae8f7b866b0347b9af31fe1c80b127c0";

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
        tracing::warn!(run = %rundir.run_id(), %error, ?end, "the end of the service cannot be stored");
    }
}

impl UnitEnd {
    /// What was written down, or else what systemd told the journal.
    pub(super) fn find(rundir: &RunDir) -> Option<Self> {
        let noted: Option<Self> = spool::read_json(&rundir.unit_end()).ok().flatten();
        noted.or_else(|| Self::in_journal(&ask_journal(rundir, &[PROCESS_EXIT, FAILURE_RESULT])?))
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
            (OOM_KILL, _) => "its supervisor was killed because memory ran out".to_owned(),
            ("timeout", _) => "systemd stopped its supervisor after a timeout".to_owned(),
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
        .arg(format!("MESSAGE_ID={SPAWN_FAILED}"))
        .arg(format!("UNIT={}", unit(rundir)));
    let said = command::ask(&mut journal, ANSWER)?.text;
    let said = said.lines().next()?.trim();
    (!said.is_empty()).then(|| said.to_owned())
}

/// What of a run was killed before this supervisor was started, where systemd says that all of it was, because memory
/// ran out.
pub(super) fn killed_for_memory(rundir: &RunDir) -> Option<Killed> {
    if UnitEnd::find(rundir).is_some_and(|end| end.service_result == OOM_KILL) {
        return Some(Killed::Run);
    }
    // systemd-oomd kills by SIGKILL, as anybody may; systemd says who it was.
    journal::sync();
    let said = ask_journal(rundir, &[OOMD_KILL])?;
    (!said.trim().is_empty()).then_some(Killed::RunByOomd)
}

/// Whether systemd is ending the service of this run because memory ran out.
pub(super) fn is_ending_for_memory(rundir: &RunDir) -> bool {
    let mut systemctl = Command::new("systemctl");
    systemctl
        .args(["--no-ask-password", "show", "--value", "--property=Result"])
        .arg(unit(rundir));
    command::ask(&mut systemctl, ANSWER).is_some_and(|said| said.text.trim() == OOM_KILL)
}

/// The most memory that the service used until it last ended, as systemd told the journal.
pub(super) fn peak_bytes(rundir: &RunDir) -> Option<u64> {
    peak_in(&ask_journal(rundir, &[RESOURCES])?)
}

/// The most of the last entries.
fn peak_in(entries: &str) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    struct Entry {
        memory_peak: String,
    }
    let entries = entries.lines();
    let entries = entries.filter_map(|entry| serde_json::from_str::<Entry>(entry).ok());
    entries
        .filter_map(|entry| entry.memory_peak.parse().ok())
        .max()
}

/// What systemd told the journal of an activation that it ended because memory ran out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OutOfMemory {
    /// The most memory that it used.
    pub(super) peak_bytes: Option<u64>,
}

/// Whether the last activation since this moment ended so.
pub(super) fn activation_out_of_memory(since: Clock) -> Option<OutOfMemory> {
    journal::sync();
    let mut entries = ask(&[FAILURE_RESULT, RESOURCES]);
    // Its name has a suffix in some versions of nixos-rebuild, and all must fit into a pipe.
    entries.args(["--lines=64", "--output-fields=UNIT,UNIT_RESULT,MEMORY_PEAK"]);
    let entries = command::ask(&mut entries, ANSWER)?.text;
    out_of_memory_in(&entries, since.since_boot())
}

fn out_of_memory_in(entries: &str, since_boot: Duration) -> Option<OutOfMemory> {
    #[derive(Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    struct Entry {
        #[serde(rename = "__MONOTONIC_TIMESTAMP")]
        at_us: String,
        unit: String,
        unit_result: Option<String>,
        memory_peak: Option<String>,
    }
    let mut found: Option<OutOfMemory> = None;
    for entry in entries.lines() {
        let Ok(entry) = serde_json::from_str::<Entry>(entry) else {
            continue;
        };
        let at = Duration::from_micros(entry.at_us.parse().unwrap_or_default());
        if at < since_boot || !entry.unit.starts_with(ACTIVATION_UNIT) {
            continue;
        }
        if entry.unit_result.is_some_and(|result| result == OOM_KILL) {
            found.get_or_insert_default();
        }
        if let (Some(found), Some(peak)) = (&mut found, entry.memory_peak) {
            found.peak_bytes = peak.parse().ok();
        }
    }
    found
}

/// The service of a run.
fn unit(rundir: &RunDir) -> String {
    format!("switchyard-run-{}.service", rundir.run_id())
}

/// The last of these messages of systemd about the unit, as JSON, one a line.
fn ask_journal(rundir: &RunDir, messages: &[&str]) -> Option<String> {
    let mut journal = ask(messages);
    journal
        .arg("--lines=8")
        .arg(format!("UNIT={}", unit(rundir)));
    Some(command::ask(&mut journal, ANSWER)?.text)
}

/// A journalctl that prints messages of systemd, and of nobody who says that he is systemd.
fn ask(messages: &[&str]) -> Command {
    let mut journal = Command::new("journalctl");
    journal
        .args(["--no-pager", "--quiet", "--boot", "--output=json", "_PID=1"])
        .args(messages.iter().map(|id| format!("MESSAGE_ID={id}")));
    journal
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
    fn the_peak_is_the_most_that_the_journal_has_of_the_unit() {
        let entries = r#"{"MEMORY_PEAK":"207618048","UNIT":"x"}
{"CPU_USAGE_NSEC":"1"}
{"MEMORY_PEAK":"4096"}
{"MEMORY_PEAK":null}
"#;
        assert_eq!(peak_in(entries), Some(207_618_048));
        assert_eq!(peak_in(""), None);
    }

    #[test]
    fn an_activation_that_ran_out_of_memory_is_told_from_others_and_from_earlier_ones() {
        let entry = |at, unit: &str, more: &str| {
            format!("{{\"__MONOTONIC_TIMESTAMP\":\"{at}\",\"UNIT\":\"{unit}\",{more}}}\n")
        };
        let killed = r#""UNIT_RESULT":"oom-kill""#;
        let used = r#""MEMORY_PEAK":"4096""#;
        let own = format!("{ACTIVATION_UNIT}-4f2a.service");
        let since = Duration::from_secs(2);
        let found = |entries: &[String]| out_of_memory_in(&entries.concat(), since);
        let now = 3_000_000;
        let peak_bytes = Some(4096);
        assert_eq!(
            found(&[entry(now, &own, killed), entry(now, &own, used)]),
            Some(OutOfMemory { peak_bytes })
        );
        assert_eq!(
            found(&[
                entry(now, "x.service", killed),
                entry(1_000_000, &own, killed),
                entry(now, &own, r#""UNIT_RESULT":"exit-code""#),
                entry(now, &own, used),
            ]),
            None
        );
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
            "systemd stopped its supervisor after a timeout"
        );
        assert_eq!(words("protocol", "", ""), "its supervisor ended (protocol)");
    }
}
