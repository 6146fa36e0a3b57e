//! An activation that failed: which parts of it, and what became of the machine.
//!
//! The order of `switch-to-configuration` decides that: lock, checks, boot loader, stopping of units, activation
//! script, starting of units. Its exit codes come second, because the old bash nixos-rebuild ends with 1 for all of
//! them, and a failed boot loader with any errno.

use super::super::activation::{Activation, Named, Names};
use super::super::block::Block;
use super::text::Tail;
use super::{Known, Part, boot_loader, half_way, units};
use crate::protocol::{CauseKind, Phase, Seq};

/// How many lines before a failure are looked at for its reason.
pub(super) const LAST_LINES: usize = 60;

/// How much of them is part of the message, in bytes.
pub(super) const SHOWN_BYTES: usize = 1500;

/// What nixos-rebuild and systemd-run say behind the last words of an activation.
const OF_SYSTEMD_RUN: [&str; 7] = [
    "Command '",
    "warning: error(s) occurred",
    "Finished with result:",
    "Main processes terminated with:",
    "Service runtime:",
    "CPU time consumed:",
    "Memory peak:",
];

/// What to say where some units failed, and nothing tells whether the rest was done.
const UNKNOWN: &str = "It is unknown whether the activation was complete. Switch again.";

/// What to say where the machine is neither the old system nor the new one.
pub(super) const BETWEEN: &str = "The host may be left between two systems. Switch again.";

/// The parts of the activation that failed, in the order in which they matter.
pub(super) fn parts(known: Known<'_>) -> Vec<Part> {
    if known.phase() == Some(Phase::Testing) {
        return Vec::new();
    }
    let said = &known.decoder.findings().activation;
    if let Some(part) = not_begun(known, said) {
        return part;
    }
    let error = said.error.as_ref().filter(|error| is_end(known, error));
    let error = error.filter(|error| known.is_activating() || is_told_of(known, error));
    // The list of units that failed is printed when all is done; so is the code of units that failed.
    let is_switched = !said.units.is_empty() || known.ending.code == 4 && error.is_none();
    let mut parts = Vec::new();
    parts.extend(boot_loader::failed(known, said));
    parts.extend(script(known, said));
    let mut units = units::parts(known, said, is_switched);
    if parts.is_empty() && units.is_empty() && error.is_none() && said.boot_entry.is_none() {
        parts.extend(boot_loader::failed_without_a_word(known));
    }
    let end = match error {
        Some(error) => Some(of_error(known, error)),
        None => {
            half_way::is_unexplained(known, &parts, &units).then(|| half_way::part(known, said))
        }
    };
    if is_switched {
        parts.append(&mut units);
        parts.extend(end);
    } else {
        if let (None, Some(first)) = (&end, units.first_mut()) {
            first.detail = format!("{UNKNOWN}\n{}", first.detail);
        }
        parts.extend(end);
        parts.append(&mut units);
    }
    parts.extend(boot_loader::left_out_of_menu(said));
    parts
}

/// What kept the activation from beginning: another one, or checks. Nothing was changed then.
fn not_begun(known: Known<'_>, said: &Activation) -> Option<Vec<Part>> {
    if let Some(seq) = said.lock.or(said.is_loaded) {
        let summary = "Another activation is running. The new system is built, but not activated: switch again after the other one has ended.";
        let advice = "systemctl list-units 'nixos-rebuild*' 'switchyard-run*' shows it.";
        let part = Part::new(CauseKind::Other, summary).at(seq, seq, seq);
        return Some(vec![part.with_detail(advice.to_owned())]);
    }
    if said.checks_failed.is_none() && said.checks.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    parts.extend(inhibitors(known, said));
    let mut begin = known.ending.lines.start;
    for check in &said.checks.kept {
        if check.name != "switchInhibitors" || said.inhibitors.is_empty() {
            parts.push(check_part(known, check, begin));
        }
        begin = check.seq + 1;
    }
    if parts.is_empty()
        && let Some(seq) = said.checks_failed
    {
        let summary = "Not switched: the checks before the switch failed";
        let tail = before(known, seq, known.ending.lines.start);
        let part = Part::new(CauseKind::Check, summary).at(seq, seq, seq);
        parts.push(part.with_detail(tail.text(SHOWN_BYTES)));
    }
    Some(parts)
}

/// Changes that NixOS does not make to a running system.
fn inhibitors(known: Known<'_>, said: &Activation) -> Option<Part> {
    let (first, last) = (said.inhibitors.kept.first()?, said.inhibitors.kept.last()?);
    let summary = format!(
        "Not switched: NixOS does not change this in a running system: {}. Use boot, then restart the host.",
        list(&said.inhibitors, |named| named.name.clone())
    );
    let end = said.checks_failed.unwrap_or(last.seq);
    let remedy = Tail::read(known, last.seq + 1..end, LAST_LINES, |line| Some(line.text));
    let part = Part::new(CauseKind::Check, &summary).named("switchInhibitors");
    Some(
        part.at(first.seq, end, first.seq)
            .with_detail(remedy.text(SHOWN_BYTES)),
    )
}

