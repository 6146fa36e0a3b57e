//! Each kind of peer takes all it can for a while, and nobody else notices: somebody else's run goes on, somebody
//! else signs in, and neither memory, files, journal nor audit log grow without bound.

use crate::common::{Dashboard, SOON, Socket, measured, sha256_hex, wait_for};
use crate::crowd::frame;
use crate::starvation::Starvation;
use crate::support::{RUN, begin, end, output};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it is measured without and with the attack.
const QUIET: Duration = Duration::from_secs(1);
const ATTACK: Duration = Duration::from_secs(4);
/// What nobody may take more of.
const MAX_RESIDENT_KIB: u64 = 200 * 1024;
const MAX_OPEN_FILES: usize = 1_000;
const MAX_JOURNAL_LINES: usize = 5_000;
const MAX_AUDIT_BYTES: u64 = 8_000_000;
const MAX_DISK_BYTES: u64 = 64_000_000;
/// How late nine of ten lines of somebody else may come, beyond what the machine itself makes them; and the slowest one,
/// beyond what the threads that serve it and this one could have gone on and were kept from it by the machine.
const LATE: Duration = Duration::from_millis(300);

/// A dashboard behind a proxy, so that a peer may come from any address, and who attacks it.
struct World {
    dashboard: Dashboard,
    over: Arc<AtomicBool>,
    attackers: Vec<JoinHandle<()>>,
    before: Before,
}

/// What there was before the attack.
struct Before {
    journal: usize,
    audit: u64,
    disk: u64,
}

/// How long a line took from its agent to its browser.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Delay {
    whole: Duration,
    /// Without what the machine took, where it says so.
    ours: Option<Duration>,
}

/// Somebody in a thread of their own.
struct Peer {
    port: u16,
    headers: String,
    over: Arc<AtomicBool>,
    kept: Vec<TcpStream>,
}

impl World {
    fn start() -> Self {
        let token = |name: &str| format!("sha256:{}", sha256_hex(name));
        let users = [
            ("ada", "operator", Dashboard::password_hash("secret")),
            ("vera", "viewer", token("vera")),
            ("otto", "operator", token("otto")),
        ];
        let extra = "[proxy]\ntrusted = [\"127.0.0.1\"]\n";
        let mut dashboard = Dashboard::start_with(&["h1", "h2"], extra, &users);
        dashboard.log_in("ada", "secret");
        let before = Before {
            journal: dashboard.process.said(),
            audit: audit_bytes(&dashboard),
            disk: bytes_below(&dashboard.data_dir()),
        };
        Self {
            dashboard,
            over: Arc::default(),
            attackers: Vec::new(),
            before,
        }
    }

    /// Lets somebody loose, who sends these headers, until the attack is over.
    fn attack(&mut self, headers: &str, mut step: impl FnMut(&mut Peer) + Send + 'static) {
        let mut peer = Peer {
            port: self.dashboard.port,
            headers: format!("{headers}X-Forwarded-For: 192.0.2.66\r\n"),
            over: Arc::clone(&self.over),
            kept: Vec::new(),
        };
        self.attackers.push(std::thread::spawn(move || {
            while !peer.over.load(Ordering::Relaxed) {
                step(&mut peer);
            }
        }));
    }

    /// Streams a run of h2 without and with the attack, and holds the two against each other.
    #[track_caller]
    fn nobody_else_notices(mut self, who: &str, attack: impl FnOnce(&mut Self)) {
        let mut agent = Socket::agent(&self.dashboard, "h2");
        let mut browser = Socket::browser(&self.dashboard);
        let of_h2 = |mut message: Value| {
            message["host_id"] = "h2".into();
            message
        };
        agent.send(&of_h2(begin(RUN)));
        wait_for("the run", SOON, || {
            let answer = self.dashboard.get(&format!("/api/hosts/h2/runs/{RUN}"));
            (answer.status == 200).then_some(())
        });
        browser.send(&json!({"type": "subscribe", "host_id": "h2", "run_id": RUN}));
        browser.wait_for("subscribed", |message| message["type"] == "subscribed");
        let mut next = 0;
        let pid = self.dashboard.process.id();
        let mut delays = |time: Duration| {
            let (mut delays, began) = (Vec::new(), Instant::now());
            while began.elapsed() < time {
                let before = Starvation::of(&[pid]);
                let sent = Instant::now();
                agent.send(&of_h2(output(RUN, next, &["goes on"])));
                browser.wait_for("the line", |message| {
                    message["type"] == "command_output" && message["seq"] == next
                });
                next += 1;
                let whole = sent.elapsed();
                let after = Starvation::of(&[pid]);
                let lost = after
                    .zip(before)
                    .map(|(after, before)| after.since(&before));
                let ours = lost.map(|lost| whole.saturating_sub(lost));
                delays.push(Delay { whole, ours });
            }
            delays.sort_unstable();
            delays
        };
        let quiet = delays(QUIET);
        self.dashboard.process.forget_peak();
        attack(&mut self);
        let busy = delays(ATTACK);
        self.somebody_signs_in();
        let files = self.dashboard.process.open_files();
        self.over.store(true, Ordering::Relaxed);
        for attacker in self.attackers.drain(..) {
            attacker.join().unwrap();
        }
        agent.send(&of_h2(end(RUN, next)));
        agent.wait_for("the final ack", |message| message["final"] == true);
        assert_eq!(self.dashboard.lines("h2", RUN).len() as u64, next);
        self.check(who, &quiet, &busy, files);
    }

