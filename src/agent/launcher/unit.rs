//! A run as a transient service of systemd, by `systemd-run` and `systemctl`.

use super::processes;
use crate::spool::RunDir;
use futures_util::FutureExt;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long systemd may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How the units of runs begin.
const PREFIX: &str = "switchyard-run-";

/// What nix, git and ssh need of the agent's environment: a service inherits nothing of it.
const PASSED_ON: [&str; 15] = [
    "PATH",
    "HOME",
    "NIX_PATH",
    "NIX_REMOTE",
    "NIX_SSL_CERT_FILE",
    "SSL_CERT_FILE",
    "LOCALE_ARCHIVE",
    "TZDIR",
    "LANG",
    "RUST_LOG",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
];

/// Where the agent's unit names the key with which git fetches, since a run needs a credential of its own.
const SSH_KEY: &str = "SWITCHYARD_SSH_KEY";

/// What systemd says of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It runs, begins, ends, or will be started again.
    Alive,
    /// It is over, or there is none.
    Gone,
    /// systemd has not answered yet.
    Unknown,
}

/// The service of one run.
#[derive(Debug)]
pub(crate) struct Unit {
    name: String,
    /// `systemd-run`, which ends when the service is ready.
    starter: Option<Child>,
    question: Option<JoinHandle<State>>,
}

impl Unit {
    /// Asks systemd for it; what goes wrong is written to `errors`.
    pub(super) fn start(dir: &RunDir, errors: File) -> io::Result<Self> {
        let program = own_path()?;
        let starter = Command::new("systemd-run")
            .args(arguments(dir, &program, |name| std::env::var_os(name)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .kill_on_drop(false)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("systemd-run: {error}")))?;
        Ok(Self {
            starter: Some(starter),
            ..Self::of(dir)
        })
    }

    /// The one of an earlier agent.
    pub(super) fn of(dir: &RunDir) -> Self {
        Self {
            name: name(dir),
            starter: None,
            question: None,
        }
    }

    /// Whether it runs; systemd is asked only once the process is gone, and without waiting for the answer.
    pub(super) fn look(&mut self, dir: &RunDir) -> State {
        if let Some(starter) = &mut self.starter {
            match starter.try_wait() {
                Ok(None) => return State::Alive,
                Ok(Some(_)) | Err(_) => self.starter = None,
            }
        }
        if processes(dir).is_some_and(|found| found.supervisor.is_alive()) {
            self.question = None;
            return State::Alive;
        }
        let name = &self.name;
        let question = self
            .question
            .get_or_insert_with(|| tokio::spawn(ask(name.clone())));
        match question.now_or_never() {
            None => State::Unknown,
            Some(answer) => {
                self.question = None;
                answer.unwrap_or(State::Unknown)
            }
        }
    }

    /// Kills all that is in it.
    pub(super) fn kill(&self) {
        let name = self.name.clone();
        tokio::spawn(async move {
            let arguments = ["kill", "--kill-whom=all", "--signal=KILL", name.as_str()];
            if systemctl(&arguments).await.is_none() {
                tracing::warn!("systemd does not kill {name}");
            }
        });
    }
}

fn name(dir: &RunDir) -> String {
    format!("{PREFIX}{}.service", dir.run_id())
}

/// Where this program is, for a service that may be started again much later.
fn own_path() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    // The kernel says so of a file that was replaced, as an upgrade does; what has its name is the next best.
    let bytes = path.as_os_str().as_bytes();
    Ok(match bytes.strip_suffix(b" (deleted)") {
        Some(bytes) => PathBuf::from(OsStr::from_bytes(bytes)),
        None => path,
    })
}

