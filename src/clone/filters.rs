//! The programs by which git makes the files of a commit whole while it checks them out, such as git-lfs.

use super::git::{Git, note};
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How the text begins that git-lfs keeps in the place of a file.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// More than such a text has, in bytes.
const MAX_POINTER_BYTES: u64 = 1024;

/// A filter that a commit asks for and whose program is not on this host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) filter: String,
    pub(super) program: String,
}

/// Files of a commit that git would check out as something else than what they stand for, and say nothing of it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the filter \"{filter}\" is needed for {files} of {commit}, but {why}; without it only placeholders would be checked out and built, so nothing is checked out; {}",
    remedy(.filter)
)]
pub(super) struct Unfiltered {
    filter: String,
    /// Their number, with the name of one.
    files: String,
    commit: String,
    why: String,
}

fn remedy(filter: &str) -> String {
    let or = "or remove the filter from .gitattributes; then pull again";
    match filter {
        "lfs" => format!(
            "set programs.git.enable and programs.git.lfs.enable in this host's NixOS configuration, or else add pkgs.git-lfs to systemd.services.switchyard-agent.path and run `git lfs install --system`, {or}"
        ),
        _ => format!(
            "add its package to systemd.services.switchyard-agent.path and set it up in the clone, as with `git-crypt unlock KEY`, {or}"
        ),
    }
}

/// Whether files are of no use without this filter. The others change what is committed, or how it looks.
fn is_needed(filter: &str) -> bool {
    ["lfs", "git-crypt", "crypt", "annex"].contains(&filter) || filter.starts_with("git-crypt-")
}

/// Whether files of this filter are what they were: the clone that there was had some, and git was not set up for it.
/// Whoever pulled them like that for years is told so, but is not kept from pulling what would set it up.
fn was_missing(before: &Git, old: &Path, filter: &str) -> bool {
    if fs::symlink_metadata(old.join(".git")).is_err() {
        // The others are set up in a clone, so there has to be one first.
        return filter != "lfs";
    }
    let was_set_up = Settings::of(before, old).is_none_or(|old| old.program(filter).is_some());
    !was_set_up && used(before, "HEAD").is_none_or(|used| used.contains_key(filter))
}

/// Looks, before anything is checked out, whether this host has the filters that the files of `commit` need. They take
/// the place of what is in the clone `old`, which may be the same one.
pub(super) fn look(
    git: &Git,
    dir: &Path,
    commit: &str,
    (before, old): (&Git, &Path),
) -> Result<(), Unfiltered> {
    // A git that does not answer says in the checkout what is wrong.
    let Some(used) = used(git, commit).filter(|used| !used.is_empty()) else {
        return Ok(());
    };
    let Some(settings) = Settings::read(git) else {
        return Ok(());
    };
    for (filter, files) in used {
        let why = match settings.program(&filter) {
            Some(program) if is_found(&program) => None,
            Some(program) => Some(format!("there is no program {program} on this host")),
            None => Some("git is not set up for it on this host".to_owned()),
        };
        match why {
            Some(_)
                if is_needed(&filter)
                    && settings.program(&filter).is_none()
                    && was_missing(before, old, &filter) =>
            {
                note(&format!(
                    "warning: the filter \"{filter}\" is needed for {} of this commit, but git is not set up for it on this host; placeholders are checked out, as before; {}",
                    in_words(&files),
                    remedy(&filter)
                ));
            }
            Some(why) if is_needed(&filter) => {
                let commit = git.ask(&["rev-parse", "--short", commit], ANSWER_TIMEOUT);
                let commit = String::from_utf8_lossy(&commit.unwrap_or_default()).into_owned();
                return Err(Unfiltered {
                    filter,
                    files: in_words(&files),
                    commit: format!("commit {}", commit.trim_end()),
                    why,
                });
            }
            Some(_) if !settings.knows(&filter) => note(&format!(
                "git is not set up for the filter \"{filter}\" on this host: {} is left as it was committed",
                in_words(&files)
            )),
            None if is_needed(&filter) => remove_pointers(dir, &files),
            _ => {}
        }
    }
    Ok(())
}

