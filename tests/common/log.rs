//! Lines, and the log file as the contract has it.

use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A line over HTTP, or without its number over WebSocket.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Line {
    pub(crate) seq: Option<u64>,
    pub(crate) line: String,
    pub(crate) timestamp: String,
    pub(crate) is_error: Option<bool>,
}

/// The texts of lines.
pub(crate) fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.line.as_str()).collect()
}

/// A finished log file, taken apart to the letter.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) bytes: Vec<u8>,
    pub(crate) command: String,
    pub(crate) host: String,
    /// The JSON of `# Run:`.
    pub(crate) run: Value,
    pub(crate) lines: Vec<String>,
    pub(crate) exit_code: String,
    /// The JSON of `# Result:`.
    pub(crate) result: Value,
}

impl LogFile {
    #[track_caller]
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(bytes)
    }

    #[track_caller]
    pub(crate) fn parse(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let (head, rest) = text.split_once("\n\n").unwrap();
        let [command, started, host, run] = head.split('\n').collect::<Vec<_>>()[..] else {
            panic!("header: {head:?}");
        };
        is_time(started.strip_prefix("# Started: ").unwrap());
        let rest = format!("\n{rest}");
        let (body, foot) = rest.rsplit_once("\n\n# Completed: ").expect("a footer");
        let [completed, exit_code, result, ""] = foot.split('\n').collect::<Vec<_>>()[..] else {
            panic!("footer: {foot:?}");
        };
        is_time(completed);
        Self {
            command: command.strip_prefix("# Command: ").unwrap().to_owned(),
            host: host.strip_prefix("# Host: ").unwrap().to_owned(),
            run: serde_json::from_str(run.strip_prefix("# Run: ").unwrap()).unwrap(),
            lines: body.split('\n').skip(1).map(without_time).collect(),
            exit_code: exit_code.strip_prefix("# Exit code: ").unwrap().to_owned(),
            result: serde_json::from_str(result.strip_prefix("# Result: ").unwrap()).unwrap(),
            bytes,
        }
    }
}

/// `2025-12-14T10:30:00Z`, to the second.
#[track_caller]
fn is_time(text: &str) {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00Z", "{text}");
}

/// Takes `[10:30:01] ` away.
#[track_caller]
fn without_time(line: &str) -> String {
    let shape: String = line
        .chars()
        .take(11)
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "[00:00:00] ", "{line:.100}");
    line[11..].to_owned()
}
