//! The real agent, as a dashboard sees it on the wire.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, Gate, Socket};
use serde_json::{Value, json};
use std::net::TcpListener;

const RUN: &str = "2025-12-14T10-30-00-switch";

/// A dashboard of three lines, and an agent whose `switch` is some shell code.
struct Wire {
    listener: TcpListener,
    socket: Socket,
    register: Value,
    agent: Agent,
}

impl Wire {
    fn connect(switch: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let commands = json!({"repo": {"url": "/nowhere"}, "commands": {"switch": {"steps": [["/bin/sh", "-c", switch]]}}});
        let agent = Agent::launch(port, "h1", &commands);
        let (mut socket, authorization) = Socket::accept(&listener);
        assert_eq!(authorization, format!("Bearer {}", Dashboard::token("h1")));
        let register = socket.frame().remove(0);
        socket.send(&json!({"type": "registered", "host_id": "h1", "resume": []}));
        Self {
            listener,
            socket,
            register,
            agent,
        }
    }

    /// Hangs up, takes the next connection, and wants these runs from there.
    fn reconnect(&mut self, resume: &Value) {
        self.socket.hang_up();
        (self.socket, _) = Socket::accept(&self.listener);
        self.register = self.socket.frame().remove(0);
        self.socket
            .send(&json!({"type": "registered", "host_id": "h1", "resume": resume}));
    }

    fn command(&mut self, run_id: &str, nonce: &str, command: &str) {
        self.socket.send(
            &json!({"type": "command", "run_id": run_id, "nonce": nonce, "command": command,
            "requested_by": "alice", "not_after": 60_000}),
        );
    }

    #[track_caller]
    fn wait_for_status(&mut self, run_id: &str, status: &str) -> Value {
        let is_it = |message: &Value| {
            message["type"] == "status"
                && message["run_id"] == run_id
                && message["status"] == status
        };
        self.socket
            .wait_for(&format!("{status} of {run_id}"), is_it)
    }

    #[track_caller]
    fn wait_for_rejection(&mut self, run_id: &str) -> Value {
        let rejected = self.socket.wait_for("a rejection", |message| {
            message["type"] == "command_rejected"
        });
        assert_eq!(rejected["run_id"], run_id);
        assert!(rejected["reason"].is_string());
        rejected
    }

    /// Every line up to the run's end, each number once, and the final status.
    #[track_caller]
    fn lines_to_the_end(&mut self, from: u64) -> (Vec<String>, Value) {
        let mut lines = Vec::new();
        loop {
            for message in self.socket.frame() {
                if message["type"] == "output" {
                    assert_eq!(message["seq"], from + lines.len() as u64);
                    let texts = message["lines"].as_array().unwrap();
                    lines.extend(
                        texts
                            .iter()
                            .map(|line| line["line"].as_str().unwrap().to_owned()),
                    );
                }
                if message["type"] == "status" && message["status"] != "running" {
                    assert_eq!(
                        message["lines"],
                        from + lines.len() as u64,
                        "the end comes behind the last line"
                    );
                    return (lines, message);
                }
            }
        }
    }
}

