//! A dashboard with a viewer who means no good, and a run that goes on meanwhile before somebody else's eyes.

use crate::common::{Dashboard, SOON, Socket, wait_for};
use crate::siege::alone;
use crate::support::{RUN, begin, end, output};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a flood lasts.
pub(crate) const FLOOD: Duration = Duration::from_secs(12);
/// A run that is over, with many lines.
pub(crate) const OLD: &str = "2025-12-14T09-00-00-switch";
const OLD_LINES: u64 = 40_000;

pub(crate) struct Crowd {
    pub(crate) dashboard: Dashboard,
    /// The session of the viewer.
    pub(crate) cookie: String,
    over: Arc<AtomicBool>,
    pub(crate) sent: Arc<AtomicU64>,
    attackers: Vec<JoinHandle<()>>,
    _alone: MutexGuard<'static, ()>,
}

impl Crowd {
    /// The dashboard, whose `cookie` is an operator's.
    pub(crate) fn start() -> Self {
        let alone = alone();
        let password = || Dashboard::password_hash("secret");
        let users = [
            ("otto", "operator", password()),
            ("vera", "viewer", password()),
        ];
        let mut dashboard = Dashboard::start_with(&["h1"], "", &users);
        dashboard.log_in("vera", "secret");
        let cookie = dashboard.cookie.take().unwrap();
        dashboard.log_in("otto", "secret");
        let line = "x".repeat(200);
        let mut agent = Socket::agent(&dashboard, "h1");
        agent.send(&begin(OLD));
        for first in (0..OLD_LINES).step_by(1_000) {
            agent.send(&output(OLD, first, &vec![line.as_str(); 1_000]));
        }
        agent.send(&end(OLD, OLD_LINES));
        agent.wait_for("the final ack", |message| message["final"] == true);
        Self {
            dashboard,
            cookie,
            over: Arc::default(),
            sent: Arc::default(),
            attackers: Vec::new(),
            _alone: alone,
        }
    }

    /// Turns true when the flood is over.
    pub(crate) fn over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.over)
    }

    /// Lets an attacker loose until the end of the flood.
    pub(crate) fn attack(&mut self, mut step: impl FnMut(&Attacker) + Send + 'static) {
        let attacker = Attacker {
            port: self.dashboard.port,
            cookie: self.cookie.clone(),
            over: Arc::clone(&self.over),
            sent: Arc::clone(&self.sent),
        };
        self.attackers.push(std::thread::spawn(move || {
            while !attacker.is_over() {
                step(&attacker);
            }
        }));
    }

    /// Streams a run until the flood is over, then ends it; gives how many lines there were, how long the slowest took
    /// to the browser, and by how many KiB the dashboard grew at its peak.
    #[track_caller]
    pub(crate) fn stream(self) -> (u64, Duration, u64) {
        let dashboard = &self.dashboard;
        let mut agent = Socket::agent(dashboard, "h1");
        let mut browser = Socket::browser(dashboard);
        agent.send(&begin(RUN));
        wait_for("the run", SOON, || {
            let answer = dashboard.get(&format!("/api/hosts/h1/runs/{RUN}"));
            (answer.status == 200).then_some(())
        });
        browser.send(&json!({"type": "subscribe", "host_id": "h1", "run_id": RUN}));
        browser.wait_for("subscribed", |message| message["type"] == "subscribed");
        dashboard.process.forget_peak();
        let before = dashboard.process.rss_kib();
        let (mut slowest, mut next, began) = (Duration::ZERO, 0, Instant::now());
        while began.elapsed() < FLOOD {
            let asked = Instant::now();
            agent.send(&output(RUN, next, &["streams on"]));
            browser.wait_for("the line", |message| {
                message["type"] == "command_output" && message["seq"] == next
            });
            next += 1;
            slowest = slowest.max(asked.elapsed());
        }
        let grown = dashboard.process.peak_kib().saturating_sub(before);
        self.over.store(true, Ordering::Relaxed);
        for attacker in self.attackers {
            attacker.join().unwrap();
        }
        agent.send(&end(RUN, next));
        agent.wait_for("the final ack", |message| message["final"] == true);
        assert_eq!(dashboard.lines("h1", RUN).len() as u64, next);
        wait_for("the files to be closed", SOON, || {
            (dashboard.process.open_files() < 200).then_some(())
        });
        (next, slowest, grown)
    }
}

/// Who attacks, in a thread of their own.
pub(crate) struct Attacker {
    port: u16,
    cookie: String,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl Attacker {
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Sends a request, and leaves the answer in the connection.
    pub(crate) fn request(&self, path: &str, more: &str) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let patience = Some(Duration::from_millis(100));
        stream.set_read_timeout(patience).ok()?;
        stream.set_write_timeout(patience).ok()?;
        let (port, cookie) = (self.port, &self.cookie);
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nCookie: {cookie}\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        Some(stream)
    }

    /// Opens a WebSocket.
    pub(crate) fn socket(&self) -> Option<TcpStream> {
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        self.request("/ws/browser", upgrade)
    }

    /// Writes all of this, however slowly it is taken; `false` when the connection or the flood is over.
    pub(crate) fn write(&self, stream: &mut TcpStream, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && !self.is_over() {
            match stream.write(bytes) {
                Ok(0) => return false,
                Ok(written) => {
                    self.sent.fetch_add(written as u64, Ordering::Relaxed);
                    bytes = &bytes[written..];
                }
                Err(error) if is_slow(&error) => {}
                Err(_) => return false,
            }
        }
        !self.is_over()
    }

    /// Reads what is there; `None` when the connection is over.
    pub(crate) fn read(&self, stream: &mut TcpStream) -> Option<usize> {
        match stream.read(&mut [0; 65_536]) {
            Ok(0) => None,
            Ok(read) => Some(read),
            Err(error) if is_slow(&error) => Some(0),
            Err(_) => None,
        }
    }

    /// Reads to the end of the answer, or of the flood.
    pub(crate) fn read_all(&self, stream: &mut TcpStream) {
        while !self.is_over() && self.read(stream).is_some() {}
    }
}

/// Whether nothing came or went for as long as was waited.
pub(crate) fn is_slow(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A frame as a browser sends it, with a mask that changes nothing.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
