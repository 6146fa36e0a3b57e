//! What a broken or hostile peer may try, and the simplest agents there can be.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket, texts, wait_for};
use serde_json::{Value, json};

const RUN: &str = "2025-12-14T10-30-00-switch";

fn lines_message(host: &str, run_id: &str, line: &str) -> Value {
    let line = json!({"line": line, "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    json!({"type": "output", "host_id": host, "run_id": run_id, "command": "switch", "seq": 0, "lines": [line]})
}

fn status_message(run_id: Option<&str>, status: &str, exit_code: Option<i32>) -> Value {
    json!({"type": "status", "host_id": "h1", "run_id": run_id, "command": "switch", "status": status, "exit_code": exit_code})
}

/// The code with which the dashboard answers a frame.
#[track_caller]
fn close_code_after(frame: String) -> u16 {
    let dashboard = Dashboard::start(&["h1", "h2"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send_text(frame);
    let code = agent.close_code();
    assert_eq!(dashboard.get("/health").status, 200);
    code
}

#[test]
fn a_frame_over_a_mebibyte_closes_with_1009() {
    let heartbeat = json!({"type": "heartbeat", "host_id": "h1", "x": "x".repeat(1024 * 1024)});
    assert_eq!(close_code_after(heartbeat.to_string()), 1009);
}

#[test]
fn bad_json_closes_with_4400() {
    for frame in [
        "{\"type\":\"heartbeat\"",
        "7",
        "[[]]",
        "{\"host_id\":\"h1\"}",
        "{\"type\":7}",
        "\u{0}",
    ] {
        assert_eq!(close_code_after(frame.to_owned()), 4400, "{frame}");
    }
}

#[test]
fn a_message_without_a_field_that_it_needs_closes_with_4400() {
    assert_eq!(
        close_code_after(json!({"type": "output", "host_id": "h1", "run_id": RUN}).to_string()),
        4400
    );
}

#[test]
fn a_message_for_another_host_closes_with_4403() {
    assert_eq!(
        close_code_after(lines_message("h2", RUN, "x").to_string()),
        4403
    );
    assert_eq!(
        close_code_after(json!({"type": "heartbeat", "host_id": "h2"}).to_string()),
        4403
    );
}

#[test]
fn a_registration_for_another_host_closes_with_4403() {
    let dashboard = Dashboard::start(&["h1", "h2"]);
    let mut agent = Socket::unregistered_agent(&dashboard, "h1");
    agent.send(&json!({"type": "register", "protocol": 1, "host_id": "h2"}));
    assert_eq!(agent.close_code(), 4403);
    assert_eq!(dashboard.host("h2")["online"], false);
}

#[test]
fn a_line_that_is_none_closes_with_4400() {
    assert_eq!(
        close_code_after(lines_message("h1", RUN, "two\nlines").to_string()),
        4400
    );
    let long = "x".repeat(64 * 1024 + 1);
    assert_eq!(
        close_code_after(lines_message("h1", RUN, &long).to_string()),
        4400
    );
}

#[test]
fn the_longest_line_is_taken() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    let long = "x".repeat(64 * 1024);
    agent.send(&status_message(Some(RUN), "running", None));
    agent.send(&lines_message("h1", RUN, &long));
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "ok",
        "exit_code": 0, "lines": 1}));
    agent.wait_for("the final ack", |message| {
        message["type"] == "ack" && message["final"] == true
    });
    assert_eq!(dashboard.log("h1", RUN).lines, [long]);
}

#[test]
fn ids_that_climb_out_of_the_folder_are_malformed_and_write_nothing() {
    let dashboard = Dashboard::start(&["h1"]);
    for run_id in [
        "../../../x",
        "2025-12-14T10-30-00-switch/../../x",
        "2025-12-14T10-30-00-..",
        "",
        ".",
        "x.log",
    ] {
        let mut agent = Socket::agent(&dashboard, "h1");
        agent.send(&lines_message("h1", run_id, "x"));
        assert_eq!(agent.close_code(), 4400, "{run_id}");
    }
    for host_id in ["../h1", "h1/..", "..", "h1\u{0}"] {
        let mut agent = Socket::unregistered_agent(&dashboard, "h1");
        agent.send(&json!({"type": "register", "protocol": 1, "host_id": host_id}));
        let code = agent.close_code();
        assert!([4400, 4403].contains(&code), "{host_id}: {code}");
    }
    let logs = dashboard.data_dir().join("logs");
    let written = walk(&logs);
    assert_eq!(written, Vec::<std::path::PathBuf>::new());
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn ids_that_climb_out_of_the_folder_find_nothing_over_http() {
    let dashboard = Dashboard::start(&["h1"]);
    std::fs::write(dashboard.data_dir().join("secret.log"), "secret").unwrap();
    for path in [
        "/api/hosts/..%2f..%2fh1",
        "/api/hosts/h1/runs/..%2f..%2fsecret",
        "/api/hosts/h1/runs/..%2f..%2fsecret/lines",
        "/api/hosts/h1/logs/download?format=txt&run=..%2f..%2fsecret",
        "/api/hosts/..%2f/logs/download?format=txt&run=secret",
    ] {
        let answer = dashboard.get(path);
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret\n"));
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{path}"
        );
    }
}

