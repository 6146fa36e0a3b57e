//! Memory that requests take, and give back.

use crate::common::{Dashboard, SOON, Socket, measured, sha256_hex, wait_for};
use crate::support::dial;
use nix::sys::signal::Signal;
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use switchyard::protocol::{
    CommandName, HostId, Phase, PhaseMark, Progress, RunId, Status, Timestamp,
};
use switchyard::runlog::{Header, LogWriter, RunMeta, RunResult};

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
        let header = Header {
            command: CommandName::new("switch").unwrap(),
            host_id: HostId::new("h1").unwrap(),
            meta: RunMeta::started_at(at(n)),
        };
        let mut log = LogWriter::create(&logs, &run, &header).unwrap();
        let result = RunResult {
            status: Status::Error,
            completed: at(n),
            message: Some("m".repeat(16_000)),
            cause: Vec::new(),
            lines: 0,
            errors: None,
            duration_ms: None,
            progress: Progress {
                phases: (0..1_000).map(mark).collect(),
                ..Progress::default()
            },
            generation_after: None,
            system_after: None,
            revision: None,
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
