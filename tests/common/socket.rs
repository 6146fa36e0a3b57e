//! WebSocket clients: a browser, and the simplest agents there can be.

use super::{Dashboard, Line, SOON};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::HandshakeError;
use tokio_tungstenite::tungstenite::{self, Error, Message, Utf8Bytes, WebSocket};

/// A connection to the dashboard.
pub(crate) struct Socket {
    socket: WebSocket<TcpStream>,
    /// Messages that came in one frame with the one that was waited for, behind it.
    rest: Vec<Value>,
}

impl Socket {
    fn new(socket: WebSocket<TcpStream>) -> Self {
        let rest = Vec::new();
        Self { socket, rest }
    }

    /// Connects with these headers; the HTTP status where that is refused.
    pub(crate) fn open(
        dashboard: &Dashboard,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let url = format!("ws://127.0.0.1:{}{path}", dashboard.port);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self::new(socket)),
            Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// As a browser that shows our page.
    #[track_caller]
    pub(crate) fn browser(dashboard: &Dashboard) -> Self {
        let (socket, first) = Self::browser_at(dashboard, "/ws/browser");
        assert_eq!(first[0]["type"], "hosts", "`hosts` comes first");
        socket
    }

    /// As a browser that opens this path; with the messages of the first frame.
    #[track_caller]
    pub(crate) fn browser_at(dashboard: &Dashboard, path: &str) -> (Self, Vec<Value>) {
        let cookie = dashboard.cookie.as_deref().unwrap_or_default();
        let headers = [
            ("Origin", dashboard.origin()),
            ("Cookie", cookie.to_owned()),
        ];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let mut socket = Self::open(dashboard, path, &headers).unwrap();
        let first = socket.frame();
        (socket, first)
    }

    /// As a plain agent that has registered.
    #[track_caller]
    pub(crate) fn agent(dashboard: &Dashboard, host: &str) -> Self {
        let mut socket = Self::unregistered_agent(dashboard, host);
        socket.send(&json!({
            "type": "register", "protocol": 1, "host_id": host, "hostname": host, "host_type": "nixos",
            "agent_version": "test", "heartbeat_interval": 5, "commands": ["switch", "test"], "runs": [],
        }));
        socket.wait_for("registered", |message| message["type"] == "registered");
        socket
    }

    /// As a plain agent that has said nothing yet.
    #[track_caller]
    pub(crate) fn unregistered_agent(dashboard: &Dashboard, host: &str) -> Self {
        let bearer = format!("Bearer {}", Dashboard::token(host));
        Self::open(dashboard, "/ws/agent", &[("Authorization", &bearer)]).unwrap()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(message.to_string());
    }

    /// Sends a frame of any text. The other side may have hung up; what it says is then for the reader.
    pub(crate) fn send_text(&mut self, text: String) {
        let _ = self.socket.send(Message::text(text));
    }

