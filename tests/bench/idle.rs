//! What agent and dashboard need while nothing is going on, and what the list of all hosts costs.
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

use common::{Agent, Dashboard, Process, sha256_hex};
use futures_util::StreamExt;
use serde_json::json;
use simulated::{Simulated, names};
use std::sync::{Arc, Barrier};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::{Usage, conditions, grouped, mib, millis, percentile, table};
use tokio::sync::oneshot;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, http::HeaderValue};

const HOSTS: [usize; 2] = [200, 10_000];
/// How many hosts the browsers are shown, and how many browsers of how many users there are.
const SHOWN: usize = 200;
const BROWSERS: usize = 1_000;
const USERS: usize = 10;
/// How many hosts the list has, and how often it is asked for.
const LISTED: usize = 5_000;
const LISTS: usize = 20;
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
    rows.push(browsers());
    table(
        &format!(
            "idle: over {} s, with a heartbeat every 5 s ({conditions})",
            WATCHED.as_secs()
        ),
        &["process", "MiB", "peak MiB", "CPU ms/s", "KiB a connection"],
        &rows,
    );
    lists();
}

/// A row for a dashboard with hosts that are connected, and many browsers that look at them.
fn browsers() -> Vec<String> {
    let hosts = names(SHOWN);
    let host_ids: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let robots = names(USERS);
    let users: Vec<_> = (robots.iter())
        .map(|robot| {
            let hash = format!("sha256:{}", sha256_hex(robot));
            (robot.as_str(), "viewer", hash)
        })
        .collect();
    let dashboard = Dashboard::start_with(&host_ids, LIMITS, &users);
    let ready = Arc::new(Barrier::new(2));
    let (port, theirs) = (dashboard.port, Arc::clone(&ready));
    let (agents_watched, agents_end) = oneshot::channel();
    let agents = std::thread::spawn(move || idle(&hosts, port, &theirs, agents_end));
    ready.wait();
    let alone = Usage::of(dashboard.process.id()).unwrap().rss;
    let (watched, end) = oneshot::channel();
    let theirs = Arc::clone(&ready);
    let looking = std::thread::spawn(move || look(&robots, port, &theirs, end));
    ready.wait();
    let name = format!(
        "dashboard of {SHOWN} hosts and {} browsers",
        grouped(BROWSERS as u64)
    );
    let [mut row] = watch([(&name, &dashboard.process)]);
    let rss = Usage::of(dashboard.process.id()).unwrap().rss;
    row.push(format!(
        "{:.1}",
        rss.saturating_sub(alone) as f64 / BROWSERS as f64
    ));
    for end in [watched, agents_watched] {
        end.send(()).unwrap();
    }
    looking.join().unwrap();
    agents.join().unwrap();
    row
}

/// All browsers, on one thread, until the end.
fn look(robots: &[String], port: u16, ready: &Barrier, end: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for n in 0..BROWSERS {
            let url = format!("ws://127.0.0.1:{port}/ws/browser");
            let mut request = url.into_client_request().unwrap();
            let bearer = format!("Bearer {}", robots[n % robots.len()]);
            let bearer = HeaderValue::from_str(&bearer).unwrap();
            request.headers_mut().insert("authorization", bearer);
            let (mut socket, _) = connect_async(request).await.unwrap();
            loop {
                let message = socket.next().await.unwrap().unwrap();
                if matches!(message, Message::Text(text) if text.contains("\"more\":false")) {
                    break;
                }
            }
            tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
        }
        ready.wait();
        end.await.unwrap();
    });
}

/// How long the list of many hosts takes, and how much memory.
fn lists() {
    let hosts = names(LISTED);
    let host_ids: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start_with(&host_ids, LIMITS, &[]);
    let registered = Arc::new(Barrier::new(2));
    let (port, theirs) = (dashboard.port, Arc::clone(&registered));
    let (watched, end) = oneshot::channel();
    let agents = std::thread::spawn(move || idle(&hosts, port, &theirs, end));
    registered.wait();
    let before = Usage::of(dashboard.process.id()).unwrap().rss;
    dashboard.process.forget_peak();
    let (mut took, mut bytes) = (Vec::new(), 0);
    for _ in 0..LISTS {
        let began = Instant::now();
        bytes = dashboard.get("/api/hosts").body.len();
        took.push(began.elapsed());
    }
    let grown = dashboard.process.peak_kib().saturating_sub(before);
    table(
        &format!("list of {} hosts", grouped(LISTED as u64)),
        &["", "MB", "p50 ms", "max ms", "more MiB"],
        &[vec![
            "GET /api/hosts".to_owned(),
            format!("{:.2}", bytes as f64 / 1e6),
            millis(percentile(&mut took, 50)),
            millis(percentile(&mut took, 100)),
            mib(grown),
        ]],
    );
    watched.send(()).unwrap();
    agents.join().unwrap();
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
