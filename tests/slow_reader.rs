//! A browser that reads nothing costs the dashboard nothing.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, Socket, count_to};
use serde_json::{Value, json};
use std::time::Duration;

const LINES: u64 = 1_000_000;
/// By how much the dashboard's memory may grow, in KiB.
const GROWTH: u64 = 20 * 1024;

#[test]
fn a_browser_that_reads_nothing_during_a_million_lines_costs_no_memory_and_gets_the_end() {
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", &count_to(LINES));
    let mut browser = Socket::browser(&dashboard);
    browser.send(&json!({"type": "subscribe", "host_id": "h1"}));
    browser.wait_for("subscribed", |message| message["type"] == "subscribed");

    let before = dashboard.process.rss_kib();
    let run_id = dashboard.command("h1", "switch");
    let mut peak = before;
    let run = dashboard.wait_for_run("h1", &run_id, Duration::from_secs(120), |run| {
        peak = peak.max(dashboard.process.rss_kib());
        run["status"] != "running" && run["status"] != "queued"
    });
    assert_eq!(
        [&run["status"], &run["lines"]],
        [&json!("ok"), &json!(LINES)]
    );
    assert!(peak - before < GROWTH, "from {before} KiB to {peak} KiB");

    let mut next = 0;
    let mut skipped = 0;
    while next < LINES {
        for message in browser.frame() {
            if message["type"] == "command_output" {
                let jump = message["skipped"].as_u64().unwrap_or_default();
                assert_eq!(
                    message["seq"].as_u64().unwrap(),
                    next + jump,
                    "lines missing or twice"
                );
                skipped += jump;
                let lines = message["lines"].as_array().unwrap();
                let texts: Vec<&Value> = lines.iter().map(|line| &line["line"]).collect();
                for (seq, text) in (next + jump..).zip(texts) {
                    assert_eq!(*text, format!("line {seq}"));
                }
                next += jump + lines.len() as u64;
            }
        }
    }
    assert_eq!(next, LINES);
    let peak = dashboard.process.rss_kib().max(peak);
    assert!(
        peak - before < GROWTH,
        "from {before} KiB to {peak} KiB, {skipped} lines skipped"
    );
    if skipped > 0 {
        let line = dashboard.fetch(&format!(
            "/api/hosts/h1/runs/{run_id}/lines?from={}&limit=1",
            LINES / 2
        ));
        assert_eq!(
            line["lines"][0]["line"],
            format!("line {}", LINES / 2),
            "skipped lines stay readable"
        );
    }
}
