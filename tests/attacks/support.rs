//! What the attacks share.

use crate::common::{Dashboard, SOON, Socket, sha256_hex};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

pub(crate) const RUN: &str = "2025-12-14T10-30-00-switch";

pub(crate) fn with_users() -> Dashboard {
    let users = [
        ("otto", "operator", Dashboard::password_hash("secret")),
        ("robot", "admin", format!("sha256:{}", sha256_hex("robot"))),
    ];
    let mut dashboard = Dashboard::start_with(&["h1"], "", &users);
    dashboard.log_in("otto", "secret");
    dashboard
}

pub(crate) fn dial(dashboard: &Dashboard) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// What is answered to these bytes, as they are.
pub(crate) fn raw(dashboard: &Dashboard, bytes: &[u8]) -> String {
    let mut stream = dial(dashboard);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn status_of(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

pub(crate) fn begin(run: &str) -> Value {
    json!({"type": "status", "host_id": "h1", "run_id": run, "command": "switch", "status": "running"})
}

pub(crate) fn output(run: &str, seq: u64, texts: &[&str]) -> Value {
    let line = |text: &&str| json!({"line": text, "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    let lines: Vec<Value> = texts.iter().map(line).collect();
    json!({"type": "output", "host_id": "h1", "run_id": run, "command": "switch", "seq": seq, "lines": lines})
}

pub(crate) fn end(run: &str, lines: u64) -> Value {
    json!({"type": "status", "host_id": "h1", "run_id": run, "command": "switch", "status": "ok",
        "exit_code": 0, "lines": lines})
}

/// A run of these lines, from an agent that is gone then.
pub(crate) fn store(dashboard: &Dashboard, run: &str, texts: &[&str]) {
    let mut agent = Socket::agent(dashboard, "h1");
    agent.send(&begin(run));
    agent.send(&output(run, 0, texts));
    agent.send(&end(run, texts.len() as u64));
    agent.wait_for("the final ack", |message| message["final"] == true);
}
