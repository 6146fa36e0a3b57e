//! Full disks, on either side.

use crate::child::{Child, Pace};
use crate::common::{Agent, Dashboard, SOON, SmallDisk, sha256_hex, texts, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use switchyard::protocol::RunId;
use switchyard::spool::{self, RunDir};

const FULL: &str = "No space left on device";

/// Mounts a small disk over an empty folder.
fn small_disk(folder: &Path) -> Option<SmallDisk> {
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
    SmallDisk::over(folder, 64 * 1024)
}

/// Waits until the child has written so many lines more.
fn await_more(child: &Child, lines: usize) {
    let enough = child.written().len() + lines;
    wait_for("more of the child", SOON, || {
        (child.written().len() > enough).then_some(())
    });
}

#[track_caller]
fn await_health(dashboard: &Dashboard, status: u16) -> Value {
    wait_for(&format!("health {status}"), SOON, || {
        let answer = dashboard.get("/health");
        (answer.status == status).then(|| answer.json())
    })
}

#[test]
fn a_dashboard_whose_disk_is_full_says_so_and_has_everything_once_there_is_room() {
    let mut dashboard = Dashboard::start(&["h1"]);
    dashboard.process.end(Signal::SIGTERM);
    let Some(disk) = small_disk(&dashboard.data_dir()) else {
        return;
    };
    dashboard.start_again();
    let dir = tempfile::tempdir().unwrap();
    let child = Child::new(dir.path(), "child", Pace::Fast, 4);
    let agent = Agent::start(&dashboard, "h1", &child.script);
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["lines"].as_u64() > Some(1000));

    disk.fill();
    let health = await_health(&dashboard, 503);
    assert!(
        health["detail"].as_str().unwrap().contains(FULL),
        "{health}"
    );
    let said = dashboard.process.line_with("cannot store");
    assert!(said.contains(FULL), "{said}");
    await_more(&child, 20_000);
    let stored = dashboard.run("h1", &run)["lines"].as_u64().unwrap();
    assert!(stored < child.written().len() as u64 - 10_000, "{stored}");
    let rundir = RunDir::new(&agent.dir().join("state"), &RunId::new(&run).unwrap());
    let acknowledged = spool::acknowledged(&rundir);
    assert!(acknowledged <= stored, "{acknowledged} of {stored}");
    assert_eq!(dashboard.host("h1")["online"], true);

    disk.free();
    await_health(&dashboard, 200);
    dashboard.process.line_with("storing again");
    child.gate.open();
    child.assert_whole(&dashboard, "h1", &run, 4);
}

#[test]
fn tokens_that_a_full_disk_does_not_take_are_in_the_audit_log_once_there_is_room() {
    let token = format!("sha256:{}", sha256_hex("ada"));
    let mut dashboard = Dashboard::start_with(&["h1"], "", &[("ada", "admin", token)]);
    dashboard.process.end(Signal::SIGTERM);
    let Some(disk) = small_disk(&dashboard.data_dir()) else {
        return;
    };
    dashboard.start_again();
    disk.fill();
    let headers = [
        ("Authorization", "Bearer ada"),
        ("Content-Type", "application/json"),
    ];
    let mut made = 0;
    let mut issue = || {
        made += 1;
        let wish = format!(r#"{{"kind":"agent","host_id":"new{made}"}}"#);
        let answer = dashboard.request("POST", "/api/tokens", &headers, wish.as_bytes());
        assert!([201, 503].contains(&answer.status), "{}", answer.status);
        answer.status
    };
    // As long as the pages of the database that are there have room.
    wait_for("a token that is not stored", SOON, || {
        (issue() == 503).then_some(())
    });
    disk.free();
    // What waits is written with the next record.
    wait_for("a token that is stored", SOON, || {
        (issue() == 201).then_some(())
    });
    wait_for("a record of each", SOON, || {
        let path = "/api/audit?limit=1000&action=issue_token";
        let answer = dashboard.request("GET", path, &headers, b"");
        let records = answer.json()["records"].as_array()?.len();
        (records == made).then_some(())
    });
}

/// The lines are `line 1`, `line 2`, …, but for those that a notice in their place counts; gives how many that are.
#[track_caller]
fn left_out(lines: &[&str], total: usize) -> usize {
    let (mut next, mut left_out) = (1, 0);
    for line in lines {
        if let Some(notice) = line.strip_prefix("[switchyard] ") {
            let count: usize = notice.split(' ').next().unwrap().parse().unwrap();
            next += count;
            left_out += count;
        } else {
            assert_eq!(*line, format!("line {next}"));
            next += 1;
        }
    }
    assert_eq!(next - 1, total);
    left_out
}

#[test]
fn an_agent_whose_disk_is_full_ends_its_run_with_a_clear_status_and_the_next_works_once_there_is_room()
 {
    let dashboard = Dashboard::start(&["h1"]);
    let dir = tempfile::tempdir().unwrap();
    let child = Child::new(dir.path(), "child", Pace::Fast, 0);
    let mut agent = Agent::start(&dashboard, "h1", &child.script);
    agent.process.end(Signal::SIGTERM);
    let Some(disk) = small_disk(&agent.dir().join("state")) else {
        return;
    };
    agent.start_again();
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["lines"].as_u64() > Some(1000));
    disk.fill();
    // More than what is kept in memory.
    await_more(&child, 50_000);
    child.gate.open();
    let done = dashboard.wait_done("h1", &run);
    assert_eq!(
        [&done["status"], &done["exit_code"]],
        [&json!("error"), &json!(0)],
        "{done}"
    );
    let lines = dashboard.lines("h1", &run);
    let missing = left_out(&texts(&lines), child.written().len());
    assert!(missing > 0);
    let message = done["message"].as_str().unwrap();
    let words = format!("{missing} lines of output could not be stored: ");
    assert!(
        message.starts_with(&words) && message.contains(FULL),
        "{message}"
    );

    disk.fill();
    let refused = dashboard.command("h1", "switch");
    let refused = dashboard.wait_done("h1", &refused);
    assert_eq!(refused["status"], "rejected", "{refused}");
    assert!(
        refused["message"].as_str().unwrap().contains(FULL),
        "{refused}"
    );

    disk.free();
    child.gate.close();
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["lines"].as_u64() > Some(1000));
    child.gate.open();
    child.assert_whole(&dashboard, "h1", &run, 0);
}