    /// Ada, from an address of hers.
    fn somebody_signs_in(&self) {
        let origin = self.dashboard.origin();
        let headers = [
            ("Origin", origin.as_str()),
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", "198.51.100.7"),
        ];
        let body = br#"{"user":"ada","password":"secret"}"#;
        wait_for("somebody else to sign in", SOON, || {
            let answer = self.dashboard.request("POST", "/api/login", &headers, body);
            (answer.status == 204).then_some(())
        });
    }

    #[track_caller]
    fn check(&self, who: &str, quiet: &[Delay], busy: &[Delay], files: usize) {
        let late = |delays: &[Delay]| delays[delays.len() * 9 / 10].whole;
        let (lines, most) = (busy.len(), busy[busy.len() - 1].whole);
        let ours = busy.iter().filter_map(|delay| delay.ours).max();
        let (quiet, busy) = (late(quiet), late(busy));
        let memory = self.dashboard.process.peak_kib();
        let journal = self.dashboard.process.said() - self.before.journal;
        let audit = audit_bytes(&self.dashboard) - self.before.audit;
        let disk = bytes_below(&self.dashboard.data_dir()).saturating_sub(self.before.disk);
        measured(&format!(
            "{who}: nine of ten of {lines} lines within {busy:?} ({quiet:?} before), the slowest after {most:?}, {ours:?} of it ours; {memory} KiB, {files} files, {journal} lines in the journal, {audit} bytes of audit, {disk} bytes on disk"
        ));
        assert!(busy < LATE + 10 * quiet, "{busy:?}, {quiet:?} before");
        assert!(ours.is_none_or(|ours| ours < LATE), "{ours:?} of {most:?}");
        assert!(memory < MAX_RESIDENT_KIB, "{memory} KiB");
        assert!(files < MAX_OPEN_FILES, "{files} files");
        assert!(journal < MAX_JOURNAL_LINES, "{journal} lines");
        assert!(audit < MAX_AUDIT_BYTES, "{audit} bytes");
        assert!(disk < MAX_DISK_BYTES, "{disk} bytes");
    }
}

fn audit_bytes(dashboard: &Dashboard) -> u64 {
    let file = std::fs::metadata(dashboard.data_dir().join("audit.log"));
    file.map_or(0, |file| file.len())
}

/// The length of all files in a folder and below it; those that go meanwhile count for nothing.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let length = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(length).sum()
}

