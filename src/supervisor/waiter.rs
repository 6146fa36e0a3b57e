//! The process that starts one program of a run, waits for it, and writes down how it ended, whatever becomes of
//! the supervisor.
//!
//! It holds the reading ends of the program's pipes, too, so that the program is not ended by SIGPIPE while
//! nobody reads them.

use crate::proctree::ProcessId;
use crate::spool::{self, RunDir};
use nix::unistd::{dup2_stderr, dup2_stdout};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What the waiter writes into the file of its launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Launched {
    /// Itself.
    pub(super) waiter: ProcessId,
    /// `None` before it was started, and where it could not be.
    pub(super) program: Option<ProcessId>,
    /// `None` while it runs.
    pub(super) end: Option<End>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// With this exit code, or 128 + the signal that ended it.
    Exited(i32),
    /// It could not be started: the system's error number.
    NotStarted(i32),
}

/// Takes the right to start the program of this launch. Only one ever gets it: the waiter, or a supervisor that
/// finds that no waiter has begun.
///
/// # Errors
/// Of the kind `AlreadyExists` when another has it.
fn claim(rundir: &RunDir, launch: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(rundir.program(launch)).map(drop)
}

/// Takes that right for a supervisor. Says whether no waiter has it, nor ever will.
///
/// What it leaves is a link, which is made in one step: whoever finds it after the death of this supervisor as well
/// does not take it for a waiter that began.
pub(super) fn forestall(rundir: &RunDir, launch: u32) -> io::Result<bool> {
    let path = rundir.program(launch);
    match symlink(".", &path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(path.is_symlink()),
        made => made.map(|()| true),
    }
}

/// What is known of a launch; `None` where its waiter has written nothing.
pub(super) fn look(rundir: &RunDir, launch: u32) -> Option<Launched> {
    spool::read_json(&rundir.program(launch)).ok().flatten()
}

/// How the program of the last launch ended, where its waiter wrote that down.
pub(super) fn last_end(rundir: &RunDir) -> Option<End> {
    look(rundir, launches(rundir))?.end
}

/// Takes the right to start what a dead supervisor was about to start: a waiter that has not begun yet gives up.
pub(super) fn claim_next(rundir: &RunDir) {
    match forestall(rundir, launches(rundir) + 1) {
        Ok(true) => {}
        Ok(false) => tracing::warn!("a program of the run is starting just now"),
        Err(error) => tracing::warn!(%error, "a program of the run may still start"),
    }
}

/// How many launches somebody took the right for.
fn launches(rundir: &RunDir) -> u32 {
    let taken = (1..).take_while(|launch| rundir.program(*launch).exists());
    taken.last().unwrap_or(0)
}

/// Starts `argv` with this process's output as its own and waits for its end. Gives the exit code for this
/// process, which is that of the program.
pub fn wait(rundir: &Path, launch: u32, argv: &[OsString]) -> u8 {
    let (Some(rundir), Some((program, arguments))) = (RunDir::at(rundir), argv.split_first())
    else {
        return 2;
    };
    if claim(&rundir, launch).is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        return 2;
    }
    let Some(waiter) = ProcessId::own() else {
        return 2;
    };
    let write = |program, end| {
        let launched = Launched {
            waiter,
            program,
            end,
        };
        let path = rundir.program(launch);
        if spool::write_json(&path, &launched).is_err() {
            // Where that fails, too, only the supervisor that started this process learns the end, from its exit code.
            let _ = write_over(&path, &launched);
        }
    };
    write(None, None);
    // Handled, not ignored: what is ignored stays ignored in the program.
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    let _reading_ends = ["/proc/self/fd/1", "/proc/self/fd/2"].map(reading_end);
    let spawned = Command::new(program)
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::null())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            let why = error.raw_os_error().unwrap_or_default();
            write(None, Some(End::NotStarted(why)));
            return 127;
        }
    };
    // The pipes end with the program, not with this process.
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = (dup2_stdout(&null), dup2_stderr(&null));
    }
    let program = ProcessId::of(child.id().cast_signed());
    write(program, None);
    let code = child.wait().map_or(255, code);
    write(program, Some(End::Exited(code)));
    u8::try_from(code).unwrap_or(255)
}

/// Writes into the file that is there: on a full disk there is room for that.
fn write_over(path: &Path, launched: &Launched) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    let text = serde_json::to_vec(launched)?;
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)
}

/// The exit code, or 128 + the signal.
fn code(status: ExitStatus) -> i32 {
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).unwrap_or(255)
}

fn reading_end(pipe: &str) -> io::Result<File> {
    let mut options = File::options();
    options
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .read(true)
        .open(pipe)
}
