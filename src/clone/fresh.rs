//! A fresh clone, made beside the old one, which it replaces once it is whole and on disk.

use super::git::{Git, GitError, note};
use super::place::{Replaced, mark, put_aside_prefix};
use super::pull::{PullError, bring_to_branch, explain};
use super::{check, room};
use crate::spool::Pull;
use nix::unistd::syncfs;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where the fresh clone is made if the place of the old one is a file system of its own.
pub(super) const INSIDE: &str = ".switchyard-new";

/// How many things that were in the way are kept.
const MAX_PUT_ASIDE: u32 = 3;

/// Makes a clone and puts it in the place of what is there. Whatever fails, that stays as it is.
pub(super) fn make(git: &Git, pull: &Pull, url: &str, replaced: Replaced) -> Result<(), PullError> {
    let dir = fs::canonicalize(&pull.dir).unwrap_or_else(|_| pull.dir.clone());
    let parent = dir.parent().unwrap_or(Path::new("/")).to_owned();
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o755).create(&parent);
    made.map_err(PullError::at(&parent))?;
    let is_mount = is_mount_point(&dir, &parent);
    let new = if is_mount {
        dir.join(INSIDE)
    } else {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        parent.join(format!(".{name}.switchyard-new"))
    };
    remove(&new).map_err(PullError::at(&new))?;
    let made = build(git, pull, url, &new).and_then(|()| {
        if is_mount {
            refill(&dir, &new).map_err(PullError::at(&dir))
        } else {
            replace(&dir, &new, replaced)
        }
    });
    made.map_err(|error| {
        let error = room::blame(&parent, error);
        // Half a clone would only take room.
        let _ = remove(&new);
        error
    })
}

/// Clones into `new`, and has it on disk.
fn build(git: &Git, pull: &Pull, url: &str, new: &Path) -> Result<(), PullError> {
    let target = new.to_string_lossy();
    let branch = format!("--branch={}", pull.branch);
    git.elsewhere(None).run(&[
        "clone",
        // Links to the files of a repository on this host would be damaged with them.
        "--no-local",
        "--no-checkout",
        "--single-branch",
        "--template=",
        "--origin=origin",
        &branch,
        "--",
        url,
        &target,
    ])?;
    // It names a branch that may go.
    remove(&new.join(".git/refs/remotes/origin/HEAD")).map_err(PullError::at(new))?;
    let git = git.elsewhere(Some(new));
    bring_to_branch(&git, &pull.branch)
        .and_then(|()| check::head(&git))
        .map_err(|error| explain(&git, &pull.branch, error))?;
    mark(new).map_err(PullError::at(new))?;
    let synced = File::open(new).and_then(|folder| Ok(syncfs(folder)?));
    synced.map_err(PullError::at(new))
}

/// Puts `new` in the place of `dir`.
fn replace(dir: &Path, new: &Path, replaced: Replaced) -> Result<(), PullError> {
    let is_empty = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty || !dir.exists() {
        fs::rename(new, dir).map_err(PullError::at(dir))?;
    } else {
        let old = old_name(dir, replaced)?;
        remove(&old).map_err(PullError::at(&old))?;
        fs::rename(dir, &old).map_err(PullError::at(dir))?;
        if let Err(error) = fs::rename(new, dir) {
            let _ = fs::rename(&old, dir);
            return Err(PullError::at(dir)(error));
        }
        match replaced {
            Replaced::PutAside => note(&format!("what was there is now {}", old.display())),
            Replaced::Removed => {
                if let Err(error) = remove(&old) {
                    note(&format!(
                        "warning: {} cannot be removed: {error}",
                        old.display()
                    ));
                }
            }
        }
    }
    let parent = dir.parent().unwrap_or(Path::new("/"));
    let synced = File::open(parent).and_then(|folder| folder.sync_all());
    synced.map_err(PullError::at(parent))
}

/// The name that what is at `dir` gets when it makes way.
fn old_name(dir: &Path, replaced: Replaced) -> Result<PathBuf, PullError> {
    let name = |number: u32| dir.with_file_name(format!("{}{number}", put_aside_prefix(dir)));
    if replaced == Replaced::Removed {
        return Ok(name(0));
    }
    (1..=MAX_PUT_ASIDE)
        .map(name)
        .find(|path| !path.exists() && !path.is_symlink())
        .ok_or_else(|| PullError::TooMuchAside(name(1)))
}

/// Replaces everything in `dir`, which cannot be renamed itself, by what is in `new`, a folder of it. The repository
/// comes last: while it is missing, the next pull does all of this again.
fn refill(dir: &Path, new: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_name() != INSIDE {
            remove(&entry.path())?;
        }
    }
    let git_dir = new.join(".git");
    for entry in fs::read_dir(new)?.flatten() {
        if entry.path() != git_dir {
            fs::rename(entry.path(), dir.join(entry.file_name()))?;
        }
    }
    fs::rename(git_dir, dir.join(".git"))?;
    fs::remove_dir(new)?;
    File::open(dir)?.sync_all()
}

fn is_mount_point(dir: &Path, parent: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    device(dir).is_some_and(|own| device(parent) != Some(own))
}

/// Removes what is at `path`, whatever it is and whoever may not write to it. A link is removed itself.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            make_writable(path);
            fs::remove_dir_all(path)
        }
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets us write to every folder below `folder` that is ours. What cannot be changed is met by whoever writes there.
pub(super) fn make_writable(folder: &Path) {
    if let Ok(found) = fs::symlink_metadata(folder) {
        let mode = found.permissions().mode();
        if mode & 0o700 != 0o700 {
            let _ = fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o700));
        }
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

impl From<GitError> for PullError {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}
