//! Makes anew what a clone can lose without losing an object: HEAD, index, refs and files that only speed git up.

use super::fresh::make_writable;
use super::git::Git;
use super::refs;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Files and folders of `.git` that git makes anew, or that belong to something which was interrupted.
const NOT_NEEDED: [&str; 20] = [
    "index",
    "FETCH_HEAD",
    "ORIG_HEAD",
    "AUTO_MERGE",
    "MERGE_HEAD",
    "MERGE_MSG",
    "MERGE_MODE",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "BISECT_LOG",
    "BISECT_START",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
    "logs",
    "info/sparse-checkout",
    "objects/info/commit-graph",
    "objects/info/commit-graphs",
    "objects/pack/multi-pack-index",
];

/// Ends of file names in `objects/pack` without which git manages.
const SPEED_ONLY: [&str; 3] = [".bitmap", ".rev", ".mtimes"];

/// Mends the clone in `dir`, as far as that takes no server. What fails here is met by the next git.
pub(super) fn clone(git: &Git, dir: &Path, branch: &str) -> io::Result<()> {
    let git_dir = dir.join(".git");
    make_writable(dir);
    for name in NOT_NEEDED {
        remove(&git_dir.join(name))?;
    }
    let pack = git_dir.join("objects/pack");
    for entry in fs::read_dir(pack).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("multi-pack-index") || SPEED_ONLY.iter().any(|end| name.ends_with(end))
        {
            remove(&entry.path())?;
        }
    }
    let shallow = git_dir.join("shallow");
    if fs::read(&shallow).is_ok_and(|text| text.is_empty()) {
        remove(&shallow)?;
    }
    // The stub of HEAD that such a repository has is not to be touched, and its refs are not files.
    if git_dir.join("reftable").exists() {
        return Ok(());
    }
    refs::make_sound(&git_dir, branch)?;
    // By which git would take the files for those of another folder. Where there is none it fails, which is as good.
    for key in ["core.worktree", "core.bare"] {
        let _ = git.ask(&["config", "--unset-all", key], ANSWER_TIMEOUT);
    }
    Ok(())
}

/// Removes files that only speed git up and that begin with something else than their format does: git passes over
/// them with a complaint, at each command anew. Formats: gitformat-pack(5), gitformat-commit-graph(5).
pub(super) fn remove_broken_caches(dir: &Path) {
    let info = dir.join(".git/objects/info");
    if fs::symlink_metadata(&info).is_ok_and(|found| !found.is_dir()) {
        let _ = remove(&info);
    }
    for (name, begin) in [
        ("objects/pack/multi-pack-index", b"MIDX"),
        ("objects/info/commit-graph", b"CGPH"),
    ] {
        let path = dir.join(".git").join(name);
        let mut found = [0; 4];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut found));
        let is_broken = match read {
            Ok(()) => found != *begin,
            Err(error) => error.kind() == io::ErrorKind::UnexpectedEof,
        };
        // What cannot be removed is as it was.
        if is_broken {
            let _ = remove(&path);
        }
    }
}

/// Has git look into every file the next time that it compares them with the index. Otherwise it takes a file whose
/// size and times are those in the index for unchanged, also one that a loss of power filled with zeros, and leaves
/// files alone that somebody told it not to look at.
pub(super) fn distrust_index(git: &Git, dir: &Path) {
    let index = dir.join(".git/index");
    let list = git.ask(&["ls-files", "-v"], ANSWER_TIMEOUT);
    let is_marked = |line: &[u8]| !line.is_empty() && !line.starts_with(b"H ");
    if list.is_none_or(|list| list.split(|byte| *byte == b'\n').any(is_marked)) {
        // Without one git writes every file.
        let _ = remove(&index);
        return;
    }
    // git looks into files that are not older than the index: Documentation/technical/racy-git.
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let file = File::options().write(true).open(&index);
    if file.and_then(|file| file.set_modified(old)).is_err() {
        let _ = remove(&index);
    }
}

/// Removes a file or a folder; none is as good.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
