//! A run from its command to its end: what it does, how it ends, and what else the host does meanwhile.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, Gate, SOON, alive, texts};
use serde_json::{Value, json};
use std::time::Duration;

/// An agent whose command `switch` runs these steps.
fn agent_with_steps(dashboard: &Dashboard, steps: &[&[&str]]) -> Agent {
    Agent::start_with(
        dashboard,
        "h1",
        &json!({"commands": {"switch": {"steps": steps}}}),
    )
}

/// The status, exit code and message of a run of `switch` with these steps.
fn outcome_of(steps: &[&[&str]]) -> (String, Option<i64>, String) {
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = agent_with_steps(&dashboard, steps);
    let run = dashboard.command("h1", "switch");
    let run = dashboard.wait_done("h1", &run);
    let word = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
    (word("status"), run["exit_code"].as_i64(), word("message"))
}

#[test]
fn both_streams_are_told_apart_and_each_keeps_its_order() {
    let dashboard = Dashboard::start(&["h1"]);
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done";
    let _agent = Agent::start(&dashboard, "h1", script);
    let run = dashboard.command("h1", "switch");
    let run = dashboard.wait_done("h1", &run);
    assert_eq!([&run["status"], &run["errors"]], [&json!("ok"), &json!(3)]);
    let (err, out): (Vec<_>, Vec<_>) = dashboard
        .lines("h1", run["run_id"].as_str().unwrap())
        .into_iter()
        .partition(|line| line.is_error == Some(true));
    assert_eq!(texts(&out), ["out 1", "out 2", "out 3"]);
    assert_eq!(texts(&err), ["err 1", "err 2", "err 3"]);
}

#[test]
fn a_failure_has_the_exit_code_and_the_error_that_caused_it() {
    let script =
        "echo 'building...'; echo \"error: attribute 'x' missing\" >&2; echo 'more' >&2; exit 3";
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", script);
    let run = dashboard.command("h1", "switch");
    let done = dashboard.wait_done("h1", &run);
    assert_eq!(
        [&done["status"], &done["exit_code"]],
        [&json!("error"), &json!(3)]
    );
    assert!(
        done["message"]
            .as_str()
            .unwrap()
            .contains("attribute 'x' missing"),
        "{done}"
    );
    let log = dashboard.log("h1", &run);
    assert_eq!(
        (log.exit_code.as_str(), &log.result["status"]),
        ("3", &json!("error"))
    );
}

#[test]
fn the_first_step_that_fails_ends_the_run() {
    let dashboard = Dashboard::start(&["h1"]);
    let steps: [&[&str]; 3] = [
        &["echo", "one"],
        &["/bin/sh", "-c", "exit 7"],
        &["echo", "three"],
    ];
    let _agent = agent_with_steps(&dashboard, &steps);
    let run = dashboard.command("h1", "switch");
    assert_eq!(dashboard.wait_done("h1", &run)["exit_code"], 7);
    assert_eq!(texts(&dashboard.lines("h1", &run)), ["one"]);
}

#[test]
fn a_child_that_a_signal_ended_has_128_and_its_number() {
    let (status, exit_code, _) = outcome_of(&[&["/bin/sh", "-c", "kill -9 $$"]]);
    assert_eq!((status.as_str(), exit_code), ("error", Some(137)));
}

#[test]
fn a_program_that_is_not_there_gives_127_and_its_name() {
    let (status, exit_code, message) = outcome_of(&[&["no-such-program", "x"]]);
    assert_eq!((status.as_str(), exit_code), ("error", Some(127)));
    assert!(message.contains("no-such-program"), "{message}");
}

#[test]
fn a_run_over_its_time_ends_with_124() {
    let dashboard = Dashboard::start(&["h1"]);
    let steps = json!([["/bin/sh", "-c", "echo begun; sleep 1000"]]);
    let commands = json!({"commands": {"switch": {"steps": steps, "timeout": 1}}});
    let _agent = Agent::start_with(&dashboard, "h1", &commands);
    let run = dashboard.command("h1", "switch");
    let run = dashboard.wait_done("h1", &run);
    assert_eq!(
        [&run["status"], &run["exit_code"]],
        [&json!("error"), &json!(124)]
    );
}

