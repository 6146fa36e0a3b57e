//! Somebody tidies up: logs that are deleted, moved, cut or compressed while they are written, or afterwards.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket, assert_problem, wait_for};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

const RUN: &str = "2025-12-14T10-30-00-switch";

fn send(agent: &mut Socket, from: u64, to: u64) {
    let line = |number: u64| json!({"line": format!("line {number}"), "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    let lines: Vec<Value> = (from..to).map(line).collect();
    agent.send(
        &json!({"type": "output", "host_id": "h1", "run_id": RUN, "command": "switch", "seq": from, "lines": lines}),
    );
}

/// Where the dashboard wants the run from, before it acknowledges anything new.
fn asked_from(agent: &mut Socket) -> u64 {
    let message = agent.wait_for("resume", |message| {
        assert!(
            message["type"] != "ack" || message["seq"].as_u64() <= Some(10),
            "acknowledged what nobody can find: {message}"
        );
        message["type"] == "resume"
    });
    message["seq"].as_u64().unwrap()
}

/// A run with ten acknowledged lines, to whose files something is done; then ten more come.
fn displaced(what: &str, tidy: impl FnOnce(&Path, &Path)) {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(
        &json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "running"}),
    );
    send(&mut agent, 0, 10);
    agent.wait_for("an acknowledgement", |message| {
        message["type"] == "ack" && message["seq"] == 10
    });
    let dir = dashboard.data_dir().join("logs/h1");
    tidy(
        &dir.join(format!("{RUN}.log")),
        &dir.join(format!("{RUN}.idx")),
    );
    send(&mut agent, 10, 20);
    let from = asked_from(&mut agent);
    assert!(from <= 20, "{what}: {from}");
    send(&mut agent, from, 20);
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "ok",
                       "exit_code": 0, "lines": 20}));
    agent.wait_for("the final acknowledgement", |message| {
        message["type"] == "ack" && message["final"] == true
    });
    let written: Vec<String> = (0..20).map(|number| format!("line {number}")).collect();
    assert_eq!(dashboard.log("h1", RUN).lines, written, "{what}");
    let shown = dashboard.fetch(&format!("/api/hosts/h1/runs/{RUN}/lines"));
    assert_eq!(shown["total"], 20, "{what}");
}

#[test]
fn a_log_that_is_deleted_while_it_is_written_is_asked_for_from_the_start() {
    displaced("deleted", |log, idx| {
        fs::remove_file(log).unwrap();
        fs::remove_file(idx).unwrap();
    });
}

#[test]
fn a_log_whose_folder_is_deleted_while_it_is_written_is_asked_for_from_the_start() {
    displaced("without its folder", |log, _| {
        fs::remove_dir_all(log.parent().unwrap()).unwrap();
    });
}

#[test]
fn a_log_that_is_compressed_while_it_is_written_is_asked_for_from_the_start() {
    displaced("compressed", |log, _| {
        fs::rename(log, log.with_extension("log.gz")).unwrap();
    });
}

#[test]
fn a_log_that_is_cut_while_it_is_written_is_asked_for_from_where_it_is_whole() {
    for length in [0, 200] {
        displaced("cut", |log, _| {
            let file = File::options().write(true).open(log).unwrap();
            file.set_len(length).unwrap();
        });
    }
}

#[test]
fn an_index_that_is_deleted_while_it_is_written_is_made_anew() {
    displaced("without its index", |_, idx| fs::remove_file(idx).unwrap());
}

/// A dashboard with a finished run of a hundred lines, to whose files something was done.
fn finished(tidy: impl FnOnce(&Path, &Path)) -> Dashboard {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(
        &json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "running"}),
    );
    send(&mut agent, 0, 100);
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "ok",
                       "exit_code": 0, "lines": 100}));
    agent.wait_for("the final acknowledgement", |message| {
        message["type"] == "ack" && message["final"] == true
    });
    let dir = dashboard.data_dir().join("logs/h1");
    let path = |ending: &str| dir.join(format!("{RUN}.{ending}"));
    tidy(&path("log"), &path("idx"));
    dashboard
}

