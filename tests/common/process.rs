//! Programs we start, and what they leave behind.

use super::{SOON, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// Marks every process that comes from one of ours, whatever session it made for itself.
const OWNER: &str = "SWITCHYARD_TEST_OWNER";

/// A started `switchyard` whose standard error is kept.
pub(crate) struct Process {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts the binary. `owner` is a folder of the test, by which its descendants are found.
    pub(crate) fn start(owner: &Path, arguments: &[&str]) -> Self {
        Self::start_in(owner, arguments, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn start_in(
        owner: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_switchyard"));
        Self::start_program(program, owner, arguments, environment)
    }

    /// The same of another copy of the binary.
    pub(crate) fn start_program(
        program: &Path,
        owner: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).env(OWNER, owner);
        for variable in [
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "INVOCATION_ID",
            "JOURNAL_STREAM",
            "RUST_LOG",
        ] {
            command.env_remove(variable);
        }
        for (variable, _) in
            std::env::vars().filter(|(name, _)| name.to_lowercase().ends_with("_proxy"))
        {
            command.env_remove(variable);
        }
        let mut child = command
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                lines
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { child, said }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// How often it has said this on standard error.
    pub(crate) fn times_said(&self, text: &str) -> usize {
        let lines = all_of(&self.said);
        lines.iter().filter(|line| line.contains(text)).count()
    }

    /// The first line on standard error, waited for, that contains `text`.
    #[track_caller]
    pub(crate) fn line_with(&self, text: &str) -> String {
        wait_for(&format!("{text:?} on standard error"), SOON, || {
            let lines = all_of(&self.said);
            lines.into_iter().find(|line| line.contains(text))
        })
    }

    /// How many lines on standard error begin like this.
    pub(crate) fn lines_beginning_with(&self, text: &str) -> usize {
        let lines = all_of(&self.said);
        lines.iter().filter(|line| line.starts_with(text)).count()
    }

    /// How many lines it has written to standard error.
    pub(crate) fn said(&self) -> usize {
        all_of(&self.said).len()
    }

    /// Waits for a line on standard error, from line `from` on, that contains `text`; gives what follows it.
    #[track_caller]
    pub(crate) fn wait_to_say(&mut self, text: &str, from: usize) -> String {
        let (said, child) = (Arc::clone(&self.said), &mut self.child);
        let mut ended = false;
        wait_for(&format!("{text:?} on standard error"), SOON, || {
            let found = all_of(&said).iter().skip(from).find_map(|line| {
                let (_, rest) = line.split_once(text)?;
                Some(rest.to_owned())
            });
            assert!(
                found.is_some() || !ended,
                "it ended without {text:?} and said: {:#?}",
                all_of(&said)
            );
            ended = child.try_wait().unwrap().is_some();
            found
        })
    }

    /// Sends a signal and gives the exit code, if the process ends with one.
    pub(crate) fn end(&mut self, signal: Signal) -> Option<i32> {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
        let status = wait_for("its end", SOON, || self.child.try_wait().unwrap());
        status.code()
    }

    /// Resident memory, in KiB, now.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory, in KiB, since [`forget_peak`](Self::forget_peak).
    pub(crate) fn peak_kib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Measures the peak from now on.
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many files and connections it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .unwrap()
            .count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = all_of(&self.said);
            let tail = said.iter().skip(said.len().saturating_sub(20));
            eprintln!(
                "process {} said: {:#?}",
                self.child.id(),
                tail.collect::<Vec<_>>()
            );
        }
    }
}

/// What was said so far.
fn all_of(said: &Mutex<Vec<String>>) -> Vec<String> {
    said.lock().unwrap().clone()
}

/// Whether a process exists and is no zombie.
pub(crate) fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(')')?.1.trim().chars().next())
        .is_some_and(|state| !"ZX".contains(state))
}

/// Every living process that comes from one started with this owner.
pub(crate) fn owned_by(owner: &Path) -> Vec<u32> {
    let mark = format!("{OWNER}={}", owner.display());
    let is_owned = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|&byte| byte == 0)
            .any(|variable| variable == mark.as_bytes())
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| alive(*pid) && is_owned(pid))
        .collect()
}

/// Ends every process that comes from one started with this owner.
pub(crate) fn end_all_owned_by(owner: &Path) {
    loop {
        let left = owned_by(owner);
        if left.is_empty() {
            return;
        }
        for pid in left {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
