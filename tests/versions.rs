//! Agents and dashboards of different versions, and hosts under another name.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const RUN: &str = "2026-01-02T03-04-05-switch";

fn register(dashboard: &Dashboard, host: &str, more: &Value) -> (Socket, Value) {
    let mut agent = Socket::unregistered_agent(dashboard, host);
    let mut register =
        json!({"type": "register", "protocol": 1, "host_id": host, "commands": ["switch"]});
    for (key, value) in more.as_object().unwrap() {
        register[key] = value.clone();
    }
    agent.send(&register);
    let registered = agent.wait_for("registered", |message| message["type"] == "registered");
    (agent, registered)
}

#[test]
fn a_status_that_the_dashboard_does_not_know_keeps_no_agent_out_and_is_no_success() {
    let dashboard = Dashboard::start(&["h1"]);
    let runs = json!([{"run_id": RUN, "nonce": "n", "command": "switch", "lines": 0, "status": "rolled_back"}]);
    let (mut agent, registered) = register(&dashboard, "h1", &json!({"runs": runs}));
    assert_eq!(registered["resume"], json!([{"run_id": RUN, "seq": 0}]));
    assert_eq!(dashboard.run("h1", RUN)["status"], "running");
    let marks = json!([
        {"phase": "pull", "seq": 0, "started": "2026-01-02T03:04:05.000Z"},
        {"phase": "confirming", "seq": 0, "started": "2026-01-02T03:04:06.000Z"}]);
    agent.send(&json!({"type": "progress", "host_id": "h1", "run_id": RUN, "phases": marks}));
    dashboard.wait_for_run("h1", RUN, SOON, |run| run["phase"] == "pull");
    agent.send(
        &json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch",
        "status": "rolled_back", "exit_code": 4, "lines": 0, "message": "not confirmed"}),
    );
    let run = dashboard.wait_for_run("h1", RUN, SOON, |run| run["status"] != "running");
    assert_eq!(
        [&run["status"], &run["message"]],
        [&json!("error"), &json!("not confirmed")]
    );
}

#[test]
fn the_version_of_the_wire_is_the_lower_of_both_and_the_agent_is_told() {
    let dashboard = Dashboard::start(&["h1"]);
    let features = json!(["plan", "telepathy"]);
    let (_agent, registered) = register(
        &dashboard,
        "h1",
        &json!({"protocol": 2, "features": features}),
    );
    assert_eq!(registered["protocol"], 1);
    assert!(registered["features"].is_array(), "{registered}");
    let said = dashboard
        .process
        .line_with("agent uses a newer version of the protocol");
    assert!(
        said.contains("protocol=2") && said.contains("host=h1"),
        "{said}"
    );
}

#[test]
fn a_run_of_another_host_with_the_same_id_is_left_alone() {
    let dashboard = Dashboard::start(&["old", "new"]);
    let (mut agent, _) = register(&dashboard, "old", &json!({}));
    let run = dashboard.command("old", "switch");
    agent.wait_for("the command", |message| message["type"] == "command");
    agent.send(&json!({"type": "status", "host_id": "old", "run_id": run, "command": "switch", "status": "running"}));
    dashboard.wait_for_run("old", &run, SOON, |run| run["status"] == "running");
    drop(agent);
    dashboard.wait_for_host("old", "its absence", |host| host["online"] == false);
    // Another run of the same second, by another host: no more than a name in common.
    let runs = json!([{"run_id": run, "nonce": "other", "command": "switch", "lines": 0, "status": "running"}]);
    drop(register(&dashboard, "new", &json!({"runs": runs})));
    assert_eq!(dashboard.run("old", &run)["status"], "running");
}

/// A run that goes on under `old` and is offered under `new`, whose connection is there before or after that of `old`
/// is gone.
fn renamed(is_old_away: bool) {
    let dashboard = Dashboard::start(&["old", "new"]);
    let (mut old, _) = register(&dashboard, "old", &json!({}));
    let run = dashboard.command("old", "switch");
    let command = old.wait_for("the command", |message| message["type"] == "command");
    old.send(&json!({"type": "status", "host_id": "old", "run_id": run, "command": "switch", "status": "running"}));
    dashboard.wait_for_run("old", &run, SOON, |run| run["status"] == "running");
    let mut old = Some(old);
    if is_old_away {
        old = None;
        dashboard.wait_for_host("old", "its absence", |host| host["online"] == false);
    }
    let runs = json!([{"run_id": run, "nonce": command["nonce"], "command": "switch", "lines": 0, "status": "running"}]);
    let (mut new, _) = register(&dashboard, "new", &json!({"runs": runs}));
    drop(old);
    let lost = dashboard.wait_done("old", &run);
    assert_eq!(lost["status"], "lost");
    assert!(lost["message"].as_str().unwrap().contains("new"), "{lost}");
    new.send(&json!({"type": "status", "host_id": "new", "run_id": run, "command": "switch", "status": "ok", "lines": 0}));
    dashboard.wait_for_run("new", &run, SOON, |run| run["status"] == "ok");
}

#[test]
fn a_run_that_its_host_offers_under_a_new_name_ends_under_the_old_one() {
    renamed(true);
}

#[test]
fn a_run_ends_under_the_old_name_although_that_connection_was_gone_later() {
    renamed(false);
}

#[test]
fn two_dashboards_on_one_host_name_have_cookies_of_their_own() {
    let users = [("ada", "viewer", Dashboard::password_hash("secret"))];
    let mut dashboards = [0, 1].map(|_| Dashboard::start_with(&["h1"], "", &users));
    for dashboard in &mut dashboards {
        dashboard.log_in("ada", "secret");
    }
    // A browser sends both to both, as ports do not tell cookies apart.
    let cookies = dashboards
        .each_ref()
        .map(|dashboard| dashboard.cookie.clone().unwrap());
    for both in [
        cookies.join("; "),
        format!("{}; {}", cookies[1], cookies[0]),
    ] {
        for dashboard in &dashboards {
            let answer = dashboard.request("GET", "/api/me", &[("Cookie", &both)], b"");
            assert_eq!(answer.status, 200, "{both}");
        }
    }
}

#[test]
fn a_page_can_see_that_the_dashboard_was_updated() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let version = |dashboard: &Dashboard| {
        let headers = [("Origin", dashboard.origin())];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let mut browser = Socket::open(dashboard, "/ws/browser", &headers).unwrap();
        let hosts = browser.wait_for("hosts", |message| message["type"] == "hosts");
        hosts["version"].as_str().unwrap().to_owned()
    };
    let before = version(&dashboard);
    assert!(before.len() >= 16, "{before}");
    dashboard.restart(Signal::SIGTERM, || {});
    assert_eq!(version(&dashboard), before, "a restart is no update");
}
