//! Clocks that are wrong, or jump. Order comes from `seq`, durations from a clock that only goes on.

use crate::child::{Child, Pace};
use crate::common::{Agent, Dashboard, SOON, Socket, has, sha256_hex, skip, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
const HOUR_MS: i64 = 3_600_000;

/// Moves the clock that never jumps on by as many seconds as `PASSED_FILE` says.
const PASSING: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, at);
  const char *path = getenv("PASSED_FILE");
  if (result == 0 && id == CLOCK_MONOTONIC && path) {
    char text[16] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
      if (read(file, text, sizeof text - 1) > 0) at->tv_sec += atoi(text);
      close(file);
    }
  }
  return result;
}
"#;

/// Has time pass for a process as [`pass`] says, besides what `environment` does; `None` with a word where that cannot
/// be.
fn passing(
    dir: &Path,
    mut environment: Vec<(&'static str, String)>,
) -> Option<Vec<(&'static str, String)>> {
    if !has("cc") {
        skip("there is no C compiler");
        return None;
    }
    let (source, library) = (dir.join("passing.c"), dir.join("passing.so"));
    fs::write(&source, PASSING).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    for (name, value) in &mut environment {
        if *name == "LD_PRELOAD" {
            *value = format!("{}:{value}", library.display());
        }
    }
    let file = dir.join("passed").display().to_string();
    environment.push(("PASSED_FILE", file));
    Some(environment)
}

/// Has so many seconds have passed.
fn pass(dir: &Path, seconds: u32) {
    fs::write(dir.join("passed.new"), seconds.to_string()).unwrap();
    fs::rename(dir.join("passed.new"), dir.join("passed")).unwrap();
}

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
    // By a wrong clock a session is over; a token that does not end is not.
    let token = format!("sha256:{}", sha256_hex("monitor"));
    let users = [
        ("ada", "admin", Dashboard::password_hash("secret")),
        ("monitor", "admin", token),
    ];
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
        let bearer = [("Authorization", "Bearer monitor")];
        let answer = dashboard.request("GET", "/health", &bearer, b"");
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
        // The chores look at the queue every second.
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

/// A run of one line, from an agent that is gone then.
fn store(dashboard: &Dashboard, host: &str, run: &str) {
    let mut agent = Socket::agent(dashboard, host);
    let status = |status: &str, lines: Option<u64>| json!({"type": "status", "host_id": host, "run_id": run, "command": "switch", "status": status, "lines": lines});
    agent.send(&status("running", None));
    let line = json!({"line": "only", "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    agent.send(
        &json!({"type": "output", "host_id": host, "run_id": run, "command": "switch", "seq": 0, "lines": [line]}),
    );
    agent.send(&status("ok", Some(1)));
    agent.wait_for("the final ack", |message| message["final"] == true);
}

#[test]
fn a_dashboard_deletes_no_log_by_its_age_while_its_clock_is_wrong_and_does_once_it_is_confirmed() {
    const PERIOD: u32 = 700;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let environment = clock(dir, "+0").and_then(|environment| passing(dir, environment));
    let Some(environment) = environment else {
        return;
    };
    let retention =
        "[proxy]\ntrusted = [\"127.0.0.1\"]\n[retention]\ndays = 1\nmax_bytes = 2000000\n";
    let hosts = ["h1", "loud"];
    // Whoever comes through a proxy has to show who they are.
    let users = [("ada", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_in(environment, "127.0.0.1", &hosts, retention, &users);
    let runs: Vec<String> = (0..3)
        .map(|n| format!("2025-12-14T10-30-0{n}-switch"))
        .collect();
    for run in &runs {
        for host in hosts {
            store(&dashboard, host, run);
        }
    }
    // 400 days ahead.
    dashboard.restart(nix::sys::signal::Signal::SIGTERM, || set(dir, "+34560000"));
    let logs = dashboard.data_dir().join("logs");
    let log = |host: &str, run: &str| logs.join(host).join(format!("{run}.log"));
    // What takes too much room goes in the same look as what is too old, and behind it. The first look may have begun
    // before; what goes in the second one shows that a whole one is over.
    for (n, run) in (1..).zip(&runs[..2]) {
        let large = fs::OpenOptions::new().append(true).open(log("loud", run));
        large.unwrap().write_all(&[b'x'; 3_000_000]).unwrap();
        pass(dir, n * PERIOD);
        wait_for("a look at all logs", SOON, || {
            (!log("loud", run).exists()).then_some(())
        });
    }
    for run in &runs {
        assert_eq!(dashboard.log("h1", run).lines, ["only"]);
    }
    // Two machines have the same time, so it is right.
    let now = chrono::Utc::now() + chrono::TimeDelta::seconds(34_560_000);
    let now = now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let _agents = [("h1", "203.0.113.1"), ("loud", "203.0.113.2")].map(|(host, address)| {
        let bearer = format!("Bearer {}", Dashboard::token(host));
        let headers = [
            ("Authorization", bearer.as_str()),
            ("X-Forwarded-For", address),
        ];
        let mut agent = Socket::open(&dashboard, "/ws/agent", &headers).unwrap();
        agent.send(&json!({"type": "register", "protocol": 1, "host_id": host, "time": now}));
        agent
    });
    dashboard.process.line_with("clock trusted again");
    pass(dir, 3 * PERIOD);
    wait_for("the old ones to go", SOON, || {
        let gone = |run: &String| !log("h1", run).exists();
        runs[..2].iter().all(gone).then_some(())
    });
    assert!(log("h1", &runs[2]).exists(), "its newest stays");
}

#[test]
fn an_agent_on_the_machine_of_the_dashboard_does_not_confirm_its_clock_and_an_admin_does() {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        skip("the clock of this machine is confirmed by a time server");
        return;
    }
    let mut dashboard = Dashboard::start(&["h1"]);
    let stored = dashboard.data_dir().join("last-time");
    dashboard.restart(nix::sys::signal::Signal::SIGTERM, || {
        let before = chrono::Utc::now() - chrono::TimeDelta::days(400);
        let before = before.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        fs::write(stored, before).unwrap();
    });
    let warnings = |dashboard: &Dashboard| dashboard.get("/health").json()["warnings"].clone();
    let _agent = Agent::start(&dashboard, "h1", "true");
    dashboard.wait_for_host("h1", "its time", |host| {
        host["online"] == true && host["clock_skew_ms"].is_i64()
    });
    let confirmation = dashboard.data_dir().join("clock-is-right");
    // One that is old says nothing, and that it is gone shows that the clock was looked at.
    for _ in 0..2 {
        let new = confirmation.with_extension("new");
        let file = fs::File::create(&new).unwrap();
        let at = std::time::SystemTime::now() - Duration::from_secs(24 * 3600);
        file.set_modified(at).unwrap();
        fs::rename(new, &confirmation).unwrap();
        wait_for("a look at the clock", SOON, || {
            (!confirmation.exists()).then_some(())
        });
        let warning = warnings(&dashboard)[0].to_string();
        assert!(warning.contains("implausibly far after"), "{warning}");
        assert!(warning.contains("clock-is-right"), "{warning}");
    }
    fs::write(&confirmation, "").unwrap();
    wait_for("the clock to be believed", SOON, || {
        warnings(&dashboard).is_null().then_some(())
    });
    assert_eq!(dashboard.host("h1")["online"], true);
}

#[test]
fn a_command_expires_in_its_time_while_the_clock_of_the_dashboard_is_not_believed() {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        skip("the clock of this machine is confirmed by a time server");
        return;
    }
    let mut dashboard = Dashboard::start(&["h1"]);
    let before = dashboard.command("h1", "switch");
    let stored = dashboard.data_dir().join("last-time");
    dashboard.restart(nix::sys::signal::Signal::SIGTERM, || {
        fs::write(stored, "2999-01-01T00:00:00.000Z").unwrap();
    });
    let command = || {
        let body = json!({"command": "switch", "expires": 1});
        dashboard.post("/api/hosts/h1/command", &body)
    };
    // That of before the restart may have expired, and is not sent before that is known.
    dashboard.wait_for_run("h1", &before, SOON, |run| {
        let message = run["message"].as_str().unwrap_or_default();
        message.contains("the clock is not trusted")
    });
    let refused = command();
    assert_eq!(refused.status, 409);
    let refused = String::from_utf8(refused.body).unwrap();
    assert!(refused.contains("the clock is not trusted"), "{refused}");
    let stop = json!({"command": "stop"});
    assert!(dashboard.post("/api/hosts/h1/command", &stop).status < 300);
    let new = command().json();
    let new = new["run_id"].as_str().unwrap();
    dashboard.wait_for_run("h1", new, SOON, |run| run["status"] == "expired");
}