#[test]
fn checks_all_run_and_one_that_fails_makes_the_run_an_error() {
    let dashboard = Dashboard::start(&["h1"]);
    let dir = tempfile::tempdir().unwrap();
    for (name, exit_code) in [("T01.sh", 0), ("T02.sh", 5), ("T03.sh", 0)] {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\necho {name}\nexit {exit_code}\n")).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    std::fs::write(dir.path().join("T04.sh"), "not executable").unwrap();
    let test = json!({"steps": [["echo", "switched"]], "checks": dir.path()});
    let _agent = Agent::start_with(&dashboard, "h1", &json!({"commands": {"test": test}}));
    let run = dashboard.command("h1", "test");
    let done = dashboard.wait_done("h1", &run);
    assert_eq!(
        [&done["status"], &done["exit_code"]],
        [&json!("error"), &json!(1)]
    );
    let tests = json!({"current": 3, "total": 3, "passed": 2, "running": false, "result": "error"});
    assert_eq!(done["tests"], tests);
    let lines = dashboard.lines("h1", &run);
    let lines = texts(&lines);
    for want in ["switched", "T01.sh", "T02.sh", "T03.sh"] {
        assert!(
            lines.iter().any(|line| line.contains(want)),
            "{want} in {lines:?}"
        );
    }
}

#[test]
fn stop_ends_a_child_that_ignores_sigterm_and_its_grandchild() {
    let dashboard = Dashboard::start(&["h1"]);
    let script = "trap '' TERM
        setsid sh -c \"trap '' TERM; echo \\$\\$; while :; do sleep 0.1; done\" &
        echo $$
        while :; do sleep 0.1; done";
    let _agent = Agent::start(&dashboard, "h1", script);
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["lines"] == 2);
    let pids: Vec<u32> = dashboard
        .lines("h1", &run)
        .iter()
        .map(|line| line.line.parse().unwrap())
        .collect();
    assert!(pids.iter().all(|&pid| alive(pid)));

    let answer = dashboard.post("/api/hosts/h1/command", &json!({"command": "stop"}));
    assert_eq!(
        (answer.status, &answer.json()["run_id"]),
        (202, &json!(run))
    );
    let done = dashboard.wait_done("h1", &run);
    assert_eq!(
        [&done["status"], &done["exit_code"]],
        [&json!("stopped"), &Value::Null]
    );
    assert!(
        !pids.iter().any(|&pid| alive(pid)),
        "something of the run lives on"
    );
    assert_eq!(dashboard.log("h1", &run).exit_code, "none");
    let answer = dashboard.post("/api/hosts/h1/command", &json!({"command": "stop"}));
    assert_eq!(answer.status, 409, "there is nothing left to stop");
}

#[test]
fn after_a_stop_the_host_takes_the_next_command() {
    let dashboard = Dashboard::start(&["h1"]);
    let commands = json!({"commands": {
        "switch": {"steps": [["/bin/sh", "-c", "echo begun; sleep 1000"]]},
        "build": {"steps": [["echo", "built"]]},
    }});
    let _agent = Agent::start_with(&dashboard, "h1", &commands);
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["lines"] == 1);
    dashboard.post("/api/hosts/h1/command", &json!({"command": "stop"}));
    assert_eq!(dashboard.wait_done("h1", &run)["status"], "stopped");
    let run = dashboard.command("h1", "build");
    assert_eq!(dashboard.wait_done("h1", &run)["status"], "ok");
}

#[test]
fn an_activation_is_stopped_only_by_force() {
    let dashboard = Dashboard::start(&["h1"]);
    let script = "echo 'activating the configuration...' >&2; sleep 1000";
    let _agent = Agent::start(&dashboard, "h1", script);
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["phase"] == "activation");
    let stop = |force: bool| {
        let body = json!({"command": "stop", "force": force});
        dashboard.post("/api/hosts/h1/command", &body).status
    };
    assert_eq!(stop(false), 409);
    assert_eq!(stop(true), 202);
    assert_eq!(dashboard.wait_done("h1", &run)["status"], "stopped");
}

#[test]
fn runs_in_the_same_second_have_ids_of_their_own() {
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", "echo $$");
    let mut ids: Vec<String> = Vec::new();
    let is_second = |id: &String| id.ends_with("-switch-2");
    while !ids.iter().any(is_second) {
        assert!(ids.len() < 100, "no two runs began in one second: {ids:?}");
        let run = dashboard.command("h1", "switch");
        assert!(!ids.contains(&run), "{run} twice");
        assert_eq!(dashboard.wait_done("h1", &run)["status"], "ok");
        ids.push(run);
    }
    let second = ids.pop().unwrap();
    let first = second.strip_suffix("-2").unwrap();
    assert_ne!(
        dashboard.log("h1", &second).lines,
        dashboard.log("h1", first).lines
    );
}

