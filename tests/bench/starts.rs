//! How long a dashboard takes to start with many logs: their indexes lost, the database lost, both, or neither.
//!
//! `SWITCHYARD_LOGS` sets another number of logs than those below.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a benchmark that fails says where"
)]

#[path = "../common/mod.rs"]
mod common;
mod support;

use common::Dashboard;
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Usage, conditions, grouped, line, mib, table};
use switchyard::protocol::{CommandName, HostId, RunId, Status, Timestamp};
use switchyard::runlog::{Header, LogWriter, RunResult, paths};

const LOGS: [usize; 3] = [20_000, 50_000, 100_000];
const HOSTS: usize = 100;
/// Of each log.
const LINES: u64 = 20;

fn main() {
    let conditions = conditions();
    let logs = std::env::var("SWITCHYARD_LOGS").ok();
    let counts = logs.map_or(LOGS.to_vec(), |logs| vec![logs.parse().unwrap()]);
    let mut rows = Vec::new();
    for count in counts {
        let hosts: Vec<String> = (0..HOSTS).map(|n| format!("host{n:03}")).collect();
        let host_ids: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let mut dashboard = Dashboard::start(&host_ids);
        let data = dashboard.data_dir();
        dashboard.process.end(Signal::SIGTERM);
        for host in &host_ids {
            write(&data.join("logs").join(host), host, count / HOSTS);
        }
        let mut measure = |what: &str, prepare: &dyn Fn()| {
            dashboard.process.end(Signal::SIGTERM);
            prepare();
            let began = Instant::now();
            dashboard.start_again();
            rows.push(row(count, what, began.elapsed(), &dashboard));
        };
        measure("logs that the database does not know", &|| ());
        measure("nothing lost", &|| ());
        measure("indexes lost", &|| remove_indexes(&data));
        measure("indexes still lost", &|| ());
        measure("database and indexes lost", &|| {
            for end in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(data.join(format!("switchyard.sqlite{end}")));
            }
        });
    }
    table(
        &format!("starts: until the dashboard listens, {HOSTS} hosts ({conditions})"),
        &["logs", "what", "ms", "peak MiB", "database MiB"],
        &rows,
    );
}

fn row(count: usize, what: &str, took: Duration, dashboard: &Dashboard) -> Vec<String> {
    let usage = Usage::of(dashboard.process.id()).unwrap();
    let size = ["", "-wal"].map(|end| {
        let path = dashboard.data_dir().join(format!("switchyard.sqlite{end}"));
        fs::metadata(path).map_or(0, |file| file.len())
    });
    vec![
        grouped(count as u64),
        what.to_owned(),
        took.as_millis().to_string(),
        mib(usage.peak),
        mib(size.iter().sum::<u64>() / 1024),
    ]
}

/// So many finished logs, which are copies of one.
fn write(folder: &Path, host: &str, count: usize) {
    fs::create_dir_all(folder).unwrap();
    let run_id = |n: usize| {
        let (hour, minute, second) = (n / 3600 % 24, n / 60 % 60, n % 60);
        let day = 1 + n / 86_400;
        RunId::new(&format!(
            "2025-12-{day:02}T{hour:02}-{minute:02}-{second:02}-switch"
        ))
        .unwrap()
    };
    let first = run_id(0);
    let header = Header::started_at(
        HostId::new(host).unwrap(),
        CommandName::new("switch").unwrap(),
        Timestamp::now(),
    );
    let mut log = LogWriter::create(folder, &first, &header).unwrap();
    for number in 0..LINES {
        log.push(&line("hello", number), Timestamp::now(), Some(false));
    }
    log.flush().unwrap();
    let result = RunResult {
        duration_ms: Some(1),
        generation_after: Some(42),
        ..RunResult::ended_at(Status::Ok, Timestamp::now())
    };
    log.finish(Some(0), result).unwrap();
    let (log, index) = paths(folder, &first);
    for n in 1..count {
        let (to_log, to_index) = paths(folder, &run_id(n));
        fs::copy(&log, to_log).unwrap();
        fs::copy(&index, to_index).unwrap();
    }
}

fn remove_indexes(data: &Path) {
    for host in fs::read_dir(data.join("logs")).unwrap() {
        for entry in fs::read_dir(host.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "idx") {
                fs::remove_file(path).unwrap();
            }
        }
    }
}
