//! What a log gives over HTTP: its lines, what is found in it, and downloads.
#![cfg(test)]

mod common;

use common::{Dashboard, assert_problem};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use switchyard::protocol::{CommandName, HostId, RunId, Status, Timestamp};
use switchyard::runlog::{Header, LogWriter, RunMeta, RunResult, paths};

const RUN: &str = "2025-12-14T10-30-00-switch";

fn logs(dashboard: &Dashboard) -> PathBuf {
    dashboard.data_dir().join("logs/h1")
}

fn run() -> RunId {
    RunId::new(RUN).unwrap()
}

fn begin(dashboard: &Dashboard) -> LogWriter {
    let logs = logs(dashboard);
    std::fs::create_dir_all(&logs).unwrap();
    let header = Header {
        command: CommandName::new("switch").unwrap(),
        host_id: HostId::new("h1").unwrap(),
        meta: RunMeta {
            nonce: None,
            requested_by: Some("alice".to_owned()),
            queued: None,
            started: Timestamp::parse("2025-12-14T10:30:00.123Z").unwrap(),
            generation_before: None,
            number: 0,
            then: None,
            after: None,
        },
    };
    LogWriter::create(&logs, &run(), &header).unwrap()
}

fn push(log: &mut LogWriter, line: &str) {
    let at = Timestamp::parse("2025-12-14T10:30:01.500Z").unwrap();
    log.push(line, at, Some(true));
}

fn finish(log: &mut LogWriter) {
    let result = RunResult {
        duration_ms: Some(75_012),
        ..RunResult::ended_at(
            Status::Ok,
            Timestamp::parse("2025-12-14T10:31:15.135Z").unwrap(),
        )
    };
    log.flush().unwrap();
    log.finish(Some(0), result).unwrap();
}

