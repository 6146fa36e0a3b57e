//! A step that ended because memory ran out, or was killed.

use super::{Known, Part};
use crate::protocol::CauseKind;

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

/// `3.1 GiB`.
#[expect(clippy::cast_precision_loss, reason = "only two digits are shown")]
fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
