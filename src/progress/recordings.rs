//! Replays recordings of real runs.

use super::{Decoder, Ending, Failure, Line, Output, Position};
use crate::protocol::{Phase, Progress, Timestamp};
use Phase::{Activation, Building, Evaluation, Switch};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// A line of a recording.
#[derive(Deserialize)]
struct Recorded {
    stream: String,
    line: String,
}

fn recording(name: &str) -> Vec<Recorded> {
    let path = format!(
        "{}/tests/data/transcripts/{name}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let lines = std::fs::read_to_string(path).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A decoder and the log that it writes.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) decoder: Decoder,
    pub(super) log: Vec<String>,
    /// Of each line of the log whether it came on standard error.
    errors: Vec<bool>,
    /// The first line of the present step.
    from: u64,
}

impl Output for Replay {
    fn lines(&self, range: Range<u64>, take: &mut dyn FnMut(Line<'_>)) {
        for (seq, (text, is_error)) in (0..).zip(self.log.iter().zip(&self.errors)) {
            if range.contains(&seq) {
                let is_error = *is_error;
                take(Line {
                    seq,
                    text,
                    is_error,
                });
            }
        }
    }
}

impl Replay {
    fn of(name: &str) -> Self {
        let mut replay = Self::default();
        for recorded in recording(name) {
            replay.line(&recorded.line, recorded.stream == "stderr");
        }
        replay
    }

    pub(super) fn line(&mut self, line: &str, is_error: bool) {
        let here = Position {
            at: Timestamp::from_millis(0),
            next_seq: self.log.len() as u64,
            waiting: 0,
        };
        let (log, errors) = (&mut self.log, &mut self.errors);
        self.decoder.line(line, is_error, here, &mut |line| {
            log.push(line.to_owned());
            errors.push(is_error);
        });
    }

    /// The step ended well, and the next one begins.
    pub(super) fn next_step(&mut self) {
        self.decoder.step_begins();
        self.from = self.log.len() as u64;
    }

    /// Why the step failed that ended with this code.
    pub(super) fn failure(&self, code: i32) -> Failure {
        self.failure_of(&Ending {
            program: "nixos-rebuild",
            code,
            ..Ending::default()
        })
    }

    /// The same, with what else is known of its end.
    pub(super) fn failure_of(&self, ending: &Ending<'_>) -> Failure {
        let ending = Ending {
            activating: self.decoder.is_activating(),
            lines: self.from..self.log.len() as u64,
            ..ending.clone()
        };
        self.decoder.failure(&ending, self)
    }

    pub(super) fn lines(lines: &[&str]) -> Self {
        let mut replay = Self::default();
        for line in lines {
            replay.line(line, true);
        }
        replay
    }

    pub(super) fn progress(&self) -> &Progress {
        self.decoder.progress()
    }

    pub(super) fn phases(&self) -> Vec<Phase> {
        let marks = self.progress().phases.iter();
        marks.map(|mark| mark.phase).collect()
    }

    /// The line of the log with which a phase began.
    fn first_line(&self, phase: Phase) -> &str {
        let mut marks = self.progress().phases.iter();
        let seq = marks.find(|mark| mark.phase == phase).unwrap().seq;
        &self.log[usize::try_from(seq).unwrap()]
    }

    pub(super) fn counts(&self) -> [Option<u64>; 4] {
        let p = self.progress();
        [p.done, p.expected, p.running, p.failed]
    }
}

/// The texts as `-L` prints them: no colours, tabs expanded, and only the first part of a name. Store paths
/// differ between two recordings, and so does the order of builders that run at the same time.
fn as_with_l(lines: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let colour = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    let hash = regex::Regex::new("/nix/store/[a-z0-9]{32}-").unwrap();
    let name = regex::Regex::new(r"^(linux|initrd-linux|nixos-system-toy)-[0-9][^>]*> ").unwrap();
    let mut set = BTreeMap::new();
    for line in lines {
        let line = colour.replace_all(&line, "").replace('\t', "        ");
        let line = hash.replace_all(&line, "/nix/store/");
        let line = name.replace(&line, "$1> ");
        let line = match line.strip_prefix("Command '") {
            Some(_) => "Command failed".to_owned(),
            None => line.into_owned(),
        };
        *set.entry(line).or_default() += 1;
    }
    set
}

#[test]
fn internal_json_becomes_the_lines_that_nix_prints_with_build_logs() {
    for case in ["01-switch", "03-fail"] {
        let decoded = Replay::of(&format!("{case}.json")).log;
        assert!(decoded.iter().all(|line| !line.contains("@nix")));
        let printed = recording(&format!("{case}.logs"));
        let printed = as_with_l(printed.into_iter().map(|recorded| recorded.line));
        let decoded = as_with_l(decoded);
        // Which of the builds that fail together nix still begins, and of whose output it shows, is chance.
        let by_chance = |line: &str| case == "03-fail" && line.contains("unit-");
        for (line, count) in &printed {
            assert!(
                by_chance(line) || decoded.get(line) == Some(count),
                "{case}: {count} × {line:?} is missing"
            );
        }
        for line in decoded.keys() {
            assert!(
                by_chance(line) || printed.contains_key(line),
                "{case}: {line:?} was never printed"
            );
        }
    }
}

#[test]
fn a_build_log_line_carries_the_whole_name() {
    let log = Replay::of("01-switch.json").log;
    for line in [
        "linux-6.12.30-modules> linux-6.12.30-modules: step 1/5 on stdout",
        "linux-6.12.30-modules-shrunk> linux-6.12.30-modules-shrunk: step 5/5 on stderr",
        "system-path> \x1b[1;32mcolour\x1b[0m and \x1b[31mred\x1b[0m",
        "system-path> progress 100%",
        "system-path> ",
    ] {
        assert!(log.iter().any(|l| l == line), "{line}");
    }
}

#[test]
fn a_switch_goes_through_its_phases_with_the_counts_nix_said() {
    for (name, counts) in [
        ("01-switch.json", [Some(15), Some(15), Some(0), Some(0)]),
        ("05-exit4.json", [Some(15), Some(15), Some(0), Some(0)]),
        ("01-switch.plain", [Some(15), Some(15), None, None]),
        ("05-exit4.plain", [Some(15), Some(15), None, None]),
        ("05-exit4.plain-2511", [Some(15), Some(15), None, None]),
    ] {
        let replay = Replay::of(name);
        assert_eq!(
            replay.phases(),
            [Evaluation, Building, Activation, Switch],
            "{name}"
        );
        assert_eq!(replay.counts(), counts, "{name}");
        assert_eq!(
            replay.first_line(Evaluation),
            "building the system configuration..."
        );
        assert!(replay.first_line(Building).starts_with("building '/nix/"));
        assert_eq!(replay.first_line(Activation), "updating GRUB 2 menu...");
        assert_eq!(
            replay.first_line(Switch),
            "reloading the following units: dbus.service"
        );
    }
}

#[test]
fn a_switch_to_what_is_there_builds_nothing() {
    let replay = Replay::of("02-nothing.json");
    assert_eq!(replay.phases(), [Evaluation, Activation]);
    assert_eq!(replay.counts(), [Some(0); 4]);
    let plain = Replay::of("02-nothing.plain");
    assert_eq!(plain.phases(), [Evaluation, Activation]);
    assert_eq!(plain.counts(), [None; 4]);
    assert_eq!(replay.log, plain.log);
}

#[test]
fn a_failed_build_is_counted_and_named() {
    let replay = Replay::of("03-fail.json");
    assert_eq!(replay.phases(), [Evaluation, Building]);
    assert_eq!(replay.counts(), [Some(5), Some(5), Some(0), Some(1)]);
    for name in ["03-fail.json", "03-fail.plain", "03-fail.logs"] {
        let failure = Replay::of(name).failure(1);
        let message = &failure.message;
        let summary = &failure.causes[0].summary;
        assert!(
            summary.starts_with("linux-6.12.30-modules-shrunk failed to build (exit code 1)"),
            "{summary}"
        );
        assert!(message.contains("\nerror: builder for '/nix/store/"));
        assert!(
            message.contains("-linux-6.12.30-modules-shrunk.drv' failed with exit code 1"),
            "{name}: {message}"
        );
    }
}

#[test]
fn a_failed_unit_is_named() {
    for name in ["05-exit4.json", "05-exit4.plain", "05-exit4.plain-2511"] {
        let summary = &Replay::of(name).failure(4).causes[0].summary;
        let words = "The system is switched, but these units failed: toy-fail.service \
                     (toy-fail: cannot bind 0.0.0.0:80: address in use)";
        assert_eq!(summary, words, "{name}");
    }
}

#[test]
fn the_revision_grows_with_each_change_and_only_then() {
    let mut replay = Replay::default();
    let mut before = (replay.decoder.revision(), replay.progress().clone());
    for recorded in recording("01-switch.json") {
        replay.line(&recorded.line, true);
        let now = (replay.decoder.revision(), replay.progress().clone());
        assert_eq!(now.0 > before.0, now.1 != before.1, "{}", recorded.line);
        before = now;
    }
}
