//! The command lines with which systemd is asked for a service.
//!
//! Such a service inherits nothing of the agent's, neither sandbox nor environment: what it needs is passed on.

use crate::protocol::RunId;
use crate::spool::RunDir;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What nix, git and ssh need of the agent's environment.
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

/// Where the agent's unit names the files with which git reaches the repository, and the credentials that a
/// run has of them: it cannot have the agent's.
const CREDENTIALS: [(&str, &str); 2] = [
    ("SWITCHYARD_SSH_KEY", "ssh_key"),
    ("SWITCHYARD_SSH_KNOWN_HOSTS", "ssh_known_hosts"),
];

/// Both services may be started at any time, and a switch to another target ends neither.
const OF_ALL: [&str; 5] = [
    "User=root",
    "UMask=0077",
    "StandardInput=null",
    "IgnoreOnIsolate=yes",
    "SyslogIdentifier=switchyard-run",
];

const OF_RUN: [&str; 9] = [
    "StandardOutput=journal",
    "KillMode=process",
    "TimeoutStopSec=30",
    "OOMPolicy=continue",
    "Restart=on-abnormal",
    "RestartSec=100ms",
    "StartLimitIntervalSec=0",
    "FileDescriptorStoreMax=8",
    "After=switchyard-agent.service",
];

/// Where this program is, for a service that may be started again much later.
pub(super) fn own_path() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    // The kernel says so of a file that was replaced, as an upgrade does; what has its name is the next best.
    let bytes = path.as_os_str().as_bytes();
    Ok(match bytes.strip_suffix(b" (deleted)") {
        Some(bytes) => PathBuf::from(OsStr::from_bytes(bytes)),
        None => path,
    })
}

/// What starts the run of `dir` as the service `unit`, and ends when that is ready.
pub(super) fn run(
    dir: &RunDir,
    unit: &str,
    program: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<OsString> {
    let run = dir.run_id();
    let mut request = Request::new(unit, "notify", &format!("Switchyard run {run}"), run);
    for text in OF_RUN {
        request.property(text.into());
    }
    let words = [
        program.as_os_str(),
        "supervise".as_ref(),
        "--note-end".as_ref(),
        dir.path().as_os_str(),
    ];
    let words = words.map(quoted).join(OsStr::new(" "));
    request.property(concat("ExecStopPost=", &words));
    for (name, credential) in CREDENTIALS {
        if let Some(file) = variable(name) {
            request.property(concat(&format!("LoadCredential={credential}:"), &file));
            // In the place of one that is missing: without it systemd would start no run at all, and most need none.
            // A pull that needs it says so, and where it should be.
            request.property(format!("SetCredential={credential}:\\n").into());
        }
    }
    request.supervise(&[], dir, program, variable)
}

/// What ends the run of `dir` in the service `unit`, and itself ends with that.
pub(super) fn settle(
    dir: &RunDir,
    unit: &str,
    program: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<OsString> {
    let run = dir.run_id();
    let request = Request::new(
        unit,
        "oneshot",
        &format!("End of Switchyard run {run}"),
        run,
    );
    request.supervise(&["--settle"], dir, program, variable)
}

struct Request(Vec<OsString>);

impl Request {
    fn new(unit: &str, kind: &str, description: &str, run: &RunId) -> Self {
        let mut request = Self(
            [
                "--quiet",
                "--collect",
                "--no-ask-password",
                &format!("--service-type={kind}"),
                &format!("--unit={unit}"),
                &format!("--description={description}"),
            ]
            .map(OsString::from)
            .into(),
        );
        for text in OF_ALL {
            request.property(text.into());
        }
        request.property(format!("LogExtraFields=SWITCHYARD_RUN={run}").into());
        request
    }

    fn property(&mut self, property: OsString) {
        self.0.extend(["-p".into(), property]);
    }

    /// Adds environment and command.
    fn supervise(
        mut self,
        options: &[&str],
        dir: &RunDir,
        program: &Path,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Vec<OsString> {
        let files = CREDENTIALS.map(|(name, _)| name);
        for name in PASSED_ON.into_iter().chain(files) {
            for name in [name.to_owned(), name.to_uppercase()] {
                let passed = OsString::from(format!("--setenv={name}"));
                if variable(&name).is_some() && !self.0.contains(&passed) {
                    self.0.push(passed);
                }
            }
        }
        self.0.extend([program.into(), "supervise".into()]);
        self.0.extend(options.iter().map(OsString::from));
        self.0.push(without_variables(dir.path().as_os_str()));
        self.0
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "/nix/store/x/bin/switchyard";

    fn variable(name: &str) -> Option<OsString> {
        let environment = [
            ("PATH", "/bin"),
            ("HTTPS_PROXY", "x"),
            ("SWITCHYARD_SSH_KEY", "/run/key"),
            ("SWITCHYARD_SSH_KNOWN_HOSTS", "/nix/store/known"),
        ];
        let found = environment.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    }

    fn dir() -> RunDir {
        let run = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        RunDir::new(Path::new("/var/lib/a $b \"c"), &run)
    }

    #[test]
    fn a_service_gets_what_it_needs_and_nothing_of_ours_ends_it() {
        let arguments = run(&dir(), "a.service", Path::new(PROGRAM), variable);
        let has = |argument: &str| arguments.iter().any(|known| known == argument);
        for argument in [
            "--unit=a.service",
            "--service-type=notify",
            "KillMode=process",
            "Restart=on-abnormal",
            "FileDescriptorStoreMax=8",
            "IgnoreOnIsolate=yes",
            "LoadCredential=ssh_key:/run/key",
            "LoadCredential=ssh_known_hosts:/nix/store/known",
            "SetCredential=ssh_key:\\n",
            "SetCredential=ssh_known_hosts:\\n",
            "--setenv=SWITCHYARD_SSH_KEY",
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
                PROGRAM,
                "supervise",
                "/var/lib/a $$b \"c/runs/2025-12-14T10-30-00-switch"
            ]
        );
    }

    #[test]
    fn what_ends_a_run_is_waited_for_and_has_no_key() {
        let arguments = settle(&dir(), "b.service", Path::new(PROGRAM), variable);
        let has = |argument: &str| arguments.iter().any(|known| known == argument);
        assert!(has("--service-type=oneshot") && has("--setenv=PATH"));
        assert!(!has("LoadCredential=ssh_key:/run/key"));
        let command: Vec<_> = arguments[arguments.len() - 4..].to_vec();
        assert_eq!(
            command,
            [
                PROGRAM,
                "supervise",
                "--settle",
                "/var/lib/a $$b \"c/runs/2025-12-14T10-30-00-switch"
            ]
        );
    }
}
