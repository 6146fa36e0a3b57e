//! An agent in wrong hands, with its token.

use crate::common::{Answer, Dashboard, SOON, Socket, measured, sha256_hex, wait_for};
use crate::support::{RUN, begin, dial, end, output, with_users};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// More files than the logs of one host and a quiet dashboard have open.
const FEW_FILES: usize = 170;

/// Sends messages as fast as they are taken, for a while; gives how many.
fn flood(agent: &mut Socket, limit: Duration, most: u64, message: impl Fn(u64) -> Value) -> u64 {
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < limit && sent < most {
        let many: Vec<Value> = (sent..sent + 1_000).map(&message).collect();
        agent.send(&Value::Array(many));
        sent += 1_000;
    }
    sent
}

#[test]
fn a_frame_that_never_ends_is_cut_off_at_a_mebibyte() {
    let dashboard = with_users();
    let token = Dashboard::token("h1");
    let request = format!(
        "GET /ws/agent HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let before = dashboard.process.rss_kib();
    // One message in ever more fragments, and one frame that says it has 2^62 bytes.
    let fragment = [
        &[0x01, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        &[b'x'; 65_536],
    ]
    .concat();
    let huge = [0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for frames in [vec![fragment; 1_000], vec![huge.to_vec()]] {
        let mut stream = dial(&dashboard);
        stream.write_all(request.as_bytes()).unwrap();
        for (n, mut frame) in frames.into_iter().enumerate() {
            if n > 0 {
                // A continuation.
                frame[0] = 0;
            }
            if stream.write_all(&frame).is_err() {
                break;
            }
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    let grown = dashboard.process.rss_kib().saturating_sub(before);
    assert!(grown < 20_000, "{grown} KiB");
    assert_eq!(dashboard.get("/api/hosts").status, 200);
}

#[test]
fn a_host_that_sends_a_million_messages_slows_nobody_and_costs_no_memory() {
    let users = [("robot", "admin", format!("sha256:{}", sha256_hex("robot")))];
    let dashboard = Dashboard::start_with(&["h1", "h2"], "", &users);
    let mut hostile = Socket::agent(&dashboard, "h1");
    let mut other = Socket::agent(&dashboard, "h2");
    let headers = [("Authorization", "Bearer robot")];
    let before = dashboard.process.rss_kib();
    let flooding = std::thread::spawn(move || {
        flood(
            &mut hostile,
            Duration::from_secs(15),
            1_000_000,
            |n| json!({"type": "heartbeat", "host_id": "h1", "revision": format!("{n} {}", "x".repeat(100))}),
        )
    });
    let mut slowest = Duration::ZERO;
    let mut asked = 0;
    while !flooding.is_finished() {
        let began = Instant::now();
        other.send(&json!({"type": "heartbeat", "host_id": "h2", "revision": format!("r{asked}")}));
        wait_for("the other host's heartbeat", SOON, || {
            let answer: Answer = dashboard.request("GET", "/api/hosts/h2", &headers, b"");
            (answer.json()["revision"] == format!("r{asked}")).then_some(())
        });
        slowest = slowest.max(began.elapsed());
        asked += 1;
        // One an honest host would send.
        std::thread::sleep(Duration::from_millis(200));
    }
    let sent = flooding.join().unwrap();
    let grown = dashboard.process.rss_kib().saturating_sub(before);
    measured(&format!(
        "{sent} messages of a hostile host in 15 s: the other host's heartbeat took {slowest:?} at most; {grown} KiB more"
    ));
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(grown < 40_000, "{grown} KiB");
}

#[test]
fn a_frame_of_very_many_messages_is_taken_in_at_the_pace_of_messages_and_loses_no_line() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    // A host may send 2,000 at once and then 50 a second, and these come in one frame.
    let mut many = vec![json!({"type": "unknown"}); 2_100];
    many.extend([begin(RUN), output(RUN, 0, &["one", "two"]), end(RUN, 2)]);
    let began = Instant::now();
    agent.send(&Value::Array(many));
    agent.wait_for("the final ack", |message| message["final"] == true);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_500), "{took:?}");
    assert_eq!(dashboard.log("h1", RUN).lines, ["one", "two"]);
}

#[test]
fn a_host_that_says_very_much_of_itself_is_cut_short() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::unregistered_agent(&dashboard, "h1");
    let commands: Vec<String> = (0..5_000)
        .map(|n| format!("c{}", "x".repeat(1 + n % 20)))
        .collect();
    agent.send(
        &json!({"type": "register", "protocol": 1, "host_id": "h1", "hostname": "n".repeat(300_000),
        "kernel": "k".repeat(300_000), "commands": commands}),
    );
    agent.wait_for("registered", |message| message["type"] == "registered");
    let host = dashboard.host("h1");
    assert!(
        host.to_string().len() < 10_000,
        "{}",
        host.to_string().len()
    );
    agent.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "r".repeat(500_000)}));
    let host = dashboard.wait_for_host("h1", "its heartbeat", |host| !host["revision"].is_null());
    assert_eq!(host["revision"].as_str().unwrap().len(), 1_024);
}

