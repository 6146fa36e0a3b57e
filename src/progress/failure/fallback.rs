//! A step that neither nix nor an activation explained: its exit code and its last lines.

use super::text::Tail;
use super::{Known, Line, Part, memory};
use crate::protocol::{CauseKind, Phase};
use nix::sys::signal::Signal;
use std::ops::Range;

/// How many of the last lines on standard error are looked at.
const LAST_LINES: usize = 200;

/// How much of them is part of the message, in bytes.
const SHOWN_BYTES: usize = 2000;

/// What became of the host where the program failed behind its activation.
const SWITCHED: &str = "The activation before this succeeded.";

/// Says in a message of Python that a program was killed.
const KILLED: &str = "died with <Signals.SIGKILL";

/// Say that memory ran out, where the program that needed it could still tell.
const OUT_OF_MEMORY: [&str; 4] = [
    "std::bad_alloc",
    "GC Warning: Out of Memory",
    "Too many heap sections",
    "Out of memory",
];

/// The cause, from the last lines on standard error.
pub(super) fn part(known: Known<'_>) -> Part {
    let tail = last_errors(known);
    let program = known.ending.program;
    let code = known.ending.code;
    let signal = known.signal();
    let killed = tail.texts().any(|line| line.contains(KILLED));
    let shown = tail.text(SHOWN_BYTES);
    let telling = tail.told();
    if let Some((seq, text)) =
        tail.find(|line| OUT_OF_MEMORY.iter().any(|words| line.contains(words)))
    {
        let summary = format!("Out of memory{}: {}", known.doing(), text.trim());
        let part = Part::new(CauseKind::Memory, &summary).with_detail(shown);
        return part.at(seq, tail.ends().map_or(seq, |(_, last)| last), seq);
    }
    let mut part = match (signal, &telling) {
        _ if killed => Part::new(
            CauseKind::Other,
            &format!("nix was killed (SIGKILL){}", known.doing()),
        )
        .with_detail(of_kill(known)),
        (Some(signal), _) => {
            let doing = known.doing();
            let summary = format!("{program} ended with exit code {code} ({signal}){doing}");
            let mut detail = shown;
            if signal == Signal::SIGKILL && !doing.is_empty() {
                detail = format!("{}\n{detail}", of_kill(known));
            }
            Part::new(CauseKind::Other, &summary).with_detail(detail)
        }
        (None, Some((_, text))) => Part::new(kind(known), text).with_detail(shown),
        (None, None) => Part::new(
            kind(known),
            &format!("{program} ended with exit code {code} and said nothing on standard error"),
        ),
    };
    if known.activation_end().is_some() {
        part.detail = format!("{SWITCHED}\n{}", part.detail);
    }
    match (tail.ends(), telling) {
        (Some((from, to)), Some((line, _))) => part.at(from, to, line),
        _ => part,
    }
}

/// What the program said besides, where the kernel says that memory ran out: which of the two was first is not known.
pub(super) fn beside_memory(known: Known<'_>) -> Option<Part> {
    let tail = last_errors(known);
    let (seq, text) = tail.reason()?;
    let part = Part::new(kind(known), text).with_detail(tail.text(SHOWN_BYTES));
    let (from, to) = tail.ends()?;
    (!memory::speaks_of_kill(text)).then(|| part.at(from, to, seq))
}

/// Who sent SIGKILL, as far as that is known.
fn of_kill(known: Known<'_>) -> String {
    let text = match known.ending.memory {
        Some(_) => {
            "The kernel did not kill it for lack of memory: it counts no such kill in the run's control group."
        }
        None => {
            "A person or the kernel killed it. The kernel does that when memory runs out; its log says so."
        }
    };
    text.to_owned()
}

/// The last lines on standard error that may say something. What was said before the phase began was survived.
fn last_errors(known: Known<'_>) -> Tail {
    let Range { start, end } = known.ending.lines;
    let start = start.max(known.phase_begin());
    Tail::read(known, start..end, LAST_LINES, |line: Line<'_>| {
        let text = line.text.trim();
        let is_of_python = text.starts_with("Command '") && !text.contains(KILLED);
        (line.is_error && !text.is_empty() && !is_of_python).then_some(line.text)
    })
}

/// What a step was about whose errors are not those of nix.
pub(super) fn kind(known: Known<'_>) -> CauseKind {
    let is_pull = known.phase() == Some(Phase::Pull);
    if is_pull || is_of_git(known) {
        CauseKind::Git
    } else {
        CauseKind::Other
    }
}

/// Whether the program that failed is git itself.
pub(super) fn is_of_git(known: Known<'_>) -> bool {
    known.program_name() == "git"
}