/// The command line of `systemd-run`.
fn arguments(
    dir: &RunDir,
    program: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<OsString> {
    let run = dir.run_id();
    let mut arguments: Vec<OsString> = [
        "--quiet",
        "--collect",
        "--no-ask-password",
        "--service-type=notify",
    ]
    .map(OsString::from)
    .into();
    arguments.push(format!("--unit={}", name(dir)).into());
    arguments.push(format!("--description=Switchyard run {run}").into());
    let mut property = |property: OsString| arguments.extend(["-p".into(), property]);
    for text in [
        "User=root",
        "UMask=0077",
        "StandardInput=null",
        "StandardOutput=journal",
        "KillMode=process",
        "TimeoutStopSec=30",
        "OOMPolicy=continue",
        "IgnoreOnIsolate=yes",
        "Restart=on-abnormal",
        "RestartSec=100ms",
        "StartLimitIntervalSec=0",
        "FileDescriptorStoreMax=8",
        "After=switchyard-agent.service",
        "SyslogIdentifier=switchyard-run",
    ] {
        property(text.into());
    }
    property(format!("LogExtraFields=SWITCHYARD_RUN={run}").into());
    let words = [
        program.as_os_str(),
        "supervise".as_ref(),
        "--note-end".as_ref(),
        dir.path().as_os_str(),
    ];
    let words = words.map(quoted).join(OsStr::new(" "));
    property(concat("ExecStopPost=", &words));
    if let Some(key) = variable(SSH_KEY) {
        property(concat("LoadCredential=ssh_key:", &key));
    }
    for name in PASSED_ON {
        for name in [name.to_owned(), name.to_uppercase()] {
            let passed = OsString::from(format!("--setenv={name}"));
            if variable(&name).is_some() && !arguments.contains(&passed) {
                arguments.push(passed);
            }
        }
    }
    arguments.push(program.into());
    arguments.push("supervise".into());
    arguments.push(without_variables(dir.path().as_os_str()));
    arguments
}

fn concat(key: &str, value: &OsStr) -> OsString {
    [OsStr::new(key), value].into_iter().collect()
}

/// One word of a command line in a unit.
fn quoted(word: &OsStr) -> OsString {
    let mut quoted = vec![b'"'];
    for byte in without_variables(word).as_bytes() {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

/// A word in which systemd finds no variable.
fn without_variables(word: &OsStr) -> OsString {
    let bytes = word.as_bytes().iter();
    let doubled = bytes.flat_map(|byte| {
        let twice = if *byte == b'$' { 2 } else { 1 };
        std::iter::repeat_n(*byte, twice)
    });
    OsString::from_vec(doubled.collect())
}

async fn ask(name: String) -> State {
    let arguments = ["show", "--property=LoadState,ActiveState", name.as_str()];
    match systemctl(&arguments).await {
        Some(said) => state(&said),
        None => {
            tracing::warn!("systemd does not say what became of {name}");
            State::Unknown
        }
    }
}

/// What `systemctl show` said. A unit that was collected is shown as a success, so `LoadState` counts first.
fn state(said: &str) -> State {
    let is = |line: &str| said.lines().any(|said| said == line);
    let is_over = is("ActiveState=inactive") || is("ActiveState=failed");
    if is("LoadState=not-found") || is_over {
        State::Gone
    } else {
        State::Alive
    }
}

/// What `systemctl` printed, if it answered in time and without an error.
async fn systemctl(arguments: &[&str]) -> Option<String> {
    let asked = Command::new("systemctl")
        .arg("--no-ask-password")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(ANSWER, asked).await.ok()?.ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(said)
}

/// Warns of runs that go on as services and whose folder this agent does not have.
pub(in crate::agent) async fn warn_of_strangers(state_dir: PathBuf) {
    let pattern = format!("{PREFIX}*");
    let arguments = ["list-units", "--plain", "--no-legend", "--all", &pattern];
    let said = systemctl(&arguments).await.unwrap_or_default();
    let units = said
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    for unit in units {
        let run = unit.strip_prefix(PREFIX).unwrap_or(unit);
        let run = run.strip_suffix(".service").unwrap_or(run);
        if !state_dir.join("runs").join(run).is_dir() {
            tracing::warn!(
                run,
                "{unit} goes on, and its folder is not in {}",
                state_dir.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RunId;

    #[test]
    fn a_service_gets_what_it_needs_and_nothing_of_ours_ends_it() {
        let run = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        let dir = RunDir::new(Path::new("/var/lib/a $b \"c"), &run);
        let environment = [
            ("PATH", "/bin"),
            ("HTTPS_PROXY", "x"),
            (SSH_KEY, "/run/key"),
        ];
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let arguments = arguments(&dir, Path::new("/nix/store/x/bin/switchyard"), variable);
        let has = |argument: &str| arguments.iter().any(|known| known == argument);
        for argument in [
            "--unit=switchyard-run-2025-12-14T10-30-00-switch.service",
            "KillMode=process",
            "Restart=on-abnormal",
            "FileDescriptorStoreMax=8",
            "IgnoreOnIsolate=yes",
            "LoadCredential=ssh_key:/run/key",
            "LogExtraFields=SWITCHYARD_RUN=2025-12-14T10-30-00-switch",
            "--setenv=PATH",
            "--setenv=HTTPS_PROXY",
            "ExecStopPost=\"/nix/store/x/bin/switchyard\" \"supervise\" \"--note-end\" \
             \"/var/lib/a $$b \\\"c/runs/2025-12-14T10-30-00-switch\"",
        ] {
            assert!(has(argument), "{argument} is not in {arguments:?}");
        }
        assert!(!has("--setenv=HOME"), "it is not set");
        let command: Vec<_> = arguments[arguments.len() - 3..].to_vec();
        assert_eq!(
            command,
            [
                "/nix/store/x/bin/switchyard",
                "supervise",
                "/var/lib/a $$b \"c/runs/2025-12-14T10-30-00-switch"
            ]
        );
    }

    #[test]
    fn a_unit_that_was_collected_is_gone_although_it_looks_like_a_success() {
        let state = |load, active| state(&format!("LoadState={load}\nActiveState={active}\n"));
        assert_eq!(state("not-found", "inactive"), State::Gone);
        assert_eq!(state("loaded", "failed"), State::Gone);
        assert_eq!(state("loaded", "active"), State::Alive);
        assert_eq!(state("loaded", "activating"), State::Alive);
        assert_eq!(state("loaded", "deactivating"), State::Alive);
    }
}
