//! The host's clone of the repository, read without starting git.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The commit that HEAD of `dir` names; `None` where there is none, or no repository.
pub(super) fn revision(dir: &Path) -> Option<String> {
    let git = dir.join(".git");
    let head = read(&git.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else {
        return commit(&head);
    };
    if name.split('/').any(|part| part == "..") {
        return None;
    }
    if let Some(text) = read(&git.join(name)) {
        return commit(&text);
    }
    let packed = read(&git.join("packed-refs"))?;
    let mut refs = packed.lines().filter_map(|line| line.split_once(' '));
    refs.find(|(_, of)| *of == name)
        .and_then(|(id, _)| commit(id))
}

fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

fn commit(text: &str) -> Option<String> {
    let is_id = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| text.to_owned())
}

/// Removes the locks that a killed git left behind, which would make every later `pull` fail. Only while
/// no run is going on: the clone is the agent's own.
pub(super) fn remove_stale_locks(dir: &Path) {
    let git = dir.join(".git");
    let refs = [git.join("refs/heads"), git.join("refs/remotes/origin")];
    for folder in refs.iter().chain([&git]) {
        for lock in locks_in(folder) {
            match fs::remove_file(&lock) {
                Ok(()) => tracing::warn!(
                    "removed {}, which an interrupted git left behind",
                    lock.display()
                ),
                Err(error) => tracing::warn!("cannot remove {}: {error}", lock.display()),
            }
        }
    }
}

fn locks_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "lock"))
        .collect()
}

/// Says in the log what git and nix would only say in the middle of a run: that they refuse a repository of
/// another user.
pub(super) fn warn_of_other_owner(dir: &Path) {
    let user = nix::unistd::geteuid().as_raw();
    if let Ok(metadata) = fs::metadata(dir)
        && metadata.uid() != user
    {
        tracing::warn!(
            "{} belongs to user {}, and git and nix refuse a repository of another user; run: chown -R {user} {}",
            dir.display(),
            metadata.uid(),
            dir.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn the_revision_is_found_in_all_the_places_git_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        assert_eq!(revision(folder.path()), None);
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(revision(folder.path()), None);
        fs::write(
            git.join("packed-refs"),
            format!("# pack-refs with: peeled\n{ID} refs/heads/main\n"),
        )
        .unwrap();
        assert_eq!(revision(folder.path()).as_deref(), Some(ID));
        let newer = ID.replace('0', "f");
        fs::write(git.join("refs/heads/main"), format!("{newer}\n")).unwrap();
        assert_eq!(revision(folder.path()), Some(newer));
        fs::write(git.join("HEAD"), format!("{ID}\n")).unwrap();
        assert_eq!(revision(folder.path()).as_deref(), Some(ID));
    }

    #[test]
    fn locks_of_a_killed_git_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        let left = [git.join("index.lock"), git.join("refs/heads/main.lock")];
        left.iter().for_each(|lock| fs::write(lock, "").unwrap());
        fs::write(git.join("index"), "").unwrap();
        remove_stale_locks(folder.path());
        assert!(left.iter().all(|lock| !lock.exists()));
        assert!(git.join("index").exists());
    }
}
