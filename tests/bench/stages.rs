//! What a line costs at each stage of its way, as far as the library shows them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a benchmark that fails says where"
)]

mod support;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{conditions, line, table};
use switchyard::mask::{Masker, Masking, State};
use switchyard::progress::{Decoder, Position};
use switchyard::protocol::{
    CommandName, HostId, LineEncoder, Output, RunId, Timestamp, TimestampFormatter, split,
};
use switchyard::runlog::{Batch, Header, LogReader, LogWriter};

/// About what one frame holds.
const LINES: u64 = 512;
const BATCH_BYTES: usize = 48 * 1024;
const TIME: Duration = Duration::from_secs(2);
/// A log is begun anew after so many batches, so that it stays in the memory of the system.
const BATCHES: usize = 200;

fn main() {
    let conditions = conditions();
    let dir = tempfile::tempdir().unwrap();
    let plain: Vec<String> = (0..LINES).map(|n| line("hello", n)).collect();
    let signed: Vec<String> = plain
        .iter()
        .map(|line| format!("{}-DX=1", &line[5..]))
        .collect();
    let json: Vec<String> = plain
        .iter()
        .map(|line| {
            format!(r#"@nix {{"action":"result","fields":["{line}"],"id":1234,"type":101}}"#)
        })
        .collect();
    let rows: Vec<Vec<String>> = [
        ("decode a plain line", decode(&plain)),
        ("decode an internal-json line", decode(&json)),
        ("look for secrets in a line", mask(&plain)),
        ("look for secrets in a line with `=`", mask(&signed)),
        ("push and flush a line to a log", write(dir.path(), &plain)),
        ("read a line from a log", read(dir.path())),
        ("write a line into a frame", encode(&plain)),
        ("read a line from a frame", parse(&plain)),
    ]
    .into_iter()
    .map(|(stage, nanos)| {
        vec![
            stage.to_owned(),
            format!("{nanos:.0}"),
            format!("{:.1}", 1e3 / nanos),
        ]
    })
    .collect();
    table(
        &format!("stages: one processor, lines of 80 bytes ({conditions})"),
        &["stage", "ns/line", "million lines/s"],
        &rows,
    );
}

/// Does `work` on [`LINES`] lines again and again; gives the nanoseconds a line of the best tenth, which
/// other work on the machine disturbs least.
fn measure(mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut taken = Vec::new();
    while began.elapsed() < TIME {
        let start = Instant::now();
        work();
        taken.push(start.elapsed());
    }
    taken.sort_unstable();
    taken[taken.len() / 10].as_secs_f64() * 1e9 / LINES as f64
}

fn mask(lines: &[String]) -> f64 {
    let masker = Masker::new(&Masking::default()).unwrap();
    let mut state = State::default();
    measure(|| {
        for line in lines {
            black_box(masker.line(&mut state, line));
        }
    })
}

fn decode(lines: &[String]) -> f64 {
    let mut decoder = Decoder::new();
    let at = Timestamp::now();
    let mut seq = 0;
    measure(|| {
        for line in lines {
            let here = Position {
                at,
                next_seq: seq,
                waiting: 0,
            };
            decoder.line(line, true, here, &mut |line| {
                black_box(line);
                seq += 1;
            });
        }
    })
}

fn run_id() -> RunId {
    RunId::new("2025-12-14T10-30-00-switch").unwrap()
}

fn log(dir: &Path) -> LogWriter {
    for entry in std::fs::read_dir(dir).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let header = Header::started_at(
        HostId::new("h1").unwrap(),
        CommandName::new("switch").unwrap(),
        Timestamp::now(),
    );
    LogWriter::create(dir, &run_id(), &header).unwrap()
}

/// Leaves a log in `dir`.
fn write(dir: &Path, lines: &[String]) -> f64 {
    let mut writer = log(dir);
    let mut batches = 0;
    measure(|| {
        if batches == BATCHES {
            batches = 0;
            writer = log(dir);
        }
        batches += 1;
        let at = Timestamp::now();
        for line in lines {
            writer.push(line, at, Some(true));
        }
        writer.flush().unwrap();
    })
}

fn read(dir: &Path) -> f64 {
    let reader = LogReader::open(dir, &run_id()).unwrap();
    let total = reader.total().unwrap();
    let mut batch = Batch::default();
    let mut next = 0;
    measure(|| {
        if next + LINES > total {
            next = 0;
        }
        let end = next + LINES;
        while next < end {
            let most = usize::try_from(end - next).unwrap();
            reader.read(next, most, BATCH_BYTES, &mut batch).unwrap();
            for line in batch.iter() {
                black_box(line);
            }
            next += batch.len() as u64;
        }
    })
}

fn encode(lines: &[String]) -> f64 {
    let at = Timestamp::now();
    let mut encoder = LineEncoder::default();
    let mut frame = Vec::new();
    measure(|| {
        frame.clear();
        for line in lines {
            encoder.write(&mut frame, line, at, Some(true));
        }
        black_box(&frame);
    })
}

fn parse(lines: &[String]) -> f64 {
    let at = Timestamp::now();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!(r#"{{"line":"{line}","timestamp":"{at}","is_error":true}}"#))
        .collect();
    let frame = format!(
        r#"{{"type":"output","host_id":"h1","run_id":"{}","command":"switch","seq":0,"lines":[{}]}}"#,
        run_id(),
        lines.join(",")
    );
    measure(|| {
        let mut times = TimestampFormatter::default();
        for message in split(&frame).unwrap() {
            let output: Output<'_> = serde_json::from_str(message.json).unwrap();
            for line in &output.lines {
                black_box((times.parse(&line.timestamp), &line.line));
            }
        }
    })
}
