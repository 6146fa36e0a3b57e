//! Agents without a host: all of them in this one process, each with a connection of its own.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use super::common::Dashboard;
use super::support::line;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;
use switchyard::protocol::{Timestamp, TimestampFormatter};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, interval, sleep_until};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, http::HeaderValue};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const HEARTBEAT: Duration = Duration::from_secs(5);
/// As the real agent: the first line at once, what comes in the 5 ms behind it together, 512 lines at most.
const PAUSE: Duration = Duration::from_millis(5);
const MOST_LINES: u64 = 512;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The names of so many hosts.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("host{n:03}")).collect()
}

/// One agent.
pub(crate) struct Simulated {
    host: String,
    socket: Socket,
    beats: Interval,
    /// How many heartbeats were sent.
    beaten: u32,
    run: Option<Sending>,
}

/// How lines are to be sent: when each is written, and how many.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) interval: Duration,
    pub(crate) lines: u64,
}

/// What became of the lines of one agent.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) run_id: String,
    pub(crate) frames: u64,
    /// For each line, from when it was written to its acknowledgement.
    pub(crate) delays: Vec<Duration>,
}

struct Sending {
    outcome: Outcome,
    began: Instant,
    load: Load,
    sent: u64,
    /// When each line was written that is not acknowledged.
    waiting: VecDeque<Instant>,
    not_before: Instant,
    ended: bool,
    stamps: TimestampFormatter,
}

impl Simulated {
    /// Connects and registers.
    pub(crate) async fn connect(port: u16, host: &str) -> Self {
        Self::try_connect(port, host).await.unwrap()
    }

    /// Connects and registers; `None` where the dashboard does not take it now.
    pub(crate) async fn try_connect(port: u16, host: &str) -> Option<Self> {
        let url = format!("ws://127.0.0.1:{port}/ws/agent");
        let mut request = url.into_client_request().unwrap();
        let bearer = format!("Bearer {}", Dashboard::token(host));
        let bearer = HeaderValue::from_str(&bearer).unwrap();
        request.headers_mut().insert("authorization", bearer);
        let (mut socket, _) = connect_async(request).await.ok()?;
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_nodelay(true).unwrap();
        }
        let register = json!({
            "type": "register", "protocol": 1, "host_id": host, "hostname": host, "host_type": "nixos",
            "agent_version": "bench", "os_version": "26.05.20260101.abcdef0 (Yarara)", "nixpkgs_version": "26.05",
            "kernel": "6.18.1", "generation": 42, "heartbeat_interval": HEARTBEAT.as_secs(),
            "system": "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-host-26.05",
            "commands": ["pull", "switch", "test", "update", "boot", "build", "rollback"], "runs": [],
        });
        socket
            .send(Message::text(register.to_string()))
            .await
            .ok()?;
        while try_message(&mut socket).await?["type"] != "registered" {}
        Some(Self {
            host: host.to_owned(),
            socket,
            beats: interval(HEARTBEAT),
            beaten: 0,
            run: None,
        })
    }

    /// Sends heartbeats and nothing else, until the dashboard hangs up.
    pub(crate) async fn idle(&mut self) {
        loop {
            tokio::select! {
                _ = self.beats.tick() => if self.try_beat().await.is_none() { return },
                said = try_message(&mut self.socket) => if said.is_none() { return },
            }
        }
    }

    /// Waits for a command, sends its lines, and returns when its end is acknowledged.
    pub(crate) async fn obey(&mut self, load: Load) -> Outcome {
        loop {
            let due = self.run.as_ref().and_then(Sending::due);
            tokio::select! {
                _ = self.beats.tick() => self.beat().await,
                () = until(due) => self.send_due().await,
                said = message(&mut self.socket) => match said["type"].as_str() {
                    Some("command") => self.begin(&said, load).await,
                    Some("ack") => {
                        let run = self.run.as_mut().unwrap();
                        run.acknowledged(said["seq"].as_u64().unwrap());
                        if said["final"] == true {
                            assert!(run.waiting.is_empty());
                            return std::mem::take(&mut run.outcome);
                        }
                    }
                    other => panic!("{}: unexpected {other:?}", self.host),
                },
            }
        }
    }

    async fn send(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    async fn beat(&mut self) {
        self.try_beat().await.unwrap();
    }

    /// A heartbeat; `None` where the connection is gone. What it measured differs from the last one.
    async fn try_beat(&mut self) -> Option<()> {
        self.beaten += 1;
        let cpu = 10 + self.beaten % 50;
        let run_id = self.run.as_ref().map(|run| &run.outcome.run_id);
        let beat = json!({
            "type": "heartbeat", "time": Timestamp::now(), "host_id": self.host, "generation": 42,
            "pending_command": run_id.map(|_| "switch"), "run_id": run_id,
            "metrics": {"cpu": cpu, "ram": 40.25, "swap": 0.0, "load": 0.75},
        });
        self.socket.send(Message::text(beat.to_string())).await.ok()
    }

    async fn begin(&mut self, command: &Value, load: Load) {
        let run_id = command["run_id"].as_str().unwrap().to_owned();
        self.status(&run_id, "running", None).await;
        let now = Instant::now();
        self.run = Some(Sending {
            outcome: Outcome {
                run_id,
                ..Outcome::default()
            },
            began: now,
            load,
            sent: 0,
            waiting: VecDeque::new(),
            not_before: now,
            ended: false,
            stamps: TimestampFormatter::default(),
        });
    }

    async fn status(&mut self, run_id: &str, status: &str, lines: Option<u64>) {
        let status = json!({
            "type": "status", "host_id": self.host, "run_id": run_id, "command": "switch", "status": status,
            "exit_code": lines.map(|_| 0), "lines": lines, "started": Timestamp::now(),
        });
        self.send(status.to_string()).await;
    }

    async fn send_due(&mut self) {
        let run = self.run.as_mut().unwrap();
        if run.sent < run.load.lines {
            let frame = run.frame(&self.host);
            self.send(frame).await;
        } else {
            run.ended = true;
            let (run_id, lines) = (run.outcome.run_id.clone(), run.sent);
            self.status(&run_id, "ok", Some(lines)).await;
        }
    }
}

