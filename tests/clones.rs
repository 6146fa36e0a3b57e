//! Two living machines with the token of one host: a machine that was cloned.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, SOON, Socket};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// Connects as a machine with this boot id that holds these runs.
fn connect(dashboard: &Dashboard, boot: Option<&str>, runs: &Value) -> Socket {
    let mut agent = Socket::unregistered_agent(dashboard, "h1");
    agent.send(&json!({"type": "register", "protocol": 1, "host_id": "h1", "machine_id": "m", "boot_id": boot,
        "hostname": "web", "commands": ["switch"], "runs": runs}));
    agent.wait_for("registered", |message| message["type"] == "registered");
    agent
}

fn ask(dashboard: &Dashboard) -> u16 {
    dashboard
        .post("/api/hosts/h1/command", &json!({"command": "switch"}))
        .status
}

fn running(run: &str) -> Value {
    json!([{"run_id": run, "command": "switch", "lines": 0, "status": "running"}])
}

/// Whether a command comes within a while.
fn is_commanded(agent: &mut Socket, while_ms: u64) -> bool {
    let end = Instant::now() + Duration::from_millis(while_ms);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let frame = agent.try_frame(left).unwrap_or_default();
        if frame.iter().any(|message| message["type"] == "command") {
            return true;
        }
    }
    false
}

#[test]
fn a_clone_is_told_and_gets_no_command_until_an_admin_has_chosen() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut first = connect(&dashboard, Some("one"), &json!([]));
    let run = dashboard.command("h1", "switch");
    first.wait_for("the command", |message| message["type"] == "command");
    first.send(&json!({"type": "status", "host_id": "h1", "run_id": run, "command": "switch", "status": "running"}));
    dashboard.wait_for_run("h1", &run, SOON, |run| run["status"] == "running");
    let statuses = || dashboard.run("h1", &run)["status"].clone();

    let mut second = connect(&dashboard, Some("two"), &json!([]));
    // It answers the close as every WebSocket does.
    assert_eq!(first.answered_close_code(), 4409);
    let host = dashboard.wait_for_host("h1", "the conflict", |host| host["conflict"].is_object());
    let machines = host["conflict"]["machines"].as_array().unwrap();
    let boots: Vec<_> = machines
        .iter()
        .map(|machine| machine["boot_id"].as_str().unwrap())
        .collect();
    assert_eq!(boots, ["one", "two"]);
    assert_eq!(
        [&machines[0]["connected"], &machines[1]["connected"]],
        [false, true]
    );
    assert_eq!(machines[0]["hostname"], "web");
    assert!(
        host["conflict"]["since"].is_string() && machines[0]["address"].is_string(),
        "{host}"
    );

    // They fight for the connection, and the run stays what it is.
    for _ in 0..2 {
        assert_eq!(statuses(), "running");
        let first = connect(&dashboard, Some("one"), &running(&run));
        assert_eq!(second.close_code(), 4409);
        assert_eq!(statuses(), "running");
        second = connect(&dashboard, Some("two"), &json!([]));
        assert_eq!(first.close_code(), 4409);
    }
    let audit = dashboard.get("/api/audit").body;
    let audit = String::from_utf8(audit).unwrap();
    assert_eq!(audit.matches("\"conflict\"").count(), 1, "{audit}");
    dashboard
        .process
        .line_with("two machines use the token of this host");

    let choose = |boot: &str| {
        let body = json!({"boot_id": boot});
        dashboard.post("/api/hosts/h1/machine", &body).status
    };
    assert_eq!(choose("three"), 409);
    assert_eq!(choose("one"), 204);
    assert_eq!(second.close_code(), 4403);
    let mut first = connect(&dashboard, Some("one"), &running(&run));
    first.send(&json!({"type": "status", "host_id": "h1", "run_id": run, "command": "switch", "status": "ok", "lines": 0}));
    dashboard.wait_for_run("h1", &run, SOON, |run| run["status"] == "ok");
    assert_eq!(dashboard.host("h1")["conflict"], Value::Null);
    let mut second = Socket::unregistered_agent(&dashboard, "h1");
    second.send(&json!({"type": "register", "protocol": 1, "host_id": "h1", "machine_id": "m", "boot_id": "two"}));
    assert_eq!(second.close_code(), 4403);
    assert_eq!(ask(&dashboard), 202);
    first.wait_for("the command", |message| message["type"] == "command");
}

