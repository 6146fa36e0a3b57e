//! What an interrupted git leaves behind, and which would make every later one fail.

use super::git::{note, say};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long somebody else's git may go on before its locks are left alone.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How deep `.git` is looked through: `modules/A/refs/remotes/origin/B` and then some.
const MAX_DEPTH: u32 = 40;

/// How many are named.
const NAMED: usize = 5;

/// Removes the locks and half-written files of a git that is gone. Where one still works in the clone, its own are
/// left alone.
pub(super) fn remove_stale(dir: &Path) {
    let git_dir = dir.join(".git");
    let mut left = Vec::new();
    find(&git_dir, MAX_DEPTH, &mut left);
    if left.is_empty() || is_in_use(dir) {
        return;
    }
    let mut removed = Vec::new();
    for path in left {
        let gone = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        if gone.is_ok() {
            let name = path.strip_prefix(&git_dir).unwrap_or(&path);
            removed.push(name.display().to_string());
        }
    }
    if removed.is_empty() {
        return;
    }
    let more = match removed.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    removed.sort();
    removed.truncate(NAMED);
    say(&format!(
        "removed what an interrupted git left behind in .git: {}{more}",
        removed.join(", ")
    ));
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

/// Whether a git of somebody else works in there, and does not end in time.
fn is_in_use(dir: &Path) -> bool {
    let begin = Instant::now();
    loop {
        match git_at_work(dir) {
            None => return false,
            Some(pid) if begin.elapsed() > PATIENCE => {
                note(&format!(
                    "another git works in the clone (process {pid}), so its locks are left alone"
                ));
                return true;
            }
            Some(_) => sleep(POLL_INTERVAL),
        }
    }
}

/// A process of git whose working folder is in the clone.
fn git_at_work(dir: &Path) -> Option<u32> {
    let dir = fs::canonicalize(dir).ok()?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let folder = fs::read_link(format!("/proc/{pid}/cwd"));
            name.starts_with("git") && folder.is_ok_and(|folder| folder.starts_with(&dir))
        })
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
        remove_stale(folder.path());
        for path in left {
            assert!(!at(path).exists(), "{path}");
        }
        for path in kept {
            assert!(at(path).exists(), "{path}");
        }
    }
}
