//! A boot loader that could not be installed, or that starts another system than the one that was built.

use super::super::activation::Activation;
use super::text::Tail;
use super::{Known, Part, activation};
use crate::protocol::{CauseKind, Seq};

/// How much of what the installer printed is part of the message, in bytes.
const SHOWN_BYTES: usize = 1500;

/// Parts of lines that only the installers of boot loaders print when they end with an error.
const OF_INSTALLER: [&str; 4] = [
    "-install-grub.pl: ",
    "-install-grub.pl line ",
    "-systemd-boot\", line ",
    "-install-systemd-boot",
];

/// The boot loader's installer ended with an error.
pub(super) fn failed(known: Known<'_>, said: &Activation) -> Option<Part> {
    let seq = said.boot_loader?;
    // Standard output, which tells when the activation begins, may have been read after it.
    let printed = activation::lines_before(known, seq, known.ending.lines.start);
    let error = said
        .error_of(seq)
        .map(|error| (error.line, error.with_cause()));
    Some(part(&printed, seq, error))
}

/// The same where only the installer's own words tell, as with the Perl program.
pub(super) fn failed_without_a_word(known: Known<'_>) -> Option<Part> {
    let end = known.ending.lines.end;
    let printed = activation::lines_before(known, end, known.ending.lines.start);
    let is_of_installer = |line: &str| OF_INSTALLER.iter().any(|part| line.contains(part));
    // After the installer comes the activation.
    let went_on = |line: &str| line.trim_start().starts_with("activating the");
    let is_it = printed.texts().any(is_of_installer) && !printed.texts().any(went_on);
    let last = printed.ends()?.1;
    is_it.then(|| part(&printed, last, None))
}

fn part(printed: &Tail, seq: Seq, error: Option<(Seq, String)>) -> Part {
    let telling = printed.told();
    // What the installer said before its own error is the cause of that.
    let reason = match (telling, error) {
        (Some(first), Some(error)) if first.0 >= error.0 => Some(error),
        (telling, error) => telling.or(error),
    };
    let mut summary = "The boot loader could not be installed".to_owned();
    if let Some((_, reason)) = &reason {
        summary.push_str(": ");
        summary.push_str(reason);
    }
    let state = "The running system is unchanged, and the next boot starts the old one. Make room on /boot or fix the problem below, then switch again.";
    let from = printed.ends().map_or(seq, |(first, _)| first);
    let line = reason.map_or(seq, |(seq, _)| seq);
    let part = Part::new(CauseKind::BootLoader, &summary).at(from, seq, line);
    part.with_detail(format!("{state}\n{}", printed.text(SHOWN_BYTES)))
}

/// The boot loader's installer ended well and left a system out, because the disk was full.
pub(super) fn left_out_of_menu(said: &Activation) -> Option<Part> {
    let entry = said.boot_entry.as_ref()?;
    let summary = format!(
        "The next boot starts the old system: the new one has no boot entry, because /boot is full ({})",
        entry.name
    );
    let advice = "Make room on /boot, for example by removing old generations, then run boot or switch again.";
    let part = Part::new(CauseKind::BootLoader, &summary).at(entry.seq, entry.seq, entry.seq);
    Some(part.with_detail(advice.to_owned()))
}
