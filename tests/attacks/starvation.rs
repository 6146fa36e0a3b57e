//! How long the machine keeps a process from running, so that it is not held for a fault of the program.

use std::collections::HashMap;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name of the threads that serve requests.
const SERVING: &str = "tokio-rt-worker";
/// The kernel counts stolen time in these.
const TICK: Duration = Duration::from_millis(10);

/// What the kernel has counted so far.
pub(crate) struct Starvation {
    /// For how long this thread was ready to run and had no core,
    own: Duration,
    /// and each of those that serve requests.
    serving: HashMap<PathBuf, Duration>,
    /// For how long a hypervisor had the cores.
    stolen: Duration,
    /// For how long somebody waited for a disk.
    disk: Duration,
}

impl Starvation {
    /// That of the threads of a process that serve requests, and of this thread. None where the kernel does not count.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let mut serving = HashMap::new();
        for thread in read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let thread = thread.path();
            let name = read_to_string(thread.join("comm")).unwrap_or_default();
            // It may be gone by now.
            if name.trim() == SERVING
                && let Some(delay) = run_delay(&thread)
            {
                serving.insert(thread, delay);
            }
        }
        Some(Self {
            own: run_delay(Path::new("/proc/thread-self"))?,
            serving,
            stolen: stolen()?,
            disk: disk()?,
        })
    }

    /// Most time since then that a line lost for no fault of the program: it passes through three of the threads at most,
    /// the one that takes it in, one that stores it where the disk is slow, and the one that sends it on.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let waited = self.serving.iter().map(|(thread, waited)| {
            let then = before.serving.get(thread).copied().unwrap_or_default();
            waited.saturating_sub(then)
        });
        let mut waited: Vec<Duration> = waited.collect();
        waited.sort_unstable();
        let machine = self.stolen.saturating_sub(before.stolen)
            + self.disk.saturating_sub(before.disk)
            + self.own.saturating_sub(before.own);
        machine + waited.iter().rev().take(3).sum::<Duration>()
    }
}

/// The second number of `schedstat`, see `Documentation/scheduler/sched-stats.rst` of Linux.
fn run_delay(thread: &Path) -> Option<Duration> {
    let text = read_to_string(thread.join("schedstat")).ok()?;
    let waited = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(waited))
}

/// The eighth number of the first line of `/proc/stat`.
fn stolen() -> Option<Duration> {
    let text = read_to_string("/proc/stat").ok()?;
    let ticks: u32 = text.split_whitespace().nth(8)?.parse().ok()?;
    Some(TICK * ticks)
}

/// The total in microseconds of `some` in `/proc/pressure/io`.
fn disk() -> Option<Duration> {
    let text = read_to_string("/proc/pressure/io").ok()?;
    let total = text.lines().next()?.rsplit_once("total=")?.1;
    Some(Duration::from_micros(total.trim().parse().ok()?))
}
