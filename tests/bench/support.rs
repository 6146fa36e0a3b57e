//! What the benchmarks share: figures of processes, percentiles, tables.
#![allow(dead_code, reason = "each benchmark uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a benchmark that fails says where"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a process has used by now.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time of all its threads, in seconds.
    pub(crate) cpu: f64,
    /// Resident memory, in KiB.
    pub(crate) rss: u64,
    /// The most it ever was.
    pub(crate) peak: u64,
}

impl Usage {
    /// `None` once the process is gone.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        const TICKS_A_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let after_name: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| after_name.get(at)?.parse::<f64>().ok();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Some(Self {
            cpu: (ticks(11)? + ticks(12)?) / TICKS_A_SECOND,
            // A process that is ending has no memory any more.
            rss: kib("VmRSS:")?,
            peak: kib("VmHWM:")?,
        })
    }
}

/// The length of a line, without its newline.
pub(crate) const LINE_BYTES: usize = 80;

/// A line as a build prints them.
pub(crate) fn line(builder: &str, number: u64) -> String {
    let text = format!("{builder}> {number:07} gcc -O2 -g -Wall -c src/hello.c -o src/hello.o");
    format!("{text:.<LINE_BYTES$}")
}

/// Nanoseconds since 1970, by the clock that all processes of this machine share.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// The value that `percent` of the values do not exceed.
pub(crate) fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    values[rank.saturating_sub(1)]
}

pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

pub(crate) fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

/// 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a table: the first column to the left, the others to the right.
pub(crate) fn table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.max().unwrap_or(0).max(head[column].len())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = format!("\n{title}\n");
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&head).chain(rows) {
        write!(text, "  {:<1$}", row[0], widths[0]).unwrap();
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            write!(text, "  {cell:>width$}").unwrap();
        }
        text.push('\n');
    }
    io::stdout().write_all(text.as_bytes()).unwrap();
}

/// What the machine was doing besides, without which the figures mean little.
pub(crate) fn conditions() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{processors} processors, load {load} before")
}