#[test]
fn lines_are_given_from_anywhere_and_never_too_many() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut log = begin(&dashboard);
    for n in 0..12_345 {
        push(&mut log, &format!("line {n} \u{1b}[31mred\u{1b}[0m \"é\""));
    }
    finish(&mut log);
    let lines = |query: &str| dashboard.fetch(&format!("/api/hosts/h1/runs/{RUN}/lines{query}"));
    let answer = lines("");
    assert_eq!(
        (&answer["first"], &answer["total"]),
        (&json!(0), &json!(12_345))
    );
    assert_eq!(answer["lines"].as_array().unwrap().len(), 1_000);
    assert_eq!(
        answer["lines"][7],
        json!({ "seq": 7, "line": "line 7 \u{1b}[31mred\u{1b}[0m \"é\"",
                "timestamp": "2025-12-14T10:30:01.500Z", "is_error": true })
    );
    let answer = lines("?from=2345&limit=99999");
    let found = answer["lines"].as_array().unwrap();
    assert_eq!(found.len(), 10_000);
    assert!(
        found
            .iter()
            .zip(2345..)
            .all(|(line, seq)| line["seq"] == seq)
    );
    assert_eq!(
        lines("?from=12344&limit=5")["lines"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let beyond = json!({ "first": 99_999, "total": 12_345, "lines": [] });
    assert_eq!(lines("?from=99999"), beyond);
    assert_eq!(lines("?limit=0")["lines"], json!([]));
    for bad in [
        "?from=-1",
        "?from=x",
        "?limit=x",
        "?from=99999999999999999999",
    ] {
        let path = format!("/api/hosts/h1/runs/{RUN}/lines{bad}");
        assert_problem(&dashboard.get(&path), 400);
    }
    for bad in ["2025-12-14T10-30-00-boot", "x", "..%2f..%2fx"] {
        let path = format!("/api/hosts/h1/runs/{bad}/lines");
        assert_problem(&dashboard.get(&path), 404);
    }
}

#[test]
fn a_search_counts_every_line_and_looks_through_colours() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut log = begin(&dashboard);
    for n in 0..20_000 {
        match n % 1000 {
            3 => push(&mut log, "an \u{1b}[31mErr\u{1b}[1mor: here"),
            4 => push(&mut log, "a.b error"),
            _ => push(&mut log, &format!("building {n}")),
        }
    }
    finish(&mut log);
    let search = |query: &str| dashboard.fetch(&format!("/api/hosts/h1/runs/{RUN}/search{query}"));
    let found = search("?q=error");
    assert_eq!(found["total"], 40);
    assert_eq!(
        found["matches"][0],
        json!({ "seq": 3, "line": "an \u{1b}[31mErr\u{1b}[1mor: here" })
    );
    assert_eq!(found["matches"].as_array().unwrap().len(), 40);
    assert_eq!(search("?q=Error&case=true")["total"], 20);
    assert_eq!(search("?q=a.b")["total"], 20);
    assert_eq!(
        search("?q=%5Ebuilding%20%5Cd%2B1%24&regex=1")["total"],
        1_999
    );
    let some = search("?q=error&from=1000&limit=3");
    assert_eq!(some["total"], 40);
    let seqs: Vec<_> = some["matches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| &found["seq"])
        .collect();
    assert_eq!(seqs, [1003, 1004, 2003]);
    assert_eq!(
        search("?q=building")["matches"].as_array().unwrap().len(),
        1_000
    );
    for bad in [
        "",
        "?q=",
        "?q=(&regex=1",
        "?q=x&case=maybe",
        "?q=(x%7B1000%7D)%7B1000%7D&regex=1",
    ] {
        let path = format!("/api/hosts/h1/runs/{RUN}/search{bad}");
        assert_problem(&dashboard.get(&path), 400);
    }
}

#[test]
fn a_download_is_the_log_without_escapes() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut log = begin(&dashboard);
    for n in 0..30_000 {
        push(&mut log, &format!("line {n} \"é\" \0"));
    }
    finish(&mut log);
    let path = format!("/api/hosts/h1/logs/download?format=txt&run={RUN}");
    let answer = dashboard.get(&path);
    assert_eq!(
        answer.header("content-disposition"),
        format!("attachment; filename=\"h1-{RUN}.txt\"")
    );
    let text = answer.body;
    let (log, _) = paths(&logs(&dashboard), &run());
    assert!(text == std::fs::read(&log).unwrap());
    let found = dashboard.fetch("/api/hosts/h1/logs/download?format=json");
    assert_eq!(found["run_id"], RUN);
    assert_eq!(
        (&found["status"], &found["exit_code"]),
        (&json!("ok"), &json!(0))
    );
    assert_eq!(found["completed"], "2025-12-14T10:31:15.135Z");
    let lines = found["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 30_000);
    assert!(
        lines
            .iter()
            .zip(0..)
            .all(|(line, n)| { line["seq"] == n && line["line"] == format!("line {n} \"é\" \0") })
    );
    for (bad, status) in [
        ("format=pdf", 400),
        ("run=../../x", 400),
        ("run=2025-12-14T10-30-00-boot", 404),
    ] {
        let path = format!("/api/hosts/h1/logs/download?{bad}");
        assert_problem(&dashboard.get(&path), status);
    }
    assert_problem(&dashboard.get("/api/hosts/h2/logs/download"), 404);
}

#[test]
fn a_download_of_a_running_run_has_its_lines_so_far_and_no_footer() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut log = begin(&dashboard);
    push(&mut log, "\u{1b}]0;title\u{7}one\u{1b}[0m");
    push(&mut log, "two");
    log.flush().unwrap();
    push(&mut log, "not yet");
    let answer = dashboard.get("/api/hosts/h1/logs/download");
    let text = String::from_utf8(answer.body).unwrap();
    assert!(
        text.ends_with("\n\n[10:30:01] one\n[10:30:01] two\n"),
        "{text}"
    );
    let found = dashboard.fetch("/api/hosts/h1/logs/download?format=json");
    assert_eq!(found["status"], "running");
    assert_eq!(
        (&found["completed"], &found["exit_code"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(found["lines"][0]["line"], "\u{1b}]0;title\u{7}one\u{1b}[0m");
}

#[test]
fn a_run_that_has_not_begun_has_no_lines_yet() {
    let dashboard = Dashboard::start(&["h1"]);
    let run = dashboard.command("h1", "switch");
    let path = format!("/api/hosts/h1/runs/{run}");
    let none = json!({ "first": 3, "total": 0, "lines": [] });
    assert_eq!(dashboard.fetch(&format!("{path}/lines?from=3")), none);
    let none = json!({ "total": 0, "matches": [] });
    assert_eq!(dashboard.fetch(&format!("{path}/search?q=x")), none);
    let download = format!("/api/hosts/h1/logs/download?run={run}");
    assert_problem(&dashboard.get(&download), 404);
}

/// Reads an answer to its end without keeping it; gives its length, and the peak of the dashboard's memory.
fn download_and_forget(dashboard: &Dashboard, format: &str) -> (u64, u64) {
    let address = dashboard.origin().replace("http://", "");
    let mut stream = TcpStream::connect(&address).unwrap();
    let path = format!("/api/hosts/h1/logs/download?format={format}&run={RUN}");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = BufReader::new(stream);
    let mut status = String::new();
    answer.read_line(&mut status).unwrap();
    assert!(status.contains(" 200 "), "{status}");
    let (mut length, mut peak, mut piece) = (0, 0, vec![0; 1 << 20]);
    loop {
        match answer.read(&mut piece).unwrap() {
            0 => return (length, peak),
            n => length += n as u64,
        }
        peak = peak.max(dashboard.process.rss_kib());
    }
}

#[test]
fn a_download_needs_no_memory_for_the_log_it_gives() {
    const LINES: u64 = 1_000_000;
    let dashboard = Dashboard::start(&["h1"]);
    let mut log = begin(&dashboard);
    let line = "x".repeat(200);
    for n in 0..LINES {
        push(&mut log, &line);
        if n % 1000 == 0 {
            log.flush().unwrap();
        }
    }
    finish(&mut log);
    let before = dashboard.process.rss_kib();
    for format in ["txt", "json"] {
        let (length, peak) = download_and_forget(&dashboard, format);
        assert!(length > LINES * 200, "{format}: {length} bytes");
        assert!(
            peak < before + 20 * 1024,
            "{format}: from {before} KiB to {peak} KiB"
        );
    }
}
