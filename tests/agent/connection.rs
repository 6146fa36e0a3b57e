use crate::support::{Fleet, PATIENCE, TOKEN};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::http::StatusCode;

#[tokio::test]
async fn the_agent_sends_register_and_nothing_else_until_it_is_registered() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("true", "");
    let mut connection = fleet.accept().await;
    assert_eq!(connection.path, "/ws/agent");
    assert_eq!(connection.authorization, format!("Bearer {TOKEN}"));
    let register = connection.next().await;
    assert_eq!(register["type"], "register");
    assert_eq!(register["protocol"], 1);
    assert_eq!(register["host_id"], "h1");
    assert_eq!(register["heartbeat_interval"], 1);
    assert_eq!(
        register["commands"],
        json!([
            "pull", "switch", "test", "update", "boot", "build", "rollback"
        ])
    );
    assert_eq!(register["runs"], json!([]));
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(register["boot_id"], boot_id.trim());
    connection.send(json!({"type": "command", "run_id": "2025-12-14T10-30-00-switch", "nonce": "n", "command": "switch"})).await;
    assert!(connection.is_silent_for(Duration::from_millis(1500)).await);
    assert!(!fleet.log().contains("connected to"));
    connection
        .send(json!({"type": "registered", "host_id": "h1", "unknown": 1}))
        .await;
    let heartbeat = connection.next().await;
    assert_eq!(heartbeat["type"], "heartbeat");
    assert_eq!(heartbeat["host_id"], "h1");
    assert!(heartbeat["metrics"]["ram"].is_number());
    connection.expect("heartbeat").await;
    assert!(
        fleet
            .log()
            .contains(&format!("connected to {}", fleet.url()))
    );
}

#[tokio::test]
async fn messages_of_an_unknown_type_are_ignored_and_arrays_are_read() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("true", "");
    let (mut connection, _) = fleet.register().await;
    connection.send(json!([{"type": "weather"}, {"type": "ack", "run_id": "2025-12-14T10-30-00-switch", "seq": 1},
        {"type": "command", "run_id": "2025-12-14T10-30-00-nope", "nonce": "n", "command": "nope"}])).await;
    let rejected = connection.expect("command_rejected").await;
    assert_eq!(rejected["run_id"], "2025-12-14T10-30-00-nope");
}

#[tokio::test]
async fn what_is_malformed_closes_the_connection_and_the_agent_comes_back() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("true", "");
    for bad in [
        "nonsense",
        "{\"type\":\"stop\"}",
        "{\"type\":\"command\",\"run_id\":\"../x\"}",
    ] {
        let (mut connection, _) = fleet.register().await;
        connection.send_text(bad).await;
        assert_eq!(connection.close_code().await, 4400, "{bad}");
    }
    fleet.register().await;
    let runs = std::fs::read_dir(fleet.path("state/runs")).unwrap();
    assert_eq!(runs.count(), 0, "a run began");
}

#[tokio::test]
async fn a_wrong_token_is_explained_and_tried_again() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("true", "");
    fleet.refuse(StatusCode::UNAUTHORIZED).await;
    let refused = Instant::now();
    fleet.register().await;
    assert!(refused.elapsed() > Duration::from_millis(500));
    let log = fleet.log();
    assert!(
        log.contains("refused the token") && log.contains(fleet.path("token").to_str().unwrap()),
        "{log}"
    );
    assert!(!log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn sigterm_ends_the_agent_in_order() {
    let fleet = Fleet::new().await;
    let mut agent = fleet.agent("true", "");
    let (mut connection, _) = fleet.register().await;
    connection.expect("heartbeat").await;
    kill(Pid::from_raw(agent.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(connection.close_code().await, 1001);
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = agent.0.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(status.code(), Some(0));
}
