//! How a dashboard ends, and what a reload brings.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket, wait_for};
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn an_ending_dashboard_tells_everyone_and_takes_no_longer_than_5_seconds() {
    let mut dashboard = Dashboard::start(&["h1", "h2"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    let waiting = Socket::unregistered_agent(&dashboard, "h2");
    let mut browsers: Vec<_> = (0..5).map(|_| Socket::browser(&dashboard)).collect();
    let run = "2025-12-14T10-30-00-switch";
    let line = json!({"line": "a", "timestamp": "2025-12-14T10:30:01Z", "is_error": false});
    agent.send(&json!({"type": "output", "host_id": "h1", "run_id": run, "command": "switch", "seq": 0, "lines": [line]}));
    browsers[0].wait_for("the line", |message| {
        message["type"] == "run_update" && message["run"]["lines"] == 1
    });
    let began = Instant::now();
    assert_eq!(dashboard.process.end(Signal::SIGTERM), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5));
    for socket in browsers.into_iter().chain([agent, waiting]) {
        assert_eq!(socket.close_code(), 1001);
    }
    let log = dashboard.data_dir().join(format!("logs/h1/{run}.log"));
    assert!(std::fs::read_to_string(log).unwrap().ends_with("] a\n"));
}

#[test]
fn a_host_that_a_reload_brings_back_still_has_its_queued_run() {
    let dashboard = Dashboard::start(&["h1", "h2"]);
    let run = dashboard.command("h1", "switch");
    let agents = std::fs::read_to_string(dashboard.data_dir().join("../agents")).unwrap();
    let (_, without) = agents.split_once('\n').unwrap();
    dashboard.reload_with("agents", without);
    wait_for("its absence", SOON, || {
        (dashboard.get("/api/hosts/h1").status == 404).then_some(())
    });
    dashboard.reload_with("agents", &agents);
    wait_for("its return", SOON, || {
        let answer = dashboard.get("/api/hosts/h1");
        (answer.status == 200 && answer.json()["run"]["run_id"] == run.as_str()).then_some(())
    });
    assert_eq!(dashboard.host("h1")["run"]["status"], "queued");
}

#[test]
fn a_host_that_never_registered_has_null_facts_and_takes_any_command() {
    let dashboard = Dashboard::start(&["h1"]);
    let host = dashboard.host("h1");
    for fact in ["commands", "hostname", "generation", "run", "last_seen"] {
        assert!(host[fact].is_null(), "{fact}: {}", host[fact]);
    }
    dashboard.command("h1", "home-manager");
    let nowhere = dashboard.post("/api/hosts/nobody/command", &json!({"command": "No!"}));
    assert_eq!(nowhere.status, 404);
    let hosts: Vec<String> = (0..5_000)
        .map(|n| format!("a-host-with-a-long-name-{n}"))
        .collect();
    let many = dashboard.post(
        "/api/commands",
        &json!({"hosts": hosts, "command": "switch"}),
    );
    assert_eq!(many.status, 207);
}

#[test]
fn a_browser_whose_wishes_flood_in_is_answered_in_frames_of_a_mebibyte_at_most() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut browser = Socket::browser(&dashboard);
    let sub = "\u{1}".repeat(250);
    let wishes: Vec<_> = (0..900)
        .map(|n| json!({"type": "subscribe", "sub": format!("{sub}{n}"), "host_id": "h1"}))
        .collect();
    for part in wishes.chunks(300) {
        browser.send(&json!(part));
    }
    let mut answers = 0;
    while answers < 900 {
        let frame = browser.frame();
        assert!(serde_json::to_string(&frame).unwrap().len() <= 1 << 20);
        answers += frame
            .iter()
            .filter(|message| message["type"] == "subscribed")
            .count();
    }
    browser.send(&json!({"type": "subscribe", "sub": "x".repeat(257), "host_id": "h1"}));
    assert_eq!(browser.close_code(), 4400);
}
