//! What agent and dashboard need while nothing is going on.
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

use common::{Agent, Dashboard, Process};
use serde_json::json;
use simulated::{Simulated, names};
use std::sync::{Arc, Barrier};
use std::thread::sleep;
use std::time::Duration;
use support::{Usage, conditions, grouped, mib, table};
use tokio::sync::oneshot;

const HOSTS: [usize; 2] = [200, 10_000];
/// So that one machine can have so many connections.
const LIMITS: &str = "[limits]\nconnections = 20000\nconnections_per_address = 20000\n";
/// Some heartbeats, and a ping.
const WATCHED: Duration = Duration::from_secs(15);

fn main() {
    let conditions = conditions();
    let mut rows = Vec::new();
    {
        let dashboard = Dashboard::start(&["h1"]);
        let agent = Agent::start_with(&dashboard, "h1", &json!({"heartbeat_interval": 5}));
        let both = watch([
            ("agent (aim: 15 MiB)", &agent.process),
            ("dashboard of 1 host (aim: 30 MiB)", &dashboard.process),
        ]);
        rows.extend(both.map(|mut row| {
            row.push("-".to_owned());
            row
        }));
    }
    for count in HOSTS {
        let hosts = names(count);
        let host_ids: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let dashboard = Dashboard::start_with(&host_ids, LIMITS, &[]);
        let alone = Usage::of(dashboard.process.id()).unwrap().rss;
        let registered = Arc::new(Barrier::new(2));
        let (port, theirs) = (dashboard.port, Arc::clone(&registered));
        let (watched, end) = oneshot::channel();
        let agents = std::thread::spawn(move || idle(&hosts, port, &theirs, end));
        registered.wait();
        let name = format!(
            "dashboard of {} hosts, all connected",
            grouped(count as u64)
        );
        let [mut row] = watch([(&name, &dashboard.process)]);
        let rss = Usage::of(dashboard.process.id()).unwrap().rss;
        let each = rss.saturating_sub(alone) as f64 / count as f64;
        row.push(format!("{each:.1}"));
        rows.push(row);
        watched.send(()).unwrap();
        agents.join().unwrap();
    }
    table(
        &format!(
            "idle: over {} s, with a heartbeat every 5 s ({conditions})",
            WATCHED.as_secs()
        ),
        &["process", "MiB", "peak MiB", "CPU ms/s", "KiB a connection"],
        &rows,
    );
}

/// A row for each of these processes.
fn watch<const N: usize>(processes: [(&str, &Process); N]) -> [Vec<String>; N] {
    let usage = |(_, process): &(&str, &Process)| Usage::of(process.id()).unwrap();
    let before = processes.each_ref().map(usage);
    sleep(WATCHED);
    let after = processes.each_ref().map(usage);
    std::array::from_fn(|n| {
        let load = (after[n].cpu - before[n].cpu) * 1e3 / WATCHED.as_secs_f64();
        vec![
            processes[n].0.to_owned(),
            mib(after[n].rss),
            mib(after[n].peak),
            format!("{load:.1}"),
        ]
    })
}

/// All agents, on one thread, until the end.
fn idle(hosts: &[String], port: u16, registered: &Barrier, end: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for host in hosts {
            let mut agent = Simulated::connect(port, host).await;
            tokio::spawn(async move { agent.idle().await });
        }
        registered.wait();
        end.await.unwrap();
    });
}
