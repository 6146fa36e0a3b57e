//! The time from a child's write to the frame of the browser, at several rates, alone and beside other hosts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a benchmark that fails says where"
)]

#[path = "../common/mod.rs"]
mod common;
mod simulated;
mod support;

use common::{Agent, Dashboard, Socket};
use serde_json::{Value, json};
use simulated::{Simulated, names};
use std::io::{self, Write};
use std::time::{Duration, Instant};
use support::{conditions, grouped, millis, now, percentile, table};

/// How many other hosts are online, each with a heartbeat every 5 s.
const OTHERS: [usize; 3] = [0, 50, 200];
/// Lines a second, and for how many seconds.
const RATES: [(u64, u64); 3] = [(1, 20), (100, 10), (10_000, 5)];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("child") => child(arguments[2].parse().unwrap(), arguments[3].parse().unwrap()),
        _ => {
            for others in OTHERS {
                bench(others);
            }
        }
    }
}

/// Writes its clock, line by line.
fn child(rate: u64, seconds: u64) {
    let mut out = io::stdout().lock();
    let began = Instant::now();
    for number in 0..rate * seconds {
        let due = began + Duration::from_secs(number) / u32::try_from(rate).unwrap();
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        writeln!(out, "{}", now()).unwrap();
    }
}

fn bench(others: usize) {
    let conditions = conditions();
    let names = names(others);
    let mut hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    hosts.push("h1");
    let dashboard = Dashboard::start(&hosts);
    let _others = connected(dashboard.port, &names);
    let program = std::env::current_exe().unwrap();
    let commands: serde_json::Map<String, Value> = (RATES.iter())
        .zip('a'..)
        .map(|((rate, seconds), name)| {
            let steps = json!([[program, "child", rate.to_string(), seconds.to_string()]]);
            (name.to_string(), json!({"steps": steps}))
        })
        .collect();
    let _agent = Agent::start_with(
        &dashboard,
        "h1",
        &json!({"heartbeat_interval": 5, "commands": commands}),
    );
    let rows: Vec<_> = (RATES.iter())
        .zip('a'..)
        .map(|((rate, seconds), name)| {
            let mut found = measure(&dashboard, &name.to_string(), rate * seconds);
            vec![
                grouped(*rate),
                grouped(found.delays.len() as u64),
                millis(percentile(&mut found.delays, 50)),
                millis(percentile(&mut found.delays, 99)),
                millis(percentile(&mut found.delays, 100)),
                found.frames.to_string(),
            ]
        })
        .collect();
    table(
        &format!(
            "latency: from the child's write to the browser's frame, with {others} other hosts ({conditions})"
        ),
        &["lines/s", "lines", "p50 ms", "p99 ms", "max ms", "frames"],
        &rows,
    );
}

/// Other hosts, all on one thread, until what is returned is dropped.
fn connected(port: u16, names: &[String]) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    for name in names {
        let mut agent = runtime.block_on(Simulated::connect(port, name));
        runtime.spawn(async move { agent.idle().await });
    }
    runtime
}

struct Found {
    delays: Vec<Duration>,
    frames: usize,
}

fn measure(dashboard: &Dashboard, command: &str, lines: u64) -> Found {
    let mut browser = Socket::browser(dashboard);
    browser.send(&json!({"type": "subscribe", "host_id": "h1"}));
    browser.wait_for("subscribed", |message| message["type"] == "subscribed");
    let run_id = dashboard.command("h1", command);
    let mut found = Found {
        delays: Vec::new(),
        frames: 0,
    };
    while (found.delays.len() as u64) < lines {
        let frame = browser.try_text(common::SOON).unwrap();
        let arrived = now();
        for message in Socket::messages(&frame) {
            if message["type"] != "command_output" || message["run_id"] != *run_id {
                continue;
            }
            found.frames += 1;
            for line in message["lines"].as_array().unwrap() {
                let written: u64 = line["line"].as_str().unwrap().parse().unwrap();
                found
                    .delays
                    .push(Duration::from_nanos(arrived.saturating_sub(written)));
            }
        }
    }
    assert_eq!(dashboard.wait_done("h1", &run_id)["status"], "ok");
    found
}
