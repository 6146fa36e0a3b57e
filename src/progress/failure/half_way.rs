//! An activation that ended in the middle, and said nothing of that which is known: its exit code tells.

use super::super::activation::Activation;
use super::activation::{BETWEEN, LAST_LINES, SHOWN_BYTES};
use super::telling::{Weight, weigh};
use super::text::Tail;
use super::{Known, Part, is_of};
use crate::protocol::CauseKind;

/// What an activation says while all is well.
const PROGRESS: [&str; 11] = [
    "stopping ",
    "starting ",
    "restarting ",
    "reloading ",
    "NOT restarting ",
    "activating ",
    "setting up ",
    "removing ",
    "updating ",
    "remounting ",
    "the following new units",
];

/// What to say of an activation whose end nobody was told.
const OUTLIVED: &str =
    "continued to its end without it; it is unknown whether all of it was done. Switch again.";

/// Whether the activation ended in a way that the parts of it which failed do not explain: it goes on behind a unit
/// that failed, and behind its script.
pub(super) fn is_unexplained(known: Known<'_>, parts: &[Part], units: &[Part]) -> bool {
    let said = &known.decoder.findings().activation;
    // A program around it may have given the code another meaning.
    let is_own_code = matches!(
        known.program_name(),
        "nixos-rebuild" | "switch-to-configuration"
    );
    let is_death = matches!(known.ending.code, 101 | 241) || known.signal().is_some();
    let is_explained = match known.ending.code {
        // The old bash nixos-rebuild ends with 1 for everything.
        1 | 4 => !parts.is_empty() || !units.is_empty(),
        2 => !parts.is_empty() || !said.units.is_empty(),
        _ if is_death => is_of(parts, CauseKind::BootLoader) || !said.units.is_empty(),
        _ => !parts.is_empty() || !said.units.is_empty() || !is_own_code && !units.is_empty(),
    };
    known.is_activating() && !is_explained
}

/// What the exit code of an activation means, with its last words.
pub(super) fn part(known: Known<'_>, said: &Activation) -> Part {
    let begin = known.activation_begin().unwrap_or(known.ending.lines.start);
    let end = known.ending.lines.end;
    let tail = Tail::read(known, begin..end, LAST_LINES, |line| {
        let text = line.text.trim();
        (!text.is_empty() && !text.starts_with("Command '")).then_some(line.text)
    });
    let (kind, meaning, state) = meaning(known);
    // A program that was killed had no last words.
    let is_killed = known.signal().is_some();
    let counts = |text: &str| {
        let is_progress = PROGRESS.iter().any(|start| text.starts_with(start));
        weigh(text) > Weight::Plain || !is_killed && !is_progress
    };
    // It went on behind what it said of its parts.
    let others = tail.filter_lines(|seq, _| !said.names_part(seq));
    let telling = others.most_telling().filter(|(_, text)| counts(text));
    let summary = match telling {
        Some((_, text)) if !state.is_empty() => format!("{meaning}: {text}"),
        _ => meaning,
    };
    let part =
        Part::new(kind, &summary).with_detail(format!("{state}\n{}", tail.text(SHOWN_BYTES)));
    match tail.ends() {
        Some((from, to)) => part.at(from, to, telling.map_or(to, |(line, _)| line)),
        None => part,
    }
}

/// The kind, the meaning, and what is to be said of the host where the meaning does not tell that.
fn meaning(known: Known<'_>) -> (CauseKind, String, &'static str) {
    let code = known.ending.code;
    let with = match known.signal() {
        Some(signal) => format!("with exit code {code} ({signal})"),
        None => format!("with exit code {code}"),
    };
    if known.ending.outlived {
        let program = known.program_name();
        let words =
            format!("{program} ended {with} in the middle of the activation, which {OUTLIVED}");
        return (CauseKind::Other, words, "");
    }
    let (kind, words) = match code {
        4 => (
            CauseKind::Unit,
            "The system is switched, but a unit failed.",
        ),
        2 => (
            CauseKind::ActivationScript,
            "An activation script failed: the host may be left between two systems. Fix the script and switch again.",
        ),
        100 => (
            CauseKind::Check,
            "The system is not switched: its init is not compatible with the running one. Use boot, then restart the host.",
        ),
        101 => (
            CauseKind::Other,
            "The activation died half way, and units may be left stopped. Switch again.",
        ),
        143 | 241 => (
            CauseKind::Other,
            "The activation was ended by SIGTERM: the host may be left between two systems. Switch again.",
        ),
        1 => {
            return (
                CauseKind::Other,
                "The activation failed".to_owned(),
                BETWEEN,
            );
        }
        _ => {
            let words = format!("The activation ended half way {with}");
            return (CauseKind::Other, words, BETWEEN);
        }
    };
    (kind, words.to_owned(), "")
}
