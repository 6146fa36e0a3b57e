//! Lines a second from the pipe of the child to the disk of the dashboard, for one run of a million lines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a benchmark that fails says where"
)]

#[path = "../common/mod.rs"]
mod common;
mod support;

use common::{Agent, Dashboard, LogFile, wait_for};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use support::{LINE_BYTES, Usage, conditions, grouped, line, mib, now, table};

const LINES: u64 = 1_000_000;
const CHUNK_BYTES: usize = 64 * 1024;
const RUNS: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("child") => child(Path::new(&arguments[2])),
        _ => bench(),
    }
}

/// Writes the lines as fast as they are taken, and into `report` what that took.
fn child(report: &Path) {
    let mut text = Vec::with_capacity((LINE_BYTES + 1) * LINES as usize);
    for number in 0..LINES {
        writeln!(text, "{}", line("hello", number)).unwrap();
    }
    let before = cpu_seconds();
    let first = now();
    let mut out = io::stdout().lock();
    for chunk in text.chunks(CHUNK_BYTES) {
        out.write_all(chunk).unwrap();
    }
    out.flush().unwrap();
    let report_new = report.with_extension("new");
    let figures = json!({"first": first, "last": now(), "cpu": cpu_seconds() - before});
    fs::write(&report_new, figures.to_string()).unwrap();
    fs::rename(report_new, report).unwrap();
}

fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
}

/// One run.
struct Measured {
    seconds: f64,
    child_seconds: f64,
    /// Of child, supervisor, agent, dashboard.
    cpu: [f64; 4],
    peak: [u64; 4],
}

fn bench() {
    let conditions = conditions();
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let dashboard = Dashboard::start(&["h1"]);
    let program = std::env::current_exe().unwrap();
    let steps = json!([[program, "child", report]]);
    let agent = Agent::start_with(
        &dashboard,
        "h1",
        &json!({"heartbeat_interval": 5, "commands": {"switch": {"steps": steps}}}),
    );
    let mut runs: Vec<Measured> = (0..RUNS)
        .map(|_| measure(&dashboard, &agent, &report))
        .collect();
    let rate = |seconds: f64| grouped((LINES as f64 / seconds) as u64);
    let rows: Vec<_> = runs
        .iter()
        .enumerate()
        .map(|(n, run)| {
            vec![
                (n + 1).to_string(),
                format!("{:.2}", run.seconds),
                rate(run.seconds),
                format!("{:.2}", run.child_seconds),
                format!("{:.2}", run.cpu.iter().sum::<f64>()),
            ]
        })
        .collect();
    table(
        &format!(
            "throughput: {} lines of {LINE_BYTES} bytes, from the pipe to the dashboard's disk ({conditions})",
            grouped(LINES)
        ),
        &["run", "s", "lines/s", "child done after s", "CPU s of all"],
        &rows,
    );
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let median = &runs[RUNS / 2];
    let rows: Vec<_> = ["child", "supervisor", "agent", "dashboard"]
        .iter()
        .enumerate()
        .map(|(n, name)| {
            vec![
                (*name).to_owned(),
                format!("{:.2}", median.cpu[n]),
                format!("{:.2}", median.cpu[n] * 1e6 / LINES as f64),
                if n == 0 {
                    "-".to_owned()
                } else {
                    mib(runs.iter().map(|run| run.peak[n]).max().unwrap())
                },
            ]
        })
        .collect();
    table(
        &format!(
            "the median run: {} lines/s (aim: 1,000,000)",
            rate(median.seconds)
        ),
        &["process", "CPU s", "µs/line", "peak MiB"],
        &rows,
    );
}

fn measure(dashboard: &Dashboard, agent: &Agent, report: &Path) -> Measured {
    // What an earlier run left to be written shall not cost this one anything.
    nix::unistd::sync();
    let _ = fs::remove_file(report);
    let pids = [agent.process.id(), dashboard.process.id()];
    let before = pids.map(|pid| Usage::of(pid).unwrap());
    let run_id = dashboard.command("h1", "switch");
    let run_dir = agent.dir().join("state/runs").join(&run_id);
    let supervisor = wait_for("the supervisor", LIMIT, || {
        let written = fs::read(run_dir.join("supervisor.json")).ok()?;
        let written: Value = serde_json::from_slice(&written).ok()?;
        u32::try_from(written["supervisor"]["pid"].as_u64()?).ok()
    });
    let log = dashboard
        .data_dir()
        .join("logs/h1")
        .join(format!("{run_id}.log"));
    let mut supervised = Usage::default();
    let end = loop {
        supervised = Usage::of(supervisor).unwrap_or(supervised);
        if has_result(&log) {
            break now();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let after = pids.map(|pid| Usage::of(pid).unwrap());
    let said: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let first = said["first"].as_u64().unwrap();
    assert_whole(dashboard, &run_id, &log);
    Measured {
        seconds: (end - first) as f64 / 1e9,
        child_seconds: (said["last"].as_u64().unwrap() - first) as f64 / 1e9,
        cpu: [
            said["cpu"].as_f64().unwrap(),
            supervised.cpu,
            after[0].cpu - before[0].cpu,
            after[1].cpu - before[1].cpu,
        ],
        peak: [0, supervised.peak, after[0].peak, after[1].peak],
    }
}

/// Whether the log has its footer.
fn has_result(log: &Path) -> bool {
    const TAIL: u64 = 4096;
    let Ok(mut file) = File::open(log) else {
        return false;
    };
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))
        .unwrap();
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).unwrap();
    memchr::memmem::find(&tail, b"\n# Result: ").is_some() && tail.ends_with(b"\n")
}

fn assert_whole(dashboard: &Dashboard, run_id: &str, log: &Path) {
    let run = dashboard.wait_done("h1", run_id);
    assert_eq!(
        [&run["status"], &run["lines"]],
        [&json!("ok"), &json!(LINES)]
    );
    let log = LogFile::read(log);
    assert_eq!(log.lines.len() as u64, LINES);
    for (number, got) in (0..).zip(&log.lines) {
        assert_eq!(*got, line("hello", number));
    }
}
