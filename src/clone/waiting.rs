//! Waits for a git, no longer than it may take, or no longer than it gets on.

use super::users::is_git;
use crate::proctree::{self, ProcessId};
use nix::sys::signal::Signal;
use std::fs;
use std::io;
use std::process::{Child, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Between two looks at a git whose end is not in sight.
const LONG_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Longest time between two looks at what a git has done.
const MAX_LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// From SIGTERM, at which git removes its locks, to SIGKILL. What it has of a pack goes with the next pull.
const GRACE: Duration = Duration::from_secs(5);

/// How long a git may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit<'a> {
    /// For ever.
    None,
    /// So long.
    Time(Duration),
    /// So long without any progress.
    Silence {
        limit: Duration,
        /// The server from which it should hear.
        server: &'a str,
    },
}

/// How the wait for a git ended.
#[derive(Debug)]
pub(super) enum Ended {
    Itself(ExitStatus),
    /// At its limit, with all that it had started.
    ByUs,
}

/// Waits for the end of a git; at its limit it is ended, with all that it started.
pub(super) fn wait(child: &mut Child, limit: Limit<'_>) -> io::Result<Ended> {
    let begin = Instant::now();
    let (mut silence, interval) = match limit {
        Limit::None => return child.wait().map(Ended::Itself),
        Limit::Time(_) => (None, POLL_INTERVAL),
        Limit::Silence { limit, .. } => (Some(Silence::new(pid(child), limit)), LONG_POLL_INTERVAL),
    };
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Itself(status));
        }
        let is_over = match (&mut silence, limit) {
            (Some(silence), _) => silence.is_too_long(),
            (None, Limit::Time(limit)) => begin.elapsed() >= limit,
            (None, _) => false,
        };
        if is_over {
            end(child)?;
            return Ok(Ended::ByUs);
        }
        sleep(interval);
    }
}

fn pid(child: &Child) -> i32 {
    // As the kernel has them: 22 bits at most.
    i32::try_from(child.id()).unwrap_or(i32::MAX)
}

/// Ends a git with all that it started.
fn end(child: &mut Child) -> io::Result<()> {
    let mut family = proctree::family(pid(child));
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        for member in &family {
            member.signal(signal);
        }
        let begin = Instant::now();
        while begin.elapsed() < GRACE && family.iter().any(|member| member.is_alive()) {
            sleep(POLL_INTERVAL);
        }
        // What it started meanwhile; its number is its own until it is waited for.
        family.extend(proctree::family(pid(child)));
    }
    child.kill()?;
    child.wait().map(|_| ())
}

/// The time in which a git has got no further.
struct Silence {
    git: i32,
    limit: Duration,
    done: Vec<Done>,
    since: Instant,
    looked: Instant,
}

impl Silence {
    fn new(git: i32, limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            git,
            limit,
            done: Vec::new(),
            since: now,
            looked: now,
        }
    }

    fn is_too_long(&mut self) -> bool {
        if self.looked.elapsed() < MAX_LOOK_INTERVAL.min(self.limit / 20) {
            return false;
        }
        self.looked = Instant::now();
        let family = proctree::family(self.git);
        let done: Vec<_> = family.into_iter().filter_map(Done::read).collect();
        // Of what cannot be seen nobody knows that it does nothing.
        if done.is_empty() || done != self.done {
            self.done = done;
            self.since = self.looked;
        }
        self.since.elapsed() >= self.limit
    }
}

/// What one process of git has done so far. What else takes part in a transfer counts by what comes to git: the
/// keep-alives of ssh are no progress, nor are those of the program through which it goes.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    process: ProcessId,
    /// Read and written, as /proc/PID/io counts them.
    bytes: u64,
    ticks: u64,
}

impl Done {
    /// `None` of a process that is not git.
    fn read(process: ProcessId) -> Option<Self> {
        let name = fs::read_to_string(format!("/proc/{}/comm", process.pid)).ok()?;
        if !is_git(name.trim_end()) {
            return None;
        }
        // libcurl looks many times a second whether something came.
        let is_helper = name.starts_with("git-remote-");
        let ticks = if is_helper { 0 } else { process.ticks() };
        Some(Self {
            process,
            bytes: bytes(process.pid),
            ticks,
        })
    }
}

fn bytes(pid: i32) -> u64 {
    let counted = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let of = |line: &str| {
        let number = line
            .strip_prefix("rchar: ")
            .or_else(|| line.strip_prefix("wchar: "));
        number.and_then(|number| number.parse::<u64>().ok())
    };
    counted.lines().filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn at_its_limit_a_program_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; sleep 300 & echo $! > pid; wait; sleep 300";
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        let file = folder.path().join("pid");
        let written = || fs::read_to_string(&file).ok()?.trim().parse().ok();
        let started = loop {
            if let Some(pid) = written() {
                break ProcessId::of(pid).unwrap();
            }
            sleep(POLL_INTERVAL);
        };
        let ended = wait(&mut child, Limit::Time(Duration::ZERO)).unwrap();
        assert!(matches!(ended, Ended::ByUs));
        assert!(!started.is_alive());
    }
}
