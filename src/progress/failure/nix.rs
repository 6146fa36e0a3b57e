//! Errors of nix as causes: derivations that could not be built, evaluations, inputs.

use super::super::block::Block;
use super::super::nix_error::{self, NixError};
use super::telling::{Weight, weigh};
use super::text::Tail;
use super::{Known, Part, fallback};
use crate::protocol::{CauseKind, Phase, Seq};

/// How many of a derivation's last lines are looked at.
const LAST_LINES: usize = 100;

/// How many of them are part of the message.
const SHOWN_BYTES: usize = 1000;

/// How many lines before an error are looked at for what another program said of it.
const LINES_BEFORE: Seq = 30;

/// How many lines before an error are looked at for those of its builder.
const UNNAMED_LINES: Seq = 2000;

/// How the end of a builder begins that ended by itself.
const BY_ITSELF: &str = "failed to build (exit code";

/// What nix adds to the error of a build on a full disk.
const FULL_DISK_NOTE: &str = "may have been caused by lack of free disk space";

/// What to do on a full disk.
const OF_FULL_DISK: &str = "The disk of the host is full. Make room, for example with \
                            `nix-collect-garbage --delete-older-than 30d`, then try again.";

/// What nix said, sorted.
#[derive(Default)]
struct Said<'b> {
    derivations: Vec<Failed<'b>>,
    /// The last error about anything else.
    other: Option<&'b Block>,
    /// The same of those after which nix went on.
    survived: Option<&'b Block>,
    /// The first that only waited for another.
    dependency: Option<&'b Block>,
    /// Why no builder could run; the error of a derivation follows it.
    sandbox: Option<&'b Block>,
    ends_with_other: bool,
}

/// A derivation that could not be built.
struct Failed<'b> {
    derivation: &'b str,
    block: &'b Block,
    /// Why its builder could not even run.
    sandbox: Option<&'b Block>,
}

impl<'b> Said<'b> {
    fn take(&mut self, block: &'b Block) {
        match nix_error::meaning(block) {
            NixError::Dependency => self.dependency = self.dependency.or(Some(block)),
            NixError::Derivation(derivation) => {
                self.ends_with_other = false;
                let sandbox = self.sandbox.take();
                let mut known = self.derivations.iter();
                if known.all(|known| known.derivation != derivation) {
                    self.derivations.push(Failed {
                        derivation,
                        block,
                        sandbox,
                    });
                }
            }
            NixError::Sandbox => self.sandbox = Some(block),
            _ if block.is_survived => self.survived = Some(block),
            // It only says that the one before it was the end.
            NixError::Machinery
                if self.ends_with_other
                    && block.head().contains("unable to start build process") => {}
            _ => {
                self.ends_with_other = true;
                self.other = Some(block);
            }
        }
    }
}

/// The causes that nix named: every derivation that failed, and the last other error. What nix said last ended the
/// step, so it comes first.
pub(super) fn parts(known: Known<'_>) -> Vec<Part> {
    let mut said = Said::default();
    let blocks = known.decoder.findings().blocks.iter();
    blocks
        .filter(|block| !block.is_empty())
        .for_each(|block| said.take(block));
    let mut other = said.other.or(said.sandbox);
    if said.derivations.is_empty() && said.dependency.is_some() {
        other = other.or(said.survived).or(said.dependency);
    }
    let mut parts: Vec<Part> = said
        .derivations
        .into_iter()
        .map(|failed| of_derivation(known, &failed))
        .collect();
    if let Some(block) = other {
        let at = if said.ends_with_other { 0 } else { parts.len() };
        parts.insert(at, of_error(known, block));
    }
    parts
}