    /// The messages of the next frame.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> Vec<Value> {
        self.try_frame(SOON).expect("a frame")
    }

    /// The messages of the next frame, if one comes within `limit`.
    #[track_caller]
    pub(crate) fn try_frame(&mut self, limit: Duration) -> Option<Vec<Value>> {
        if !self.rest.is_empty() {
            return Some(std::mem::take(&mut self.rest));
        }
        self.try_text(limit).map(|text| Self::messages(&text))
    }

    /// The messages of a frame.
    #[track_caller]
    pub(crate) fn messages(frame: &str) -> Vec<Value> {
        match serde_json::from_str(frame).unwrap() {
            Value::Array(messages) => messages,
            message => vec![message],
        }
    }

    /// The text of the next frame, if one comes within `limit`.
    #[track_caller]
    pub(crate) fn try_text(&mut self, limit: Duration) -> Option<Utf8Bytes> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            self.socket
                .get_ref()
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))
                .unwrap();
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(text),
                Ok(Message::Close(close)) => panic!("the dashboard hung up: {close:?}"),
                Ok(_) => {}
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if Instant::now() >= end {
                        return None;
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits for a message.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            let mut messages = self.frame().into_iter();
            if let Some(message) = messages.find(&mut is_it) {
                self.rest = messages.collect();
                return message;
            }
        }
        panic!("waited {SOON:?} for {what}");
    }

    /// Whether a ping comes within `limit`, before anything else that is no answer to ours.
    #[track_caller]
    pub(crate) fn hears_ping(&mut self, limit: Duration) -> bool {
        self.socket.get_ref().set_read_timeout(Some(limit)).unwrap();
        loop {
            match self.socket.read() {
                Ok(Message::Pong(_)) => {}
                Ok(message) => return message.is_ping(),
                Err(_) => return false,
            }
        }
    }

    /// The code with which the dashboard hangs up, which is answered as WebSockets do.
    #[track_caller]
    pub(crate) fn answered_close_code(mut self) -> u16 {
        let code = self.read_close_code();
        // The next read sends the answer.
        while self.socket.read().is_ok() {}
        code
    }

    /// The code with which the dashboard hangs up.
    #[track_caller]
    pub(crate) fn close_code(mut self) -> u16 {
        self.read_close_code()
    }

    #[track_caller]
    fn read_close_code(&mut self) -> u16 {
        self.socket.get_ref().set_read_timeout(Some(SOON)).unwrap();
        let end = Instant::now() + SOON;
        while Instant::now() < end {
            match self.socket.read() {
                Ok(Message::Close(close)) => {
                    return close.expect("a close frame with a code").code.into();
                }
                Ok(_) => {}
                Err(error) => panic!("no close frame: {error}"),
            }
        }
        panic!("waited {SOON:?} for a close frame");
    }
}

/// What a browser saw of one run.
pub(crate) struct Watch {
    pub(crate) run_id: String,
    pub(crate) lines: Vec<Line>,
    /// When each frame came, from the command on.
    pub(crate) frames: Vec<Instant>,
    /// Each `run_update`.
    pub(crate) updates: Vec<Value>,
}

impl Watch {
    /// Subscribes to the host, sends the command, and reads until the run has ended and all its lines are here.
    #[track_caller]
    pub(crate) fn command(dashboard: &Dashboard, host: &str, command: &str) -> Self {
        let mut browser = Socket::browser(dashboard);
        browser.send(&json!({"type": "subscribe", "host_id": host}));
        browser.wait_for("subscribed", |message| message["type"] == "subscribed");
        let run_id = dashboard.command(host, command);
        let mut watch = Self {
            run_id,
            lines: Vec::new(),
            frames: Vec::new(),
            updates: Vec::new(),
        };
        while !watch.is_whole() {
            let frame = browser.frame();
            watch.frames.push(Instant::now());
            for message in &frame {
                watch.take(host, message);
            }
        }
        watch
    }

    fn is_whole(&self) -> bool {
        self.updates.last().is_some_and(|run| {
            !["queued", "running"].contains(&run["status"].as_str().unwrap())
                && run["lines"].as_u64() == Some(self.lines.len() as u64)
        })
    }

    #[track_caller]
    fn take(&mut self, host: &str, message: &Value) {
        match message["type"].as_str().unwrap() {
            "run_update" if message["run"]["run_id"] == *self.run_id => {
                self.updates.push(message["run"].clone());
            }
            "command_output" if message["run_id"] == *self.run_id => {
                assert_eq!(message["sub"], host);
                assert!(
                    message["skipped"].is_null() || message["skipped"] == 0,
                    "a browser that reads skips nothing"
                );
                assert_eq!(message["seq"], self.lines.len(), "lines missing or twice");
                let lines: Vec<Line> = serde_json::from_value(message["lines"].clone()).unwrap();
                self.lines.extend(lines);
            }
            _ => {}
        }
    }

    /// At most 10 frames a second; a few may have waited for us and then come together.
    #[track_caller]
    pub(crate) fn assert_frame_rate(&self) {
        for (a, first) in self.frames.iter().enumerate() {
            for (b, last) in self.frames.iter().enumerate().skip(a + 1) {
                let seconds = (*last - *first).as_secs_f64();
                assert!(
                    (b - a) as f64 <= 10.0 * seconds + 5.0,
                    "{} frames in {seconds:.2} s",
                    b - a + 1
                );
            }
        }
    }
}
