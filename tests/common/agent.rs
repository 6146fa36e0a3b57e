//! An agent with a state folder of its own, whose commands are small programs.

use super::Dashboard;
use super::process::{Process, end_all_owned_by, owned_by};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// An agent of one host.
pub(crate) struct Agent {
    dir: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
    pub(crate) process: Process,
}

impl Agent {
    /// An agent whose command `switch` is this shell code; connected when it returns.
    pub(crate) fn start(dashboard: &Dashboard, host: &str, switch: &str) -> Self {
        Self::start_with(
            dashboard,
            host,
            &json!({"commands": {"switch": {"steps": [["/bin/sh", "-c", switch]]}}}),
        )
    }

    /// An agent with more configuration; connected when it returns.
    pub(crate) fn start_with(dashboard: &Dashboard, host: &str, extra: &Value) -> Self {
        let mut agent = Self::launch(dashboard.port, host, extra);
        agent.wait_for_reconnection(0);
        agent
    }

    /// An agent of whatever listens on this port, unless `extra` names another address.
    pub(crate) fn launch(port: u16, host: &str, extra: &Value) -> Self {
        Self::launch_in(Vec::new(), port, host, extra)
    }

    /// The same with more in its environment.
    pub(crate) fn launch_in(
        environment: Vec<(&'static str, String)>,
        port: u16,
        host: &str,
        extra: &Value,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("token"), Dashboard::token(host)).unwrap();
        let mut config = json!({
            "dashboard": format!("ws://127.0.0.1:{port}"),
            "host_id": host,
            "token_file": dir.path().join("token"),
            "state_dir": dir.path().join("state"),
            "heartbeat_interval": 1,
            "supervisor": "process",
        });
        for (key, value) in extra.as_object().unwrap() {
            config[key] = value.clone();
        }
        // What is null is left out.
        config
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        fs::write(
            dir.path().join("agent.toml"),
            toml::to_string(&config).unwrap(),
        )
        .unwrap();
        let process = launch(dir.path(), &environment);
        Self {
            dir,
            environment,
            process,
        }
    }

    /// A folder of the test's own.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until it is connected once more.
    #[track_caller]
    pub(crate) fn wait_for_reconnection(&mut self, said_before: usize) {
        self.process.wait_to_say("connected to ", said_before);
    }

    /// Ends the agent alone, and starts it anew on the same state.
    pub(crate) fn restart(&mut self, signal: Signal) {
        self.process.end(signal);
        self.start_again();
    }

    /// Ends the agent, its supervisors and their children, as a loss of power would.
    pub(crate) fn lose_power(&mut self) {
        self.process.end(Signal::SIGKILL);
        end_all_owned_by(self.dir.path());
    }

    /// Starts it anew on the same state; connected when it returns.
    pub(crate) fn start_again(&mut self) {
        self.launch_again();
        self.wait_for_reconnection(0);
    }

    /// Starts it anew on the same state.
    pub(crate) fn launch_again(&mut self) {
        self.process = launch(self.dir.path(), &self.environment);
    }

    /// The agent again, from a copy of the binary that is removed once it is connected.
    pub(crate) fn start_again_from_a_removed_program(&mut self) {
        let program = self.dir.path().join("program");
        // By another process: a program that this one holds open for writing, and its children by inheritance, cannot
        // be started.
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_switchyard"))
            .arg(&program)
            .status();
        assert!(copied.unwrap().success());
        let config = self.dir.path().join("agent.toml");
        let arguments = ["agent", "--config", config.to_str().unwrap()];
        self.process = Process::start_program(&program, self.dir.path(), &arguments, &[]);
        self.process.wait_to_say("connected to ", 0);
        fs::remove_file(program).unwrap();
    }

    /// The agent, its supervisors and their children.
    pub(crate) fn processes(&self) -> Vec<u32> {
        owned_by(self.dir.path())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.lose_power();
    }
}

fn launch(dir: &Path, environment: &[(&str, String)]) -> Process {
    let config = dir.join("agent.toml");
    let arguments = ["agent", "--config", config.to_str().unwrap()];
    Process::start_in(dir, &arguments, environment)
}