/// A check before the activation that failed; its reason is what it printed.
fn check_part(known: Known<'_>, check: &Named, begin: Seq) -> Part {
    let printed = before(known, check.seq, begin);
    let reason = printed.told();
    let mut summary = format!(
        "Not switched: the check '{}' before the switch failed",
        check.name
    );
    if let Some((_, reason)) = &reason {
        summary.push_str(": ");
        summary.push_str(reason);
    }
    let from = printed.ends().map_or(check.seq, |(first, _)| first);
    let line = reason.map_or(check.seq, |(seq, _)| seq);
    Part::new(CauseKind::Check, &summary)
        .named(&check.name)
        .at(from, check.seq, line)
        .with_detail(printed.text(SHOWN_BYTES))
}

/// The lines before a failure, from `begin` or from where the activation began, without those of builders.
fn before(known: Known<'_>, seq: Seq, begin: Seq) -> Tail {
    let begin = known
        .activation_begin()
        .map_or(begin, |activation| begin.max(activation));
    lines_before(known, seq, begin)
}

/// The lines before a failure, from `begin`, without those of builders and of nix.
pub(super) fn lines_before(known: Known<'_>, seq: Seq, begin: Seq) -> Tail {
    let begin = begin.max(seq.saturating_sub(LAST_LINES as Seq));
    Tail::read(known, begin..seq, LAST_LINES, |line| {
        let text = line.text.trim();
        let is_of_builder = text
            .split_once("> ")
            .is_some_and(|(name, _)| !name.contains(' '));
        let counts = !text.is_empty() && !is_of_builder && !is_of_nix(text);
        counts.then_some(line.text)
    })
}

/// Lines of nix before an activation, and of the activation before its checks.
fn is_of_nix(text: &str) -> bool {
    [
        "building ",
        "copying ",
        "evaluating ",
        "these ",
        "this ",
        "Command '",
        "Checking switch inhibitors",
        "warning: Git tree",
    ]
    .iter()
    .any(|start| text.starts_with(start))
        // One of those that will be built or fetched.
        || text.starts_with("/nix/store/") && !text.contains(' ')
}

/// Parts of the activation script, each with what it printed.
fn script(known: Known<'_>, said: &Activation) -> Vec<Part> {
    let mut begin = known.ending.lines.start;
    let mut parts = Vec::new();
    for snippet in &said.snippets.kept {
        let printed = before(known, snippet.seq, begin);
        begin = snippet.seq + 1;
        let reason = printed.told();
        let mut summary = format!("The activation script '{}' failed", snippet.name);
        if let Some((_, reason)) = &reason {
            summary.push_str(": ");
            summary.push_str(reason);
        }
        let line = reason.map_or(snippet.seq, |(seq, _)| seq);
        let from = line;
        let part = Part::new(CauseKind::ActivationScript, &summary).named(&snippet.name);
        parts.push(part.at(from, snippet.seq, line));
    }
    if let Some(seq) = said.script.filter(|_| parts.is_empty()) {
        let printed = before(known, seq, begin);
        let reason = printed.told();
        let mut summary = "The activation script failed".to_owned();
        if let Some((_, reason)) = &reason {
            summary.push_str(": ");
            summary.push_str(reason);
        }
        let line = reason.map_or(seq, |(seq, _)| seq);
        let part = Part::new(CauseKind::ActivationScript, &summary).at(line, seq, line);
        parts.push(part.with_detail(printed.text(SHOWN_BYTES)));
    }
    if let Some(last) = parts.last_mut() {
        let state = "The host may be left between two systems. Fix the script and switch again.";
        last.detail = format!("{state}\n{}", last.detail);
    }
    parts
}

/// Whether an error is the one with which the program ended: nothing comes behind it.
fn is_end(known: Known<'_>, error: &Block) -> bool {
    let behind = error.to + 1..known.ending.lines.end;
    let tail = Tail::read(known, behind, 1, |line| {
        let text = line.text.trim();
        let counts = line.is_error && !text.is_empty();
        (counts && !OF_SYSTEMD_RUN.iter().any(|start| text.starts_with(start))).then_some(text)
    });
    tail.ends().is_none()
}

/// Whether an error outside of an activation is one of switch-to-configuration: what ran it says so behind it.
fn is_told_of(known: Known<'_>, error: &Block) -> bool {
    let behind = error.to + 1..known.ending.lines.end;
    let tail = Tail::read(known, behind, LAST_LINES, |line| {
        let text = line.text;
        let counts = text.contains("switch-to-configuration")
            || text.starts_with("warning: error(s) occurred while switching")
            || text.starts_with("Main processes terminated with:");
        counts.then_some(text)
    });
    tail.ends().is_some() || known.program_name() == "switch-to-configuration"
}

/// `Error: …`, with which the new switch-to-configuration ends.
fn of_error(known: Known<'_>, error: &Block) -> Part {
    let what = error.with_cause();
    let summary = match known.is_activating() {
        true => format!("The activation ended half way: {what}"),
        false => format!("The activation failed: {what}"),
    };
    let state = if known.is_activating() { BETWEEN } else { "" };
    Part::new(CauseKind::Other, &summary)
        .at(error.from, error.to, error.line)
        .with_detail(format!("{state}\n{}", error.text()))
        .leaving_out(error.left_out())
}

/// Names in a row, and how many more there are.
pub(super) fn list(names: &Names, word: impl Fn(&Named) -> String) -> String {
    let words: Vec<String> = names.kept.iter().map(word).collect();
    let mut list = words.join(", ");
    if names.more > 0 {
        list.push_str(&format!(" and {} more", names.more));
    }
    list
}