#[test]
fn types_and_fields_nobody_knows_are_ignored() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(&json!({"type": "weather", "host_id": "h1", "rain": true}));
    agent.send(&json!([{"type": "x"}, {"type": "heartbeat", "host_id": "h1", "kernel": "x", "revision": "abc", "y": [1]}]));
    dashboard.wait_for_host("h1", "the heartbeat", |host| host["revision"] == "abc");
}

#[test]
fn a_newer_connection_of_a_host_replaces_the_old() {
    let dashboard = Dashboard::start(&["h1"]);
    let old = Socket::agent(&dashboard, "h1");
    let mut new = Socket::agent(&dashboard, "h1");
    assert_eq!(old.close_code(), 4409);
    new.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "new"}));
    dashboard.wait_for_host("h1", "the new one", |host| host["revision"] == "new");
    assert_eq!(dashboard.host("h1")["online"], true);
}

#[test]
fn single_lines_of_the_simplest_agent_become_a_run() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    for n in 0..100 {
        agent.send(&json!({"type": "output", "host_id": "h1", "command": "switch", "line": format!("l {n}"),
            "timestamp": "2025-12-14T10:30:01Z", "is_error": n % 10 == 0}));
    }
    agent.send(&status_message(None, "ok", Some(0)));
    let runs = wait_for("the run's end", SOON, || {
        let runs = dashboard.fetch("/api/hosts/h1/runs")["runs"].clone();
        (runs[0]["status"] == "ok").then_some(runs)
    });
    assert_eq!(runs.as_array().unwrap().len(), 1);
    assert_eq!(
        [&runs[0]["lines"], &runs[0]["errors"], &runs[0]["exit_code"]],
        [100, 10, 0]
    );
    let lines = dashboard.lines("h1", runs[0]["run_id"].as_str().unwrap());
    let want: Vec<String> = (0..100).map(|n| format!("l {n}")).collect();
    assert_eq!(texts(&lines), want);
    assert!(
        lines
            .iter()
            .all(|line| line.timestamp.starts_with("2025-12-14T10:30:01"))
    );
}

#[test]
fn single_lines_whose_connection_ends_are_a_lost_run() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(
        &json!({"type": "output", "host_id": "h1", "command": "switch", "line": "only",
        "timestamp": "2025-12-14T10:30:01Z", "is_error": false}),
    );
    wait_for("the run", SOON, || {
        (dashboard.fetch("/api/hosts/h1/runs")["runs"][0]["status"] == "running").then_some(())
    });
    drop(agent);
    wait_for("its loss", SOON, || {
        (dashboard.fetch("/api/hosts/h1/runs")["runs"][0]["status"] == "lost").then_some(())
    });
}

#[test]
fn a_gap_is_asked_for_again_and_repeated_lines_are_skipped() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    let output = |from: u64, to: u64| {
        let lines: Vec<Value> = (from..to)
            .map(|n| json!({"line": format!("{n}"), "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false}))
            .collect();
        json!({"type": "output", "host_id": "h1", "run_id": RUN, "command": "switch", "seq": from, "lines": lines})
    };
    agent.send(&status_message(Some(RUN), "running", None));
    agent.send(&output(0, 10));
    agent.send(&output(5, 15));
    agent.send(&output(20, 30));
    let resume = agent.wait_for("a resume", |message| message["type"] == "resume");
    assert_eq!(
        (&resume["run_id"], &resume["seq"]),
        (&json!(RUN), &json!(15))
    );
    agent.send(&output(15, 30));
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "ok",
        "exit_code": 0, "lines": 30}));
    agent.wait_for("the final ack", |message| {
        message["type"] == "ack" && message["final"] == true
    });
    let want: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(dashboard.log("h1", RUN).lines, want);
}
