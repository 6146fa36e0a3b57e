//! A dashboard that says what a test tells it to, and the real agent connected to it.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

pub(crate) const TOKEN: &str = "a-token";

/// The longest time to wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A dashboard and the folder of an agent.
pub(crate) struct Fleet {
    pub(crate) folder: tempfile::TempDir,
    listener: TcpListener,
}

/// An agent that runs; killed at the end of the test.
pub(crate) struct Agent(pub(crate) Child);

/// One connection of an agent.
pub(crate) struct Connection {
    /// None while it is lent.
    sender: Option<Sender>,
    stream: SplitStream<WebSocketStream<TcpStream>>,
    waiting: VecDeque<Value>,
    /// The path and the token of the request.
    pub(crate) path: String,
    pub(crate) authorization: String,
}

/// The half of a connection that sends.
pub(crate) struct Sender(SplitSink<WebSocketStream<TcpStream>, Message>);

impl Fleet {
    pub(crate) async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// Starts an agent whose command `switch` is this shell script, with `more` in its configuration.
    pub(crate) fn agent(&self, script: &str, more: &str) -> Agent {
        fs::write(self.path("token"), format!("{TOKEN}\n")).unwrap();
        let config = format!(
            "dashboard = \"{}\"\nhost_id = \"h1\"\ntoken_file = \"{}\"\nstate_dir = \"{}\"\nheartbeat_interval = 1\n\
             {more}\n[commands.switch]\nsteps = [[\"/bin/sh\", \"-c\", '''{script}''']]\n",
            self.url(),
            self.path("token").display(),
            self.path("state").display(),
        );
        let path = self.path("agent.toml");
        fs::write(&path, config).unwrap();
        let errors = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("agent.err"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_switchyard"))
            .args(["agent", "--config"])
            .arg(path)
            .env("TEST_FOLDER", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        Agent(child)
    }

    /// What the agents logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("agent.err")).unwrap()
    }

    pub(crate) fn rundir(&self, run_id: &str) -> PathBuf {
        self.path("state/runs").join(run_id)
    }

    /// Answers the next connection with `status` and no more.
    pub(crate) async fn refuse(&self, status: StatusCode) {
        let (stream, _) = timeout(PATIENCE, self.listener.accept())
            .await
            .unwrap()
            .unwrap();
        #[expect(clippy::result_large_err, reason = "given by the library")]
        let callback = |_: &Request, _: Response| -> Result<Response, ErrorResponse> {
            let mut answer = ErrorResponse::new(None);
            *answer.status_mut() = status;
            Err(answer)
        };
        assert!(accept_hdr_async(stream, callback).await.is_err());
    }

    /// Takes the next connection.
    pub(crate) async fn accept(&self) -> Connection {
        let (stream, _) = timeout(PATIENCE, self.listener.accept())
            .await
            .expect("no connection")
            .unwrap();
        let (mut path, mut authorization) = (String::new(), String::new());
        #[expect(clippy::result_large_err, reason = "given by the library")]
        let callback = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            path = request.uri().path().to_owned();
            let header = request.headers().get("authorization");
            authorization = header
                .map_or("", |value| value.to_str().unwrap())
                .to_owned();
            Ok(response)
        };
        let socket = accept_hdr_async(stream, callback).await.unwrap();
        let (sink, stream) = socket.split();
        Connection {
            sender: Some(Sender(sink)),
            stream,
            waiting: VecDeque::new(),
            path,
            authorization,
        }
    }

    /// Takes the next connection and registers it; every run is to go on from its beginning.
    pub(crate) async fn register(&self) -> (Connection, Value) {
        let mut connection = self.accept().await;
        let register = connection.next().await;
        assert_eq!(register["type"], "register");
        let runs = register["runs"].as_array().unwrap();
        let resume: Vec<Value> = runs
            .iter()
            .map(|run| json!({"run_id": run["run_id"], "seq": 0}))
            .collect();
        connection
            .send(json!({"type": "registered", "host_id": "h1", "resume": resume}))
            .await;
        (connection, register)
    }
}

impl Connection {
    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        timeout(PATIENCE, self.receive())
            .await
            .expect("no message")
            .expect("the connection ended")
    }

    /// `None` when the connection is over.
    async fn receive(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Some(message);
            }
            match self.stream.next().await?.ok()? {
                Message::Text(text) => match serde_json::from_str(&text).unwrap() {
                    Value::Array(messages) => self.waiting.extend(messages),
                    message => self.waiting.push_back(message),
                },
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Whether a message comes within `time`.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) -> bool {
        timeout(time, self.receive()).await.is_err()
    }

    /// The code with which the agent closes, after whatever it still sends.
    pub(crate) async fn close_code(&mut self) -> u16 {
        let closing = async {
            loop {
                if let Message::Close(Some(frame)) = self.stream.next().await.unwrap().unwrap() {
                    return u16::from(frame.code);
                }
            }
        };
        timeout(PATIENCE, closing).await.expect("not closed")
    }

    /// The next message of that type; the others before it are dropped.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.sender.as_mut().unwrap().send_text(text.into()).await;
    }

    /// Lends the half that sends, so that somebody else sends while this one is read.
    pub(crate) fn lend_sender(&mut self) -> Sender {
        self.sender.take().unwrap()
    }

    /// Takes it back.
    pub(crate) fn take_back(&mut self, sender: Sender) {
        self.sender = Some(sender);
    }

    pub(crate) async fn command(&mut self, run_id: &str, nonce: &str, command: &str) {
        let message = json!({"type": "command", "run_id": run_id, "nonce": nonce, "command": command,
            "requested_by": "alice", "not_after": 60_000});
        self.send(message).await;
    }

    /// Everything of a run until its final status: the lines, whose numbers must follow each other from
    /// `from` on, and the status.
    pub(crate) async fn until_end(&mut self, run_id: &str, from: u64) -> (Vec<String>, Value) {
        let mut lines = Vec::new();
        loop {
            let message = self.next().await;
            if message["run_id"] != run_id {
                continue;
            }
            match message["type"].as_str().unwrap() {
                "output" => {
                    assert_eq!(
                        message["seq"],
                        from + lines.len() as u64,
                        "a hole or a repetition"
                    );
                    let new = message["lines"].as_array().unwrap();
                    assert!(!new.is_empty());
                    lines.extend(
                        new.iter()
                            .map(|line| line["line"].as_str().unwrap().to_owned()),
                    );
                }
                "status" if message["status"] != "running" => {
                    assert_eq!(message["lines"], from + lines.len() as u64);
                    return (lines, message);
                }
                _ => {}
            }
        }
    }
}

impl Sender {
    pub(crate) async fn send_text(&mut self, text: Utf8Bytes) {
        match self.0.send(Message::Text(text)).await {
            Ok(()) | Err(Error::ConnectionClosed) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

impl Agent {
    /// Its memory.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Its process, and those of the supervisors that it started.
    pub(crate) fn with_supervisor(&self) -> Vec<u32> {
        let parent = |process: u32| -> Option<u32> {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            let (_, after_name) = stat.rsplit_once(')')?;
            after_name.split_whitespace().nth(1)?.parse().ok()
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let all = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let own = self.0.id();
        let started = all.filter(|process| parent(*process) == Some(own));
        std::iter::once(own).chain(started).collect()
    }

    /// The most memory since [`forget_peak`](Self::forget_peak).
    pub(crate) fn peak_kib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Measures the peak from now on.
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5").unwrap();
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `path` exists.
pub(crate) async fn appears(path: &Path) {
    until(&path.display().to_string(), || path.exists()).await;
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let looking = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, looking).await.is_ok(), "never: {what}");
}
