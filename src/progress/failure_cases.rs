//! Output of steps that failed, and what is to be said of each.
//!
//! A case is a file of `tests/data/failures`. Its head, up to `---`, says what is expected:
//! `code:` the exit code · `program:` what was run, if not nixos-rebuild · `before:` units that had failed before · `cause:` kind and name of each cause, in order ·
//! `outlived: yes` where its activation went on behind its end · `killed: process|run|oomd|activation|no` where memory ran out ·
//! `used:`, `limit:` and `host:` amounts of it, in MiB ·
//! `summary:` the first cause's, whole or with `…` at an end that is open · `line:` the text of its most telling line ·
//! `lines:` the texts of its first and last line, with ` … ` between them · `has:` and `lacks:` parts of the message ·
//! `log:` a whole line of the log · `phase:` the last phase, or `none`. Behind it stands the output: each line begins
//! with `e ` for standard error or `o ` for standard output; `\e` is ESC. A line `s` ends a step well, and begins the
//! next.

use super::recordings::Replay;
use super::{Ending, Killed, Memory};
use crate::protocol::Cause;
use std::fs;
use std::path::Path;

struct Case {
    name: String,
    expected: Vec<(String, String)>,
    replay: Replay,
}

impl Case {
    fn read(path: &Path) -> Self {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        let (head, output) = text.split_once("---\n").unwrap();
        let expected = head.lines().map(|line| {
            let (key, value) = line.split_once(':').unwrap();
            (key.to_owned(), value.trim().replace("\\e", "\x1b"))
        });
        let expected = expected.collect();
        let mut replay = Replay::default();
        for line in output.lines() {
            let (stream, text) = line.split_at_checked(2).unwrap_or((line, ""));
            let is_error = match stream.trim_end() {
                "s" => {
                    replay.next_step();
                    continue;
                }
                "e" => true,
                "o" => false,
                _ => panic!("{name}: {line:?} is of no stream"),
            };
            replay.line(&text.replace("\\e", "\x1b"), is_error);
        }
        Self {
            name,
            expected,
            replay,
        }
    }

    fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let of_key = self.expected.iter().filter(move |(known, _)| known == key);
        of_key.map(|(_, value)| value.as_str())
    }

    fn memory(&self) -> Option<Memory> {
        let killed = self.values("killed").next()?;
        let bytes = |key| {
            let mib = self.values(key).next()?;
            Some(mib.parse::<u64>().unwrap() << 20)
        };
        Some(Memory {
            killed: match killed {
                "process" => Some(Killed::Process),
                "run" => Some(Killed::Run),
                "oomd" => Some(Killed::RunByOomd),
                "activation" => Some(Killed::Activation),
                "no" => None,
                _ => panic!("{}: killed: {killed}", self.name),
            },
            peak_bytes: bytes("used"),
            limit_bytes: bytes("limit"),
            host_bytes: bytes("host"),
        })
    }

    fn check(&self) -> Vec<String> {
        let code = self.values("code").next().unwrap().parse().unwrap();
        let before: Option<Vec<String>> = self
            .values("before")
            .next()
            .map(|units| units.split(' ').map(str::to_owned).collect());
        let failure = self.replay.failure_of(&Ending {
            program: self.values("program").next().unwrap_or("nixos-rebuild"),
            code,
            failed_before: before.as_deref(),
            outlived: self.values("outlived").next().is_some(),
            memory: self.memory(),
            ..Ending::default()
        });
        let (causes, message) = (&failure.causes, &failure.message);
        let mut wrong = Vec::new();
        let mut expect = |what: &str, is_so: bool, got: &dyn std::fmt::Debug| {
            if !is_so {
                wrong.push(format!("{}: {what}: got {got:?}", self.name));
            }
        };
        let found: Vec<String> = causes.iter().map(kind_and_name).collect();
        let wanted: Vec<&str> = self.values("cause").collect();
        expect("causes", found == wanted, &found);
        let first = &causes[0];
        for summary in self.values("summary") {
            expect(summary, fits(summary, &first.summary), &first.summary);
        }
        let text = |seq: Option<u64>| {
            seq.map_or("", |seq| &self.replay.log[usize::try_from(seq).unwrap()])
        };
        for line in self.values("line") {
            expect(line, text(first.line).trim() == line, &text(first.line));
        }
        for lines in self.values("lines") {
            let ends = format!("{} … {}", text(first.from).trim(), text(first.to).trim());
            expect(lines, ends == lines, &ends);
        }
        for part in self.values("has") {
            expect(part, message.contains(part), message);
        }
        for part in self.values("lacks") {
            expect(part, !message.contains(part), message);
        }
        for line in self.values("log") {
            expect(
                line,
                self.replay
                    .log
                    .iter()
                    .any(|logged| logged.trim_end() == line),
                &self.replay.log,
            );
        }
        for phase in self.values("phase") {
            let last = self.replay.progress().phase();
            let word = serde_json::to_string(&last).unwrap();
            let word = word.trim_matches('"').replace("null", "none");
            expect(phase, word == phase, &word);
        }
        expect("no escapes", !message.contains('\x1b'), message);
        expect(
            "the summary comes first",
            message.starts_with(&first.summary),
            message,
        );
        let raw = self
            .replay
            .log
            .iter()
            .find(|line| line.contains("\"action\":\""));
        expect("nothing raw in the log", raw.is_none(), &raw);
        wrong
    }
}

fn kind_and_name(cause: &Cause) -> String {
    let kind = serde_json::to_string(&cause.kind).unwrap();
    let name = cause.name.as_deref().unwrap_or_default();
    format!("{} {name}", kind.trim_matches('"'))
        .trim()
        .to_owned()
}

/// Whether a text is the wanted one; `…` at an end of that leaves the end open.
fn fits(wanted: &str, text: &str) -> bool {
    match (wanted.strip_prefix('…'), wanted.strip_suffix('…')) {
        (Some(end), None) => text.ends_with(end),
        (None, Some(begin)) => text.starts_with(begin),
        (Some(_), Some(_)) => text.contains(wanted.trim_matches('…')),
        (None, None) => text == wanted,
    }
}

#[test]
fn each_failure_says_why() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/failures");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 40, "{}", paths.len());
    let wrong: Vec<String> = paths
        .iter()
        .flat_map(|path| Case::read(path).check())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
