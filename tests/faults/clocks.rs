//! Clocks that are wrong, or jump. Order comes from `seq`, durations from a clock that only goes on.

use crate::child::{Child, Pace};
use crate::common::{Agent, Dashboard, SOON, Socket, skip, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
const HOUR_MS: i64 = 3_600_000;

/// What sets the clock of a process, and of what it starts, by the file `dir/clock`; `None` with a word
/// where that cannot be.
fn clock(dir: &Path, offset: &str) -> Option<Vec<(&'static str, String)>> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let library = folders.iter().map(|folder| Path::new(folder).join(LIBRARY));
    let Some(library) = library.into_iter().find(|library| library.exists()) else {
        skip("libfaketime is not installed");
        return None;
    };
    set(dir, offset);
    Some(vec![
        ("LD_PRELOAD", library.display().to_string()),
        (
            "FAKETIME_TIMESTAMP_FILE",
            dir.join("clock").display().to_string(),
        ),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ])
}

/// Sets the clock so many seconds before or after the true one.
fn set(dir: &Path, offset: &str) {
    fs::write(dir.join("new"), format!("{offset}\n")).unwrap();
    fs::rename(dir.join("new"), dir.join("clock")).unwrap();
}

fn switch(script: &str) -> Value {
    json!({"commands": {"switch": {"steps": [["/bin/sh", "-c", script]]}}})
}

fn skew(host: &Value) -> i64 {
    host["clock_skew_ms"].as_i64().unwrap_or_default()
}

#[track_caller]
fn assert_near(is: i64, should: i64) {
    assert!((is - should).abs() < 10_000, "{is} ms, not {should}");
}

#[test]
fn a_host_whose_clock_is_an_hour_off_has_a_log_in_order_and_its_skew_is_shown() {
    let dashboard = Dashboard::start(&["ahead", "behind"]);
    for (host, offset, skew_ms) in [("ahead", "+3600", HOUR_MS), ("behind", "-3600", -HOUR_MS)] {
        let dir = tempfile::tempdir().unwrap();
        let Some(environment) = clock(dir.path(), offset) else {
            return;
        };
        let child = Child::new(dir.path(), "child", Pace::Slow, 4);
        let _agent = Agent::launch_in(environment, dashboard.port, host, &switch(&child.script));
        let shown = dashboard.wait_for_host(host, "it", |host| host["online"] == true);
        assert_near(skew(&shown), skew_ms);
        let run = dashboard.command(host, "switch");
        dashboard.wait_for_run(host, &run, SOON, |run| run["lines"].as_u64() > Some(20));
        child.gate.open();
        child.assert_whole(&dashboard, host, &run, 4);
        let done = dashboard.run(host, &run);
        assert!(done["duration_ms"].as_i64().unwrap() < 30_000, "{done}");
        let line = &dashboard.lines(host, &run)[0];
        let stamp = chrono::DateTime::parse_from_rfc3339(&line.timestamp).unwrap();
        let ahead = stamp.timestamp_millis() - chrono::Utc::now().timestamp_millis();
        assert_near(ahead, skew_ms);
    }
}

#[test]
fn a_host_whose_clock_is_set_back_an_hour_in_the_middle_loses_nothing_and_knows_how_long_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let Some(environment) = clock(dir.path(), "+0") else {
        return;
    };
    let dashboard = Dashboard::start(&["h1"]);
    let child = Child::new(dir.path(), "child", Pace::Slow, 4);
    let _agent = Agent::launch_in(environment, dashboard.port, "h1", &switch(&child.script));
    dashboard.wait_for_host("h1", "it", |host| host["online"] == true);
    let began = std::time::Instant::now();
    let run = dashboard.command("h1", "switch");
    let lines = |more_than| {
        dashboard.wait_for_run("h1", &run, SOON, |run| {
            run["lines"].as_u64() > Some(more_than)
        })
    };
    lines(20);
    set(dir.path(), "-3600");
    let before = lines(20)["lines"].as_u64().unwrap();
    lines(before + 40);
    child.gate.open();
    child.assert_whole(&dashboard, "h1", &run, 4);
    let took = i64::try_from(began.elapsed().as_millis()).unwrap();
    let duration = dashboard.run("h1", &run)["duration_ms"].as_i64().unwrap();
    assert!(
        duration > 1_000 && duration <= took,
        "{duration} of {took} ms"
    );
    let stamps = dashboard.lines("h1", &run);
    assert!(
        stamps.last().unwrap().timestamp < stamps[0].timestamp,
        "the clock was not set back"
    );
    let shown = dashboard.wait_for_host("h1", "the skew", |host| skew(host) < -HOUR_MS / 2);
    assert_near(skew(&shown), -HOUR_MS);
}

