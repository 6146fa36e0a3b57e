//! What an interrupted git leaves behind, and which would make every later one fail.

use super::git::say;
use super::users::{self, Worker};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long somebody else may go on working in the clone before its locks are taken for held.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How deep `.git` is looked through: `modules/A/refs/remotes/origin/B` and then some.
const MAX_DEPTH: u32 = 40;

/// How many are named.
const NAMED: usize = 5;

/// Somebody works in the clone, which is locked meanwhile.
#[derive(Debug, thiserror::Error)]
#[error(
    "{worker} is using the clone {}, which is locked ({locks}), so the pull changed nothing; wait for this process or end it, then pull again",
    dir.display()
)]
pub(super) struct Held {
    dir: PathBuf,
    worker: Worker,
    /// The names of the locks.
    locks: String,
}

/// Removes the locks and half-written files of a git that is gone. Says whether there was a lock.
///
/// # Errors
/// When somebody works in the clone and does not end in time, and there is a lock. Nothing is removed then.
pub(super) fn remove_stale(dir: &Path) -> Result<bool, Held> {
    let git_dir = dir.join(".git");
    let begin = Instant::now();
    let left = loop {
        let mut left = Vec::new();
        find(&git_dir, MAX_DEPTH, &mut left);
        if left.is_empty() {
            return Ok(false);
        }
        let locks: Vec<_> = left.iter().filter(|path| is_lock(path)).cloned().collect();
        let Some(worker) = users::find(dir, &locks) else {
            break left;
        };
        if begin.elapsed() < PATIENCE {
            sleep(POLL_INTERVAL);
        } else if locks.is_empty() {
            // A git that tidies up is in nobody's way.
            return Ok(false);
        } else {
            let (dir, locks) = (dir.to_owned(), names(&git_dir, locks));
            return Err(Held { dir, worker, locks });
        }
    };
    let had_lock = left.iter().any(|path| is_lock(path));
    let mut removed = left;
    removed.retain(|path| {
        let gone = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        gone.is_ok()
    });
    if !removed.is_empty() {
        let removed = names(&git_dir, removed);
        say(&format!(
            "removed files that an interrupted git left in .git: {removed}"
        ));
    }
    Ok(had_lock)
}

/// Whether there is a lock in the clone.
pub(super) fn is_locked(dir: &Path) -> bool {
    let mut left = Vec::new();
    find(&dir.join(".git"), MAX_DEPTH, &mut left);
    left.iter().any(|path| is_lock(path))
}

fn is_lock(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "lock")
}

/// The names of files below `git_dir`, for a sentence.
fn names(git_dir: &Path, mut paths: Vec<PathBuf>) -> String {
    paths.sort();
    let more = match paths.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    paths.truncate(NAMED);
    let name = |path: &PathBuf| {
        let name = path.strip_prefix(git_dir).unwrap_or(path);
        name.display().to_string()
    };
    let names: Vec<_> = paths.iter().map(name).collect();
    format!("{}{more}", names.join(", "))
}

/// Everything below `folder` that only a running git has. Links are not followed.
fn find(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if is_left(&name, kind.is_dir()) {
            found.push(path);
        } else if kind.is_dir() && depth > 0 {
            find(&path, depth - 1, found);
        }
    }
}

/// Whether a file or folder of that name below `.git` belongs to a git that runs. No ref ends with `.lock`.
fn is_left(name: &str, is_dir: bool) -> bool {
    if is_dir {
        return name.starts_with("tmp_objdir-") || name.starts_with("incoming-");
    }
    let is_temporary = [
        "tmp_obj_",
        "tmp_pack_",
        "tmp_idx_",
        "tmp_rev_",
        "tmp_midx_",
        ".tmp-",
    ]
    .iter()
    .any(|begin| name.starts_with(begin));
    name.ends_with(".lock") || name == "gc.pid" || is_temporary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_removed_at_any_depth_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let left = [
            ".git/index.lock",
            ".git/HEAD.lock",
            ".git/config.lock",
            ".git/shallow.lock",
            ".git/packed-refs.lock",
            ".git/refs/heads/deploy/web/1.lock",
            ".git/refs/remotes/origin/main.lock",
            ".git/objects/info/commit-graphs/commit-graph-chain.lock",
            ".git/objects/pack/tmp_pack_aBc",
            ".git/objects/12/tmp_obj_aBc",
            ".git/objects/tmp_objdir-incoming-1/pack/x",
            ".git/gc.pid",
        ];
        let kept = [
            "flake.lock",
            "deep/er/Cargo.lock",
            ".git/index",
            ".git/refs/heads/main",
            ".git/objects/pack/pack-1.pack",
        ];
        for path in left.iter().chain(&kept) {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), "").unwrap();
        }
        assert!(remove_stale(folder.path()).unwrap());
        for path in left {
            assert!(!at(path).exists(), "{path}");
        }
        for path in kept {
            assert!(at(path).exists(), "{path}");
        }
    }
}
