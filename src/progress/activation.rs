//! What `switch-to-configuration` and its helpers say of the parts of an activation that failed.
//!
//! The texts are those of nixpkgs' switch-to-configuration-ng (`pkgs/by-name/sw/switch-to-configuration-ng`) and of
//! the Perl program before it.

use super::block::Block;
use super::numbering::Renumber;
use crate::protocol::Seq;
use serde::{Deserialize, Serialize};

/// Most names kept of one sort; more are counted.
const MAX_NAMES: usize = 32;

/// Longest name kept, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Something that the output named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    /// The line that named it.
    pub(super) seq: Seq,
}

/// Names in the order in which they came, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Names {
    pub(super) kept: Vec<Named>,
    /// How many more there were.
    pub(super) more: u64,
}

impl Names {
    fn push(&mut self, name: &str, seq: Seq) {
        let name = name.trim();
        if name.is_empty() || self.kept.iter().any(|named| named.name == name) {
            return;
        }
        if self.kept.len() == MAX_NAMES {
            self.more += 1;
            return;
        }
        let name = name[..name.floor_char_boundary(MAX_NAME_BYTES)].to_owned();
        self.kept.push(Named { name, seq });
    }

    fn push_list(&mut self, list: &str, seq: Seq) {
        for name in list.split(", ") {
            self.push(name, seq);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// An error of a part of the activation, and the line that says which part failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartError {
    pub(super) error: Block,
    pub(super) part: Seq,
}

/// What the following lines belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Reading {
    #[default]
    Nothing,
    /// The changes that forbid a switch.
    Inhibitors,
    /// An `Error:` and what caused it.
    Error,
    /// Why a generation has no boot entry.
    BootEntry,
}

/// The failures of an activation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Activation {
    /// Units that are failed after it.
    pub(super) units: Names,
    /// Units of users, and users whose activation failed.
    pub(super) user_units: Names,
    /// What could not be done with a unit: `reload nginx.service`.
    pub(super) jobs: Names,
    /// Parts of the activation script.
    pub(super) snippets: Names,
    /// The activation script ended with an error.
    pub(super) script: Option<Seq>,
    /// The boot loader's installer ended with an error.
    pub(super) boot_loader: Option<Seq>,
    /// The boot loader's installer left out a generation because the disk was full.
    pub(super) boot_entry: Option<Named>,
    /// Checks before the activation.
    pub(super) checks: Names,
    /// The line that says that checks failed.
    pub(super) checks_failed: Option<Seq>,
    /// Changes that forbid a switch.
    pub(super) inhibitors: Names,
    /// `Error: …` with its causes.
    pub(super) error: Option<Block>,
    /// Errors of the boot loader's installer and of users' activations.
    pub(super) part_errors: Vec<PartError>,
    /// Another activation has the lock.
    pub(super) lock: Option<Seq>,
    /// systemd-run could not start the activation, because there is one.
    pub(super) is_loaded: Option<Seq>,
    /// The line that says that an activation ended well; everything else here was said after it.
    pub(super) done: Option<Seq>,
    reading: Reading,
}

impl Activation {
    /// Whether the next line may belong to what came before it.
    #[inline]
    pub(super) fn is_reading(&self) -> bool {
        self.reading != Reading::Nothing
    }

    /// Reads a line without escapes and prefixes.
    pub(super) fn read(&mut self, line: &str, seq: Seq) {
        if self.goes_on(line, seq) {
            return;
        }
        match line.as_bytes().first() {
            Some(b'w') => self.read_warning(line, seq),
            Some(b'F') => self.read_failed(line, seq),
            Some(b'P') => self.read_check(line, seq),
            Some(b'A') => {
                if let Some(name) = line.strip_prefix("Activation script snippet '")
                    && let Some((name, _)) = name.split_once("' failed")
                {
                    self.snippets.push(name, seq);
                } else if let Some(unit) = line.strip_prefix("A dependency job for ") {
                    self.read_job("depend", unit, seq);
                }
            }
            Some(b'J') => {
                if let Some(unit) = line.strip_prefix("Job for ") {
                    self.read_job("fail", unit, seq);
                }
            }
            Some(b'C') if line.starts_with("Could not acquire lock") => self.lock = Some(seq),
            Some(b'E') if line.starts_with("Error: ") => {
                let block = Block::new(line, seq);
                self.lock = line
                    .contains("Could not acquire lock")
                    .then_some(seq)
                    .or(self.lock);
                self.error = Some(block);
                self.reading = Reading::Error;
            }
            Some(b'T') if line.starts_with("There are changes to critical components") => {
                self.reading = Reading::Inhibitors;
            }
            Some(b'i') if line.starts_with("ignoring ") => self.read_boot_entry(line, seq),
            _ => {}
        }
    }

    /// A line that belongs to what came before it.
    fn goes_on(&mut self, line: &str, seq: Seq) -> bool {
        match self.reading {
            Reading::Nothing => false,
            Reading::Inhibitors => {
                if line.contains(" -> ") {
                    self.inhibitors.push(&line.replacen(" : ", ": ", 1), seq);
                } else if !line.trim().is_empty() {
                    self.reading = Reading::Nothing;
                    return false;
                }
                true
            }
            Reading::Error => {
                let belongs = line.is_empty()
                    || line.starts_with([' ', '\t'])
                    || line.starts_with("Caused by:");
                match &mut self.error {
                    Some(block) if belongs => block.push(line, seq),
                    _ => self.reading = Reading::Nothing,
                }
                belongs
            }
            Reading::BootEntry => {
                self.reading = Reading::Nothing;
                self.note_boot_entry(line, seq);
                false
            }
        }
    }

