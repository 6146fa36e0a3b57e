//! A dashboard in wrong hands.

use crate::common::{Agent, SOON, Socket};
use crate::support::RUN;
use serde_json::{Value, json};
use std::net::TcpStream;

#[test]
fn a_dashboard_in_wrong_hands_starts_only_what_the_host_itself_names() {
    use tokio_tungstenite::tungstenite::{Message, accept};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    let extra = json!({"commands": {"switch": {"steps": [["/bin/sh", "-c", format!("echo {{host}} > {}", good.display())]]}}});
    let agent = Agent::launch(port, "h1", &extra);
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut socket = accept(stream).unwrap();
    let send = |socket: &mut tokio_tungstenite::tungstenite::WebSocket<TcpStream>,
                message: Value| {
        socket.send(Message::text(message.to_string())).unwrap();
    };
    let receive = |socket: &mut tokio_tungstenite::tungstenite::WebSocket<TcpStream>,
                   wanted: &str,
                   run: &str| loop {
        if let Message::Text(text) = socket.read().unwrap() {
            let found = Socket::messages(&text).into_iter().find(|message| {
                message["type"] == wanted && (run.is_empty() || message["run_id"] == run)
            });
            if let Some(found) = found {
                return found;
            }
        }
    };
    receive(&mut socket, "register", "");
    send(
        &mut socket,
        json!({"type": "registered", "host_id": "h1", "resume": []}),
    );
    let argv = json!(["/bin/sh", "-c", format!("touch {}", bad.display())]);
    // Names that are none close the connection; names that the host does not offer are rejected.
    let id = "2025-12-14T10-30-00-frobnicate";
    send(
        &mut socket,
        json!({"type": "command", "run_id": id, "nonce": "n", "command": "frobnicate", "steps": [argv],
        "argv": argv, "env": {"PATH": "/tmp"}, "checks": folder.path()}),
    );
    receive(&mut socket, "command_rejected", id);
    // One that it offers runs as the host has it, whatever is said besides.
    send(
        &mut socket,
        json!({"type": "command", "run_id": RUN, "nonce": "n", "command": "switch", "steps": [argv],
        "argv": argv, "args": ["--option", "x"], "env": {"LD_PRELOAD": bad}, "environment": [["PATH", "/tmp"]],
        "work_dir": "/", "checks": folder.path(), "timeout": 0, "host": "; touch x", "repo": "/evil"}),
    );
    let ended = loop {
        let status = receive(&mut socket, "status", RUN);
        if status["status"] != "running" {
            break status;
        }
    };
    assert_eq!(ended["status"], "ok", "{ended}");
    assert_eq!(std::fs::read_to_string(&good).unwrap(), "h1\n");
    assert!(!bad.exists());
    // Paths in the place of ids are no message, and the agent hangs up.
    send(
        &mut socket,
        json!({"type": "command", "run_id": "../../x", "nonce": "n", "command": "switch"}),
    );
    let hung_up = loop {
        match socket.read() {
            Ok(Message::Close(_)) | Err(_) => break true,
            Ok(_) => {}
        }
    };
    assert!(hung_up && !agent.dir().join("x").exists());
}