/// The filters that files of a commit have, with those files.
fn used(git: &Git, commit: &str) -> Option<BTreeMap<String, Vec<PathBuf>>> {
    let list = ["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit];
    let list = git.ask(&list, ANSWER_TIMEOUT)?;
    let attributes = ["check-attr", "-z", "--stdin", "--source", commit, "filter"];
    let answer = git.ask_about(&attributes, Some(list), ANSWER_TIMEOUT)?;
    let mut used = BTreeMap::<String, Vec<PathBuf>>::new();
    let mut words = answer.split(|byte| *byte == 0);
    while let (Some(path), Some(_), Some(filter)) = (words.next(), words.next(), words.next()) {
        if ![&b"unspecified"[..], b"set", b"unset"].contains(&filter) {
            let filter = String::from_utf8_lossy(filter).into_owned();
            let path = PathBuf::from(OsStr::from_bytes(path));
            used.entry(filter).or_default().push(path);
        }
    }
    Some(used)
}

fn in_words(files: &[PathBuf]) -> String {
    let first = files
        .first()
        .map_or_else(String::new, |path| path.display().to_string());
    match files.len() {
        1 => format!("the file {first}"),
        number => format!("{number} files, such as {first},"),
    }
}

/// What git is told of filters.
struct Settings(BTreeMap<String, String>);

impl Settings {
    fn read(git: &Git) -> Option<Self> {
        Self::listed(git, &["config", "-z", "--list"])
    }

    /// What a clone says of its own, also one in which git finds nothing any more.
    fn of(git: &Git, dir: &Path) -> Option<Self> {
        let file = dir.join(".git/config").to_string_lossy().into_owned();
        let own = ["config", "-z", "--file", &file, "--list"];
        Self::listed(&git.elsewhere(None), &own)
            .or_else(|| Self::listed(git, &["config", "-z", "--local", "--list"]))
    }

    fn listed(git: &Git, asked: &[&str]) -> Option<Self> {
        let list = git.ask(asked, ANSWER_TIMEOUT)?;
        let list = String::from_utf8_lossy(&list);
        let settings = list.split('\0').filter_map(|entry| entry.split_once('\n'));
        let of_filters = settings.filter(|(key, _)| key.starts_with("filter."));
        let owned = of_filters.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Some(Self(owned.collect()))
    }

    /// Whether anything is set of a filter, such as one that only changes what is committed.
    fn knows(&self, filter: &str) -> bool {
        let section = format!("filter.{filter}.");
        self.0.keys().any(|key| key.starts_with(&section))
    }

    /// The program by which a filter makes files whole. Where `process` is set git does not look at `smudge`.
    fn program(&self, filter: &str) -> Option<String> {
        let command = |key| self.0.get(&format!("filter.{filter}.{key}"));
        program(command("process").or_else(|| command("smudge"))?)
    }
}

/// Removes what a git without git-lfs checked out. With it git would take that for unchanged.
fn remove_pointers(dir: &Path, files: &[PathBuf]) {
    let Ok(dir) = fs::canonicalize(dir) else {
        return;
    };
    for file in files.iter().map(|file| dir.join(file)) {
        let parent = file.parent().map(fs::canonicalize);
        let is_inside = matches!(parent, Some(Ok(parent)) if parent.starts_with(&dir));
        let is_small = fs::symlink_metadata(&file)
            .is_ok_and(|found| found.is_file() && found.len() < MAX_POINTER_BYTES);
        if is_inside && is_small && begins(&file, POINTER) {
            // What stays is what it was.
            let _ = fs::remove_file(&file);
        }
    }
}

fn begins(file: &Path, with: &[u8]) -> bool {
    let mut found = vec![0; with.len()];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut found));
    read.is_ok() && found == with
}

/// Finds a filter that git is told to use, that `commit` asks for, and that cannot be run.
pub(super) fn missing(git: &Git, commit: &str) -> Option<Missing> {
    let (used, settings) = (used(git, commit)?, Settings::read(git)?);
    used.into_keys().find_map(|filter| {
        let program = settings.program(&filter)?;
        (!is_found(&program)).then_some(Missing { filter, program })
    })
}

/// The program of a command, which the shell runs; for a command of git's own such as `git annex` that of its own.
fn program(command: &str) -> Option<String> {
    let mut words = command.split_whitespace();
    let first = words.next()?.trim_matches(['"', '\'']);
    match (first, words.next()) {
        ("git", Some(of_git @ ("lfs" | "annex" | "crypt"))) => Some(format!("git-{of_git}")),
        _ => Some(first.to_owned()),
    }
}

/// Whether a program can be run, as far as its name tells without a shell.
fn is_found(program: &str) -> bool {
    if program.contains(['$', '`', '(', '{', '~', '=', '\\', '"', '\'']) {
        return true;
    }
    if program.contains('/') {
        return Path::new(program).exists();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_filter_is_known_by_its_command() {
        for (command, expected) in [
            ("git-lfs filter-process", "git-lfs"),
            ("git lfs smudge -- %f", "git-lfs"),
            ("git annex smudge %f", "git-annex"),
            ("git crypt smudge", "git-crypt"),
            ("git cat-file", "git"),
            (
                "\"/nix/store/a/bin/git-crypt\" smudge",
                "/nix/store/a/bin/git-crypt",
            ),
        ] {
            assert_eq!(program(command).as_deref(), Some(expected));
        }
        assert_eq!(program(" "), None);
        let of_repository = program("\"$(git rev-parse --git-common-dir)\"/crypt/crypt smudge");
        assert!(is_found(&of_repository.unwrap()), "only the shell knows");
        assert!(is_found("/bin/sh") && is_found("sh") && !is_found("no-such-program"));
    }
}