fn of_derivation(known: Known<'_>, failed: &Failed<'_>) -> Part {
    let (derivation, block) = (failed.derivation, failed.block);
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
    let in_log = log.as_ref().and_then(Tail::told);
    let is_hash = happened.starts_with("hash mismatch");
    // Without an exit code it is not the builder that ended by itself, and its last words may say nothing of that.
    let is_of_builder = happened.starts_with(BY_ITSELF);
    let telling = in_log
        .or_else(|| quoted(known, block))
        .or_else(|| unnamed_lines(known, derivation, block))
        .filter(|(_, text)| is_of_builder || weigh(text) > Weight::Plain)
        .or_else(|| said_outside(known, block))
        .or_else(|| failed.sandbox.map(of_sandbox))
        .filter(|_| !is_hash);
    let summary = match &telling {
        Some((_, text)) => format!("{name} {happened}: {text}"),
        None if is_hash => format!("{name}: {happened}"),
        None => format!("{name} {happened}"),
    };
    let line = telling.map_or(block.line, |(seq, _)| seq);
    let mut detail = block.text().to_owned();
    if detail.contains(FULL_DISK_NOTE) {
        detail = format!("{OF_FULL_DISK}\n{detail}");
    }
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
        .leaving_out(block.left_out())
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

/// `linux-modules` of `linux-modules-6.12`: the version begins behind the first dash that no letter follows (`DrvName` of
/// nix, src/libstore/names.cc).
fn without_version(name: &str) -> &str {
    let mut at = 0;
    while let Some(dash) = name[at..].find('-').map(|dash| at + dash) {
        if name[dash + 1..].starts_with(|c: char| !c.is_ascii_alphabetic()) {
            return &name[..dash];
        }
        at = dash + 1;
    }
    name
}

/// The most telling of the builder's lines where nix prints them without its name, as `nix-build` does.
fn unnamed_lines(known: Known<'_>, derivation: &str, block: &Block) -> Option<(Seq, String)> {
    let begin = block.from.saturating_sub(UNNAMED_LINES);
    let begin = begin.max(known.ending.lines.start);
    let begins = format!("building '{derivation}'");
    let inside = std::cell::Cell::new(false);
    let tail = Tail::read(known, begin..block.from, LAST_LINES, |line| {
        let is_begin = line.text.starts_with("building '");
        if is_begin {
            inside.set(line.text.starts_with(&begins));
        }
        (inside.get() && !is_begin && !is_behind_name(line.text)).then_some(line.text)
    });
    tail.told()
}

/// The most telling of the builder's lines that the error itself repeats, `       > main.c:3: error`.
fn quoted(known: Known<'_>, block: &Block) -> Option<(Seq, String)> {
    let tail = Tail::read(known, block.from..block.to + 1, LAST_LINES, |line| {
        let text = line.text.trim_start();
        text.strip_prefix("> ")
    });
    tail.told()
}

/// An error that is not about a derivation: its whole block.
fn of_error(known: Known<'_>, block: &Block) -> Part {
    let kind = match nix_error::meaning(block) {
        NixError::Evaluation => CauseKind::Evaluation,
        NixError::Git => CauseKind::Git,
        NixError::Memory => CauseKind::Memory,
        NixError::Derivation(_) | NixError::Dependency | NixError::Sandbox => CauseKind::Derivation,
        NixError::Disk | NixError::Machinery => CauseKind::Other,
        NixError::Other if known.phase() == Some(Phase::Evaluation) => CauseKind::Evaluation,
        NixError::Other => fallback::kind(known),
    };
    let text = block.text();
    // The first line is in the summary.
    let mut detail = text
        .split_once('\n')
        .map_or("", |(_, rest)| rest)
        .to_owned();
    if nix_error::meaning(block) == NixError::Disk {
        detail = format!("{OF_FULL_DISK}\n{detail}");
    }
    let summary = block.summary();
    match said_outside(known, block) {
        Some((seq, reason)) => {
            let part = Part::new(
                kind,
                &format!("{}: {reason}", summary.trim_end_matches('.')),
            );
            part.at(seq.min(block.from), block.to, seq)
        }
        None => Part::new(kind, &summary).at(block.from, block.to, block.line),
    }
    .with_detail(detail)
    .leaving_out(block.left_out())
}

/// Why a builder could not run.
fn of_sandbox(block: &Block) -> (Seq, String) {
    let text = block.head().trim_start_matches("error:").trim();
    (block.line, text.to_owned())
}

/// The reason of an error that another program printed before it: git, ssh, a hook.
fn said_outside(known: Known<'_>, block: &Block) -> Option<(Seq, String)> {
    let head = block.head();
    let is_of_machine = |text: &str| text.contains("cannot build on '") || is_of_ssh(text);
    let is_of_ssh_itself =
        head.contains("SSH connection") || head.starts_with("error: cannot connect to '");
    if nix_error::meaning(block) == NixError::Git || is_of_ssh_itself {
        said_before(known, block, |text| (!is_behind_name(text)).then_some(text))
    } else if head.contains("unable to start any build") || head.contains(" is required to build ")
    {
        said_before(known, block, |text| is_of_machine(text).then_some(text))
    } else if head.starts_with("error: program '") {
        said_before(known, block, |text| Some(text.split_once(" (post)> ")?.1))
    } else {
        None
    }
}

/// The most telling of the lines before an error that `wanted` takes.
fn said_before(
    known: Known<'_>,
    block: &Block,
    wanted: impl Fn(&str) -> Option<&str>,
) -> Option<(Seq, String)> {
    let begin = block.from.saturating_sub(LINES_BEFORE);
    let begin = begin.max(known.ending.lines.start);
    let tail = Tail::read(known, begin..block.from, LAST_LINES, |line| {
        wanted(line.text).filter(|_| line.is_error)
    });
    let (seq, text) = tail.reason()?;
    Some((seq, text.to_owned()))
}

fn is_of_ssh(text: &str) -> bool {
    text.starts_with("ssh: ")
        || text.starts_with("Host key verification failed")
        || text.contains(": Permission denied (")
}

/// Whether a line is that of a builder: `name> …`.
fn is_behind_name(text: &str) -> bool {
    let name = text.split_once("> ").map(|(name, _)| name);
    name.is_some_and(|name| !name.contains(' '))
}
