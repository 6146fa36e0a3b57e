//! One program of a run: how it is started, its pipes, its end.

use super::recorder::Stream;
use crate::proctree::{ProcessId, RUN_VARIABLE, mark};
use crate::spool::{RunDir, Spec};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, Command, Stdio};

/// How much a pipe is asked to hold, so that the child seldom waits for us.
const PIPE_BYTES: i32 = 1024 * 1024;

/// A program that runs, or whose output has not all been read.
pub(super) struct Child {
    process: process::Child,
    /// `None` when it was over before it could be asked for.
    pub(super) id: Option<ProcessId>,
    /// Set once it has ended: the code it gave, or 128 + the signal that ended it.
    pub(super) exit_code: Option<i32>,
    /// Each until its end was read.
    pub(super) stdout: Option<PipeReader>,
    pub(super) stderr: Option<PipeReader>,
}

/// What one read gave.
pub(super) enum Taken {
    Bytes(usize),
    Nothing,
    End,
}

impl Child {
    /// Starts `argv` in a process group of its own, without input.
    pub(super) fn spawn(argv: &[String], spec: &Spec, rundir: &RunDir) -> io::Result<Self> {
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the step is empty"))?;
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        for pipe in [&stdout, &stderr] {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            // Refused beyond what a user may have; the pipe then keeps its size.
            let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        }
        let process = Command::new(program)
            .args(arguments)
            .envs(spec.environment.iter().map(|(name, value)| (name, value)))
            .env(RUN_VARIABLE, mark(rundir.path()))
            .current_dir(work_dir(spec))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(stdout_end)
            .stderr(stderr_end)
            .spawn()?;
        Ok(Self {
            id: ProcessId::of(process.id().cast_signed()),
            process,
            exit_code: None,
            stdout: Some(stdout),
            stderr: Some(stderr),
        })
    }

    /// Reads what is there of one stream, at most the buffer, and closes the stream at its end.
    pub(super) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Taken {
        let pipe = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(reader) = pipe else {
            return Taken::Nothing;
        };
        match reader.read(buffer) {
            Ok(0) => {
                *pipe = None;
                Taken::End
            }
            Ok(bytes) => Taken::Bytes(bytes),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Taken::Nothing,
                _ => {
                    tracing::error!(%error, ?stream, "cannot read the output of the child");
                    *pipe = None;
                    Taken::End
                }
            },
        }
    }

    /// Asks whether it has ended, and reaps the orphans that were adopted.
    pub(super) fn reap(&mut self) {
        if self.exit_code.is_none() {
            match self.process.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    let signal = status.signal().map(|signal| 128 + signal);
                    self.exit_code = status.code().or(signal);
                }
                Err(error) => {
                    tracing::error!(%error, "cannot learn how the child ended");
                    self.exit_code = Some(255);
                }
            }
        }
        let pid = Pid::from_raw(self.process.id().cast_signed());
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(ended, code)) if ended == pid => self.exit_code = Some(code),
                Ok(WaitStatus::Signaled(ended, signal, _)) if ended == pid => {
                    self.exit_code = Some(128 + signal as i32);
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                // An orphan; or EINVAL, of one that a signal ended for which nix has no name.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Whether both streams were read to their end, or given up.
    pub(super) fn is_drained(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }
}

/// The exit code and the words for a program that could not be started.
pub(super) fn not_started(program: &str, error: &io::Error) -> (i32, String) {
    match error.kind() {
        io::ErrorKind::NotFound => (
            127,
            format!(
                "{program}: there is no such program on this host; install it, or put its folder into the agent's PATH"
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            126,
            format!("{program}: this file may not be executed; check its mode and its owner"),
        ),
        _ if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => (
            126,
            format!("{program}: this file is no program; begin it with #! and its interpreter"),
        ),
        _ => (126, format!("{program}: cannot be started: {error}")),
    }
}

/// The repository when it exists: `pull` makes it.
fn work_dir(spec: &Spec) -> &Path {
    if spec.work_dir.is_dir() {
        &spec.work_dir
    } else {
        Path::new("/")
    }
}
