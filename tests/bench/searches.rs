//! How long a search of a long log takes, beside `rg -c` on the same file.
//!
//! The logs have ten million lines, one without colours and one with them; `SWITCHYARD_LINES` sets another number.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a benchmark that fails says where"
)]

#[path = "../common/mod.rs"]
mod common;
mod support;

use common::{Dashboard, has};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{LINE_BYTES, conditions, grouped, line, millis, table};
use switchyard::protocol::{CommandName, HostId, RunId, Timestamp};
use switchyard::runlog::{Header, LogWriter, paths};

/// A log without terminal escapes, and one with them.
const RUNS: [(&str, &str); 2] = [
    ("plain", "2025-12-14T10-30-00-switch"),
    (
        "with colours in every third line",
        "2025-12-14T10-30-00-switch-2",
    ),
];
const LINES: u64 = 10_000_000;
/// Each is done so often; the quickest counts, which other work on the machine disturbs least.
const TIMES: usize = 5;

/// What is looked for: a name, the query, and what tells ripgrep the same.
const SEARCHES: [(&str, &str, &[&str]); 7] = [
    ("nothing", "case=1&q=no+such+words", &["no such words"]),
    ("a rare literal", "case=1&q=cannot+build", &["cannot build"]),
    ("in either case", "q=CANNOT+build", &["-i", "CANNOT build"]),
    (
        "a rare expression",
        "case=1&regex=1&q=builder+for+.*failed",
        &["builder for .*failed"],
    ),
    (
        "a class",
        "regex=1&q=hash+%5B0-9a-f%5D%7B8%7D",
        &["-i", "hash [0-9a-f]{8}"],
    ),
    (
        "a beginning",
        "case=1&regex=1&q=%5Eerror:",
        &["^\\[..:..:..\\] error:"],
    ),
    ("in every tenth line", "case=1&q=7+gcc", &["7 gcc"]),
];

fn main() {
    let lines = std::env::var("SWITCHYARD_LINES").ok();
    let lines = lines.map_or(LINES, |lines| lines.parse().unwrap());
    let conditions = conditions();
    let dashboard = Dashboard::start(&["h1"]);
    if !has("rg") {
        eprintln!("SKIPPED: ripgrep is not installed, so there is nothing to compare with");
    }
    for (colours, run) in RUNS {
        let log = write(&dashboard, run, lines, colours != "plain");
        let rows = compare(&dashboard, run, &log);
        let bytes = std::fs::metadata(&log).unwrap().len() / 1_000_000;
        table(
            &format!(
                "searches: {} lines, {colours}, {bytes} MB ({conditions})",
                grouped(lines)
            ),
            &["what", "lines found", "ms", "ms of rg -c", "ratio"],
            &rows,
        );
        std::fs::remove_file(log).unwrap();
    }
}

/// A row for each search in one log.
fn compare(dashboard: &Dashboard, run: &str, log: &Path) -> Vec<Vec<String>> {
    SEARCHES
        .iter()
        .map(|(name, query, arguments)| {
            let path = format!("/api/hosts/h1/runs/{run}/search?limit=10&{query}");
            let (ours, found) = best(|| dashboard.fetch(&path)["total"].as_u64().unwrap());
            let theirs = has("rg").then(|| best(|| ripgrep(log, arguments)));
            if let Some((_, count)) = theirs {
                assert_eq!(found, count, "{name}");
            }
            let ratio = theirs.map(|(time, _)| ours.as_secs_f64() / time.as_secs_f64());
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            vec![
                (*name).to_owned(),
                grouped(found),
                millis(ours),
                or_none(theirs.map(|(time, _)| millis(time))),
                or_none(ratio.map(|ratio| format!("{ratio:.2}"))),
            ]
        })
        .collect()
}

/// The quickest of some, and what it gave.
fn best(mut work: impl FnMut() -> u64) -> (Duration, u64) {
    let once = |_| {
        let began = Instant::now();
        let found = work();
        (began.elapsed(), found)
    };
    (0..TIMES).map(once).min().unwrap()
}

fn ripgrep(log: &Path, arguments: &[&str]) -> u64 {
    let output = Command::new("rg")
        .arg("-c")
        .args(arguments)
        .arg(log)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let count = String::from_utf8(output.stdout).unwrap();
    // Nothing is written where nothing is found.
    count.trim().parse().unwrap_or(0)
}

/// A log of so many lines, of which a few say what went wrong.
fn write(dashboard: &Dashboard, run: &str, lines: u64, is_coloured: bool) -> PathBuf {
    let logs = dashboard.data_dir().join("logs/h1");
    std::fs::create_dir_all(&logs).unwrap();
    let run = RunId::new(run).unwrap();
    let started = Timestamp::parse("2025-12-14T10:30:00.000Z").unwrap();
    let header = Header::started_at(
        HostId::new("h1").unwrap(),
        CommandName::new("switch").unwrap(),
        started,
    );
    let mut log = LogWriter::create(&logs, &run, &header).unwrap();
    for n in 0..lines {
        let at = Timestamp::from_millis(started.millis() + (n / 100).cast_signed());
        if n % (lines / 10).max(1) == 7 {
            log.push(
                "error: Cannot build: builder for hash 0123abcd failed",
                at,
                Some(true),
            );
            log.push("error: cannot build '/nix/store/x.drv'", at, Some(true));
        }
        let line = line("hello", n);
        if is_coloured && n % 3 == 0 {
            // As compilers colour the name of what they build.
            let (head, tail) = line.split_at(LINE_BYTES / 2);
            let line = format!("\x1b[32m{head}\x1b[0m\x1b[1m{tail}\x1b[0m");
            log.push(&line, at, Some(false));
        } else {
            log.push(&line, at, Some(false));
        }
        if n % 1_000 == 0 {
            log.flush().unwrap();
        }
    }
    log.flush().unwrap();
    paths(&logs, &run).0
}
