//! Peers that are there and say nothing any more, or take nothing.

use crate::child::{Child, Pace};
use crate::common::{Agent, Dashboard, Socket, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

/// A peer that was silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// How much later that may be seen here.
const LATE: Duration = Duration::from_secs(2);

/// Waits until something is seen that must come with the end of the silence since `since`.
#[track_caller]
fn after_silence(what: &str, since: Instant, mut is_so: impl FnMut() -> bool) {
    let limit = (since + SILENCE + LATE).saturating_duration_since(Instant::now());
    wait_for(what, limit, || is_so().then_some(()));
    let after = since.elapsed();
    assert!(
        after > SILENCE - LATE,
        "{what} after no more than {after:?}"
    );
}

fn millis(time: &Value) -> i64 {
    let time = chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap());
    time.unwrap().timestamp_millis()
}

/// A dashboard that a test plays.
struct Peer(TcpListener);

impl Peer {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn agent(&self, config: &Value) -> Agent {
        Agent::launch(self.0.local_addr().unwrap().port(), "h1", config)
    }

    /// Takes the next connection up to its `register`.
    fn connection(&self) -> WebSocket<TcpStream> {
        let mut socket = accept(self.0.accept().unwrap().0).unwrap();
        assert!(
            socket
                .read()
                .unwrap()
                .to_text()
                .unwrap()
                .contains("register")
        );
        socket
    }
}

#[test]
fn an_agent_leaves_a_dashboard_that_is_silent_for_30_s_and_its_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let fast = Child::new(dir.path(), "fast", Pace::Fast, 0);
    let slow = Child::new(dir.path(), "slow", Pace::Slow, 4);
    let fast_switch = json!({"commands": {"switch": {"steps": [["/bin/sh", "-c", fast.script]]}}});

    let stopped = Dashboard::start(&["h1"]);
    let of_stopped = Agent::start(&stopped, "h1", &slow.script);
    let run = stopped.command("h1", "switch");
    stopped.wait_for_run("h1", &run, SILENCE, |run| run["lines"].as_u64() > Some(10));

    let (mute, deaf) = (Peer::new(), Peer::new());
    let of_mute = mute.agent(&json!({}));
    let of_deaf = deaf.agent(&fast_switch);
    let mute_socket = mute.connection();
    let mut deaf_socket = deaf.connection();
    for message in [
        json!({"type": "registered", "host_id": "h1"}),
        json!({"type": "command", "run_id": "2025-12-14T10-30-00-switch", "nonce": "n", "command": "switch"}),
    ] {
        deaf_socket
            .send(Message::text(message.to_string()))
            .unwrap();
    }
    let busy = Peer::new();
    let of_busy = busy.agent(&json!({}));
    let mut busy_socket = busy.connection();
    let registered_late = std::thread::spawn(move || {
        for _ in 0..11 {
            std::thread::sleep(Duration::from_secs(3));
            busy_socket.send(Message::Ping(Vec::new().into())).unwrap();
        }
        let registered = json!({"type": "registered", "host_id": "h1"});
        busy_socket
            .send(Message::text(registered.to_string()))
            .unwrap();
        busy_socket
    });
    stopped.process.signal(Signal::SIGSTOP);
    let since = Instant::now();
    let silent = "the dashboard was silent for 30 s";
    std::thread::sleep(SILENCE - LATE);
    for agent in [&of_mute, &of_deaf, &of_stopped] {
        assert_eq!(agent.process.times_said("disconnected"), 0);
    }
    for (name, agent) in [
        ("mute", &of_mute),
        ("deaf", &of_deaf),
        ("stopped", &of_stopped),
    ] {
        after_silence(name, since, || agent.process.times_said(silent) == 1);
    }
    let busy_socket = registered_late.join().unwrap();
    wait_for("its turn", SILENCE, || {
        (of_busy.process.times_said("connected to") == 1).then_some(())
    });
    assert_eq!(of_busy.process.times_said("disconnected"), 0);
    drop((mute_socket, deaf_socket, busy_socket));
    mute.connection();
    deaf.connection();
    let written = fast.written().len();
    assert!(written > 50_000, "its child was held up: {written} lines");

    stopped.process.signal(Signal::SIGCONT);
    slow.gate.open();
    slow.assert_whole(&stopped, "h1", &run, 4);
}

#[test]
fn a_dashboard_notices_within_30_s_who_is_silent_and_at_once_who_hangs_up() {
    let hosts = ["deaf", "mute", "stopped", "gone"];
    let dashboard = Dashboard::start(&hosts);
    let dir = tempfile::tempdir().unwrap();
    let child = Child::new(dir.path(), "child", Pace::Slow, 4);
    let agent = Agent::start(&dashboard, "stopped", &child.script);
    let run = dashboard.command("stopped", "switch");
    dashboard.wait_for_run("stopped", &run, SILENCE, |run| {
        run["lines"].as_u64() > Some(10)
    });
    let online = |host: &str| dashboard.host(host)["online"] == true;

    let gone = Socket::agent(&dashboard, "gone");
    wait_for("its registration", LATE, || online("gone").then_some(()));
    let hung_up = Instant::now();
    drop(gone);
    wait_for("its absence", LATE, || (!online("gone")).then_some(()));
    assert!(
        hung_up.elapsed() < Duration::from_secs(1),
        "{:?}",
        hung_up.elapsed()
    );

    let browser = Socket::browser(&dashboard);
    let deaf = Socket::agent(&dashboard, "deaf");
    let mute = unregistered(&dashboard, "mute");
    agent.process.signal(Signal::SIGSTOP);
    let (since, at) = (Instant::now(), chrono::Utc::now().timestamp_millis());
    let browsers = || {
        let metrics = String::from_utf8(dashboard.get("/metrics").body).unwrap();
        metrics.contains("\nswitchyard_browsers 1\n")
    };
    std::thread::sleep(SILENCE - LATE);
    assert!(online("deaf") && online("stopped") && browsers());
    after_silence("the agent that answers no ping", since, || !online("deaf"));
    after_silence("the stopped agent", since, || !online("stopped"));
    after_silence("the browser", since, || !browsers());
    after_silence("the agent that never registered", since, || {
        hears_the_end(&mute)
    });
    drop((browser, deaf));

    let host = dashboard.host("stopped");
    let seen = millis(&host["last_seen"]) - at;
    assert!(
        seen.abs() < 3_000,
        "last seen {seen} ms after it was stopped"
    );
    assert_eq!(
        [&host["run"]["status"], &host["online"]],
        [&json!("running"), &json!(false)]
    );
    agent.process.signal(Signal::SIGCONT);
    child.gate.open();
    child.assert_whole(&dashboard, "stopped", &run, 4);
    assert!(online("stopped"));
}

/// The connection of an agent that is let in and then says nothing.
fn unregistered(dashboard: &Dashboard, host: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
    let token = Dashboard::token(host);
    let request = format!(
        "GET /ws/agent HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Whether the other side has hung up.
fn hears_the_end(mut stream: &TcpStream) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}