#[test]
fn a_host_that_begins_runs_without_end_opens_few_files() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    for n in 0..600 {
        agent.send(&begin(&format!("{RUN}-{}", n + 2)));
    }
    let open = || dashboard.process.open_files();
    wait_for("many runs", SOON, || (open() > 64).then_some(()));
    for _ in 0..20 {
        assert_eq!(dashboard.get("/health").status, 200);
        assert!(open() < FEW_FILES, "{}", open());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_host_that_offers_thousands_of_runs_opens_few_files_and_each_is_taken_in_its_turn() {
    const RUNS: usize = 100;
    let dashboard = Dashboard::start(&["h1"]);
    let run = |n: usize| format!("{RUN}-{}", n + 2);
    let offer = |n: usize| {
        // The last one goes on, and does not wait for the others.
        let status = if n == RUNS - 1 { "running" } else { "ok" };
        json!({"run_id": run(n), "nonce": "n", "command": "switch", "lines": 1, "status": status})
    };
    let offers: Vec<Value> = (0..RUNS).map(offer).collect();
    let mut agent = Socket::unregistered_agent(&dashboard, "h1");
    agent.send(&json!({"type": "register", "protocol": 1, "host_id": "h1", "runs": offers}));
    let registered = agent.wait_for("registered", |message| message["type"] == "registered");
    let mut wanted: Vec<String> = registered["resume"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resume| resume["run_id"].as_str().unwrap().to_owned())
        .collect();
    assert!(wanted.contains(&run(RUNS - 1)), "{wanted:?}");
    let mut most = dashboard.process.open_files();
    let mut settled = 0;
    while settled < RUNS {
        for run in wanted.drain(..) {
            agent.send(&output(&run, 0, &["x"]));
            agent.send(&end(&run, 1));
        }
        let message = agent.wait_for("what is wanted next", |message| {
            message["type"] == "resume" || message["final"] == true
        });
        if message["final"] == true {
            settled += 1;
        } else {
            wanted.push(message["run_id"].as_str().unwrap().to_owned());
        }
        most = most.max(dashboard.process.open_files());
    }
    assert!(most < FEW_FILES, "{most}");
    for n in [0, RUNS / 2, RUNS - 1] {
        assert_eq!(dashboard.lines("h1", &run(n)).len(), 1, "{n}");
    }
}

#[test]
fn a_host_that_offers_as_many_runs_as_it_may_opens_few_files_and_disturbs_nobody() {
    let dashboard = Dashboard::start(&["h1", "h2"]);
    let before = dashboard.process.rss_kib();
    let offer = |n: usize| json!({"run_id": format!("{RUN}-{}", n + 2), "command": "switch", "status": "running"});
    let offers: Vec<Value> = (0..8_000).map(offer).collect();
    let register = json!({"type": "register", "protocol": 1, "host_id": "h1", "runs": offers});
    for _ in 0..3 {
        let mut agent = Socket::unregistered_agent(&dashboard, "h1");
        agent.send(&register);
        agent.wait_for("registered", |message| message["type"] == "registered");
        assert!(dashboard.process.open_files() < FEW_FILES);
    }
    let mut other = Socket::agent(&dashboard, "h2");
    other.send(&json!({"type": "heartbeat", "host_id": "h2", "revision": "here"}));
    dashboard.wait_for_host("h2", "its heartbeat", |host| host["revision"] == "here");
    let grown = dashboard.process.rss_kib().saturating_sub(before);
    assert!(grown < 60_000, "{grown} KiB");
}

#[test]
fn logs_to_which_nothing_is_written_are_closed_and_lose_no_line() {
    const RUNS: usize = 30;
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    let before = dashboard.process.open_files();
    let runs: Vec<String> = (0..RUNS).map(|n| format!("{RUN}-{}", n + 2)).collect();
    let is_ack = |message: &Value| message["type"] == "ack" && message["seq"] == 1;
    for run in &runs {
        agent.send(&begin(run));
        agent.send(&output(run, 0, &["first"]));
    }
    for _ in &runs {
        agent.wait_for("an acknowledgement", is_ack);
    }
    // Two logs may stay open, and the database may have opened something meanwhile.
    wait_for("few open files", SOON, || {
        (dashboard.process.open_files() <= before + 12).then_some(())
    });
    for run in &runs {
        agent.send(&output(run, 1, &["second"]));
        agent.send(&end(run, 2));
    }
    for _ in &runs {
        agent.wait_for("the final ack", |message| {
            assert!(message["type"] != "resume", "{message}");
            message["final"] == true
        });
    }
    for run in &runs {
        assert_eq!(dashboard.log("h1", run).lines, ["first", "second"]);
    }
}

#[test]
fn of_more_runs_that_go_on_than_may_be_open_each_has_its_turn() {
    const RUNS: usize = 50;
    let dashboard = Dashboard::start(&["h1"]);
    let run = |n: usize| format!("{RUN}-{}", n + 2);
    let offer = |n: usize| json!({"run_id": run(n), "nonce": "n", "command": "switch", "status": "running"});
    let offers: Vec<Value> = (0..RUNS).map(offer).collect();
    let mut agent = Socket::unregistered_agent(&dashboard, "h1");
    agent.send(&json!({"type": "register", "protocol": 1, "host_id": "h1", "runs": offers}));
    agent.wait_for("registered", |message| message["type"] == "registered");
    for n in 0..RUNS {
        agent.send(&output(&run(n), 0, &["x"]));
    }
    let mut acknowledged = 0;
    while acknowledged < RUNS {
        let message = agent.wait_for("the next one's turn", |message| {
            message["type"] == "resume" || (message["type"] == "ack" && message["seq"] == 1)
        });
        if message["type"] == "ack" {
            acknowledged += 1;
        } else {
            agent.send(&output(message["run_id"].as_str().unwrap(), 0, &["x"]));
        }
    }
    for n in [0, RUNS / 2, RUNS - 1] {
        assert_eq!(dashboard.lines("h1", &run(n)).len(), 1, "{n}");
    }
}

#[test]
fn a_host_that_fills_the_disk_pushes_out_its_own_history_and_nobody_elses() {
    const MOST: u64 = 20_000_000;
    let extra = format!("[retention]\nmax_bytes = {MOST}\n");
    let dashboard = Dashboard::start_with(&["h1", "h2"], &extra, &[]);
    let of = |host: &str, mut message: Value| {
        message["host_id"] = host.into();
        message
    };
    let mut honest = Socket::agent(&dashboard, "h2");
    honest.send(&of("h2", begin(RUN)));
    honest.send(&of("h2", output(RUN, 0, &["kept"])));
    honest.send(&of("h2", end(RUN, 1)));
    honest.wait_for("the final ack", |message| message["final"] == true);
    let line = "x".repeat(500);
    let mut hostile = Socket::agent(&dashboard, "h1");
    let runs: Vec<String> = (10..60)
        .map(|n| format!("2025-12-14T11-30-{n}-switch"))
        .collect();
    for run in &runs {
        hostile.send(&begin(run));
        for first in (0..8_000).step_by(1_000) {
            hostile.send(&output(run, first, &vec![line.as_str(); 1_000]));
        }
        hostile.send(&end(run, 8_000));
        hostile.wait_for("the final ack", |message| message["final"] == true);
    }
    let taken = || -> u64 {
        let folder = dashboard.data_dir().join("logs/h1");
        let files = std::fs::read_dir(folder).unwrap();
        files
            .filter_map(|file| Some(file.ok()?.metadata().ok()?.len()))
            .sum()
    };
    measured(&format!(
        "a host that writes {} MB where 20 MB may be stored: {} MB at its end",
        runs.len() * 4,
        taken() / 1_000_000
    ));
    wait_for("its history to go", SOON, || {
        // It looks again when a sixteenth of that has come.
        (taken() <= MOST + MOST / 8).then_some(())
    });
    assert_eq!(dashboard.lines("h2", RUN).len(), 1);
    let last = runs.last().unwrap();
    assert_eq!(dashboard.lines("h1", last).len(), 8_000, "its newest stay");
}

#[test]
fn a_host_that_sends_output_of_unknown_runs_fills_no_journal() {
    const GOING_ON: usize = 300;
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::unregistered_agent(&dashboard, "h1");
    // More than it may begin, so that all others are passed over.
    let offer = |n: usize| json!({"run_id": format!("{RUN}-{}", n + 2), "command": "switch", "status": "running"});
    let offers: Vec<Value> = (0..GOING_ON).map(offer).collect();
    agent.send(&json!({"type": "register", "protocol": 1, "host_id": "h1", "runs": offers}));
    agent.wait_for("registered", |message| message["type"] == "registered");
    let said = dashboard.process.said();
    let mut sent = 0;
    for _ in 0..2 {
        let many = (0..800).map(|_| {
            sent += 1;
            output(&format!("{RUN}-{}", GOING_ON + sent + 1), 0, &["x"])
        });
        agent.send(&Value::Array(many.collect()));
    }
    dashboard.process.line_with("too many runs at once");
    dashboard.process.line_with("messages left out");
    let lines = dashboard.process.said() - said;
    measured(&format!(
        "output of {sent} unknown runs: {lines} lines in the journal"
    ));
    assert!(lines < 500, "{lines}");
}
