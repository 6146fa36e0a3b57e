//! Units that failed during an activation: those that are new, those that had failed before, and why each did.

use super::super::activation::{Activation, Names};
use super::telling::{Weight, weigh};
use super::text::Tail;
use super::{Known, Part};
use crate::ansi::strip_line;
use crate::protocol::{CauseKind, Seq};

/// How many lines about one unit are looked at.
const LAST_LINES: usize = 60;

/// How much of a reason is part of the first line, in characters.
const REASON_CHARS: usize = 160;

/// How much of what systemd says of a unit is part of the message, in bytes.
const SHOWN_BYTES: usize = 800;

/// Most units named in the first line.
const MAX_NAMED: usize = 8;

/// A unit that failed.
struct Unit<'u> {
    name: &'u str,
    /// The line that names it.
    seq: Seq,
    /// Of a user.
    is_users: bool,
    /// What could not be done with it, such as `reload`, where it is not failed itself.
    job: Option<&'u str>,
    had_failed: bool,
}

/// What systemd says of a unit.
struct Status {
    from: Seq,
    to: Seq,
    line: Seq,
    reason: Option<String>,
    text: String,
}

/// One cause for each unit; those that had not failed before come first. The first one's summary tells of all.
/// `is_switched` says whether the activation is known to have come to its end.
pub(super) fn parts(known: Known<'_>, said: &Activation, is_switched: bool) -> Vec<Part> {
    let mut units = find(known, said);
    if units.is_empty() {
        return Vec::new();
    }
    units.sort_by_key(|unit| unit.had_failed);
    let more = said.units.more + said.user_units.more + said.jobs.more;
    let statuses: Vec<Option<Status>> = units
        .iter()
        .map(|unit| {
            status(known, unit)
                .or_else(|| own_error(said, unit))
                .or_else(|| of_systemctl(known, unit))
        })
        .collect();
    let mut parts = Vec::new();
    for (index, (unit, status)) in units.iter().zip(&statuses).enumerate() {
        let summary = match index {
            0 => headline(&units, &statuses, more, is_switched),
            _ => alone(unit, status.as_ref()),
        };
        let part = Part::new(CauseKind::Unit, &summary).named(unit.name);
        parts.push(match status {
            Some(status) => part
                .at(status.from.min(unit.seq), status.to, status.line)
                .with_detail(status.text.clone()),
            None => part.at(unit.seq, unit.seq, unit.seq),
        });
    }
    parts
}

fn find<'s>(known: Known<'_>, said: &'s Activation) -> Vec<Unit<'s>> {
    let before = known.ending.failed_before.unwrap_or_default();
    let of = |names: &'s Names, is_users: bool| {
        names.kept.iter().map(move |named| Unit {
            name: &named.name,
            seq: named.seq,
            is_users,
            job: None,
            had_failed: !is_users && before.contains(&named.name),
        })
    };
    let mut units: Vec<Unit<'_>> = of(&said.units, false)
        .chain(of(&said.user_units, true))
        .collect();
    // Anybody may say that something could not be started; it counts where an activation said it.
    if units.is_empty() && !known.is_activating() {
        return units;
    }
    for named in &said.jobs.kept {
        let Some((job, name)) = named.name.split_once(' ') else {
            continue;
        };
        if units.iter().all(|unit| unit.name != name) {
            units.push(Unit {
                name,
                seq: named.seq,
                is_users: false,
                job: Some(job),
                had_failed: false,
            });
        }
    }
    units
}

