//! git, as the agent runs it: with nothing of the clone's own configuration that runs a program, and with its
//! errors at hand.

use super::address::Address;
use super::transfer::{self, Blame};
use super::waiting::{Ended, Limit, wait};
use crate::spool::Pull;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Settings of every git that the agent starts: what a clone holds runs no program.
const SAFE: [(&str, &str); 2] = [("core.hooksPath", "/dev/null"), ("core.fsmonitor", "false")];

/// Settings of `pull`. Nothing that a commit holds may keep the next one from being pulled, a loss of power should
/// find everything on disk, and nothing goes on behind the run.
const OF_PULL: [(&str, &str); 18] = [
    // The files are those of the commit, byte for byte, whatever the clone or the host asks for.
    ("core.autocrlf", "false"),
    ("core.fileMode", "true"),
    ("core.ignoreCase", "false"),
    ("core.useReplaceRefs", "false"),
    // The plainest form of index.
    ("core.splitIndex", "false"),
    ("core.untrackedCache", "false"),
    ("index.sparse", "false"),
    ("core.sparseCheckout", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.fsckObjects", "false"),
    ("transfer.fsckObjects", "false"),
    ("core.fsync", "all"),
    ("core.fsyncMethod", "batch"),
    ("gc.autoDetach", "false"),
    ("maintenance.autoDetach", "false"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "300"),
];

/// By which git would find another repository than that of the clone.
const OF_REPOSITORY: [&str; 10] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_CONFIG_PARAMETERS",
];

/// Gives git the credentials, which are in its environment: a command line can be read by everybody.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \
                      \"$SWITCHYARD_GIT_USER\" \"$SWITCHYARD_GIT_PASSWORD\"; }; f";

/// Longest line of git's errors that is kept, in bytes.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// How many of git's errors are kept.
const MAX_ERRORS: usize = 100;

/// How much of an answer of git's is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// How long a transfer may get no further. A server that counts and packs a large repository sends something every 5 s
/// (`uploadpack.keepAlive`), and git works on what it has.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(600);

/// Options of the ssh that a service runs with its own key, for which a server that says nothing ends a pull: within
/// 15 s before the keys are exchanged, within a minute once it let us in. Any other ssh is as the host configures it.
pub const SSH_OPTIONS: &str =
    "-o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=4";

/// The exit code of what took too long.
const TIMED_OUT: i32 = 124;

/// What every program gets whose words are read, so that these are English whatever the host's language is.
pub const ENGLISH: [(&str, &str); 2] = [("LC_ALL", "C.UTF-8"), ("LANGUAGE", "")];

/// What every step gets that the agent itself made up: no git that it starts runs a program that a clone names, nor
/// asks anybody.
pub const ENVIRONMENT: [(&str, &str); 6] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_CONFIG_COUNT", "2"),
    ("GIT_CONFIG_KEY_0", SAFE[0].0),
    ("GIT_CONFIG_VALUE_0", SAFE[0].1),
    ("GIT_CONFIG_KEY_1", SAFE[1].0),
    ("GIT_CONFIG_VALUE_1", SAFE[1].1),
];

/// [`ENVIRONMENT`] and [`ENGLISH`] for a question about the clone in `dir`; no repository around it is taken for it.
pub fn environment(dir: &Path) -> Vec<(&'static str, OsString)> {
    let mut environment: Vec<_> = ENVIRONMENT
        .iter()
        .chain(&ENGLISH)
        .map(|(name, value)| (*name, OsString::from(value)))
        .collect();
    if let Some(parent) = dir.parent() {
        environment.push(("GIT_CEILING_DIRECTORIES", parent.into()));
    }
    environment
}

/// git in one clone, for one pull.
pub(super) struct Git {
    /// `None`: in no clone.
    dir: Option<PathBuf>,
    settings: Vec<(String, String)>,
    credentials: Option<(String, String)>,
    silence_limit: Duration,
}

/// A git that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    #[error(
        "git: there is no such program on this host; install it, or put its folder into the agent's PATH"
    )]
    NotInstalled,
    #[error("git cannot be started: {0}")]
    NotStarted(io::Error),
    /// The server, or the way to it, let it wait.
    #[error(
        "git {verb}: {server} sent nothing for {}, so git was ended; check on this host that `git ls-remote {server}` answers, then pull again",
        in_words(*.limit)
    )]
    Silent {
        verb: String,
        server: String,
        limit: Duration,
    },
    /// It said why, in lines that were held back.
    #[error("{}", .0.words())]
    Failed(Failed),
}

/// How a git failed.
#[derive(Debug)]
pub(super) struct Failed {
    /// Such as `fetch`.
    verb: String,
    pub(super) code: i32,
    /// Its errors, which were not written yet.
    errors: Vec<String>,
    /// Its repository, if it was in one.
    git_dir: Option<String>,
}

