use super::*;
use crate::progress::Decoder;
use crate::protocol::{Phase, Timestamp};

/// What the decoder makes of a whole run.
fn decode(events: &[Event]) -> (Decoder, Vec<String>) {
    let mut decoder = Decoder::new();
    let mut log = Vec::new();
    for event in events {
        let line = event.text.trim_end_matches('\n');
        let at = Timestamp::from_millis(0);
        decoder.line(
            line,
            event.stream == Stream::Err,
            at,
            log.len() as u64,
            &mut |line| {
                log.push(line.to_owned());
            },
        );
    }
    (decoder, log)
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
    let (decoder, _) = decode(&events);
    let message = decoder.error_message().unwrap();
    assert!(message.starts_with("error: Cannot build '/nix/store/"));
    assert!(message.ends_with("Reason: builder failed with exit code 1."));
    assert_eq!((code, decoder.progress().failed), (1, Some(1)));
    assert!(!phases(&decoder).contains(&Phase::Activation));

    let (events, code) = run_of("nas", 3, Some(Mishap::Unit));
    let (decoder, _) = decode(&events);
    let message = decoder.error_message().unwrap();
    assert!(message.contains("units failed: backup.service"));
    assert_eq!(code, 4);
}

#[test]
fn one_run_in_six_fails_and_never_the_first() {
    for host in ["nas", "gateway", "media"] {
        let failures = (0..60).filter(|count| mishap(host, *count).is_some());
        assert!((9..=10).contains(&failures.count()));
        assert_eq!(mishap(host, 0), None);
    }
}