/// What is said of all units: the new ones with their reason where it is one, those that had failed before apart.
fn headline(
    units: &[Unit<'_>],
    statuses: &[Option<Status>],
    more: u64,
    is_switched: bool,
) -> String {
    let new = units.iter().filter(|unit| !unit.had_failed).count();
    let names: Vec<String> = units.iter().map(in_list).collect();
    let (new_names, old_names) = names.split_at(new);
    let old = listed(old_names, 0);
    if new == 0 {
        return format!(
            "The system is switched, but these units had failed before and still do: {old}"
        );
    }
    let begin = match is_switched {
        true => "The system is switched, but these units failed",
        false => "These units failed",
    };
    let mut line = format!("{begin}: {}", listed(new_names, more));
    if let ([_], Some(Some(status))) = (new_names, statuses.first())
        && let Some(reason) = &status.reason
    {
        line.push_str(&format!(" ({})", short(reason)));
    }
    if !old_names.is_empty() {
        line.push_str(&format!("; failed before, too: {old}"));
    }
    line
}

fn listed(names: &[String], more: u64) -> String {
    let shown = &names[..names.len().min(MAX_NAMED)];
    let more = more + (names.len() - shown.len()) as u64;
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn in_list(unit: &Unit<'_>) -> String {
    let name = unit.name;
    match unit.job {
        Some("stop") => format!("{name} (could not be stopped)"),
        Some("fail") => name.to_owned(),
        Some("depend") => format!("{name} (something that it needs failed)"),
        Some(job) => format!("{name} (could not be {job}ed)"),
        None if unit.is_users => format!("{name} (of a user)"),
        None => name.to_owned(),
    }
}

/// What is said of one unit.
fn alone(unit: &Unit<'_>, status: Option<&Status>) -> String {
    let mut line = match (unit.job, unit.had_failed) {
        (Some("fail"), _) => format!("{} failed", in_list(unit)),
        (Some(_), _) => in_list(unit),
        (None, true) => format!("{} had failed before and still does", in_list(unit)),
        (None, false) => format!("{} failed", in_list(unit)),
    };
    if let Some(reason) = status.and_then(|status| status.reason.as_deref()) {
        line.push_str(": ");
        line.push_str(short(reason));
    }
    line
}

fn short(reason: &str) -> &str {
    let end = reason.char_indices().nth(REASON_CHARS).map(|(at, _)| at);
    &reason[..end.unwrap_or(reason.len())]
}

/// Finds what `systemctl status` printed of a unit: from `× nginx.service - …` to the next unit.
fn status(known: Known<'_>, unit: &Unit<'_>) -> Option<Status> {
    let begin = known.activation_begin().unwrap_or(known.ending.lines.start);
    let inside = std::cell::Cell::new(false);
    let tail = Tail::read(known, begin..known.ending.lines.end, LAST_LINES, |line| {
        let text = super::super::plain::without_prefix(line.text);
        if let Some(name) = heading(&strip_line(text)) {
            inside.set(name == unit.name);
        } else if text.starts_with("Command '") || text.starts_with("warning: ") {
            inside.set(false);
        }
        inside.get().then_some(text)
    });
    let (from, to) = tail.ends()?;
    let (line, reason) = match reason(&tail) {
        Some((line, reason)) => (line, Some(reason)),
        None => (from, None),
    };
    Some(Status {
        from,
        to,
        line,
        reason,
        text: tail.text(SHOWN_BYTES),
    })
}

/// What was said before the line that names a user's activation.
fn own_error(said: &Activation, unit: &Unit<'_>) -> Option<Status> {
    let error = said.error_of(unit.seq).filter(|_| unit.is_users)?;
    Some(Status {
        from: error.from,
        to: unit.seq,
        line: error.line,
        reason: Some(error.with_cause()),
        text: error.text().to_owned(),
    })
}

/// What systemctl says behind the name of a unit: `Failed to start a.service: Unit a.service is masked.`
fn of_systemctl(known: Known<'_>, unit: &Unit<'_>) -> Option<Status> {
    unit.job?;
    let tail = Tail::read(known, unit.seq..unit.seq + 1, 1, |line| {
        let (_, behind) = line.text.split_once(unit.name)?;
        behind.strip_prefix(": ")
    });
    let (seq, reason) = tail.last()?;
    Some(Status {
        from: seq,
        to: seq,
        line: seq,
        reason: Some(reason.trim().to_owned()),
        text: reason.to_owned(),
    })
}

/// The unit that a block of `systemctl status` is about.
fn heading(text: &str) -> Option<&str> {
    let rest = text
        .strip_prefix(['×', '●', '○', '↻', '*', 'x'])?
        .strip_prefix(' ')?;
    rest.split(' ').next()
}

/// The line of the unit's own log that says most. What systemd says of it comes second, and how it ended last.
fn reason(tail: &Tail) -> Option<(Seq, String)> {
    let logged = tail.filter(|text| behind_identifier(text).is_some());
    let own = logged.filter(|text| !text.contains(" systemd["));
    // A program that a signal ended had no last words.
    let of_signal =
        logged.filter(|text| text.contains("code=dumped") || text.contains("code=killed"));
    let said = |lines: &Tail, least: Weight| {
        let (seq, line) = lines.most_telling()?;
        let text = behind_identifier(line)?.trim_end();
        let mut behind = lines.behind(seq).filter_map(behind_identifier);
        let announced = behind.find(|line| !line.trim().is_empty());
        let text = match announced.filter(|_| text.ends_with(':')) {
            Some(announced) => format!("{text} {}", announced.trim()),
            None => text.to_owned(),
        };
        (weigh(line) >= least).then_some((seq, text))
    };
    said(&logged, Weight::Failure)
        .or_else(|| said(&of_signal, Weight::Consequence))
        .or_else(|| said(&own, Weight::Plain))
        .or_else(|| exit_code(tail))
        .or_else(|| said(&logged, Weight::Consequence))
}

/// `code=exited, status=203/EXEC` of the last process of the unit that did not end well.
fn exit_code(tail: &Tail) -> Option<(Seq, String)> {
    let ended = tail.filter(|text| {
        let text = text.trim_start();
        let is_process = text.starts_with("Process:") || text.starts_with("Main PID:");
        is_process && !text.contains("status=0/SUCCESS")
    });
    let (seq, text) = ended.last()?;
    let (_, code) = text.rsplit_once("(code=")?;
    Some((
        seq,
        format!("code={}", code.trim_end().trim_end_matches(')')),
    ))
}

/// `cannot bind` of `Nov 22 10:43:55 toy sh[6066]: cannot bind`.
fn behind_identifier(line: &str) -> Option<&str> {
    let (before, text) = line.split_once("]: ")?;
    let (_, pid) = before.rsplit_once('[')?;
    (!pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}
