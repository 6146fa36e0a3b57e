//! A command that is started where the one before it was `ok`, once and never twice.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, Gate, SOON, Socket, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// A host whose `pull` waits at a gate and whose `switch` counts how often it ran.
struct Host {
    dashboard: Dashboard,
    agent: Agent,
    gate: Gate,
    dir: tempfile::TempDir,
}

impl Host {
    fn begin(pull_ends_with: i32) -> Self {
        let dashboard = Dashboard::start(&["h1"]);
        let dir = tempfile::tempdir().unwrap();
        let gate = Gate::closed(dir.path(), "gate");
        let pull = format!("echo begun; {}; exit {pull_ends_with}", gate.wait());
        let count = dir.path().join("count");
        let switch = format!("echo once >> '{}'", count.display());
        let steps = |script: &str| json!({"steps": [["/bin/sh", "-c", script]]});
        let commands = json!({"commands": {"pull": steps(&pull), "switch": steps(&switch), "build": steps("true")}});
        let agent = Agent::start_with(&dashboard, "h1", &commands);
        Self {
            dashboard,
            agent,
            gate,
            dir,
        }
    }

    fn deploy(&self) -> String {
        let run = deploy(&self.dashboard);
        self.dashboard
            .wait_for_run("h1", &run, SOON, |run| run["lines"] == 1);
        run
    }

    /// How often `switch` ran.
    fn switches(&self) -> usize {
        let count = fs::read_to_string(self.dir.path().join("count"));
        count.map_or(0, |count| count.lines().count())
    }

    /// Nothing follows: the host takes another command, and `switch` was never among its runs.
    #[track_caller]
    fn assert_not_followed(&self) {
        let build = wait_for("the host to be free", SOON, || {
            let answer = self
                .dashboard
                .post("/api/hosts/h1/command", &json!({"command": "build"}));
            (answer.status == 202).then(|| answer.json()["run_id"].as_str().unwrap().to_owned())
        });
        self.dashboard.wait_done("h1", &build);
        let runs = runs(&self.dashboard);
        assert!(
            runs.iter().all(|run| run["command"] != "switch"),
            "{runs:?}"
        );
        assert_eq!(self.switches(), 0);
    }
}