    fn read_warning(&mut self, line: &str, seq: Seq) {
        let Some(text) = line.strip_prefix("warning: ") else {
            return;
        };
        if let Some(list) = text.strip_prefix("the following units failed: ") {
            self.units.push_list(list, seq);
        } else if let Some(list) = text.strip_prefix("the following user units failed: ") {
            self.user_units.push_list(list, seq);
        } else if let Some(user) = text.strip_prefix("user activation for ")
            && let Some(user) = user.strip_suffix(" failed")
        {
            self.user_units.push(&format!("activation of {user}"), seq);
            self.error_is_of(seq);
        }
    }

    /// Reads `nginx.service failed because …` behind its beginning.
    fn read_job(&mut self, what: &str, text: &str, seq: Seq) {
        if let Some((unit, _)) = text.split_once(" failed")
            && is_unit(unit)
        {
            self.jobs.push(&format!("{what} {unit}"), seq);
        }
    }

    /// The last error was that of the part which this line names.
    fn error_is_of(&mut self, part: Seq) {
        if let Some(error) = self.error.take()
            && self.part_errors.len() < MAX_NAMES
        {
            self.part_errors.push(PartError { error, part });
        }
    }

    /// The error of the part that this line names.
    pub(super) fn error_of(&self, part: Seq) -> Option<&Block> {
        let mut errors = self.part_errors.iter();
        let found = errors.find(|error| error.part == part)?;
        Some(&found.error)
    }

    /// Whether this line says that a unit, a user's activation, a part of the script or a boot entry failed.
    pub(super) fn names_part(&self, seq: Seq) -> bool {
        let names = [&self.user_units, &self.jobs, &self.snippets];
        let named = names.into_iter().flat_map(|names| &names.kept);
        let mut named = named.chain(&self.boot_entry);
        named.any(|named| named.seq == seq)
    }

    fn read_failed(&mut self, line: &str, seq: Seq) {
        let Some(text) = line.strip_prefix("Failed to ") else {
            if line.starts_with("Found diff in switch inhibitors") {
                self.reading = Reading::Inhibitors;
            }
            return;
        };
        if text.starts_with("install bootloader") {
            self.boot_loader = Some(seq);
            self.error_is_of(seq);
        } else if text.starts_with("run activate script") {
            self.script = Some(seq);
        } else if text.contains("-switch-to-configuration") && text.contains("already") {
            self.is_loaded = Some(seq);
        } else if let Some((verb, unit)) = text.split_once(' ')
            && matches!(verb, "start" | "stop" | "restart" | "reload")
            && let Some(unit) = unit_of_job(unit)
        {
            self.jobs.push(&format!("{verb} {unit}"), seq);
        }
    }

    fn read_check(&mut self, line: &str, seq: Seq) {
        if let Some(name) = line.strip_prefix("Pre-switch check '")
            && let Some((name, _)) = name.split_once("' failed")
        {
            self.checks.push(name, seq);
        } else if line.starts_with("Pre-switch checks failed") {
            self.checks_failed = Some(seq);
        }
    }

    fn read_boot_entry(&mut self, line: &str, seq: Seq) {
        let said = "in the list of boot entries because of the following error";
        if !line.contains(said) {
            return;
        }
        if !self.note_boot_entry(line, seq) {
            self.reading = Reading::BootEntry;
        }
    }

    fn note_boot_entry(&mut self, line: &str, seq: Seq) -> bool {
        let is_full = line.contains("No space left on device");
        if is_full && self.boot_entry.is_none() {
            let name = line[..line.floor_char_boundary(MAX_NAME_BYTES)].to_owned();
            self.boot_entry = Some(Named { name, seq });
        }
        is_full
    }

    /// The checks before the activation passed: it has begun.
    pub(super) fn forget_checks(&mut self) {
        *self = Self {
            boot_loader: self.boot_loader,
            boot_entry: self.boot_entry.take(),
            part_errors: std::mem::take(&mut self.part_errors),
            ..Self::default()
        };
    }

    /// The activation ended well: what failed in it did not end it.
    pub(super) fn succeed(&mut self, seq: Seq) {
        *self = Self {
            boot_entry: self.boot_entry.take(),
            done: Some(seq),
            ..Self::default()
        };
    }

    /// Gives the lines the numbers that they got in the log.
    pub(super) fn renumber(&mut self, renumber: Renumber) {
        let names = [
            &mut self.units,
            &mut self.user_units,
            &mut self.jobs,
            &mut self.snippets,
            &mut self.checks,
            &mut self.inhibitors,
        ];
        let named = names.into_iter().flat_map(|names| &mut names.kept);
        for named in named.chain(&mut self.boot_entry) {
            renumber.apply(&mut named.seq);
        }
        let seqs = [
            &mut self.script,
            &mut self.boot_loader,
            &mut self.checks_failed,
            &mut self.lock,
            &mut self.is_loaded,
            &mut self.done,
        ];
        for seq in seqs.into_iter().flatten() {
            renumber.apply(seq);
        }
        if let Some(error) = &mut self.error {
            error.renumber(renumber);
        }
        for error in &mut self.part_errors {
            error.error.renumber(renumber);
            renumber.apply(&mut error.part);
        }
    }
}

/// The unit of `nginx.service`, or of `nginx.service: Unit nginx.service is masked.` as systemctl says it.
fn unit_of_job(text: &str) -> Option<&str> {
    match text.split_once(": ") {
        Some((unit, _)) => Some(unit).filter(|unit| is_unit(unit) && unit.contains('.')),
        None => Some(text.trim()).filter(|unit| is_unit(unit)),
    }
}

/// Whether a text is the name of one unit, such as `nginx.service`; old versions print it without its type.
fn is_unit(text: &str) -> bool {
    !text.is_empty() && !text.contains([' ', ':'])
}