#[test]
fn the_machine_that_an_admin_chose_is_let_in_after_its_reboot_and_the_other_is_not() {
    let dashboard = Dashboard::start(&["h1"]);
    let first = connect(&dashboard, Some("one"), &json!([]));
    let second = connect(&dashboard, Some("two"), &json!([]));
    assert_eq!(first.answered_close_code(), 4409);
    dashboard.wait_for_host("h1", "the conflict", |host| host["conflict"].is_object());
    let body = json!({"boot_id": "one"});
    let chosen = dashboard.post("/api/hosts/h1/machine", &body);
    assert_eq!(chosen.status, 204);
    assert_eq!(second.close_code(), 4403);
    let mut boot = connect(&dashboard, Some("one"), &json!([]));
    for next in ["three", "four"] {
        drop(boot);
        dashboard.wait_for_host("h1", "its absence", |host| host["online"] == false);
        assert_turned_away(&dashboard, "two");
        boot = connect(&dashboard, Some(next), &json!([]));
        assert_turned_away(&dashboard, "two");
    }
    assert_eq!(dashboard.host("h1")["conflict"], Value::Null);
    assert_eq!(ask(&dashboard), 202);
    boot.wait_for("the command", |message| message["type"] == "command");
}

/// The machine with this boot id is turned away.
#[track_caller]
fn assert_turned_away(dashboard: &Dashboard, boot: &str) {
    let mut agent = Socket::unregistered_agent(dashboard, "h1");
    agent.send(&json!({"type": "register", "protocol": 1, "host_id": "h1", "machine_id": "m", "boot_id": boot}));
    assert_eq!(agent.close_code(), 4403);
}

#[test]
fn an_agent_that_is_not_the_chosen_machine_says_so_and_not_that_its_token_is_another_hosts() {
    let dashboard = Dashboard::start(&["h1"]);
    let chosen = connect(&dashboard, Some("one"), &json!([]));
    let mut agent = Agent::start(&dashboard, "h1", "true");
    assert_eq!(chosen.answered_close_code(), 4409);
    dashboard.wait_for_host("h1", "the conflict", |host| host["conflict"].is_object());
    let body = json!({"boot_id": "one"});
    assert_eq!(dashboard.post("/api/hosts/h1/machine", &body).status, 204);
    let _chosen = connect(&dashboard, Some("one"), &json!([]));
    agent
        .process
        .wait_to_say("another machine was chosen for this host", 0);
    assert_eq!(agent.process.times_said("the token belongs to host"), 0);
}

#[test]
fn a_command_that_waits_goes_to_neither_of_two_machines() {
    let dashboard = Dashboard::start(&["h1"]);
    let first = connect(&dashboard, Some("one"), &json!([]));
    drop(first);
    dashboard.wait_for_host("h1", "its absence", |host| host["online"] == false);
    // The first one comes back after another one: no answer to a close is needed.
    let second = connect(&dashboard, Some("two"), &json!([]));
    drop(second);
    dashboard.wait_for_host("h1", "its absence", |host| host["online"] == false);
    assert_eq!(ask(&dashboard), 202);
    let mut first = connect(&dashboard, Some("one"), &json!([]));
    assert!(dashboard.host("h1")["conflict"].is_object());
    assert!(!is_commanded(&mut first, 3_000));
    assert_eq!(dashboard.host("h1")["run"]["status"], "queued");
    dashboard.post("/api/hosts/h1/command", &json!({"command": "stop"}));
    let refused = dashboard.post("/api/hosts/h1/command", &json!({"command": "switch"}));
    assert_eq!(refused.status, 409);
    let why = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(why.contains("two machines"), "{why}");
}

#[test]
fn an_agent_whose_place_another_machine_takes_shows_that_it_is_alive() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Agent::start(&dashboard, "h1", "true");
    let _clone = connect(&dashboard, Some("clone"), &json!([]));
    agent.process.wait_to_say("4409", 0);
    let host = dashboard.wait_for_host("h1", "the conflict", |host| host["conflict"].is_object());
    let machines = host["conflict"]["machines"].as_array().unwrap();
    assert_eq!(machines.len(), 2, "{host}");
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let told = machines[0]["machine_id"].as_str().unwrap_or("none");
    assert!(
        id.trim().is_empty() || !host.to_string().contains(id.trim()),
        "{told}"
    );
}

#[test]
fn a_reboot_and_agents_that_say_no_ids_are_no_clones() {
    let dashboard = Dashboard::start(&["h1"]);
    for boot in [Some("one"), Some("two"), None, None, Some("three")] {
        let mut agent = connect(&dashboard, boot, &json!([]));
        assert_eq!(ask(&dashboard), 202);
        let command = agent.wait_for("the command", |message| message["type"] == "command");
        agent.send(
            &json!({"type": "command_rejected", "host_id": "h1", "run_id": command["run_id"]}),
        );
        dashboard.wait_for_host("h1", "the end", |host| host["run"]["status"] == "rejected");
        drop(agent);
        dashboard.wait_for_host("h1", "its absence", |host| host["online"] == false);
        assert_eq!(dashboard.host("h1")["conflict"], Value::Null);
    }
}

