//! Memory that requests take, and give back.

use crate::common::{Dashboard, SOON, Socket, measured, sha256_hex, wait_for};
use crate::support::dial;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use switchyard::protocol::{
    CommandName, HostId, Phase, PhaseMark, Progress, RunId, Status, Timestamp,
};
use switchyard::runlog::{Header, LogWriter, RunResult};

/// Writes runs into the data folder that say as much as a run can.
fn write_runs(dashboard: &Dashboard, count: u64) {
    let logs = dashboard.data_dir().join("logs/h1");
    std::fs::create_dir_all(&logs).unwrap();
    let at = |n: u64| Timestamp::from_millis(1_765_708_200_000 + n.cast_signed() * 1_000);
    let mark = |n: u64| PhaseMark {
        phase: Phase::Building,
        seq: n,
        started: at(n),
    };
    for n in 0..count {
        let run = RunId::compose(at(n), &CommandName::new("switch").unwrap(), 1);
        let header = Header::started_at(
            HostId::new("h1").unwrap(),
            CommandName::new("switch").unwrap(),
            at(n),
        );
        let mut log = LogWriter::create(&logs, &run, &header).unwrap();
        let result = RunResult {
            message: Some("m".repeat(16_000)),
            progress: Progress {
                phases: (0..1_000).map(mark).collect(),
                ..Progress::default()
            },
            ..RunResult::ended_at(Status::Error, at(n))
        };
        log.finish(Some(1), result).unwrap();
    }
}

#[test]
fn lists_that_nobody_reads_cost_little_memory() {
    let users = [("vera", "viewer", format!("sha256:{}", sha256_hex("vera")))];
    let mut dashboard = Dashboard::start_with(&["h1"], "", &users);
    dashboard.process.end(Signal::SIGTERM);
    write_runs(&dashboard, 150);
    dashboard.start_again();
    let headers = [("Authorization", "Bearer vera")];
    let path = "/api/hosts/h1/runs?limit=1000";
    let whole = dashboard.request("GET", path, &headers, b"");
    assert_eq!(whole.json()["runs"].as_array().unwrap().len(), 150);
    let length = whole.body.len() as u64;
    drop(whole);
    assert!(length > 10_000_000, "{length}");
    dashboard.process.forget_peak();
    let before = dashboard.process.rss_kib();
    let unread: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = dial(&dashboard);
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer vera\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    for stream in &unread {
        stream.peek(&mut [0]).unwrap();
    }
    // It answers others meanwhile.
    assert_eq!(dashboard.get("/health").status, 200);
    let grown = dashboard.process.peak_kib().saturating_sub(before);
    measured(&format!(
        "60 unread lists of {} KiB each: {grown} KiB more",
        length / 1024
    ));
    assert!(grown < 120_000, "{grown} KiB");
}

#[test]
fn people_who_sign_in_leave_little_memory_behind() {
    let names: Vec<String> = (0..12).map(|n| format!("user{n}")).collect();
    let user = |name| (name, "viewer", Dashboard::password_hash("secret"));
    let users: Vec<_> = names.iter().map(String::as_str).map(user).collect();
    let dashboard = Dashboard::start_with(&["h1"], "", &users);
    let before = dashboard.process.rss_kib();
    let origin = dashboard.origin();
    for _ in 0..4 {
        std::thread::scope(|threads| {
            for name in &names {
                let (dashboard, origin) = (&dashboard, &origin);
                threads.spawn(move || {
                    let body = format!("{{\"user\":\"{name}\",\"password\":\"secret\"}}");
                    let headers = [
                        ("Origin", origin.as_str()),
                        ("Content-Type", "application/json"),
                    ];
                    wait_for("to be let in", SOON, || {
                        let answer =
                            dashboard.request("POST", "/api/login", &headers, body.as_bytes());
                        (answer.status == 204).then_some(())
                    });
                });
            }
        });
    }
    let grown = dashboard.process.rss_kib().saturating_sub(before);
    measured(&format!("48 sign-ins: {grown} KiB more afterwards"));
    assert!(grown < 90_000, "{grown} KiB");
}

#[test]
fn agents_that_once_sent_much_hold_little_memory() {
    let names: Vec<String> = (0..100).map(|n| format!("h{n:02}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start(&hosts);
    let mut agents: Vec<Socket> = (hosts.iter())
        .map(|host| Socket::agent(&dashboard, host))
        .collect();
    let generation = |n: usize| move |host: &serde_json::Value| host["generation"] == n;
    let beat = |agents: &mut Vec<Socket>, n: usize| {
        for (host, agent) in hosts.iter().zip(agents.iter_mut()) {
            // As long as a real one.
            let system = format!("/nix/store/{}", "x".repeat(400));
            let facts =
                json!({"type": "heartbeat", "host_id": host, "generation": n, "system": system});
            agent.send(&facts);
        }
        for host in &hosts {
            dashboard.wait_for_host(host, "its heartbeat", generation(n));
        }
    };
    beat(&mut agents, 1);
    let before = dashboard.process.rss_kib();
    // A message that the dashboard does not know, and so does nothing with.
    let long = json!({"type": "unknown", "text": "x".repeat(900_000)});
    for agent in &mut agents {
        agent.send(&long);
    }
    for n in 2..12 {
        beat(&mut agents, n);
    }
    let grown = dashboard.process.rss_kib().saturating_sub(before);
    measured(&format!(
        "100 agents, each with one frame of 900 KB: {grown} KiB more afterwards"
    ));
    assert!(grown < 45_000, "{grown} KiB");
}

/// The frame of a client around a text, with a mask that changes nothing.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[0x81, 0xfe], &length[..], &[0; 4], text.as_bytes()].concat()
}

/// Reads until `text` has come.
#[track_caller]
fn read_until(stream: &mut TcpStream, text: &str) {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&all).contains(text) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..read]);
    }
}