#[test]
fn a_dashboard_whose_clock_jumps_an_hour_ends_no_session_no_run_and_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let Some(environment) = clock(dir.path(), "+0") else {
        return;
    };
    let users = [("ada", "admin", Dashboard::password_hash("secret"))];
    let retention = "[retention]\ndays = 1\n";
    let mut dashboard =
        Dashboard::start_in(environment, "127.0.0.1", &["h1", "away"], retention, &users);
    dashboard.log_in("ada", "secret");
    let child = Child::new(dir.path(), "child", Pace::Slow, 4);
    let agent = Agent::start(&dashboard, "h1", &child.script);
    let queued = dashboard.command("away", "switch");
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["lines"].as_u64() > Some(5));
    for offset in ["+3700", "-3700"] {
        set(dir.path(), offset);
        // The chores look at the queue every second, and a host is silent after 30.
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(dashboard.run("away", &queued)["status"], "queued");
        assert_eq!(dashboard.run("h1", &run)["status"], "running");
        let seconds: i64 = offset.parse().unwrap();
        let host = dashboard.wait_for_host("h1", "the skew", |host| skew(host).abs() > HOUR_MS);
        assert_eq!(host["online"], true);
        assert_near(skew(&host), -seconds * 1000);
    }
    assert_eq!(agent.process.times_said("connected to"), 1);
    child.gate.open();
    child.assert_whole(&dashboard, "h1", &run, 4);
    dashboard.restart(nix::sys::signal::Signal::SIGTERM, || {
        set(dir.path(), "+3000");
    });
    assert_eq!(dashboard.run("away", &queued)["status"], "queued");
    assert_eq!(dashboard.run("h1", &run)["exit_code"], 4);
}

#[test]
fn the_latest_run_is_the_one_that_was_asked_for_last_whatever_the_clock_said() {
    let dir = tempfile::tempdir().unwrap();
    let Some(environment) = clock(dir.path(), "+7200") else {
        return;
    };
    let mut dashboard = Dashboard::start_in(environment, "127.0.0.1", &["h1"], "", &[]);
    let _agent = Agent::start(&dashboard, "h1", "echo done");
    let mut runs = Vec::new();
    let mut deploy = |dashboard: &Dashboard| {
        let run = dashboard.command("h1", "switch");
        dashboard.wait_done("h1", &run);
        runs.insert(0, run.clone());
        let host = dashboard.wait_for_host("h1", "the end", |host| host["run"]["run_id"] == *run);
        assert_eq!(host["deployment"]["run_id"], *run);
        runs.clone()
    };
    let listed = |dashboard: &Dashboard, query: &str| -> Vec<String> {
        let runs = dashboard.fetch(&format!("/api/hosts/h1/runs{query}"))["runs"].take();
        let ids = runs.as_array().unwrap().iter();
        ids.map(|run| run["run_id"].as_str().unwrap().to_owned())
            .collect()
    };
    deploy(&dashboard);
    for offset in ["+3600", "+0"] {
        set(dir.path(), offset);
        deploy(&dashboard);
    }
    let runs = deploy(&dashboard);
    assert!(runs[3] > runs[0], "the clock was not set back");
    let database = dashboard.data_dir().join("switchyard.sqlite");
    for is_lost in [false, true] {
        assert_eq!(listed(&dashboard, ""), runs);
        for (index, before) in runs.iter().enumerate() {
            let page = listed(&dashboard, &format!("?limit=2&before={before}"));
            let rest = &runs[index + 1..];
            assert_eq!(page, rest[..rest.len().min(2)]);
        }
        let host = dashboard.host("h1");
        assert_eq!(host["run"]["run_id"], *runs[0]);
        assert_eq!(host["deployment"]["run_id"], *runs[0]);
        dashboard.restart(nix::sys::signal::Signal::SIGKILL, || {
            if is_lost {
                return;
            }
            for end in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(format!("{}{end}", database.display()));
            }
        });
    }
    assert_eq!(listed(&dashboard, ""), runs);
}