impl Peer {
    /// Sends a request, and leaves the answer in the connection.
    fn send(&self, method: &str, path: &str, more: &str, body: &[u8]) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let patience = Some(Duration::from_millis(200));
        stream.set_read_timeout(patience).ok()?;
        stream.set_write_timeout(patience).ok()?;
        let (headers, length, port) = (&self.headers, body.len(), self.port);
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{headers}{more}Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        Some(stream)
    }

    /// Sends a request and takes the whole answer.
    fn ask(&self, method: &str, path: &str, body: &[u8]) {
        let more = "Content-Type: application/json\r\nConnection: close\r\n";
        let Some(mut stream) = self.send(method, path, more, body) else {
            return;
        };
        let mut bytes = [0; 65_536];
        while !self.over.load(Ordering::Relaxed) {
            match stream.read(&mut bytes) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if is_slow(&error) => {}
                Err(_) => return,
            }
        }
    }

    /// Sends a request and never takes the answer.
    fn leave(&mut self, path: &str) {
        if self.kept.len() < 150 {
            self.kept.extend(self.send("GET", path, "", b""));
        } else {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Opens a WebSocket and sends these frames, and takes what comes.
    fn frames(&mut self, path: &str, frames: &[Vec<u8>]) {
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost\r\n";
        let Some(mut stream) = self.send("GET", path, upgrade, b"") else {
            return;
        };
        for frame in frames {
            let mut rest = &frame[..];
            while !rest.is_empty() && !self.over.load(Ordering::Relaxed) {
                match stream.write(rest) {
                    Ok(0) => return,
                    Ok(written) => rest = &rest[written..],
                    Err(error) if is_slow(&error) => {}
                    Err(_) => return,
                }
            }
        }
        let _ = stream.read(&mut [0; 65_536]);
    }
}

fn is_slow(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A frame of text with these messages.
fn messages(all: &[Value]) -> Vec<u8> {
    frame(0x81, Value::from(all).to_string().as_bytes())
}

#[test]
fn a_stranger_who_takes_all_they_can_is_noticed_by_nobody() {
    World::start().nobody_else_notices("a stranger", |world| {
        for n in 0..2 {
            world.attack("", move |peer| {
                let login = format!("{{\"user\":\"nobody{n}\",\"password\":\"guess\"}}");
                peer.ask("POST", "/api/login", login.as_bytes());
                peer.ask("POST", "/api/commands", b"{}");
                peer.ask("DELETE", "/api/sessions", b"");
            });
        }
        world.attack("", |peer| peer.leave("/"));
        world.attack("Authorization: Bearer guess\r\n", |peer| {
            peer.frames("/ws/agent", &[frame(0x81, &[b'['; 1_000_000])]);
            peer.frames("/ws/browser", &[]);
        });
    });
}

#[test]
fn a_viewer_who_takes_all_they_can_is_noticed_by_nobody() {
    World::start().nobody_else_notices("a viewer", |world| {
        let vera = "Authorization: Bearer vera\r\n";
        let dear = "%5B%5Cw%5CW%5D".repeat(50);
        let search = format!("/api/hosts/h2/runs/{RUN}/search?regex=1&q={dear}");
        for _ in 0..3 {
            let search = search.clone();
            world.attack(vera, move |peer| peer.ask("GET", &search, b""));
        }
        for path in ["/api/hosts/h2/runs?limit=1000", "/api/hosts", "/api/hosts/h2/logs/download"] {
            world.attack(vera, move |peer| peer.leave(path));
        }
        world.attack(vera, |peer| {
            peer.ask("POST", "/api/hosts/h1/command", br#"{"command":"switch"}"#);
        });
        let subscribe = |n: usize| json!({"type": "subscribe", "sub": n.to_string(), "host_id": "h2", "run_id": RUN});
        let many: Vec<Value> = (0..5_000).map(subscribe).collect();
        let many = vec![messages(&many); 4];
        world.attack(vera, move |peer| peer.frames("/ws/browser", &many));
    });
}

#[test]
fn an_operator_who_takes_all_they_can_is_noticed_by_nobody() {
    World::start().nobody_else_notices("an operator", |world| {
        let otto = "Authorization: Bearer otto\r\n";
        let hosts = vec!["h1"; 1_000];
        let bulk = json!({"hosts": hosts, "command": "switch"}).to_string();
        for _ in 0..2 {
            let bulk = bulk.clone();
            world.attack(otto, move |peer| {
                peer.ask("POST", "/api/commands", bulk.as_bytes());
                peer.ask("POST", "/api/hosts/h1/command", br#"{"command":"switch"}"#);
                peer.ask("POST", "/api/hosts/h1/command", br#"{"command":"stop"}"#);
            });
        }
        for path in ["/api/hosts/h1/runs?limit=1000", "/api/hosts"] {
            world.attack(otto, move |peer| peer.leave(path));
        }
    });
}

#[test]
fn a_host_that_takes_all_it_can_is_noticed_by_nobody() {
    World::start().nobody_else_notices("a host", |world| {
        let token = format!("Authorization: Bearer {}\r\n", Dashboard::token("h1"));
        let offer = |n: usize| {
            json!({"run_id": format!("{RUN}-{}", n + 2), "nonce": "n", "command": "switch", "status": "running"})
        };
        let offers: Vec<Value> = (0..8_000).map(offer).collect();
        let register = json!({"type": "register", "protocol": 1, "host_id": "h1", "hostname": "n".repeat(10_000), "runs": offers});
        let text = "x".repeat(1_000);
        let stray = |n: usize| output(&format!("2024-12-14T10-30-00-switch-{}", n + 2), 0, &[&text]);
        let beat = |n: usize| json!({"type": "heartbeat", "host_id": "h1", "revision": format!("{n} {text}")});
        let lost = |n: usize| {
            json!({"type": "status", "host_id": "h1", "run_id": format!("{RUN}-{}", n + 2), "command": "switch",
                "status": "error", "lines": 1_000_000_000, "message": text})
        };
        let frames = [
            frame(0x81, register.to_string().as_bytes()),
            messages(&(0..600).map(stray).collect::<Vec<_>>()),
            messages(&(0..600).map(beat).collect::<Vec<_>>()),
            messages(&(0..600).map(lost).collect::<Vec<_>>()),
            frame(0x81, &[b'['; 1_000_000]),
        ];
        for _ in 0..2 {
            let frames = frames.clone();
            world.attack(&token, move |peer| peer.frames("/ws/agent", &frames));
        }
    });
}