#[test]
fn an_agent_registers_with_its_token_and_what_it_is() {
    let mut wire = Wire::connect("true");
    let register = &wire.register;
    assert_eq!(
        [&register["type"], &register["host_id"]],
        ["register", "h1"]
    );
    assert_eq!(
        [&register["protocol"], &register["heartbeat_interval"]],
        [1, 1]
    );
    for command in [
        "pull", "switch", "test", "update", "boot", "build", "rollback",
    ] {
        assert!(
            register["commands"]
                .as_array()
                .unwrap()
                .contains(&json!(command)),
            "{register}"
        );
    }
    assert_eq!(register["runs"], json!([]));
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(register["boot_id"], boot_id.trim());
    let heartbeat = wire
        .socket
        .wait_for("a heartbeat", |message| message["type"] == "heartbeat");
    assert_eq!(
        [&heartbeat["host_id"], &heartbeat["pending_command"]],
        [&json!("h1"), &Value::Null]
    );
    assert!(heartbeat["metrics"]["ram"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_command_is_answered_with_running_its_lines_and_its_end() {
    let mut wire = Wire::connect("seq 1 3000; exit 9");
    wire.command(RUN, "n1", "switch");
    wire.wait_for_status(RUN, "running");
    let (lines, end) = wire.lines_to_the_end(0);
    assert_eq!(lines, (1..=3000).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(
        [&end["status"], &end["exit_code"]],
        [&json!("error"), &json!(9)]
    );
    wire.socket
        .send(&json!({"type": "ack", "run_id": RUN, "seq": 3000, "final": true}));
    wire.socket
        .wait_for("a heartbeat", |message| message["type"] == "heartbeat");
    wire.reconnect(&json!([]));
    assert_eq!(
        wire.register["runs"],
        json!([]),
        "it was acknowledged as final"
    );
}

#[test]
fn the_same_request_is_answered_with_its_state_and_another_is_rejected() {
    let mut wire = Wire::connect("echo $$");
    wire.command(RUN, "n1", "switch");
    let (first, end) = wire.lines_to_the_end(0);
    assert_eq!((first.len(), &end["status"]), (1, &json!("ok")));
    wire.command(RUN, "n1", "switch");
    let again = wire.wait_for_status(RUN, "ok");
    assert_eq!(again["lines"], 1);
    wire.command(RUN, "n2", "switch");
    wire.wait_for_rejection(RUN);
}

#[test]
fn a_request_is_remembered_by_an_agent_that_was_killed() {
    let mut wire = Wire::connect("echo $$");
    wire.command(RUN, "n1", "switch");
    wire.lines_to_the_end(0);
    wire.socket
        .send(&json!({"type": "ack", "run_id": RUN, "seq": 1, "final": true}));
    wire.socket
        .wait_for("a heartbeat", |message| message["type"] == "heartbeat");
    wire.agent.kill_and_launch();
    wire.reconnect(&json!([]));
    wire.command(RUN, "n1", "switch");
    assert_eq!(wire.wait_for_status(RUN, "ok")["lines"], 1);
    wire.command(RUN, "n2", "switch");
    wire.wait_for_rejection(RUN);
}

#[test]
fn a_second_command_is_rejected_with_the_name_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::closed(dir.path(), "gate");
    let mut wire = Wire::connect(&gate.wait());
    wire.command(RUN, "n1", "switch");
    wire.wait_for_status(RUN, "running");
    let second = "2025-12-14T10-30-01-build";
    wire.command(second, "n2", "build");
    let rejected = wire.wait_for_rejection(second);
    assert_eq!(rejected["current_command"], "switch");
    gate.open();
    wire.wait_for_status(RUN, "ok");
}

#[test]
fn what_the_agent_does_not_offer_or_comes_too_late_is_rejected() {
    let mut wire = Wire::connect("true");
    let unknown = "2025-12-14T10-30-00-paint";
    wire.command(unknown, "n1", "paint");
    wire.wait_for_rejection(unknown);
    wire.socket.send(
        &json!({"type": "command", "run_id": RUN, "nonce": "n2", "command": "switch",
        "requested_by": "alice", "not_after": 0}),
    );
    wire.wait_for_rejection(RUN);
}

#[test]
fn a_run_id_that_climbs_out_of_the_folder_begins_nothing() {
    let mut wire = Wire::connect("echo done");
    wire.command("../../2025-12-14T10-30-00-switch", "n1", "switch");
    // The agent may hang up on such a dashboard; then it comes back.
    wire.reconnect(&json!([]));
    wire.command(RUN, "n2", "switch");
    wire.wait_for_status(RUN, "ok");
    let runs = std::fs::read_dir(wire.agent.dir().join("state/runs")).unwrap();
    let names: Vec<_> = runs.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [RUN]);
}

#[test]
fn a_run_that_was_not_acknowledged_is_offered_and_sent_from_the_line_that_is_wanted() {
    let mut wire = Wire::connect("seq 0 2999");
    wire.command(RUN, "n1", "switch");
    wire.lines_to_the_end(0);
    wire.reconnect(&json!([{"run_id": RUN, "seq": 1234}]));
    let offered = &wire.register["runs"][0];
    assert_eq!(
        [&offered["run_id"], &offered["nonce"], &offered["status"]],
        [RUN, "n1", "ok"]
    );
    assert_eq!(offered["lines"], 3000);
    let (lines, _) = wire.lines_to_the_end(1234);
    assert_eq!(
        lines,
        (1234..3000).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}

#[test]
fn lines_are_sent_again_whenever_they_are_asked_for() {
    let mut wire = Wire::connect("seq 0 99");
    wire.command(RUN, "n1", "switch");
    wire.lines_to_the_end(0);
    for from in [99, 0, 50] {
        wire.socket
            .send(&json!({"type": "resume", "run_id": RUN, "seq": from}));
        let (lines, end) = wire.lines_to_the_end(from);
        assert_eq!(
            (lines.len() as u64, &end["status"]),
            (100 - from, &json!("ok"))
        );
    }
}

#[test]
fn an_agent_that_is_refused_says_so() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Agent::launch(dashboard.port, "stranger", &json!({}));
    agent.process.wait_to_say("refuses the token", 0);
}
