//! Errors of nix as causes: derivations that could not be built, evaluations, inputs.

use super::super::block::Block;
use super::super::nix_error::{self, NixError};
use super::text::Tail;
use super::{Known, Part};
use crate::protocol::{CauseKind, Seq};

/// How many of a derivation's last lines are looked at.
const LAST_LINES: usize = 100;

/// How many of them are part of the message.
const SHOWN_BYTES: usize = 1000;

/// The causes that nix named: every derivation that failed, and the last other error. What nix said last ended the
/// step, so it comes first.
pub(super) fn parts(known: Known<'_>) -> Vec<Part> {
    let findings = known.decoder.findings();
    let mut derivations: Vec<(&str, &Block)> = Vec::new();
    let mut other: Option<&Block> = None;
    let mut dependency: Option<&Block> = None;
    let mut ends_with_other = false;
    for block in findings.blocks.iter().filter(|block| !block.is_empty()) {
        match nix_error::meaning(block) {
            NixError::Dependency => dependency = dependency.or(Some(block)),
            NixError::Derivation(derivation) => {
                ends_with_other = false;
                if derivations.iter().all(|(known, _)| *known != derivation) {
                    derivations.push((derivation, block));
                }
            }
            _ => {
                ends_with_other = true;
                other = Some(block);
            }
        }
    }
    let other = other.or(dependency.filter(|_| derivations.is_empty()));
    let mut parts: Vec<Part> = derivations
        .into_iter()
        .map(|(derivation, block)| of_derivation(known, derivation, block))
        .collect();
    if let Some(block) = other {
        let at = if ends_with_other { 0 } else { parts.len() };
        parts.insert(at, of_error(known, block));
    }
    parts
}

fn of_derivation(known: Known<'_>, derivation: &str, block: &Block) -> Part {
    let name = nix_error::name(derivation);
    let happened = nix_error::what_happened(block);
    let log = own_lines(known, derivation, name);
    let (from, to) =
        log.as_ref()
            .and_then(Tail::ends)
            .map_or((block.from, block.to), |(first, last)| {
                let whole = known.decoder.lines_of(derivation);
                whole.unwrap_or((first, last))
            });
    let in_log = log.as_ref().and_then(Tail::most_telling);
    let is_hash = happened.starts_with("hash mismatch");
    let telling = in_log
        .map(|(seq, text)| (seq, text.to_owned()))
        .or_else(|| quoted(known, block))
        .filter(|_| !is_hash);
    let summary = match &telling {
        Some((_, text)) => format!("{name} {happened}: {text}"),
        None if is_hash => format!("{name}: {happened}"),
        None => format!("{name} {happened}"),
    };
    let line = telling.map_or(block.line, |(seq, _)| seq);
    let mut detail = block.text();
    if let Some(log) = &log
        && !detail.contains("log lines:")
    {
        detail.push_str("\nIts last lines:\n");
        detail.push_str(&log.text(SHOWN_BYTES));
    }
    Part::new(CauseKind::Derivation, &summary)
        .named(name)
        .at(from, to, line)
        .with_detail(detail)
}

/// The last lines of a derivation's builder, without the name before each.
fn own_lines(known: Known<'_>, derivation: &str, name: &str) -> Option<Tail> {
    let (from, to) = known
        .decoder
        .lines_of(derivation)
        .unwrap_or((known.ending.lines.start, known.ending.lines.end));
    // `-L` prints the name without its version.
    let short = without_version(name);
    let tail = Tail::read(
        known,
        from..(to + 1).min(known.ending.lines.end),
        LAST_LINES,
        |line| {
            let behind = |name: &str| line.text.strip_prefix(name)?.strip_prefix("> ");
            behind(name).or_else(|| behind(short))
        },
    );
    tail.ends().map(|_| tail)
}

/// `linux-modules` of `linux-modules-6.12`.
fn without_version(name: &str) -> &str {
    let mut at = 0;
    while let Some(dash) = name[at..].find('-').map(|dash| at + dash) {
        if name[dash + 1..].starts_with(|c: char| c.is_ascii_digit()) {
            return &name[..dash];
        }
        at = dash + 1;
    }
    name
}

/// The most telling of the builder's lines that the error itself repeats, `       > main.c:3: error`.
fn quoted(known: Known<'_>, block: &Block) -> Option<(Seq, String)> {
    let tail = Tail::read(known, block.from..block.to + 1, LAST_LINES, |line| {
        let text = line.text.trim_start();
        text.strip_prefix("> ")
    });
    let (seq, text) = tail.most_telling()?;
    Some((seq, text.to_owned()))
}

/// An error that is not about a derivation: its whole block.
fn of_error(known: Known<'_>, block: &Block) -> Part {
    let kind = match nix_error::meaning(block) {
        NixError::Evaluation => CauseKind::Evaluation,
        NixError::Git => CauseKind::Git,
        NixError::Memory => CauseKind::Memory,
        NixError::Derivation(_) | NixError::Dependency => CauseKind::Derivation,
        NixError::Other if known.doing() == " while evaluating" => CauseKind::Evaluation,
        NixError::Other => CauseKind::Other,
    };
    let text = block.text();
    // The first line is in the summary.
    let detail = text.split_once('\n').map_or("", |(_, rest)| rest);
    Part::new(kind, &block.summary())
        .at(block.from, block.to, block.line)
        .with_detail(detail.to_owned())
}