impl Failed {
    /// The errors, or what can be said without any.
    pub(super) fn words(&self) -> String {
        if self.errors.is_empty() {
            format!(
                "error: git {} ended with exit code {} and said nothing",
                self.verb, self.code
            )
        } else {
            self.errors.join("\n")
        }
    }

    pub(super) fn is_of(&self, verb: &str) -> bool {
        self.verb == verb
    }

    /// Whether it did not get a lock, which git says with the name of the file, but for that of a configuration.
    pub(super) fn is_of_lock(&self) -> bool {
        let is_of_lock = |line: &String| line.contains(".lock'") || line.contains("could not lock");
        self.errors.iter().any(is_of_lock)
    }

    /// What made a fetch fail; `None` of another git.
    pub(super) fn blame(&self) -> Option<Blame> {
        self.is_of("fetch")
            .then(|| transfer::blame(self.code, &self.errors, self.git_dir.as_deref()))
    }

    /// The first error on a line, for a sentence.
    fn gist(&self) -> String {
        let first = self.errors.first();
        first.map_or_else(|| self.words(), Clone::clone)
    }
}

impl GitError {
    /// The exit code that tells of it.
    pub(super) fn code(&self) -> i32 {
        match self {
            Self::NotInstalled => 127,
            Self::NotStarted(_) => 126,
            Self::Silent { .. } => TIMED_OUT,
            Self::Failed(failed) => failed.code,
        }
    }

    /// In half a sentence, for one who goes on all the same.
    pub(super) fn gist(&self) -> String {
        match self {
            Self::Failed(failed) => format!("git {}: {}", failed.verb, failed.gist()),
            other => other.to_string(),
        }
    }

    fn of_start(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotInstalled,
            _ => Self::NotStarted(error),
        }
    }
}

impl Git {
    /// In the clone in `dir`, or in none. A transfer that gets no further is ended after `silence_limit`.
    pub(super) fn new(
        dir: Option<&Path>,
        pull: &Pull,
        address: &Address,
        silence_limit: Duration,
    ) -> Self {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut settings: Vec<_> = SAFE.iter().chain(&OF_PULL).map(owned).collect();
        if !pull.allow_plaintext && !address.is_loopback() {
            // A server that was reached safely must not lead elsewhere.
            for scheme in ["http", "git", "ftp"] {
                settings.push((format!("protocol.{scheme}.allow"), "never".to_owned()));
            }
        }
        let credentials = address.credentials();
        if credentials.is_some() {
            let key = format!("credential.{}.helper", address.server());
            settings.push((key.clone(), String::new()));
            settings.push((key, HELPER.to_owned()));
        }
        if let Some(user) = address.user_alone() {
            // The password is asked of the helpers that the host has.
            let key = format!("credential.{}.username", address.server());
            settings.push((key, user.to_owned()));
        }
        Self {
            dir: dir.map(Path::to_owned),
            settings,
            credentials: credentials.map(|(user, password)| (user.to_owned(), password.to_owned())),
            silence_limit,
        }
    }

    /// The same git in another clone, or in none.
    pub(super) fn elsewhere(&self, dir: Option<&Path>) -> Self {
        Self {
            dir: dir.map(Path::to_owned),
            settings: self.settings.clone(),
            credentials: self.credentials.clone(),
            silence_limit: self.silence_limit,
        }
    }

    pub(super) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut git = Command::new("git");
        git.args(arguments).stdin(Stdio::null());
        for name in OF_REPOSITORY {
            git.env_remove(name);
        }
        git.env("GIT_TERMINAL_PROMPT", "0");
        // Its errors are known by their English beginning.
        git.envs(ENGLISH);
        git.env("GIT_CONFIG_COUNT", self.settings.len().to_string());
        for (number, (key, value)) in self.settings.iter().enumerate() {
            git.env(format!("GIT_CONFIG_KEY_{number}"), key);
            git.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        if let Some((user, password)) = &self.credentials {
            git.env("SWITCHYARD_GIT_USER", user);
            git.env("SWITCHYARD_GIT_PASSWORD", password);
        }
        match &self.dir {
            // Named, so that git does not look for a repository around a clone that it does not recognise.
            Some(dir) => git
                .env("GIT_DIR", dir.join(".git"))
                .env("GIT_WORK_TREE", dir)
                .current_dir(dir),
            None => git.current_dir("/"),
        };
        git
    }

