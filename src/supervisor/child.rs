//! One program of a run: how it is started, its pipes, its end.

use super::capture::{Capture, Taken};
use super::fd_store;
use super::interpreter;
use super::journal::Reader;
use super::streams::Stream;
use super::waiter::{self, End, Launched};
use crate::clone;
use crate::proctree::{self, ProcessId, RUN_VARIABLE, mark};
use crate::protocol::Timestamp;
use crate::spool::{RunDir, Spec};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::fs;
use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How much a pipe is asked to hold, so that the child seldom waits for us.
const PIPE_BYTES: i32 = 1024 * 1024;

/// This very program, even where its file was replaced or removed since it began.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// By which systemd speaks with its service; not meant for the children.
const OF_SERVICE: [&str; 5] = [
    "NOTIFY_SOCKET",
    "FDSTORE",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// How often it is looked whether somebody else's waiter lives.
const INTERVAL: Duration = Duration::from_secs(1);

/// A program that runs, or whose output has not all been read. A [`waiter`] stands between it and us.
pub(super) struct Child {
    launch: u32,
    /// The waiter that this supervisor started.
    own_waiter: Option<ProcessId>,
    launched: Option<Launched>,
    looked: Instant,
    /// Set once it has ended.
    pub(super) end: Option<ChildEnd>,
    /// Each until its end was read.
    stdout: Option<PipeReader>,
    stderr: Option<PipeReader>,
    journal: Option<Reader>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChildEnd {
    /// As somebody saw.
    Seen(End),
    /// Nobody who saw it is left.
    Unseen,
}

impl Child {
    /// Starts `argv` in a process group of its own, without input.
    pub(super) fn spawn(
        argv: &[String],
        spec: &Spec,
        rundir: &RunDir,
        launch: u32,
    ) -> io::Result<Self> {
        if argv.is_empty() {
            let why = "the step is empty";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let (stdout, stdout_end) = io::pipe()?;
        let (stderr, stderr_end) = io::pipe()?;
        for pipe in [&stdout, &stderr] {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            // Refused beyond what a user may have; the pipe then keeps its size.
            let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        }
        if fd_store::is_there()
            && let Err(error) = fd_store::keep(launch, [&stdout, &stderr])
        {
            tracing::error!(%error, "the pipes cannot be handed to systemd: if this supervisor dies, the rest of the output is lost");
        }
        let mut command = Command::new(OWN_PROGRAM);
        command
            .arg0("switchyard")
            .arg("wait")
            .arg(rundir.path())
            .arg(launch.to_string())
            .arg("--")
            .args(argv)
            // What it says is looked through for why it failed.
            .envs(clone::ENGLISH)
            .envs(spec.environment.iter().map(|(name, value)| (name, value)))
            .env(RUN_VARIABLE, mark(rundir.path()))
            .current_dir(work_dir(spec))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(stdout_end)
            .stderr(stderr_end);
        if let Some(ssh) = ssh_command() {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        for name in OF_SERVICE {
            command.env_remove(name);
        }
        let waiter = command.spawn()?;
        Ok(Self {
            own_waiter: ProcessId::of(waiter.id().cast_signed()),
            ..Self::new(launch, [Some(stdout), Some(stderr)])
        })
    }

    /// Takes over what an earlier supervisor started.
    pub(super) fn attach(launch: u32) -> Self {
        let pipes = fd_store::pipes(launch).unwrap_or_else(|error| {
            tracing::error!(%error, "cannot take over the pipes from systemd");
            None
        });
        if pipes.is_none() {
            tracing::error!("systemd did not return the pipes: the output in them is lost");
        }
        Self::new(launch, pipes.map_or([None, None], |pipes| pipes.map(Some)))
    }

    fn new(launch: u32, [stdout, stderr]: [Option<PipeReader>; 2]) -> Self {
        Self {
            launch,
            own_waiter: None,
            launched: None,
            looked: Instant::now(),
            end: None,
            stdout,
            stderr,
            journal: None,
        }
    }

    /// From here on there is something to read of the journal.
    pub(super) fn read_journal(&mut self, reader: Reader) {
        self.journal = Some(reader);
    }

    /// The process that has the others of this program below it.
    pub(super) fn id(&self) -> Option<ProcessId> {
        self.own_waiter
            .or(self.launched.map(|launched| launched.waiter))
    }

    /// What there is to read of a stream, until its end was read.
    pub(super) fn pipe(&self, stream: Stream) -> Option<&PipeReader> {
        match stream {
            Stream::Stdout => self.stdout.as_ref(),
            Stream::Stderr => self.stderr.as_ref(),
            Stream::Journal => self.journal.as_ref().map(|reader| &reader.pipe),
        }
    }

    /// Takes what there is of one stream, at most the buffer.
    pub(super) fn read(
        &self,
        stream: Stream,
        capture: &mut Capture,
        at: Timestamp,
        buffer: &mut [u8],
    ) -> Taken {
        match self.pipe(stream) {
            Some(pipe) => capture.take(stream, pipe, at, buffer),
            None => Taken::Nothing,
        }
    }

    /// The end of a stream was read.
    pub(super) fn close(&mut self, stream: Stream) {
        match stream {
            Stream::Stdout => self.stdout = None,
            Stream::Stderr => self.stderr = None,
            Stream::Journal => self.journal = None,
        }
    }

    /// Reaps, and finds out whether it has ended; `changed` says that a file of the run was written.
    pub(super) fn look(&mut self, rundir: &RunDir, changed: bool) {
        let mut reaped = reap();
        if self.end.is_some() {
            return;
        }
        let overdue = self.looked.elapsed() >= INTERVAL;
        if !changed && !overdue && reaped.is_empty() {
            return;
        }
        self.looked = Instant::now();
        self.launched = waiter::look(rundir, self.launch).or(self.launched);
        self.end = self.find_end(rundir, &reaped);
        if self.end == Some(ChildEnd::Unseen) {
            // Waiter or program may have ended after they were reaped and before they were looked at.
            reaped.extend(reap());
            self.launched = waiter::look(rundir, self.launch).or(self.launched);
            self.end = self.find_end(rundir, &reaped);
        }
    }

    fn find_end(&self, rundir: &RunDir, reaped: &[(i32, Reaped)]) -> Option<ChildEnd> {
        let of = |id: Option<ProcessId>| {
            let pid = id?.pid;
            let found = reaped.iter().find(|(reaped, _)| *reaped == pid);
            found.map(|(_, how)| *how)
        };
        if let Some(end) = self.launched.and_then(|launched| launched.end) {
            return Some(ChildEnd::Seen(end));
        }
        // A waiter that could not write ends as its program did; one that was killed leaves it to us.
        let is_other = |launched: Launched| Some(launched.waiter) != self.own_waiter;
        match of(self.own_waiter) {
            // The launch was another waiter's, of which nothing is known.
            Some(_) if self.launched.is_some_and(is_other) => return Some(ChildEnd::Unseen),
            Some(Reaped::Exited(code)) => return Some(ChildEnd::Seen(End::Exited(code))),
            _ => {}
        }
        let program = self.launched.and_then(|launched| launched.program);
        if let Some(how) = of(program) {
            return Some(ChildEnd::Seen(End::Exited(how.code())));
        }
        if self.id().is_some_and(ProcessId::is_alive) {
            return None;
        }
        let lives = match program {
            Some(program) => program.is_alive(),
            None => !proctree::of_run(rundir.path(), None).is_empty(),
        };
        (!lives).then_some(ChildEnd::Unseen)
    }

    /// Whether both outputs of the program were read to their end, or given up.
    pub(super) fn is_drained(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }
}

/// How a process ended that was reaped.
#[derive(Clone, Copy, Debug)]
enum Reaped {
    Exited(i32),
    Killed(i32),
}

impl Reaped {
    fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }
}

/// Reaps what ended of the descendants.
fn reap() -> Vec<(i32, Reaped)> {
    let mut reaped = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => reaped.push((pid.as_raw(), Reaped::Exited(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                reaped.push((pid.as_raw(), Reaped::Killed(signal as i32)));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return reaped,
            // EINVAL, of one that a signal ended for which nix has no name.
            Ok(_) | Err(_) => {}
        }
    }
}

/// How git reaches the repository, where the service of the run was given a key or servers' keys for that.
fn ssh_command() -> Option<String> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY")?;
    let credential = |name: &str, option: &str| {
        let file = Path::new(&folder).join(name);
        // In the place of one that is missing, systemd has put one newline. An empty file knows no server, and is there.
        let is_there = fs::metadata(&file).is_ok_and(|found| found.is_file() && found.len() != 1);
        is_there.then(|| format!(" {option}{}", file.display()))
    };
    let key = credential("ssh_key", "-o IdentitiesOnly=yes -i ");
    let known_hosts = credential("ssh_known_hosts", "-o UserKnownHostsFile=");
    let options = [key, known_hosts].into_iter().flatten();
    let options: String = options.collect();
    (!options.is_empty()).then(|| format!("ssh {}{options}", clone::SSH_OPTIONS))
}

/// The exit code and the words for a program that could not be started.
pub(super) fn not_started(program: &str, error: &io::Error) -> (i32, String) {
    let missing = match error.kind() {
        io::ErrorKind::NotFound => interpreter::missing(program),
        _ => None,
    };
    if let Some(missing) = missing {
        let message = format!(
            "{} exists, but its interpreter {} is not on this host; a script that begins with #!/usr/bin/env finds its interpreter in the PATH",
            missing.program.display(),
            missing.interpreter.display().to_string().escape_debug()
        );
        return (127, message);
    }
    match error.kind() {
        io::ErrorKind::NotFound => (
            127,
            format!(
                "{program}: there is no such program on this host; install it, or put its folder into the agent's PATH"
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            126,
            format!("{program}: no permission to execute this file; check its mode and its owner"),
        ),
        _ if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => (
            126,
            format!("{program}: this file is not a program; begin it with #! and its interpreter"),
        ),
        _ => (126, format!("{program}: cannot be started: {error}")),
    }
}

/// The repository when it exists, which `pull` makes, unless the steps are to run elsewhere.
fn work_dir(spec: &Spec) -> &Path {
    if let Some(dir) = &spec.steps_dir {
        dir
    } else if spec.work_dir.is_dir() {
        &spec.work_dir
    } else {
        Path::new("/")
    }
}
