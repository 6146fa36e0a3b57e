//! 200 agents, each sending 100 lines a second.
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

use common::{Dashboard, LogFile};
use serde_json::json;
use simulated::{Load, Outcome, Simulated, names};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use support::{Usage, conditions, grouped, line, mib, millis, percentile, table};

const AGENTS: usize = 200;
const RATE: u64 = 100;
const SECONDS: u64 = 20;
const LOAD: Load = Load {
    interval: Duration::from_millis(1000 / RATE),
    lines: RATE * SECONDS,
};

fn main() {
    let conditions = conditions();
    let hosts = names(AGENTS);
    let host_ids: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start(&host_ids);
    let registered = Arc::new(Barrier::new(2));
    let agents = std::thread::spawn({
        let (hosts, port) = (hosts.clone(), dashboard.port);
        let registered = Arc::clone(&registered);
        move || obey(&hosts, port, &registered)
    });
    registered.wait();

    let pids = [dashboard.process.id(), std::process::id()];
    let before = pids.map(|pid| Usage::of(pid).unwrap());
    let began = Instant::now();
    let answer = dashboard.post(
        "/api/commands",
        &json!({"hosts": hosts, "command": "switch"}),
    );
    assert_eq!(answer.status, 207);
    let outcomes = agents.join().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let after = pids.map(|pid| Usage::of(pid).unwrap());

    for (host, outcome) in hosts.iter().zip(&outcomes) {
        assert_whole(&dashboard, host, &outcome.run_id);
    }
    let lines = LOAD.lines * AGENTS as u64;
    let frames = outcomes.iter().map(|outcome| outcome.frames).sum();
    let mut delays: Vec<Duration> = (outcomes.into_iter())
        .flat_map(|outcome| outcome.delays)
        .collect();
    assert_eq!(delays.len() as u64, lines);
    table(
        &format!(
            "many agents: {AGENTS} agents, each {RATE} lines a second for {SECONDS} s ({conditions})"
        ),
        &["", "sent", "lost", "in s", "frames", "lines/s"],
        &[vec![
            "lines".to_owned(),
            grouped(lines),
            "0".to_owned(),
            format!("{seconds:.2}"),
            grouped(frames),
            grouped((lines as f64 / seconds) as u64),
        ]],
    );
    table(
        "from the writing of a line to its acknowledgement, which follows the disk",
        &["", "p50 ms", "p99 ms", "max ms"],
        &[vec![
            "delay".to_owned(),
            millis(percentile(&mut delays, 50)),
            millis(percentile(&mut delays, 99)),
            millis(percentile(&mut delays, 100)),
        ]],
    );
    let rows: Vec<_> = (["dashboard", "the agents"].iter().zip(before).zip(after))
        .map(|((name, before), after)| {
            let cpu = after.cpu - before.cpu;
            vec![
                (*name).to_owned(),
                format!("{cpu:.2}"),
                format!("{:.0}", cpu / seconds * 100.0),
                format!("{:.2}", cpu * 1e6 / lines as f64),
                mib(before.rss),
                mib(after.peak),
            ]
        })
        .collect();
    table(
        "processes",
        &[
            "process",
            "CPU s",
            "CPU %",
            "µs/line",
            "before MiB",
            "peak MiB",
        ],
        &rows,
    );
}

/// All agents, on one thread.
fn obey(hosts: &[String], port: u16, registered: &Barrier) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut agents = Vec::new();
        for host in hosts {
            agents.push(Simulated::connect(port, host).await);
        }
        registered.wait();
        let agents: Vec<_> = (agents.into_iter())
            .map(|mut agent| tokio::spawn(async move { agent.obey(LOAD).await }))
            .collect();
        let mut outcomes = Vec::new();
        for agent in agents {
            outcomes.push(agent.await.unwrap());
        }
        outcomes
    })
}

fn assert_whole(dashboard: &Dashboard, host: &str, run_id: &str) {
    let log = LogFile::read(
        &dashboard
            .data_dir()
            .join(format!("logs/{host}/{run_id}.log")),
    );
    assert_eq!(log.result["status"], "ok");
    assert_eq!(log.lines.len() as u64, LOAD.lines, "{host}");
    for (seq, got) in (0..).zip(&log.lines) {
        assert_eq!(*got, line(host, seq));
    }
}