impl Sending {
    /// When something is to be sent.
    fn due(&self) -> Option<Instant> {
        let written = self.written(self.sent.min(self.load.lines));
        (!self.ended).then(|| written.max(self.not_before))
    }

    /// When a line is written.
    fn written(&self, seq: u64) -> Instant {
        self.began + self.load.interval * u32::try_from(seq).unwrap()
    }

    /// The lines that are written by now.
    fn frame(&mut self, host: &str) -> String {
        let now = Instant::now();
        self.not_before = now + PAUSE;
        self.outcome.frames += 1;
        let first = self.sent;
        let mut lines = Vec::new();
        while self.sent < self.load.lines
            && self.written(self.sent) <= now
            && self.sent - first < MOST_LINES
        {
            let timestamp = self.stamps.format(Timestamp::now());
            let line = line(host, self.sent);
            lines.push(format!(
                r#"{{"line":"{line}","timestamp":"{timestamp}","is_error":false}}"#
            ));
            self.waiting.push_back(self.written(self.sent));
            self.sent += 1;
        }
        format!(
            r#"{{"type":"output","host_id":"{host}","run_id":"{}","command":"switch","seq":{first},"lines":[{}]}}"#,
            self.outcome.run_id,
            lines.join(",")
        )
    }

    /// Every line below `seq` is on disk.
    fn acknowledged(&mut self, seq: u64) {
        let now = Instant::now();
        let waiting = self.waiting.len() as u64;
        let acknowledged = (seq + waiting).saturating_sub(self.sent).min(waiting);
        let written = self.waiting.drain(..usize::try_from(acknowledged).unwrap());
        self.outcome.delays.extend(written.map(|at| now - at));
    }
}

/// The next message of the dashboard. Safe to cancel.
async fn message(socket: &mut Socket) -> Value {
    let said = try_message(socket).await;
    said.expect("the dashboard hung up")
}

/// The next message of the dashboard, `None` at the end of the connection. Safe to cancel.
async fn try_message(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
