//! What slow disks cost: all agents that come back after a restart, and hosts that run at the same time.
//!
//! `SWITCHYARD_HOSTS` sets another number of hosts that come back.
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

use common::{Dashboard, SyncGate};
use nix::sys::signal::Signal;
use serde_json::json;
use simulated::{Load, Simulated, names};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{conditions, grouped, millis, percentile, table};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

/// How long each sync takes.
const SYNCS_MS: [u32; 3] = [0, 5, 20];
const HOSTS: usize = 10_000;
/// How many hosts run at the same time.
const RUNNING: [usize; 2] = [200, 1_000];
/// Of each of them.
const LOAD: Load = Load {
    interval: Duration::from_secs(1),
    lines: 15,
};
/// So that one machine can have so many connections.
const LIMITS: &str = "[limits]\nconnections = 20000\nconnections_per_address = 20000\n";
/// How many agents of this process are between their first byte and their registration.
const HANDSHAKES: usize = 2_000;
const LIMIT: Duration = Duration::from_secs(300);

fn main() {
    let conditions = conditions();
    let count = std::env::var("SWITCHYARD_HOSTS");
    let count = count.map_or(HOSTS, |count| count.parse().unwrap());
    let rows: Vec<_> = SYNCS_MS.map(|ms| come_back(ms, count)).into();
    table(
        &format!(
            "disks: {} agents come back after a restart, which is asked for the runs of a host meanwhile ({conditions})",
            grouped(count as u64)
        ),
        &[
            "ms a sync",
            "all back in s",
            "syncs",
            "asked",
            "p50 ms",
            "p99 ms",
            "max ms",
        ],
        &rows,
    );
    let rows: Vec<_> = (RUNNING.iter())
        .flat_map(|count| SYNCS_MS.map(|ms| run(ms, *count)))
        .collect();
    table(
        &format!(
            "disks: hosts that run, each a line a second for {} s: from its writing to its acknowledgement ({conditions})",
            LOAD.lines
        ),
        &[
            "hosts",
            "ms a sync",
            "asked for in ms",
            "p50 ms",
            "p99 ms",
            "max ms",
            "syncs/s",
        ],
        &rows,
    );
}

fn start(gate: &SyncGate, ms: u32, hosts: &[String]) -> Dashboard {
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    Dashboard::start_in(
        gate.environment(ms * 1000),
        "127.0.0.1",
        &hosts,
        LIMITS,
        &[],
    )
}

fn come_back(ms: u32, count: usize) -> Vec<String> {
    let gate = SyncGate::new().unwrap();
    let hosts = names(count);
    let mut dashboard = start(&gate, ms, &hosts);
    let agents = Agents::of(dashboard.port, &hosts);
    agents.wait_for(count);
    dashboard.process.end(Signal::SIGTERM);
    agents.wait_for(0);
    let syncs = gate.database_syncs() + gate.log_syncs();
    dashboard.start_again();
    let began = Instant::now();
    let mut delays = Vec::new();
    while agents.online() < count {
        assert!(began.elapsed() < LIMIT, "{} are back", agents.online());
        let asked = Instant::now();
        assert_eq!(dashboard.get("/api/hosts/host000/runs").status, 200);
        delays.push(asked.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    let seconds = began.elapsed().as_secs_f64();
    let syncs = gate.database_syncs() + gate.log_syncs() - syncs;
    vec![
        ms.to_string(),
        format!("{seconds:.1}"),
        grouped(syncs),
        delays.len().to_string(),
        millis(percentile(&mut delays, 50)),
        millis(percentile(&mut delays, 99)),
        millis(percentile(&mut delays, 100)),
    ]
}

fn run(ms: u32, count: usize) -> Vec<String> {
    let gate = SyncGate::new().unwrap();
    let hosts = names(count);
    let dashboard = start(&gate, ms, &hosts);
    let runtime = runtime();
    let agents: Vec<Simulated> = (hosts.iter())
        .map(|host| runtime.block_on(Simulated::connect(dashboard.port, host)))
        .collect();
    let agents: Vec<_> = (agents.into_iter())
        .map(|mut agent| runtime.spawn(async move { agent.obey(LOAD).await }))
        .collect();
    let syncs = gate.database_syncs() + gate.log_syncs();
    let began = Instant::now();
    let command = json!({"hosts": hosts, "command": "switch"});
    assert_eq!(dashboard.post("/api/commands", &command).status, 207);
    let asked = began.elapsed();
    let mut delays: Vec<Duration> = (agents.into_iter())
        .flat_map(|agent| runtime.block_on(agent).unwrap().delays)
        .collect();
    let seconds = began.elapsed().as_secs_f64();
    let syncs = gate.database_syncs() + gate.log_syncs() - syncs;
    assert_eq!(delays.len() as u64, LOAD.lines * count as u64);
    vec![
        grouped(count as u64),
        ms.to_string(),
        millis(asked),
        millis(percentile(&mut delays, 50)),
        millis(percentile(&mut delays, 99)),
        millis(percentile(&mut delays, 100)),
        format!("{:.0}", syncs as f64 / seconds),
    ]
}

/// One thread, beside the one that measures.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// Agents that come back until this is dropped.
struct Agents {
    online: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    runtime: Option<Runtime>,
}

impl Agents {
    fn of(port: u16, hosts: &[String]) -> Self {
        let runtime = runtime();
        let online: Arc<AtomicUsize> = Arc::default();
        let ended: Arc<AtomicBool> = Arc::default();
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        for host in hosts {
            let (online, ended) = (Arc::clone(&online), Arc::clone(&ended));
            let handshakes = Arc::clone(&handshakes);
            let host = host.clone();
            runtime.spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    let turn = handshakes.acquire().await.unwrap();
                    let agent = Simulated::try_connect(port, &host).await;
                    drop(turn);
                    let Some(mut agent) = agent else {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        continue;
                    };
                    online.fetch_add(1, Ordering::Relaxed);
                    agent.idle().await;
                    online.fetch_sub(1, Ordering::Relaxed);
                }
            });
        }
        Self {
            online,
            ended,
            runtime: Some(runtime),
        }
    }

    fn online(&self) -> usize {
        self.online.load(Ordering::Relaxed)
    }

    fn wait_for(&self, count: usize) {
        let began = Instant::now();
        while self.online() != count {
            assert!(began.elapsed() < LIMIT, "{} are online", self.online());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
