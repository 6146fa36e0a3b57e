//! Who else works in a clone: a git of somebody, or whoever has one of its locks open.

use nix::unistd::{Uid, User};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Variables by which a git works in a repository in whose folder it is not.
const NAME_REPOSITORY: [&[u8]; 4] = [
    b"GIT_DIR=",
    b"GIT_WORK_TREE=",
    b"GIT_INDEX_FILE=",
    b"GIT_COMMON_DIR=",
];

/// A process that works in a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Worker {
    pid: u32,
    program: String,
    /// The name of its user, or the number of one that has none.
    user: String,
}

impl fmt::Display for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, program, user } = self;
        write!(formatter, "process {pid} ({program}) of user {user}")
    }
}

/// Finds a process that works in the clone in `dir`, or has one of `locks` open.
pub(super) fn find(dir: &Path, locks: &[PathBuf]) -> Option<Worker> {
    let dir = fs::canonicalize(dir).ok()?;
    let locks: Vec<_> = locks
        .iter()
        .filter_map(|lock| fs::canonicalize(lock).ok())
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .find_map(|pid| worker(pid, &dir, &locks))
}

fn worker(pid: u32, dir: &Path, locks: &[PathBuf]) -> Option<Worker> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let name = fs::read_to_string(process.join("comm")).ok()?;
    let name = name.trim_end();
    let works = (is_git(name) && is_at_work(&process, dir)) || has_open(&process, locks);
    let found = works.then(|| fs::metadata(&process)).and_then(Result::ok)?;
    let known = User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
    Some(Worker {
        pid,
        program: name.to_owned(),
        user: known.map_or_else(|| found.uid().to_string(), |user| user.name),
    })
}

/// Whether a process of that name is git itself. One in a wrapper, as in nixpkgs, is called `.git-wrapped`; the
/// programs `gitui` and `gitea` are others.
pub(super) fn is_git(name: &str) -> bool {
    let name = name.strip_prefix('.').unwrap_or(name);
    name == "git" || name.starts_with("git-")
}

/// Whether a git works in `dir`: because it is there, or because it was told to.
fn is_at_work(process: &Path, dir: &Path) -> bool {
    if fs::read_link(process.join("cwd")).is_ok_and(|folder| folder.starts_with(dir)) {
        return true;
    }
    let words = |file: &str| fs::read(process.join(file)).unwrap_or_default();
    let is_inside = |path: &[u8]| Path::new(OsStr::from_bytes(path)).starts_with(dir);
    // Either `--git-dir=PATH` or `--git-dir PATH`.
    let is_told = |word: &[u8]| word.splitn(2, |byte| *byte == b'=').any(is_inside);
    let (arguments, variables) = (words("cmdline"), words("environ"));
    let names = |variable: &[u8]| {
        let values = NAME_REPOSITORY
            .iter()
            .filter_map(|name| variable.strip_prefix(*name));
        values.into_iter().any(is_inside)
    };
    arguments.split(|byte| *byte == 0).any(is_told) || variables.split(|byte| *byte == 0).any(names)
}

/// Whether a process has one of these files open.
fn has_open(process: &Path, files: &[PathBuf]) -> bool {
    if files.is_empty() {
        return false;
    }
    let open = fs::read_dir(process.join("fd"));
    let mut targets = open
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| files.contains(&target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_known_by_its_whole_name() {
        for git in ["git", "git-remote-http", "git-upload-pac", ".git-wrapped"] {
            assert!(is_git(git), "{git}");
        }
        for other in [
            "gitui",
            "gitea",
            ".gitui-wrapped",
            "lazygit",
            "legit",
            "jj",
            "vi",
        ] {
            assert!(!is_git(other), "{other}");
        }
    }
}
