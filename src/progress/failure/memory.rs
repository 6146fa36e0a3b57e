//! A step that ended because memory ran out, or was killed.

use super::{Known, Part};
use crate::protocol::CauseKind;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// What the kernel and systemd say of the memory of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// What was killed because memory ran out, if anything was.
    pub killed: Option<Killed>,
    /// The most that the run used at a time, in bytes.
    pub peak_bytes: Option<u64>,
    /// The most that the run may use, in bytes, where that is less than the host has.
    pub limit_bytes: Option<u64>,
    /// What the host has, in bytes.
    pub host_bytes: Option<u64>,
}

/// What of a run was killed because memory ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Killed {
    /// One process of it, or several, by the kernel; the run went on.
    Process,
    /// All of it: the kernel killed a process, and systemd or the kernel ended the rest, as `OOMPolicy=` says.
    Run,
    /// All of it, by systemd-oomd.
    RunByOomd,
    /// Its activation, which is a unit of its own: the kernel killed a process, and systemd ended the rest.
    Activation,
}

/// The cause where the kernel says that memory ran out.
pub(super) fn part(known: Known<'_>) -> Option<Part> {
    let memory = known.ending.memory?;
    let killed = memory.killed?;
    let amounts = [
        ("it used", memory.peak_bytes),
        ("it may use", memory.limit_bytes),
        ("the host has", memory.host_bytes),
    ];
    let amounts = amounts
        .into_iter()
        .filter_map(|(who, bytes)| Some(format!("{who} {}", size(bytes?))));
    let amounts: Vec<_> = amounts.collect();
    let mut summary = format!("Out of memory{}", known.doing());
    if !amounts.is_empty() {
        summary.push_str(": ");
        summary.push_str(&amounts.join(", "));
    }
    let who = match killed {
        Killed::Process => "The kernel killed a process of the run (SIGKILL).",
        Killed::Run => {
            "The kernel killed a process of the run (SIGKILL), and systemd ended the rest of the run because of that (OOMPolicy=)."
        }
        Killed::RunByOomd => "systemd-oomd killed the run.",
        Killed::Activation => "The kernel killed a process of the activation (SIGKILL).",
    };
    let remedy = match memory.limit_bytes {
        Some(_) => {
            "Raise MemoryMax= or MemoryHigh= of the run's unit or of the slice above it, or build elsewhere."
        }
        None => "Give the host more memory or swap, or build elsewhere.",
    };
    Some(Part::new(CauseKind::Memory, &summary).with_detail(format!("{who} {remedy}")))
}

/// What nix and the programs that it runs say of a process that was killed.
const OF_A_KILL: [&str; 10] = [
    "signal 9",
    "signal: 9",
    "SIGKILL",
    "illed",
    "exit code 137",
    "emory",
    "terminated abruptly",
    "unexpected end-of-file",
    "disconnected",
    "Connection reset by peer",
];

/// Whether what was killed is why the step failed: all of it, or a process of which the other causes speak. An
/// activation is in a control group of its own.
pub(super) fn ended_step(known: Known<'_>, others: &[Part]) -> bool {
    let killed = known.ending.memory.and_then(|memory| memory.killed);
    if killed.is_some_and(|killed| killed != Killed::Process) {
        return true;
    }
    let speak = |part: &Part| speaks_of_kill(&part.cause.summary) || speaks_of_kill(&part.detail);
    let is_killed = known.signal() == Some(Signal::SIGKILL);
    is_killed || !known.is_activating() && others.iter().any(speak)
}

/// Whether a text speaks of a process that was killed, or of one that had no memory.
pub(super) fn speaks_of_kill(text: &str) -> bool {
    OF_A_KILL.iter().any(|words| text.contains(words))
}

/// `3.1 GiB`, or `940 MiB`.
#[expect(clippy::cast_precision_loss, reason = "only two digits are shown")]
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mib @ ..1000 => format!("{mib} MiB"),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}