#[test]
fn how_long_a_run_took_is_never_taken_between_two_clocks() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    let ahead = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let ahead = ahead.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    agent.send(
        &json!({"type": "output", "host_id": "h1", "command": "switch", "line": "only",
        "timestamp": ahead, "is_error": false}),
    );
    agent.send(
        &json!({"type": "status", "host_id": "h1", "command": "switch", "status": "ok",
        "exit_code": 0, "completed": ahead}),
    );
    let host = dashboard.wait_for_host("h1", "the end", |host| host["run"]["status"] == "ok");
    let took = host["run"]["duration_ms"].as_i64().unwrap();
    assert!(took < 30_000, "{took} ms");
}

#[test]
fn a_dashboard_that_starts_with_a_wrong_clock_deletes_and_ends_nothing_and_says_so_until_it_is_right()
 {
    let dir = tempfile::tempdir().unwrap();
    let Some(environment) = clock(dir.path(), "+0") else {
        return;
    };
    let users = [("ada", "admin", Dashboard::password_hash("secret"))];
    let retention = "[retention]\ndays = 1\n";
    let mut dashboard =
        Dashboard::start_in(environment, "127.0.0.1", &["h1", "away"], retention, &users);
    dashboard.log_in("ada", "secret");
    let mut agent = Socket::agent(&dashboard, "h1");
    let mut ran = Vec::new();
    for command in ["test", "switch"] {
        agent.send(
            &json!({"type": "output", "host_id": "h1", "command": command, "line": "only", "is_error": false}),
        );
        agent.send(
            &json!({"type": "status", "host_id": "h1", "command": command, "status": "ok", "exit_code": 0}),
        );
        let host = dashboard.wait_for_host("h1", "the end", |host| {
            host["run"]["command"] == command && host["run"]["status"] == "ok"
        });
        ran.push(host["run"]["run_id"].as_str().unwrap().to_owned());
    }
    let queued = dashboard.command("away", "switch");
    drop(agent);
    dashboard.wait_for_host("h1", "its absence", |host| host["online"] == false);
    let warned = |dashboard: &Dashboard| {
        let answer = dashboard.get("/health");
        assert_eq!(answer.status, 200);
        let health: Value = serde_json::from_slice(&answer.body).unwrap();
        health["warnings"][0].as_str().map(ToOwned::to_owned)
    };
    assert_eq!(warned(&dashboard), None);
    for wrong in ["+34560000", "-34560000"] {
        dashboard.restart(nix::sys::signal::Signal::SIGTERM, || {
            set(dir.path(), wrong);
        });
        let warning = warned(&dashboard).expect("a warning");
        assert!(warning.contains("clock"), "{warning}");
        // The chores look at the queue and the logs every second.
        std::thread::sleep(Duration::from_secs(3));
        for run in &ran {
            assert_eq!(dashboard.log("h1", run).lines, ["only"]);
        }
        set(dir.path(), "+0");
        wait_for("the clock to be believed", SOON, || {
            warned(&dashboard).is_none().then_some(())
        });
        assert_eq!(dashboard.run("away", &queued)["status"], "queued");
        assert_eq!(dashboard.run("h1", &ran[0])["status"], "ok");
    }
}