#[test]
fn a_machine_that_lost_power_and_is_back_under_another_boot_id_goes_on_after_a_moment() {
    let dashboard = Dashboard::start(&["h1"]);
    // Its connection stays open and silent, as that of a machine without power does.
    let silent = connect(&dashboard, Some("one"), &json!([]));
    let mut back = connect(&dashboard, Some("two"), &json!([]));
    assert_eq!(ask(&dashboard), 202);
    back.wait_for("the command", |message| message["type"] == "command");
    assert_eq!(dashboard.host("h1")["conflict"], Value::Null);
    drop(silent);
    let audit = fs::read_to_string(dashboard.data_dir().join("audit.log")).unwrap_or_default();
    assert!(!audit.contains("\"conflict\""), "{audit}");
}

/// The dashboard is killed, as it has nothing to store at its end, and started anew.
fn start_anew(dashboard: &mut Dashboard) {
    dashboard.restart(nix::sys::signal::Signal::SIGKILL, || {});
}

#[test]
fn a_conflict_outlives_the_dashboard_and_no_machine_gets_a_command_whichever_comes_first() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let first = connect(&dashboard, Some("one"), &json!([]));
    let second = connect(&dashboard, Some("two"), &json!([]));
    assert_eq!(first.answered_close_code(), 4409);
    let before = dashboard.wait_for_host("h1", "the conflict", |host| host["conflict"].is_object());
    // It is told once it is stored.
    let told = "two machines use the token of this host";
    dashboard.process.line_with(told);
    drop(second);
    let mut since = before["conflict"]["since"].clone();
    for _ in 0..2 {
        start_anew(&mut dashboard);
        let conflict = dashboard.host("h1")["conflict"].clone();
        assert_eq!(conflict["since"], since);
        assert_eq!(conflict["machines"].as_array().unwrap().len(), 2);
        let mut clone = connect(&dashboard, Some("two"), &json!([]));
        assert_eq!(ask(&dashboard), 409);
        assert!(!is_commanded(&mut clone, 500));
        since = dashboard.host("h1")["conflict"]["since"].clone();
    }
    // An admin can settle it as before.
    let body = json!({"boot_id": "one"});
    assert_eq!(dashboard.post("/api/hosts/h1/machine", &body).status, 204);
    let mut first = connect(&dashboard, Some("one"), &json!([]));
    assert_eq!(ask(&dashboard), 202);
    first.wait_for("the command", |message| message["type"] == "command");
}

#[test]
fn what_an_admin_chose_outlives_the_dashboard_and_the_other_machine_is_turned_away() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let first = connect(&dashboard, Some("one"), &json!([]));
    let second = connect(&dashboard, Some("two"), &json!([]));
    assert_eq!(first.answered_close_code(), 4409);
    dashboard.wait_for_host("h1", "the conflict", |host| host["conflict"].is_object());
    let body = json!({"boot_id": "one"});
    assert_eq!(dashboard.post("/api/hosts/h1/machine", &body).status, 204);
    assert_eq!(second.close_code(), 4403);
    start_anew(&mut dashboard);
    assert_turned_away(&dashboard, "two");
    let mut first = connect(&dashboard, Some("one"), &json!([]));
    assert_turned_away(&dashboard, "two");
    assert_eq!(dashboard.host("h1")["conflict"], Value::Null);
    assert_eq!(ask(&dashboard), 202);
    first.wait_for("the command", |message| message["type"] == "command");
}

#[test]
fn two_agents_on_one_machine_with_one_token_are_a_conflict_and_an_admin_names_one() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut first = Agent::start(&dashboard, "h1", "sleep 600");
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["status"] == "running");
    let second = Agent::start(&dashboard, "h1", "sleep 600");
    let host = dashboard.wait_for_host("h1", "the conflict", |host| host["conflict"].is_object());
    let machines = host["conflict"]["machines"].as_array().unwrap();
    assert_eq!(machines[0]["boot_id"], machines[1]["boot_id"]);
    assert_eq!(dashboard.run("h1", &run)["status"], "running");
    assert_eq!(ask(&dashboard), 409);
    drop(second);
    let installation = fs::read_to_string(first.dir().join("state/installation")).unwrap();
    let installation = installation.split_whitespace().next().unwrap();
    let choose = |installation: Option<&str>| {
        let body = json!({"boot_id": machines[0]["boot_id"], "installation_id": installation});
        dashboard.post("/api/hosts/h1/machine", &body).status
    };
    assert_eq!(choose(None), 409, "which of the two?");
    assert_eq!(choose(Some(installation)), 204);
    first.restart(nix::sys::signal::Signal::SIGTERM);
    let host = dashboard.wait_for_host("h1", "the chosen one", |host| host["online"] == true);
    assert_eq!(host["conflict"], Value::Null);
    assert_eq!(dashboard.run("h1", &run)["status"], "running");
}
