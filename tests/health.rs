//! What `/health` says while some of many things cannot be stored.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket, wait_for};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

const RUN: &str = "2025-12-14T10-30-00-switch";
/// Several rounds of everything that is tried again after a while.
const ROUNDS: Duration = Duration::from_secs(6);

fn begin(agent: &mut Socket, host: &str) {
    agent.send(&json!({"type": "status", "host_id": host, "run_id": RUN, "command": "switch", "status": "running"}));
}

fn line(agent: &mut Socket, host: &str, seq: u64) {
    agent.send(
        &json!({"type": "output", "host_id": host, "run_id": RUN, "command": "switch", "seq": seq,
                "lines": [{"line": "a line", "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false}]}),
    );
}

#[test]
fn health_stays_bad_while_one_folder_cannot_be_written_however_much_else_is_stored() {
    let dashboard = Dashboard::start(&["h1", "h2", "h3"]);
    let folder = |host: &str| dashboard.data_dir().join("logs").join(host);
    let blocked = ["h1", "h2"].map(folder);
    for folder in &blocked {
        let _ = fs::remove_dir_all(folder);
        fs::write(folder, "").unwrap();
    }
    let mut agents = ["h1", "h2", "h3"].map(|host| Socket::agent(&dashboard, host));
    for (agent, host) in agents.iter_mut().zip(["h1", "h2", "h3"]) {
        begin(agent, host);
    }
    let status = || dashboard.get("/health").status;
    wait_for("word of it", SOON, || (status() == 503).then_some(()));
    let (began, mut stored) = (Instant::now(), 0);
    while began.elapsed() < ROUNDS {
        line(&mut agents[2], "h3", stored);
        stored += 1;
        agents[2].wait_for("an acknowledgement", |message| {
            message["type"] == "ack" && message["seq"] == stored
        });
        assert_eq!(status(), 503, "after {stored} lines of another host");
    }
    fs::remove_file(&blocked[0]).unwrap();
    agents[0].wait_for("to be asked again", |message| message["type"] == "resume");
    assert_eq!(status(), 503, "the second folder is as it was");
    fs::remove_file(&blocked[1]).unwrap();
    wait_for("health", SOON, || (status() == 200).then_some(()));
    assert_eq!(
        dashboard.process.times_said("cannot store"),
        2,
        "once for each"
    );
}
