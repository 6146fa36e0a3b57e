//! A step that ended because memory ran out, or was killed.

use super::{Known, Part};
use crate::protocol::CauseKind;
use nix::sys::signal::Signal;

/// What the kernel says of the memory of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// It killed a process of the run, because memory ran out.
    pub killed: bool,
    /// The most that the run used at a time, in bytes.
    pub peak_bytes: Option<u64>,
    /// What the host has, in bytes.
    pub host_bytes: Option<u64>,
}

/// The cause where the kernel says that memory ran out.
pub(super) fn part(known: Known<'_>) -> Option<Part> {
    let memory = known.ending.memory.filter(|memory| memory.killed)?;
    let mut summary = format!("Out of memory{}", known.doing());
    match (memory.peak_bytes, memory.host_bytes) {
        (Some(peak), Some(host)) => {
            summary.push_str(&format!(
                ": it used {}, the host has {}",
                gib(peak),
                gib(host)
            ));
        }
        (None, Some(host)) => summary.push_str(&format!(": the host has {}", gib(host))),
        (Some(peak), None) => summary.push_str(&format!(": it used {}", gib(peak))),
        (None, None) => {}
    }
    let advice = "The kernel killed a process of the run (SIGKILL). Give the host more memory or swap, or build \
                  elsewhere.";
    Some(Part::new(CauseKind::Memory, &summary).with_detail(advice.to_owned()))
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

/// Whether the process that was killed is why the step failed, as far as the other causes tell: they speak of it. An
/// activation is in a control group of its own.
pub(super) fn ended_step(known: Known<'_>, others: &[Part]) -> bool {
    let speak = |part: &Part| speaks_of_kill(&part.cause.summary) || speaks_of_kill(&part.detail);
    let is_killed = known.signal() == Some(Signal::SIGKILL);
    is_killed || !known.is_activating() && others.iter().any(speak)
}

/// Whether a text speaks of a process that was killed, or of one that had no memory.
pub(super) fn speaks_of_kill(text: &str) -> bool {
    OF_A_KILL.iter().any(|words| text.contains(words))
}

/// `3.1 GiB`.
#[expect(clippy::cast_precision_loss, reason = "only two digits are shown")]
fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
