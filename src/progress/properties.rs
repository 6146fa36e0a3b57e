//! Inputs that nobody would write.

use super::nix_json::MAX_COUNT;
use super::recordings::Replay;
use proptest::prelude::*;

/// Lines that are nearly right, and some that are.
fn any_line() -> impl Strategy<Value = String> {
    let number = prop_oneof![0..4_u64, any::<u64>()];
    let kind = prop_oneof![
        Just(0_u64),
        100..113_u64,
        Just(101),
        Just(104),
        Just(105),
        any::<u64>()
    ];
    let json = (
        prop_oneof![
            Just("start"),
            Just("stop"),
            Just("result"),
            Just("msg"),
            Just("?")
        ],
        0..4_u64,
        kind,
        0..8_u64,
        prop::collection::vec(number, 0..6),
        ".{0,20}",
    )
        .prop_map(|(action, id, kind, level, numbers, text)| {
            let fields = if text.len() % 3 == 0 {
                serde_json::json!([text, "", 1])
            } else {
                serde_json::json!(numbers)
            };
            let message = serde_json::json!({"action": action, "id": id, "type": kind, "level": level, "text": text, "msg": text, "fields": fields});
            format!("@nix {message}")
        });
    let cut = (json.clone(), any::<prop::sample::Index>()).prop_map(|(line, at)| {
        let at = line.floor_char_boundary(at.index(line.len() + 1));
        line[..at].to_owned()
    });
    let plain = prop_oneof![
        Just("building the system configuration..."),
        Just("these 3 derivations will be built:"),
        Just("this path will be fetched (1 MiB download, 2 MiB unpacked):"),
        Just("building '/nix/store/a.drv'..."),
        Just("copying path '/nix/store/a' from 'b'..."),
        Just("activating the configuration..."),
        Just("restarting the following units: a"),
        Just("error: x"),
        Just("Done. The new configuration is /nix/store/a"),
    ]
    .prop_map(str::to_owned);
    prop_oneof![4 => json, 1 => cut, 2 => plain, 1 => "\\PC{0,40}", 1 => any::<String>()]
}

/// Every count that a line says for builds or copies.
fn said(line: &str) -> Option<[u64; 4]> {
    let message: serde_json::Value = serde_json::from_str(line.strip_prefix("@nix ")?).ok()?;
    let fields = message["fields"].as_array()?;
    let number = |i: usize| fields.get(i)?.as_u64();
    Some([number(0)?, number(1)?, number(2)?, number(3)?])
}

proptest! {
    #[test]
    fn no_input_makes_it_fail_and_plain_lines_pass_unchanged(lines in prop::collection::vec(any_line(), 0..60)) {
        let mut replay = Replay::default();
        let mut plain = Vec::new();
        for line in &lines {
            replay.line(line, true);
            if !line.starts_with("@nix ") {
                plain.push(line.clone());
            }
        }
        let mut log = replay.log.iter();
        for line in &plain {
            prop_assert!(log.any(|logged| logged == line), "{line:?} is missing or out of order");
        }
        let seqs: Vec<_> = replay.progress().phases.iter().map(|mark| mark.seq).collect();
        prop_assert!(seqs.is_sorted());
        let failure = replay.failure(1);
        prop_assert!(failure.message.starts_with(&failure.causes[0].summary));
        let total = replay.log.len() as u64;
        let mut seqs = failure.causes.iter().flat_map(|cause| [cause.from, cause.to, cause.line]);
        prop_assert!(seqs.all(|seq| seq.is_none_or(|seq| seq < total)));
    }

    #[test]
    fn counts_never_exceed_what_was_said(lines in prop::collection::vec(any_line(), 0..60)) {
        let mut replay = Replay::default();
        let mut said_so_far = Vec::new();
        let mut begun = 0;
        for line in &lines {
            said_so_far.extend(said(line));
            begun += u64::from(line.starts_with("building '") || line.starts_with("copying path '"));
            replay.line(line, true);
            let counts = replay.counts();
            let is_said = |said: &[u64; 4]| {
                said.iter().zip(counts).all(|(said, count)| match count {
                    Some(count) => *said == count,
                    None => *said > MAX_COUNT,
                })
            };
            if said_so_far.iter().any(is_said) {
                continue;
            }
            match counts {
                [None, None, None, None] => {}
                // Counted from plain lines.
                [Some(done), Some(expected), None, None] => {
                    prop_assert!(done <= begun && done <= expected && [1, 3].contains(&expected));
                }
                counts => prop_assert!(false, "{counts:?}"),
            }
        }
    }
}
