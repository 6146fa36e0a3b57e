//! The output of an activation that is only in systemd's journal, or there too.
//!
//! nixos-rebuild activates in a unit of its own. In most of its versions the unit writes into our pipe; in some
//! into the journal alone, in some into both. So the journal is followed while a program runs, from the entry
//! that was its last before. What was read is known by its cursor: a follower that died, or whose supervisor did,
//! is replaced by one that begins behind it.

mod copies;
mod entries;

pub(super) use copies::Copies;
pub(super) use entries::Entries;

use super::command;
use crate::proctree::ProcessId;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use std::io::{self, PipeReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long the journal may take to say where it ends, which is long on a slow disk with many files.
const ANSWER: Duration = Duration::from_secs(10);

/// How long journald may take to write down what it was sent.
const SYNC: Duration = Duration::from_secs(5);

/// Whether there is a journal that this process may read: that of a host whose root it is.
pub(super) fn is_there() -> bool {
    Path::new("/run/systemd/system").is_dir() && nix::unistd::geteuid().is_root()
}

/// Where the journal ends now; `None` where it does not say.
pub(super) fn end() -> Option<Entries> {
    let mut question = journalctl();
    question.args(["--lines=1", "--output=json", "--output-fields=_BOOT_ID"]);
    let answer = command::ask(&mut question, ANSWER).filter(|answer| answer.is_success);
    let Some(answer) = answer else {
        tracing::warn!(
            "the journal cannot be read: output that an activation writes only there is missing in the log"
        );
        return None;
    };
    Some(Entries::after(entries::cursor_of(&answer.text)))
}

/// Waits until journald has written down what it was sent.
pub(super) fn sync() {
    let answer = command::ask(Command::new("journalctl").arg("--sync"), SYNC);
    if !answer.is_some_and(|answer| answer.is_success) {
        tracing::warn!("journald did not confirm that it has written everything");
    }
}

/// A journalctl that prints entries.
pub(super) struct Reader {
    process: Option<ProcessId>,
    pub(super) pipe: PipeReader,
}

impl Reader {
    /// Prints what is behind `entries`, and what comes.
    pub(super) fn follow(entries: &Entries) -> io::Result<Self> {
        Self::start(entries, &["--follow", "--no-tail"])
    }

    /// Prints what is behind `entries` and ends.
    pub(super) fn rest(entries: &Entries) -> io::Result<Self> {
        Self::start(entries, &[])
    }

    fn start(entries: &Entries, options: &[&str]) -> io::Result<Self> {
        let (pipe, end) = io::pipe()?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut command = journalctl();
        if let Some(cursor) = entries.cursor() {
            command.arg(format!("--after-cursor={cursor}"));
        }
        let child = command
            .args(options)
            .args(["--output=json", "--all"])
            .arg("--output-fields=MESSAGE,_SYSTEMD_UNIT,_LINE_BREAK")
            .args([
                "SYSLOG_IDENTIFIER=switch-to-configuration",
                "_TRANSPORT=stdout",
            ])
            .stdin(Stdio::null())
            .stdout(end)
            .spawn()?;
        Ok(Self {
            process: ProcessId::of(child.id().cast_signed()),
            pipe,
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(process) = self.process {
            process.signal(Signal::SIGTERM);
        }
    }
}

fn journalctl() -> Command {
    let mut command = Command::new("journalctl");
    command.args(["--quiet", "--no-pager"]);
    command
}