#[test]
fn a_finished_log_that_is_gone_is_410_on_every_path_and_says_so() {
    let ways: [fn(&Path, &Path); 4] = [
        |log, idx| {
            fs::remove_file(log).unwrap();
            fs::remove_file(idx).unwrap();
        },
        |log, _| fs::rename(log, log.with_extension("log.gz")).unwrap(),
        |log, _| drop(File::create(log).unwrap()),
        |log, _| fs::remove_dir_all(log.parent().unwrap()).unwrap(),
    ];
    for tidy in ways {
        let dashboard = finished(tidy);
        for path in [
            format!("/api/hosts/h1/runs/{RUN}/lines"),
            format!("/api/hosts/h1/runs/{RUN}/lines?from=50&limit=1"),
            format!("/api/hosts/h1/runs/{RUN}/search?q=line"),
            format!("/api/hosts/h1/logs/download?format=txt&run={RUN}"),
            format!("/api/hosts/h1/logs/download?format=json&run={RUN}"),
            "/api/hosts/h1/logs/download".to_owned(),
        ] {
            let answer = dashboard.get(&path);
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            assert_problem(&answer, 410);
            assert!(said.contains("is gone"), "{path}: {said}");
            assert!(
                !said.contains(dashboard.data_dir().to_str().unwrap()),
                "{said}"
            );
        }
        let run = dashboard.fetch(&format!("/api/hosts/h1/runs/{RUN}"));
        assert_eq!((&run["status"], &run["lines"]), (&json!("ok"), &json!(100)));
        let mut browser = Socket::browser(&dashboard);
        browser.send(&json!({"type": "subscribe", "sub": "s", "host_id": "h1", "run_id": RUN}));
        let told = browser.wait_for("an answer", |message| message["sub"] == "s");
        assert_eq!(told["type"], "error");
        assert!(
            told["detail"].as_str().unwrap().contains("is gone"),
            "{told}"
        );
        assert_eq!(dashboard.get("/health").status, 200);
    }
}

#[test]
fn what_never_had_a_log_is_not_said_to_have_lost_it() {
    let dashboard = Dashboard::start(&["h1"]);
    let run = dashboard.command("h1", "switch");
    let lines = || dashboard.fetch(&format!("/api/hosts/h1/runs/{run}/lines"));
    assert_eq!(lines()["total"], 0, "it is queued");
    let stop = dashboard.post("/api/hosts/h1/command", &json!({"command": "stop"}));
    assert_eq!(stop.status, 202);
    assert_eq!(lines()["total"], 0, "it was cancelled");
}

#[test]
fn an_index_of_a_finished_log_that_is_gone_or_damaged_is_made_anew_when_it_is_missed() {
    let cut = |idx: &Path, length| {
        let file = File::options().write(true).open(idx).unwrap();
        file.set_len(length).unwrap();
    };
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path));
    let damages: [Damage<'_>; 6] = [
        ("removed", &|idx| fs::remove_file(idx).unwrap()),
        ("emptied", &|idx| cut(idx, 0)),
        ("cut", &|idx| cut(idx, 16 * 50)),
        ("cut within a record", &|idx| cut(idx, 16 * 50 + 7)),
        ("grown", &|idx| cut(idx, 16 * 200)),
        ("overwritten", &|idx| {
            let file = File::options().write(true).open(idx).unwrap();
            file.write_all_at(&[0; 64], 16 * 30).unwrap();
        }),
    ];
    let written: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
    for (what, damage) in damages {
        let mut text = Vec::new();
        let dashboard = finished(|log, idx| {
            text = fs::read(log).unwrap();
            damage(idx);
        });
        // While it is made anew the answer says so.
        let lines = wait_for(what, SOON, || {
            let answer = dashboard.get(&format!("/api/hosts/h1/runs/{RUN}/lines"));
            assert!(
                answer.status == 200 || answer.status == 503,
                "{what}: {}",
                answer.status
            );
            (answer.status == 200).then(|| answer.json())
        });
        let shown = lines["lines"].as_array().unwrap().iter();
        let shown: Vec<&str> = shown.map(|line| line["line"].as_str().unwrap()).collect();
        assert_eq!(shown, written, "{what}");
        wait_for("word of it", SOON, || {
            let run = dashboard.fetch(&format!("/api/hosts/h1/runs/{RUN}"));
            (run["index_rebuilt"] == true && run["errors"].is_null()).then_some(())
        });
        let log = dashboard.data_dir().join(format!("logs/h1/{RUN}.log"));
        assert_eq!(
            fs::read(log).unwrap(),
            text,
            "{what}: the log itself stays as it was"
        );
        let found = dashboard.fetch(&format!("/api/hosts/h1/runs/{RUN}/search?q=line"));
        assert_eq!(found["total"], 100, "{what}");
    }
}
