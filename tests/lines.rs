//! Every line once, in order, everywhere, whatever is in it.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, LogFile, Watch, count_to, texts};
use serde_json::{Value, json};

/// Runs shell code as `switch` and gives what became of its lines.
fn lines_of(script: &str) -> (Dashboard, Watch) {
    let dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", script);
    let watch = Watch::command(&dashboard, "h1", "switch");
    (dashboard, watch)
}

#[test]
fn a_hundred_thousand_lines_arrive_once_and_in_order_everywhere() {
    const LINES: u64 = 100_000;
    let script = format!("{}; echo the end >&2", count_to(LINES));
    let (dashboard, watch) = lines_of(&script);
    watch.assert_frame_rate();
    let run = dashboard.run("h1", &watch.run_id);
    assert_eq!(
        [
            &run["status"],
            &run["exit_code"],
            &run["lines"],
            &run["errors"]
        ],
        [&json!("ok"), &json!(0), &json!(LINES + 1), &json!(1)]
    );

    let mut lines = dashboard.lines("h1", &watch.run_id);
    let want: Vec<String> = (0..LINES).map(|n| format!("line {n}")).collect();
    let out: Vec<_> = lines
        .iter()
        .filter(|line| line.is_error == Some(false))
        .cloned()
        .collect();
    assert!(
        texts(&out) == want,
        "the lines over HTTP differ from the child's"
    );

    let log = dashboard.log("h1", &watch.run_id);
    assert_eq!((log.command.as_str(), log.host.as_str()), ("switch", "h1"));
    assert!(
        log.lines == texts(&lines),
        "the log differs from the lines over HTTP"
    );
    assert_eq!(
        (log.exit_code.as_str(), &log.result["lines"]),
        ("0", &json!(LINES + 1))
    );
    assert!(
        dashboard.download("h1", &watch.run_id, "txt") == log.bytes,
        "txt differs from the log"
    );

    let download: Value =
        serde_json::from_slice(&dashboard.download("h1", &watch.run_id, "json")).unwrap();
    let downloaded: Vec<common::Line> = serde_json::from_value(download["lines"].clone()).unwrap();
    assert!(downloaded == lines, "json differs from the lines over HTTP");
    assert_eq!(
        [&download["status"], &download["exit_code"]],
        [&json!("ok"), &json!(0)]
    );

    lines.iter_mut().for_each(|line| line.seq = None);
    let mut watched = watch.lines;
    watched.iter_mut().for_each(|line| line.seq = None);
    assert!(
        watched == lines,
        "the browser's lines differ from those over HTTP"
    );
}

#[test]
fn a_line_of_a_megabyte_is_split_and_nothing_of_it_is_lost() {
    let (dashboard, watch) = lines_of("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo after");
    let lines = dashboard.lines("h1", &watch.run_id);
    let (last, parts) = lines.split_last().unwrap();
    assert_eq!(last.line, "after");
    assert!(parts.iter().all(|part| part.line.len() <= 64 * 1024));
    assert!(texts(parts).concat() == "x".repeat(1_000_000));
    assert!(dashboard.log("h1", &watch.run_id).lines == texts(&lines));
    assert!(texts(&watch.lines) == texts(&lines));
}

#[test]
fn a_line_whose_end_takes_long_is_one_line_and_one_that_never_ends_too() {
    let (dashboard, watch) = lines_of(
        "echo first; printf begun; sleep 3; echo ' and ended'; head -c 1000000 /dev/zero | tr '\\0' y",
    );
    let lines = dashboard.lines("h1", &watch.run_id);
    assert_eq!(texts(&lines[..2]), ["first", "begun and ended"]);
    assert!(lines[2..].iter().all(|part| part.line.len() <= 64 * 1024));
    assert!(texts(&lines[2..]).concat() == "y".repeat(1_000_000));
    assert!(dashboard.log("h1", &watch.run_id).lines == texts(&lines));
    assert!(texts(&watch.lines) == texts(&lines));
}

#[test]
fn of_overwritten_text_the_last_state_stays() {
    let (_, watch) =
        lines_of(r"printf 'ten\rtwenty\n'; printf 'windows\r\n'; printf '1\r2\r\n'; printf '\n'");
    assert_eq!(texts(&watch.lines), ["twenty", "windows", "2", ""]);
}

#[test]
fn odd_bytes_arrive_as_the_contract_says() {
    let (dashboard, watch) =
        lines_of(r"printf 'bad \377 byte\na\000b\n\033[31mred\033[0m\nno newline'");
    let want = [
        "bad \u{fffd} byte",
        "a\0b",
        "\x1b[31mred\x1b[0m",
        "no newline",
    ];
    assert_eq!(texts(&watch.lines), want);
    assert_eq!(texts(&dashboard.lines("h1", &watch.run_id)), want);
    assert_eq!(dashboard.log("h1", &watch.run_id).lines, want);
    let txt = LogFile::parse(dashboard.download("h1", &watch.run_id, "txt"));
    assert_eq!(txt.lines[2], "red", "txt has no escapes");
}

#[test]
fn internal_json_never_reaches_a_log() {
    let (dashboard, watch) = lines_of(
        r#"echo '@nix {"action":"msg","level":1,"msg":"warning: a message"}' >&2; echo '@nix {"broken' >&2; echo plain >&2"#,
    );
    let want = ["warning: a message", "@nix {\"broken", "plain"];
    assert_eq!(texts(&watch.lines), want);
    assert_eq!(dashboard.log("h1", &watch.run_id).lines, want);
}

#[test]
fn a_run_in_progress_can_be_downloaded() {
    let dashboard = Dashboard::start(&["h1"]);
    let dir = tempfile::tempdir().unwrap();
    let gate = common::Gate::closed(dir.path(), "gate");
    let _agent = Agent::start(
        &dashboard,
        "h1",
        &format!("echo first; {}; echo second", gate.wait()),
    );
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, common::SOON, |run| run["lines"] == 1);
    let txt = String::from_utf8(dashboard.download("h1", &run, "txt")).unwrap();
    assert!(txt.ends_with("] first\n"), "{txt}");
    let json: Value = serde_json::from_slice(&dashboard.download("h1", &run, "json")).unwrap();
    assert_eq!(
        [&json["status"], &json["lines"][0]["line"]],
        [&json!("running"), &json!("first")]
    );
    gate.open();
    assert_eq!(dashboard.wait_done("h1", &run)["lines"], 2);
}