    /// Runs git and passes on what it says, but for its errors, which are those of the one who called.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<(), GitError> {
        self.start(arguments, Stdio::inherit(), Limit::None)
    }

    /// The same of a git that gets something from `server`; it is ended when it gets no further.
    pub(super) fn transfer(&self, arguments: &[&str], server: &str) -> Result<(), GitError> {
        let limit = self.silence_limit;
        self.start(
            arguments,
            Stdio::inherit(),
            Limit::Silence { limit, server },
        )
    }

    /// The same without what it says on standard output, and no longer than `limit`.
    pub(super) fn run_within(&self, arguments: &[&str], limit: Duration) -> Result<(), GitError> {
        self.start(arguments, Stdio::null(), Limit::Time(limit))
    }

    fn start(&self, arguments: &[&str], stdout: Stdio, limit: Limit<'_>) -> Result<(), GitError> {
        let mut child = self
            .command(arguments)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(GitError::of_start)?;
        let stderr = child.stderr.take();
        let reader = thread::spawn(move || stderr.map_or_else(Vec::new, pass_on));
        let verb = arguments.first().copied().unwrap_or_default().to_owned();
        let git_dir = self
            .dir
            .as_ref()
            .map(|dir| format!("{}/", dir.join(".git").display()));
        let ended = wait(&mut child, limit).map_err(GitError::NotStarted)?;
        // Nobody waits for the reader of one that was ended: something may still hold the pipe.
        if let (Ended::ByUs, Limit::Silence { limit, server }) = (&ended, limit) {
            let server = server.to_owned();
            return Err(GitError::Silent {
                verb,
                server,
                limit,
            });
        }
        let failed = |code, errors| {
            GitError::Failed(Failed {
                verb,
                code,
                errors,
                git_dir,
            })
        };
        let Ended::Itself(status) = ended else {
            let seconds = match limit {
                Limit::Time(limit) => limit.as_secs(),
                Limit::None | Limit::Silence { .. } => 0,
            };
            let error = format!("fatal: the server did not answer within {seconds} s");
            return Err(failed(TIMED_OUT, vec![error]));
        };
        let errors = reader.join().unwrap_or_default();
        if status.success() {
            // It got over them.
            errors.iter().for_each(|line| say_of_git(line));
            return Ok(());
        }
        let signal = status.signal().map(|signal| 128 + signal);
        Err(failed(status.code().or(signal).unwrap_or(255), errors))
    }

    /// The folder of files that git finds by itself in `dir`, as nix does.
    pub(super) fn finds_folder(&self, dir: &Path) -> Option<PathBuf> {
        let mut git = self
            .elsewhere(None)
            .command(&["rev-parse", "--show-toplevel"]);
        git.current_dir(dir);
        if let Some(parent) = dir.parent() {
            git.env("GIT_CEILING_DIRECTORIES", parent);
        }
        let found = git.stderr(Stdio::null()).output().ok()?;
        let path = found.stdout.strip_suffix(b"\n")?;
        found
            .status
            .success()
            .then(|| PathBuf::from(OsStr::from_bytes(path)))
    }

    /// What git answers, if it does so within `limit` and with exit code 0.
    pub(super) fn ask(&self, arguments: &[&str], limit: Duration) -> Option<Vec<u8>> {
        self.ask_about(arguments, None, limit)
    }

    /// The same of a git that reads `input`.
    pub(super) fn ask_about(
        &self,
        arguments: &[&str],
        input: Option<Vec<u8>>,
        limit: Duration,
    ) -> Option<Vec<u8>> {
        let stdin = if input.is_some() {
            Stdio::piped
        } else {
            Stdio::null
        };
        let mut child = self
            .command(arguments)
            .stdin(stdin())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let stdout = child.stdout.take()?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            // One that reads no further has ended, and its answer tells.
            thread::spawn(move || stdin.write_all(&input));
        }
        let reader = thread::spawn(move || {
            let mut answer = Vec::new();
            let read = stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut answer);
            read.map(|_| answer)
        });
        let Ended::Itself(status) = wait(&mut child, Limit::Time(limit)).ok()? else {
            return None;
        };
        let answer = reader.join().ok()?.ok()?;
        status.success().then_some(answer)
    }
}

/// Writes to standard error what comes, but for errors, which it gives.
fn pass_on(stderr: impl Read) -> Vec<String> {
    let mut reader = BufReader::new(stderr);
    let mut errors = Vec::new();
    loop {
        let mut line = Vec::new();
        match reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return errors,
            Ok(_) => {}
        }
        let is_error = line.starts_with(b"fatal: ") || line.starts_with(b"error: ");
        if is_error && errors.len() < MAX_ERRORS {
            errors.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        } else {
            // Where nobody reads it, there is nobody left to tell.
            let _ = io::stderr().write_all(&line);
        }
    }
}

/// Such as `10 min`.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// Passes an error on that ended nothing, in a form that nobody takes for one that did.
fn say_of_git(line: &str) {
    let _ = writeln!(io::stderr(), "git: {line}");
}

/// Tells the user of something that was mended.
pub(super) fn say(text: &str) {
    note(&format!("mended: {text}"));
}

/// Tells the user of something.
pub(super) fn note(text: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
