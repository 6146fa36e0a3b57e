//! A dashboard with a data folder of its own.

use super::client::Client;
use super::log::LogFile;
use super::process::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A dashboard and how to talk to it.
pub(crate) struct Dashboard {
    dir: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
    address: &'static str,
    pub(crate) process: Process,
    client: Client,
}

impl Deref for Dashboard {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Dashboard {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Dashboard {
    /// A dashboard that knows these hosts and where every visitor is an admin.
    pub(crate) fn start(hosts: &[&str]) -> Self {
        Self::start_with(hosts, "", &[])
    }

    /// The same with `extra` lines of configuration, and `(name, role, hash)` of users.
    pub(crate) fn start_with(hosts: &[&str], extra: &str, users: &[(&str, &str, String)]) -> Self {
        Self::start_in(Vec::new(), "127.0.0.1", hosts, extra, users)
    }

    /// The same with more in its environment, listening on this address.
    pub(crate) fn start_in(
        environment: Vec<(&'static str, String)>,
        address: &'static str,
        hosts: &[&str],
        extra: &str,
        users: &[(&str, &str, String)],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut agents = String::new();
        for host in hosts {
            writeln!(agents, "{host} {}", sha256_hex(&Self::token(host))).unwrap();
        }
        fs::write(dir.path().join("agents"), agents).unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut config = format!(
            "data_dir = {:?}\nagents_file = {:?}\n",
            path("data"),
            path("agents")
        );
        if !users.is_empty() {
            let lines = users
                .iter()
                .map(|(name, role, hash)| format!("{name} {role} {hash}\n"));
            fs::write(dir.path().join("users"), lines.collect::<String>()).unwrap();
            writeln!(config, "users_file = {:?}", path("users")).unwrap();
        }
        fs::write(dir.path().join("dashboard.toml"), config + extra).unwrap();
        let mut process = spawn(dir.path(), &environment, (address, 0));
        Self {
            client: Client::of(port_of(&mut process)),
            dir,
            environment,
            address,
            process,
        }
    }

    /// Ends it with a signal and starts it anew, on the same port and the same data.
    pub(crate) fn restart(&mut self, signal: Signal, while_down: impl FnOnce()) {
        self.process.end(signal);
        while_down();
        self.start_again();
    }

    /// Starts it anew, on the same port and the same data.
    pub(crate) fn start_again(&mut self) {
        self.launch_again();
        port_of(&mut self.process);
    }

    pub(crate) fn launch_again(&mut self) {
        let at = (self.address, self.port);
        self.process = spawn(self.dir.path(), &self.environment, at);
    }

    /// Starts it anew and kills it so much later, wherever it is then.
    pub(crate) fn launch_and_kill(&mut self, later: Duration) {
        self.launch_again();
        std::thread::sleep(later);
        self.process.end(Signal::SIGKILL);
    }

    /// The token of a host.
    pub(crate) fn token(host: &str) -> String {
        sha256_hex(&format!("the token of {host}"))
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What a user's hash is for this password.
    pub(crate) fn password_hash(password: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchyard"))
            .arg("passwd")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(password.as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Replaces one of the files that the configuration names, and has the dashboard read them anew.
    pub(crate) fn reload_with(&self, name: &str, content: &str) {
        fs::write(self.dir.path().join(name), content).unwrap();
        let pid = Pid::from_raw(self.process.id().cast_signed());
        kill(pid, Signal::SIGHUP).unwrap();
    }

    /// The log on disk.
    #[track_caller]
    pub(crate) fn log(&self, host: &str, run_id: &str) -> LogFile {
        let path = self
            .data_dir()
            .join("logs")
            .join(host)
            .join(format!("{run_id}.log"));
        LogFile::read(&path)
    }
}

fn spawn(dir: &Path, environment: &[(&str, String)], (address, port): (&str, u16)) -> Process {
    let config = dir.join("dashboard.toml");
    let listen = format!("{address}:{port}");
    let arguments = [
        "dashboard",
        "--config",
        config.to_str().unwrap(),
        "--listen",
        &listen,
    ];
    Process::start_in(dir, &arguments, environment)
}

/// Waits until it listens.
fn port_of(process: &mut Process) -> u16 {
    let address = process.wait_to_say("listening on http://", 0);
    let address = address.split_whitespace().next().unwrap();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// The hash of a token, as `agents_file` has it.
pub(crate) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
