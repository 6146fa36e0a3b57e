//! Drives the real binary by what other programs may rely on: command lines, files, HTTP and WebSocket.
//! Everything that is started is ended, and everything that is written is removed, when it is dropped.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::explicit_write,
    reason = "a helper that fails is a test that fails"
)]

mod agent;
pub(crate) mod chance;
mod client;
mod dashboard;
mod disk;
mod log;
mod process;
mod skip;
mod socket;
mod sync_gate;

pub(crate) use agent::Agent;
pub(crate) use client::{Answer, Client, assert_problem};
pub(crate) use dashboard::{Dashboard, sha256_hex};
pub(crate) use disk::SmallDisk;
pub(crate) use log::{Line, LogFile, texts};
pub(crate) use process::{Process, alive};
pub(crate) use skip::skip;
pub(crate) use socket::{Socket, Watch};
pub(crate) use sync_gate::SyncGate;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long anything may take that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something.
#[track_caller]
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Tells what was measured, past libtest's capture.
pub(crate) fn measured(what: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "MEASURED {what}").unwrap();
}

/// Whether a program can be started here.
pub(crate) fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Runs git in `dir`; gives what it says.
#[track_caller]
pub(crate) fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=test", "-c", "user.email=test@example.org"])
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A program that writes `line 0` to `line N-1` to its standard output.
pub(crate) fn count_to(lines: u64) -> String {
    format!("seq 0 {} | sed 's/^/line /'", lines - 1)
}

/// A file whose presence holds a child up: see [`Gate::wait`].
pub(crate) struct Gate(std::path::PathBuf);

impl Gate {
    /// A closed gate at `dir/name`.
    pub(crate) fn closed(dir: &Path, name: &str) -> Self {
        let gate = Self(dir.join(name));
        gate.close();
        gate
    }

    pub(crate) fn close(&self) {
        std::fs::write(&self.0, "").unwrap();
    }

    /// Shell code that waits until the gate is open.
    pub(crate) fn wait(&self) -> String {
        format!("while [ -e '{}' ]; do sleep 0.05; done", self.0.display())
    }

    pub(crate) fn open(&self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}
