//! systemd-boot: which entry `loader.conf`, or a variable of the firmware, makes the next one.

use super::{efi, system_of, text};
use std::fs;
use std::path::{Path, PathBuf};

/// Where NixOS mounts the partitions with `loader.conf` and with the entries, which may be two.
const MOUNT_POINTS: [&str; 3] = ["boot", "efi", "boot/efi"];

/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Most entries that are looked through.
const MAX_ENTRIES: usize = 1024;

/// An entry of the menu.
struct Entry {
    /// The name of its file in lower case, without the boots that it has left.
    id: String,
    /// Whether no boots are left, and another one is started in its place.
    is_spent: bool,
    path: PathBuf,
}

pub(super) fn next_system(root: &Path) -> Option<String> {
    // Another loader may start this machine although that one's files are there.
    if !efi::variable(root, "LoaderInfo")?.starts_with("systemd-boot ") {
        return None;
    }
    let wanted = wanted(root)?.to_lowercase();
    let entries = entries(root)?;
    let mut found = entries.iter().filter(|entry| matches(&wanted, &entry.id));
    let entry = found.next()?;
    // Of several the loader takes the first in an order of its own.
    if found.next().is_some() || entry.is_spent {
        return None;
    }
    let entry = text(&entry.path, MAX_BYTES)?;
    let options = entry.lines().filter_map(|line| value(line, "options"));
    system_of(options.flat_map(str::split_whitespace))
}

/// Id or pattern of the entry that is started next.
fn wanted(root: &Path) -> Option<String> {
    if let Some(once) = efi::variable(root, "LoaderEntryOneShot") {
        return Some(once);
    }
    // Newer loaders have a choice before the default.
    if efi::variable(root, "LoaderEntryPreferred").is_some() {
        return None;
    }
    let chosen = match efi::variable(root, "LoaderEntryDefault") {
        Some(default) => default,
        None => default_of(&configuration(root)?)?,
    };
    match chosen.as_str() {
        "@saved" => efi::variable(root, "LoaderEntryLastBooted"),
        _ => (!chosen.starts_with('@')).then_some(chosen),
    }
}

/// The one `loader.conf`.
fn configuration(root: &Path) -> Option<String> {
    let paths = MOUNT_POINTS.map(|mount_point| root.join(mount_point).join("loader/loader.conf"));
    let mut found = paths.into_iter().filter(|path| path.exists());
    let path = found.next()?;
    if found.next().is_some() {
        return None;
    }
    text(&path, MAX_BYTES)
}

fn default_of(configuration: &str) -> Option<String> {
    let mut lines = configuration.lines();
    if lines.any(|line| value(line, "preferred").is_some()) {
        return None;
    }
    // Of several the last one counts.
    let mut defaults = configuration
        .lines()
        .filter_map(|line| value(line, "default"));
    defaults.next_back().map(str::to_owned)
}

/// What a line gives to a key.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.trim().strip_prefix(key)?;
    rest.starts_with([' ', '\t']).then(|| rest.trim())
}

/// Every entry; `None` where there are too many to look through.
fn entries(root: &Path) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    for mount_point in MOUNT_POINTS {
        for (folder, suffix) in [("loader/entries", ".conf"), ("EFI/Linux", ".efi")] {
            let Ok(files) = fs::read_dir(root.join(mount_point).join(folder)) else {
                continue;
            };
            for file in files {
                let file = file.ok()?;
                let name = file.file_name().to_str()?.to_lowercase();
                let Some(stem) = name.strip_suffix(suffix) else {
                    continue;
                };
                if entries.len() == MAX_ENTRIES {
                    return None;
                }
                let (name, left) = tries(stem);
                entries.push(Entry {
                    id: format!("{name}{suffix}"),
                    is_spent: left == Some(0),
                    path: file.path(),
                });
            }
        }
    }
    Some(entries)
}

/// `nixos-1` and 2 of `nixos-1+2-1`, of which two boots are left.
fn tries(stem: &str) -> (&str, Option<u32>) {
    let counted = || {
        let (name, tries) = stem.rsplit_once('+')?;
        let (left, done) = tries.split_once('-').unwrap_or((tries, "0"));
        done.parse::<u32>().ok()?;
        Some((name, left.parse().ok()?))
    };
    match counted() {
        Some((name, left)) => (name, Some(left)),
        None => (stem, None),
    }
}

/// Whether an id is of a pattern with `*` and `?`. What else a pattern may have is of none.
fn matches(pattern: &str, id: &str) -> bool {
    if pattern.contains(['[', '\\']) {
        return false;
    }
    let (pattern, id): (Vec<char>, Vec<char>) = (pattern.chars().collect(), id.chars().collect());
    // The last star, and how much of the id it has taken.
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < id.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(&c) if c == '?' || c == id[of] => {
                at += 1;
                of += 1;
            }
            _ => {
                let Some((before, taken)) = star else {
                    return false;
                };
                star = Some((before, taken + 1));
                (at, of) = (before + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|&c| c == '*')
}
