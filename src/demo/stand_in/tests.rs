use super::*;
use crate::progress::{Decoder, Ending, Failure, Line, Output, Position};
use crate::protocol::{CauseKind, Phase, Timestamp};

/// What the decoder makes of a whole run.
fn decode(events: &[Event]) -> (Decoder, Vec<String>) {
    let mut decoder = Decoder::new();
    let mut log = Vec::new();
    for event in events {
        let line = event.text.trim_end_matches('\n');
        let here = Position {
            at: Timestamp::from_millis(0),
            next_seq: log.len() as u64,
            waiting: 0,
        };
        decoder.line(line, event.stream == Stream::Err, here, &mut |line| {
            log.push(line.to_owned());
        });
    }
    (decoder, log)
}

/// The lines of a log, all on standard error.
struct Lines(Vec<String>);

impl Output for Lines {
    fn lines(&self, range: std::ops::Range<u64>, take: &mut dyn FnMut(Line<'_>)) {
        for (seq, text) in (0..).zip(&self.0).filter(|(seq, _)| range.contains(seq)) {
            take(Line {
                seq,
                text,
                is_error: true,
            });
        }
    }
}

/// Why a run failed that ended with this code.
fn failure(decoder: &Decoder, log: Vec<String>, code: u8) -> Failure {
    let ending = Ending {
        program: "nixos-rebuild",
        code: code.into(),
        activating: decoder.is_activating(),
        lines: 0..log.len() as u64,
        ..Ending::default()
    };
    decoder.failure(&ending, &Lines(log))
}

fn run_of(host: &str, count: u64, mishap: Option<Mishap>) -> (Vec<Event>, u8) {
    let mut dice = Dice::new(host, count);
    let system = texts::system_path(host, &mut dice);
    let broken = mishap == Some(Mishap::Builder);
    let mut events = plan::build(host, &system, broken, &mut dice);
    if broken {
        return (events, 1);
    }
    let begin = events.last().map_or(0, |event| event.at);
    let activation = activation::events("switch", &system, mishap == Some(Mishap::Unit), &mut dice);
    events.extend(activation.events.into_iter().map(|event| Event {
        at: begin + event.at,
        ..event
    }));
    (events, activation.code)
}

fn phases(decoder: &Decoder) -> Vec<Phase> {
    let marks = decoder.progress().phases.iter();
    marks.map(|mark| mark.phase).collect()
}

#[test]
fn a_switch_looks_real_and_takes_a_lifelike_time() {
    for count in 0..20 {
        let (events, code) = run_of("nas", count, None);
        let (decoder, log) = decode(&events);
        assert_eq!(
            phases(&decoder),
            [
                Phase::Evaluation,
                Phase::Download,
                Phase::Building,
                Phase::Activation,
                Phase::Switch
            ]
        );
        let progress = decoder.progress();
        assert_eq!(progress.done, progress.expected);
        assert!(progress.done > Some(10));
        assert!(log.iter().all(|line| !line.starts_with("@nix")));
        assert!(log.iter().any(|line| line.contains("> Running phase: ")));
        assert_eq!(code, 0);
        assert!(events.is_sorted_by_key(|event| event.at));
        let end = events.last().unwrap().at;
        assert!((9_000..30_000).contains(&end), "{end} ms");
    }
}

#[test]
fn a_failure_says_what_failed() {
    let (events, code) = run_of("nas", 3, Some(Mishap::Builder));
    let (decoder, log) = decode(&events);
    let failed = failure(&decoder, log, code);
    let cause = &failed.causes[0];
    assert_eq!(cause.kind, CauseKind::Derivation);
    assert!(cause.summary.contains("implicit declaration"), "{cause:?}");
    assert!(
        failed
            .message
            .contains("\nerror: Cannot build '/nix/store/")
    );
    assert!(
        failed
            .message
            .contains("Reason: builder failed with exit code 1.")
    );
    assert_eq!((code, decoder.progress().failed), (1, Some(1)));
    assert!(!phases(&decoder).contains(&Phase::Activation));

    let (events, code) = run_of("nas", 3, Some(Mishap::Unit));
    let (decoder, log) = decode(&events);
    let failed = failure(&decoder, log, code);
    assert_eq!(failed.causes[0].kind, CauseKind::Unit);
    assert!(
        failed
            .message
            .contains("units failed: backup.service (cannot reach offsite")
    );
    assert_eq!(code, 4);
}

#[test]
fn a_failed_assertion_is_the_cause_of_the_failure() {
    let mut dice = Dice::new("office", 0);
    let (decoder, log) = decode(&plan::assertion("office", &mut dice));
    let failed = failure(&decoder, log, 1);
    assert_eq!(failed.causes[0].kind, CauseKind::Evaluation);
    assert!(
        failed.causes[0].summary.contains("root file system"),
        "{failed:?}"
    );
    assert_eq!(phases(&decoder), [Phase::Evaluation]);
}

#[test]
fn the_first_runs_of_some_hosts_fail_and_their_next_ones_do_not() {
    let first = ["build01", "office", "backup", "gateway"].map(|host| mishap(host, 0));
    let expected = [
        Some(Mishap::Builder),
        Some(Mishap::Assertion),
        Some(Mishap::Unit),
        None,
    ];
    assert_eq!(first, expected);
    let next = ["build01", "office", "backup"].map(|host| mishap(host, 1));
    assert_eq!(next, [None; 3]);
}

#[test]
fn one_run_in_six_fails_and_never_the_first() {
    for host in ["nas", "gateway", "media"] {
        let failures = (0..60).filter(|count| mishap(host, *count).is_some());
        assert!((9..=10).contains(&failures.count()));
        assert_eq!(mishap(host, 0), None);
    }
}
