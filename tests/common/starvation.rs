//! How long the machine keeps a process from running, so that it is not held for a fault of the program.

use std::collections::HashMap;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Names of the threads that do the work: of the one that an agent or a supervisor has, and of those that serve requests
/// of a dashboard and search and check passwords for them. The runtime lets the latter change places.
const WORKING: [&str; 2] = ["switchyard", "tokio-rt-worker"];
/// The kernel counts the time of processors and processes in these.
const TICK: Duration = Duration::from_millis(10);

/// What the kernel has counted so far.
pub(crate) struct Starvation {
    pub(crate) at: Instant,
    /// For how long this thread was ready to run and had no core,
    own: Duration,
    /// and each of those that do the work of the processes.
    working: HashMap<PathBuf, Duration>,
    /// For how long the processors were taken away by a hypervisor, all of them together.
    stolen: Duration,
    /// For how long they worked for anybody,
    all_work: Duration,
    /// and for how long for the processes.
    work: Duration,
    /// For how long somebody waited for a disk.
    disk: Duration,
    /// KiB that were written to disks by anybody,
    all_written: u64,
    /// and those that the processes gave to write.
    written: u64,
}

impl Starvation {
    /// That of the threads of processes that do their work, and of this thread. None where the kernel does not count.
    pub(crate) fn of(processes: &[u32]) -> Option<Self> {
        let mut working = HashMap::new();
        let (mut busy, mut written) = (Duration::ZERO, 0);
        for process in processes {
            let process = PathBuf::from(format!("/proc/{process}"));
            for thread in read_dir(process.join("task")).ok()?.flatten() {
                let thread = thread.path();
                let name = read_to_string(thread.join("comm")).unwrap_or_default();
                // It may be gone by now.
                if WORKING.contains(&name.trim())
                    && let Some(delay) = run_delay(&thread)
                {
                    working.insert(thread, delay);
                }
            }
            busy += work(&process)?;
            written += field(&process.join("io"), "write_bytes: ")? / 1024;
        }
        let (all_work, stolen) = all_work()?;
        Some(Self {
            at: Instant::now(),
            own: run_delay(Path::new("/proc/thread-self"))?,
            working,
            stolen,
            all_work,
            work: busy,
            disk: disk()?,
            all_written: field(Path::new("/proc/vmstat"), "pgpgout ")?,
            written,
        })
    }

    /// Most time since then that a line lost for no fault of the program.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let own = self.own.saturating_sub(before.own);
        // A thread that runs on a processor that was taken away does not wait for one.
        let stolen = self.stolen.saturating_sub(before.stolen) / cores();
        own + self.processors(before) + self.disks(before) + stolen
    }

    /// What others took of the processors while a thread that the line passes through waited for one. It passes through
    /// three at most: the one that takes it in, one that stores it where the disk is slow, and the one that sends it on.
    /// They may have waited for other threads of the program, too, so it is no more than what others took of the whole
    /// machine.
    fn processors(&self, before: &Self) -> Duration {
        let waited = self.working.iter().map(|(thread, waited)| {
            let then = before.working.get(thread).copied().unwrap_or_default();
            waited.saturating_sub(then)
        });
        let mut waited: Vec<Duration> = waited.collect();
        waited.sort_unstable();
        let waited: Duration = waited.iter().rev().take(3).sum();
        let work = self.work.saturating_sub(before.work);
        let all_work = self.all_work.saturating_sub(before.all_work);
        // Each of the two numbers may be a tick behind.
        let of_others = (all_work + TICK).saturating_sub(work) / cores();
        waited.min(of_others)
    }

    /// Waits for a disk, in so far as others wrote to it.
    fn disks(&self, before: &Self) -> Duration {
        let all = self.all_written.saturating_sub(before.all_written);
        let own = self.written.saturating_sub(before.written).min(all);
        let of_others = if all == 0 {
            1.0
        } else {
            (all - own) as f64 / all as f64
        };
        let waited = self.disk.saturating_sub(before.disk);
        waited.min(self.at - before.at).mul_f64(of_others)
    }
}

/// The second number of `schedstat`, see `Documentation/scheduler/sched-stats.rst` of Linux.
fn run_delay(thread: &Path) -> Option<Duration> {
    let text = read_to_string(thread.join("schedstat")).ok()?;
    let waited = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(waited))
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// All times of the first line of `/proc/stat` but those of doing nothing, and those that a hypervisor took; those of
/// guests are in others.
fn all_work() -> Option<(Duration, Duration)> {
    let text = read_to_string("/proc/stat").ok()?;
    let times = text.lines().next()?.split_whitespace().skip(1);
    let times: Option<Vec<u32>> = times.map(|time| time.parse().ok()).collect();
    let [user, nice, system, _, _, irq, softirq, stolen, ..] = times?[..] else {
        return None;
    };
    Some((TICK * (user + nice + system + irq + softirq), TICK * stolen))
}

/// The times of a process in `/proc/PID/stat`, in user mode and in the kernel.
fn work(process: &Path) -> Option<Duration> {
    let text = read_to_string(process.join("stat")).ok()?;
    let mut after_name = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system) = (after_name.next()?, after_name.next()?);
    Some(TICK * (user.parse::<u32>().ok()? + system.parse::<u32>().ok()?))
}

/// The total in microseconds of `some` in `/proc/pressure/io`.
fn disk() -> Option<Duration> {
    let text = read_to_string("/proc/pressure/io").ok()?;
    let total = text.lines().next()?.rsplit_once("total=")?.1;
    Some(Duration::from_micros(total.trim().parse().ok()?))
}

/// The number behind a name at the beginning of a line.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}