/// Opens a WebSocket that holds little memory here.
fn websocket(dashboard: &Dashboard, path: &str, headers: &str) -> TcpStream {
    let mut stream = dial(dashboard);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// An agent that says as much of itself as a real one, and sends a few heartbeats.
fn quiet_agent(dashboard: &Dashboard, host: &str) -> TcpStream {
    let bearer = format!("Authorization: Bearer {}\r\n", Dashboard::token(host));
    let mut stream = websocket(dashboard, "/ws/agent", &bearer);
    read_until(&mut stream, "\r\n\r\n");
    let system = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-host-26.05";
    let systems = json!({"system": system, "running": system, "booted": system, "profile": system,
        "boot_default": system, "running_generation": 42, "generation": 42, "host_id": host});
    let with = |mut message: serde_json::Value| {
        let systems = systems.as_object().unwrap().clone();
        message.as_object_mut().unwrap().extend(systems);
        frame(&message.to_string())
    };
    let register = with(
        json!({"type": "register", "protocol": 1, "hostname": host, "host_type": "nixos",
        "agent_version": "0.1.0", "os_version": "26.05.20260101.abcdef0 (Yarara)", "nixpkgs_version": "26.05",
        "kernel": "6.18.1", "machine_id": "0123456789abcdef0123456789abcdef",
        "boot_id": "01234567-89ab-cdef-0123-456789abcdef", "heartbeat_interval": 5,
        "commands": ["pull", "switch", "test", "update", "boot", "build", "rollback"], "runs": []}),
    );
    stream.write_all(&register).unwrap();
    read_until(&mut stream, "registered");
    let metrics = json!({"cpu": 12.5, "ram": 40.25, "swap": 0.0, "load": 0.75});
    for _ in 0..3 {
        let beat = with(json!({"type": "heartbeat", "metrics": metrics}));
        stream.write_all(&beat).unwrap();
    }
    stream
}

/// Lets this process have as many connections as a test needs.
fn raise_open_files() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(soft.max(8_192)), hard).unwrap();
}

#[test]
fn a_quiet_connection_of_an_agent_takes_less_than_ten_kibibytes() {
    const FIRST: usize = 100;
    const MORE: usize = 600;
    raise_open_files();
    let names: Vec<String> = (0..FIRST + MORE).map(|n| format!("h{n:03}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start(&hosts);
    let connect = |hosts: &[&str]| -> Vec<TcpStream> {
        let agents = hosts.iter().map(|host| quiet_agent(&dashboard, host));
        let agents = agents.collect();
        for host in hosts {
            dashboard.wait_for_host(host, "its heartbeat", |host| !host["metrics"].is_null());
        }
        agents
    };
    // What is made once for all is there before it is measured.
    let _first = connect(&hosts[..FIRST]);
    let before = dashboard.process.rss_kib();
    let _more = connect(&hosts[FIRST..]);
    let grown = dashboard.process.rss_kib().saturating_sub(before);
    let each = grown as f64 / MORE as f64;
    measured(&format!("a quiet connection of an agent: {each:.1} KiB"));
    assert!(each < 10.0, "{each:.1} KiB");
}

#[test]
fn browsers_that_were_sent_long_frames_hold_little_memory() {
    const FIRST: usize = 50;
    const MORE: usize = 150;
    raise_open_files();
    let names: Vec<String> = (0..800).map(|n| format!("h{n:03}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start(&hosts);
    let open = |count| -> Vec<TcpStream> {
        let browsers = (0..count).map(|_| {
            let mut browser = websocket(&dashboard, "/ws/browser", "Origin: http://localhost\r\n");
            read_until(&mut browser, "\"more\":false");
            browser
        });
        browsers.collect()
    };
    let length = dashboard.get("/api/hosts").body.len() / 1024;
    // Each thread that serves keeps memory of the longest frame that it wrote.
    let _first = open(FIRST);
    let before = dashboard.process.rss_kib();
    let _more = open(MORE);
    let grown = dashboard.process.rss_kib().saturating_sub(before);
    let each = grown as f64 / MORE as f64;
    measured(&format!(
        "a quiet browser that was sent {length} KiB of hosts: {each:.1} KiB"
    ));
    assert!(length > 300, "{length} KiB");
    assert!(each < 60.0, "{each:.1} KiB");
}
