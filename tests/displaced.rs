//! Somebody tidies up: logs that are deleted, moved, cut or compressed while they are written.
#![cfg(test)]

mod common;

use common::{Dashboard, Socket};
use serde_json::{Value, json};
use std::fs::{self, File};
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
