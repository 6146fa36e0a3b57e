//! What a host was last given: the deployment, apart from the last run.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, SOON, Socket};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

/// An agent that offers these commands, each with its shell code.
fn agent(dashboard: &Dashboard, commands: &[(&str, &str)]) -> Agent {
    let steps = |script: &str| json!({"steps": [["/bin/sh", "-c", script]]});
    let commands = commands
        .iter()
        .map(|(name, script)| ((*name).to_owned(), steps(script)));
    let commands: serde_json::Map<String, Value> = commands.collect();
    Agent::start_with(dashboard, "h1", &json!({"commands": commands}))
}

/// The status of the deployment and its run, once the run is over.
#[track_caller]
fn deployed_by(dashboard: &Dashboard, command: &str) -> (String, Value) {
    let run = dashboard.command("h1", command);
    dashboard.wait_done("h1", &run);
    let host = dashboard.wait_for_host("h1", "the end", |host| host["run"]["run_id"] == *run);
    (run, host["deployment"].clone())
}

#[test]
fn the_deployment_is_the_last_run_that_activated_whatever_ran_since_and_is_never_forgotten() {
    let mut dashboard = Dashboard::start(&["h1"]);
    assert_eq!(dashboard.host("h1")["deployment"], Value::Null);
    let commands = [
        ("switch", "exit 0"),
        ("boot", "exit 3"),
        ("test", "exit 0"),
        ("rollback", "exit 0"),
        ("pull", "exit 0"),
        ("build", "exit 4"),
    ];
    let mut agent = agent(&dashboard, &commands);
    let (_, none) = deployed_by(&dashboard, "build");
    assert_eq!(none, Value::Null, "a build changes nothing");
    for (command, status) in [
        ("switch", "ok"),
        ("test", "ok"),
        ("rollback", "ok"),
        ("boot", "error"),
    ] {
        let (run, deployment) = deployed_by(&dashboard, command);
        assert_eq!(
            [
                &deployment["run_id"],
                &deployment["command"],
                &deployment["status"]
            ],
            [&json!(run), &json!(command), &json!(status)]
        );
        assert_eq!(
            deployment["completed"],
            dashboard.run("h1", &run)["completed"]
        );
        for field in ["generation", "revision", "system"] {
            assert!(deployment.get(field).is_some(), "{field} of {deployment}");
        }
        let (pull, after) = deployed_by(&dashboard, "pull");
        assert_eq!(after, deployment, "a pull changes nothing");
        assert_eq!(dashboard.host("h1")["run"]["run_id"], *pull);
    }
    let deployment = dashboard.host("h1")["deployment"].clone();
    let shown = |dashboard: &Dashboard| {
        let mut browser = Socket::browser(dashboard);
        let in_list = dashboard.fetch("/api/hosts")["hosts"][0]["deployment"].clone();
        let run = dashboard.command("h1", "pull");
        dashboard.wait_done("h1", &run);
        let update = browser.wait_for("host_update", |message| message["type"] == "host_update");
        assert_eq!(update["host"]["deployment"], deployment);
        in_list
    };
    assert_eq!(shown(&dashboard), deployment);
    let database = dashboard.data_dir().join("switchyard.sqlite");
    for is_lost in [false, true] {
        let said = agent.process.said();
        dashboard.restart(Signal::SIGKILL, || {
            if is_lost {
                for end in ["", "-wal", "-shm"] {
                    let _ = fs::remove_file(format!("{}{end}", database.display()));
                }
            }
        });
        agent.wait_for_reconnection(said);
        assert_eq!(shown(&dashboard), deployment, "database lost: {is_lost}");
    }
}

#[test]
fn a_deployment_that_was_lost_becomes_what_it_was_and_an_older_one_never_takes_its_place() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    let end = |run: &str, status: &str| {
        json!({"type": "status", "host_id": "h1", "run_id": run, "command": "switch", "status": status,
            "lines": 0, "started": "2026-01-02T03:04:05.000Z", "completed": "2026-01-02T03:04:06.000Z",
            "generation": 7, "revision": "abc", "system": "/nix/store/new"})
    };
    let is_deployed = |run: &str, status: &str| {
        dashboard.wait_for_host("h1", status, |host| {
            let deployment = &host["deployment"];
            [&deployment["run_id"], &deployment["status"]] == [&json!(run), &json!(status)]
        })["deployment"]
            .clone()
    };
    let (first, second) = ("2026-03-01T00-00-00-switch", "2026-02-01T00-00-00-switch");
    for run in [first, second] {
        agent.send(&end(run, "running"));
        agent.send(&end(run, "lost"));
        is_deployed(run, "lost");
    }
    agent.send(&end(second, "running"));
    agent.send(&end(second, "ok"));
    let deployment = is_deployed(second, "ok");
    assert_eq!(
        [
            &deployment["generation"],
            &deployment["revision"],
            &deployment["system"]
        ],
        [&json!(7), &json!("abc"), &json!("/nix/store/new")]
    );
    agent.send(&end(first, "running"));
    agent.send(&end(first, "error"));
    dashboard.wait_for_run("h1", first, SOON, |run| run["status"] == "error");
    assert_eq!(dashboard.host("h1")["deployment"], deployment);
    assert_eq!(dashboard.host("h1")["run"]["run_id"], second);
}

#[test]
fn a_command_that_never_began_is_no_deployment() {
    let dashboard = Dashboard::start(&["h1"]);
    let body = json!({"command": "switch", "expires": 1});
    let expired = dashboard.post("/api/hosts/h1/command", &body).json()["run_id"].clone();
    dashboard.wait_for_run("h1", expired.as_str().unwrap(), SOON, |run| {
        run["status"] == "expired"
    });
    let cancelled = dashboard.command("h1", "switch");
    dashboard.post("/api/hosts/h1/command", &json!({"command": "stop"}));
    assert_eq!(dashboard.run("h1", &cancelled)["status"], "stopped");
    let mut agent = Socket::agent(&dashboard, "h1");
    let rejected = dashboard.command("h1", "switch");
    agent.send(
        &json!({"type": "command_rejected", "host_id": "h1", "run_id": rejected, "reason": "no"}),
    );
    dashboard.wait_for_run("h1", &rejected, SOON, |run| run["status"] == "rejected");
    assert_eq!(dashboard.host("h1")["deployment"], Value::Null);
}