#[test]
fn heartbeats_go_on_during_a_run_and_a_second_command_is_refused() {
    let dashboard = Dashboard::start(&["h1"]);
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::closed(dir.path(), "gate");
    let _agent = Agent::start(&dashboard, "h1", &format!("echo begun; {}", gate.wait()));
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["lines"] == 1);
    let mut seen = Vec::new();
    dashboard.wait_for_host("h1", "three heartbeats", |host| {
        let at = &host["last_seen"];
        if host["pending_command"] == "switch" && host["metrics"].is_object() && !seen.contains(at)
        {
            seen.push(at.clone());
        }
        seen.len() == 3
    });
    assert_eq!(dashboard.run("h1", &run)["status"], "running");
    let second = dashboard.post("/api/hosts/h1/command", &json!({"command": "switch"}));
    assert_eq!(second.status, 409);
    assert!(
        second.json()["detail"].as_str().unwrap().contains("switch"),
        "it names what runs"
    );
    gate.open();
    assert_eq!(dashboard.wait_done("h1", &run)["status"], "ok");
    dashboard.wait_for_host("h1", "the end in a heartbeat", |host| {
        host["pending_command"].is_null()
    });
}

#[test]
fn a_command_the_host_does_not_offer_is_refused() {
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", "true");
    let answer = dashboard.post("/api/hosts/h1/command", &json!({"command": "paint"}));
    assert_eq!(answer.status, 422);
}

#[test]
fn several_hosts_are_commanded_at_once() {
    let dashboard = Dashboard::start(&["h1", "h2"]);
    let _agents = ["h1", "h2"].map(|host| Agent::start(&dashboard, host, "echo done"));
    let body = json!({"hosts": ["h1", "h2", "nobody"], "command": "switch"});
    let answer = dashboard.post("/api/commands", &body);
    assert_eq!(answer.status, 207);
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 3);
    for (result, host) in results.iter().zip(["h1", "h2"]) {
        assert_eq!(
            (&result["host_id"], &result["status"]),
            (&json!(host), &json!(202))
        );
        let run = dashboard.wait_done(host, result["run_id"].as_str().unwrap());
        assert_eq!(run["status"], "ok");
    }
    assert_eq!(
        (&results[2]["host_id"], &results[2]["status"]),
        (&json!("nobody"), &json!(404))
    );
    assert!(results[2]["run_id"].is_null() && results[2]["detail"].is_string());
}

#[test]
fn a_command_waits_for_a_host_that_is_not_there_and_can_be_taken_back() {
    let dashboard = Dashboard::start(&["h1"]);
    assert!(
        dashboard.host("h1")["kernel"].is_null(),
        "a host that never registered has no facts"
    );
    let cancelled = dashboard.command("h1", "switch");
    assert_eq!(dashboard.run("h1", &cancelled)["status"], "queued");
    let second = dashboard.post("/api/hosts/h1/command", &json!({"command": "switch"}));
    assert_eq!(second.status, 409, "one is queued");
    dashboard.post("/api/hosts/h1/command", &json!({"command": "stop"}));
    assert_eq!(dashboard.run("h1", &cancelled)["status"], "stopped");

    let run = dashboard.command("h1", "switch");
    assert_ne!(run, cancelled);
    let _agent = Agent::start(&dashboard, "h1", "echo done");
    assert_eq!(dashboard.wait_done("h1", &run)["status"], "ok");
    assert_eq!(dashboard.run("h1", &cancelled)["status"], "stopped");
}

#[test]
fn a_command_the_host_does_not_come_for_expires() {
    let dashboard = Dashboard::start(&["h1"]);
    let answer = dashboard.post(
        "/api/hosts/h1/command",
        &json!({"command": "switch", "expires": 1}),
    );
    let run = answer.json()["run_id"].as_str().unwrap().to_owned();
    dashboard.wait_for_run("h1", &run, Duration::from_secs(10), |run| {
        run["status"] == "expired"
    });
    let _agent = Agent::start(&dashboard, "h1", "echo never");
    let next = dashboard.command("h1", "switch");
    assert_eq!(dashboard.wait_done("h1", &next)["status"], "ok");
    assert_eq!(dashboard.run("h1", &run)["status"], "expired");
}