#[track_caller]
fn deploy(dashboard: &Dashboard) -> String {
    let body = json!({"command": "pull", "then": "switch"});
    let answer = dashboard.post("/api/hosts/h1/command", &body);
    assert_eq!(
        answer.status,
        202,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()["run_id"].as_str().unwrap().to_owned()
}

/// The runs of the host, newest first.
fn runs(dashboard: &Dashboard) -> Vec<Value> {
    let runs = dashboard.fetch("/api/hosts/h1/runs")["runs"].take();
    runs.as_array().unwrap().clone()
}

/// The run that follows `first`, once it is over.
#[track_caller]
fn follower(dashboard: &Dashboard, first: &str) -> Value {
    let id = wait_for("the run that follows", SOON, || {
        let run = runs(dashboard)
            .into_iter()
            .find(|run| run["after"] == *first)?;
        Some(run["run_id"].as_str().unwrap().to_owned())
    });
    dashboard.wait_done("h1", &id)
}

#[test]
fn what_comes_then_is_started_where_the_first_was_ok_and_says_whose_wish_it_was() {
    let users = [("ada", "operator", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_with(&["h1"], "", &users);
    dashboard.log_in("ada", "secret");
    let steps = json!({"steps": [["true"]]});
    let commands = json!({"commands": {"pull": steps, "switch": steps}});
    let _agent = Agent::start_with(&dashboard, "h1", &commands);
    let pull = deploy(&dashboard);
    let switch = follower(&dashboard, &pull);
    assert_eq!(
        [
            &switch["status"],
            &switch["command"],
            &switch["requested_by"],
            &switch["then"]
        ],
        [&json!("ok"), &json!("switch"), &json!("ada"), &Value::Null]
    );
    let pull_run = dashboard.run("h1", &pull);
    assert_eq!(
        [&pull_run["then"], &pull_run["after"]],
        [&json!("switch"), &Value::Null]
    );
    let audit = fs::read_to_string(dashboard.data_dir().join("audit.log")).unwrap();
    let of_commands = audit
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_commands: Vec<Value> = of_commands
        .filter(|record| record["action"] == "command")
        .collect();
    let told: Vec<_> = of_commands
        .iter()
        .map(|record| [&record["command"], &record["user"]])
        .collect();
    assert_eq!(
        told,
        [
            [&json!("pull"), &json!("ada")],
            [&json!("switch"), &json!("ada")]
        ]
    );
    let body = json!({"hosts": ["h1"], "command": "pull", "then": "switch"});
    let answer = dashboard.post("/api/commands", &body).json();
    let pull = answer["results"][0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(follower(&dashboard, &pull)["status"], "ok");
    let header =
        fs::read_to_string(dashboard.data_dir().join(format!("logs/h1/{pull}.log"))).unwrap();
    assert!(
        header.contains(r#""then":"switch""#),
        "the file alone tells it: {header}"
    );
}

#[test]
fn nothing_follows_a_first_command_that_failed() {
    let host = Host::begin(5);
    let pull = host.deploy();
    host.gate.open();
    assert_eq!(host.dashboard.wait_done("h1", &pull)["exit_code"], 5);
    host.assert_not_followed();
}

#[test]
fn a_stop_of_the_first_cancels_what_comes_then() {
    let host = Host::begin(0);
    let pull = host.deploy();
    host.dashboard
        .post("/api/hosts/h1/command", &json!({"command": "stop"}));
    assert_eq!(host.dashboard.wait_done("h1", &pull)["status"], "stopped");
    host.assert_not_followed();
}

#[test]
fn nothing_follows_a_first_command_that_was_cancelled_rejected_lost_or_expired() {
    let dashboard = Dashboard::start(&["h1"]);
    let cancelled = deploy(&dashboard);
    dashboard.post("/api/hosts/h1/command", &json!({"command": "stop"}));
    assert_eq!(dashboard.run("h1", &cancelled)["status"], "stopped");
    let body = json!({"command": "pull", "then": "switch", "expires": 1});
    let expired = dashboard.post("/api/hosts/h1/command", &body).json()["run_id"].clone();
    dashboard.wait_for_run("h1", expired.as_str().unwrap(), SOON, |run| {
        run["status"] == "expired"
    });
    let mut agent = open_agent(&dashboard);
    let rejected = deploy(&dashboard);
    agent.send(
        &json!({"type": "command_rejected", "host_id": "h1", "run_id": rejected, "reason": "no"}),
    );
    dashboard.wait_for_run("h1", &rejected, SOON, |run| run["status"] == "rejected");
    let lost = deploy(&dashboard);
    for status in ["running", "lost", "running", "ok"] {
        agent.send(&status_of(&lost, "pull", status));
        dashboard.wait_for_run("h1", &lost, SOON, |run| run["status"] == status);
    }
    let last = dashboard.command("h1", "build");
    assert_eq!(runs(&dashboard).len(), 5, "none that follows");
    assert_eq!(runs(&dashboard)[0]["run_id"], *last);
}

fn status_of(run: &str, command: &str, status: &str) -> Value {
    json!({"type": "status", "host_id": "h1", "run_id": run, "command": command, "status": status,
        "exit_code": 0, "lines": 0, "started": "2026-01-02T03:04:05.000Z"})
}

/// An agent that offers `pull`, `switch` and `build`, and has registered.
fn open_agent(dashboard: &Dashboard) -> Socket {
    let mut agent = Socket::unregistered_agent(dashboard, "h1");
    agent.send(
        &json!({"type": "register", "protocol": 1, "host_id": "h1", "runs": [],
        "commands": ["pull", "switch", "build"]}),
    );
    agent.wait_for("registered", |message| message["type"] == "registered");
    agent
}

#[test]
fn a_host_that_is_away_at_the_end_of_the_first_gets_the_second_when_it_is_back() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let mut agent = open_agent(&dashboard);
    let pull = deploy(&dashboard);
    agent.send(&status_of(&pull, "pull", "running"));
    agent.send(&status_of(&pull, "pull", "ok"));
    dashboard.wait_for_run("h1", &pull, SOON, |run| run["status"] == "ok");
    drop(agent);
    let queued = wait_for("the run that follows", SOON, || {
        runs(&dashboard)
            .into_iter()
            .find(|run| run["after"] == *pull)
    });
    assert_eq!(queued["status"], "queued");
    dashboard.restart(Signal::SIGKILL, || {});
    let mut agent = open_agent(&dashboard);
    let command = agent.wait_for("the command", |message| message["type"] == "command");
    assert_eq!(
        [&command["command"], &command["run_id"]],
        [&json!("switch"), &queued["run_id"]]
    );
    let switch = queued["run_id"].as_str().unwrap();
    agent.send(&status_of(switch, "switch", "running"));
    agent.send(&status_of(switch, "switch", "ok"));
    dashboard.wait_for_run("h1", switch, SOON, |run| run["status"] == "ok");
    assert_eq!(runs(&dashboard).len(), 2);
}

#[test]
fn a_dashboard_that_is_killed_meanwhile_starts_the_second_once() {
    let mut host = Host::begin(0);
    // While the first goes on, and at moments around its end.
    for delay in [None, Some(0), Some(20), Some(60), Some(120), Some(300)] {
        let pull = host.deploy();
        let before = host.switches();
        match delay {
            None => {
                let gate = &host.gate;
                host.dashboard.restart(Signal::SIGKILL, || gate.open());
            }
            Some(delay) => {
                host.gate.open();
                std::thread::sleep(Duration::from_millis(delay));
                host.dashboard.restart(Signal::SIGKILL, || {});
            }
        }
        let switch = follower(&host.dashboard, &pull);
        assert_eq!(switch["status"], "ok", "killed after {delay:?}");
        assert_eq!(host.switches(), before + 1, "killed after {delay:?}");
        let runs = runs(&host.dashboard);
        let followers = runs.iter().filter(|run| run["after"] == *pull).count();
        assert_eq!(followers, 1, "killed after {delay:?}");
        host.gate.close();
    }
    drop(host.agent);
}

#[test]
fn what_the_host_does_not_offer_cannot_come_then() {
    let host = Host::begin(0);
    for (command, then) in [
        ("pull", "paint"),
        ("pull", "stop"),
        ("pull", "No"),
        ("stop", "switch"),
    ] {
        let body = json!({"command": command, "then": then});
        let answer = host.dashboard.post("/api/hosts/h1/command", &body);
        assert_eq!(answer.status, 422, "{command}, then {then}");
    }
    let body = json!({"hosts": ["h1"], "command": "pull", "then": "paint"});
    let answer = host.dashboard.post("/api/commands", &body).json();
    assert_eq!(answer["results"][0]["status"], 422);
    assert_eq!(runs(&host.dashboard), [] as [Value; 0]);
    host.assert_not_followed();
}
