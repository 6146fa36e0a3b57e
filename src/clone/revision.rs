//! The commit at which the clone is, for a question that is asked every few seconds.

use super::git::environment;
use super::refs::is_id;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Longest file of refs that is read, in bytes.
const MAX_REFS_BYTES: u64 = 8 * 1024 * 1024;

/// Inode, size and time of a file: it was not written where they are the same.
type Stamp = (u64, u64, i64, i64);

/// What git said when the files were so.
#[derive(Debug, Default)]
struct Answer {
    stamps: Option<Vec<Option<Stamp>>>,
    revision: Option<String>,
}

/// Knows at which commit the clone is: from its files, or from git where only git can read them.
#[derive(Debug)]
pub struct Revisions {
    dir: PathBuf,
    answer: Arc<Mutex<Answer>>,
}

impl Revisions {
    /// Of the clone in `dir`.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            answer: Arc::default(),
        }
    }

    /// The commit that HEAD names; `None` where there is none, and until git has answered for the first time.
    pub fn head(&self) -> Option<String> {
        let git_dir = self.dir.join(".git");
        if git_dir.join("reftable").is_dir() {
            self.ask(&git_dir)
        } else {
            of_files(&git_dir)
        }
    }

    /// Asks git once after each change, in a thread of its own.
    fn ask(&self, git_dir: &Path) -> Option<String> {
        let files = ["HEAD", "reftable/tables.list"];
        let stamps: Vec<_> = files
            .iter()
            .map(|name| stamp(&git_dir.join(name)))
            .collect();
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.stamps.as_ref() != Some(&stamps) {
            answer.stamps = Some(stamps.clone());
            let (shared, dir) = (Arc::clone(&self.answer), self.dir.clone());
            let asks = thread::Builder::new().spawn(move || {
                let revision = ask_git(&dir);
                let mut answer = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if answer.stamps.as_ref() == Some(&stamps) {
                    answer.revision = revision;
                }
            });
            if asks.is_err() {
                // It is asked again the next time.
                answer.stamps = None;
            }
        }
        answer.revision.clone()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}

fn ask_git(dir: &Path) -> Option<String> {
    let asked = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["rev-parse", "--quiet", "--verify", "HEAD"])
        .envs(environment(dir))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8(asked.stdout).ok()?;
    let said = said.trim();
    is_id(said).then(|| said.to_owned())
}

/// From the files that git has unless it was told to keep refs otherwise.
fn of_files(git_dir: &Path) -> Option<String> {
    let id = |text: &str| is_id(text).then(|| text.to_owned());
    let head = read(&git_dir.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else {
        return id(&head);
    };
    if name.split('/').any(|part| part == "..") {
        return None;
    }
    if let Some(text) = read(&git_dir.join(name)) {
        return id(&text);
    }
    let packed = read(&git_dir.join("packed-refs"))?;
    let mut refs = packed.lines().filter_map(|line| line.split_once(' '));
    refs.find(|(_, of)| *of == name)
        .and_then(|(text, _)| id(text))
}

fn read(path: &Path) -> Option<String> {
    let found = fs::metadata(path).ok()?;
    if !found.is_file() || found.len() > MAX_REFS_BYTES {
        return None;
    }
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn the_revision_is_found_in_all_the_places_git_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let revision = || Revisions::new(folder.path()).head();
        let git = folder.path().join(".git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        assert_eq!(revision(), None);
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(revision(), None);
        fs::write(
            git.join("packed-refs"),
            format!("# pack-refs with: peeled\n{ID} refs/heads/main\n"),
        )
        .unwrap();
        assert_eq!(revision().as_deref(), Some(ID));
        let newer = ID.replace('0', "f");
        fs::write(git.join("refs/heads/main"), format!("{newer}\n")).unwrap();
        assert_eq!(revision(), Some(newer));
        fs::write(git.join("HEAD"), format!("{ID}\n")).unwrap();
        assert_eq!(revision().as_deref(), Some(ID));
    }
}
