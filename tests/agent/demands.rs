//! A dashboard in wrong hands that asks its agent for all it can.

use crate::support::{Fleet, until};
use serde_json::{Value, json};

const RUN: &str = "2025-12-14T10-30-00-switch";
const SECOND: &str = "2025-12-14T10-30-01-switch";

#[tokio::test]
async fn a_dashboard_that_asks_for_all_it_can_leaves_its_agent_able_to_run() {
    let fleet = Fleet::new().await;
    let agent = fleet.agent("echo out", "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.until_end(RUN, 0).await;
    let before = agent.resident_kib();
    let id = |n: usize| format!("2024-12-14T10-30-00-switch-{}", n + 2);
    let long = "x".repeat(1_000);
    let messages: [&dyn Fn(usize) -> Value; 5] = [
        &|n| json!({"type": "stop", "run_id": id(n), "requested_by": long, "force": true}),
        &|n| json!({"type": "command", "run_id": id(n), "nonce": long, "command": "switch", "requested_by": long}),
        &|n| json!({"type": "resume", "run_id": id(n), "seq": u64::MAX}),
        &|_| json!({"type": "resume", "run_id": RUN, "seq": u64::MAX}),
        &|_| json!({"type": "ack", "run_id": RUN, "seq": u64::MAX}),
    ];
    for message in messages {
        let many: Vec<Value> = (0..400).map(message).collect();
        connection.send(Value::Array(many)).await;
    }
    let resume: Vec<Value> = (0..10_000)
        .map(|n| json!({"run_id": id(n), "seq": 0}))
        .collect();
    connection
        .send(json!({"type": "registered", "host_id": "h1", "resume": resume}))
        .await;
    connection.command(SECOND, "n", "switch").await;
    let (lines, status) = connection.until_end(SECOND, 0).await;
    assert_eq!((lines.len(), &status["status"]), (1, &json!("ok")));
    let lines = fleet.log().lines().count();
    assert!(lines < 1_500, "{lines} lines in its journal");
    let files = || std::fs::read_dir(format!("/proc/{}/fd", agent.0.id())).unwrap();
    until("few open files", || files().count() < 64).await;
    let grown = agent.resident_kib().saturating_sub(before);
    assert!(grown < 40_000, "{grown} KiB");
    let runs = std::fs::read_dir(fleet.path("state/runs")).unwrap();
    assert_eq!(runs.count(), 2, "nothing of the others is on the disk");
}
