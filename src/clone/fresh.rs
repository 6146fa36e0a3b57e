//! A fresh clone, made beside the old one, which it replaces once it is whole and on disk.

use super::git::{Git, GitError, note};
use super::mounts::Mounts;
use super::place::{Replaced, mark, put_aside_prefix};
use super::pull::{PullError, bring_to_branch, explain, look_for_filters};
use super::{check, room};
use crate::spool::Pull;
use nix::unistd::syncfs;
use std::fs::{self, DirBuilder, DirEntry, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where the fresh clone is made if the place of the old one is a file system of its own.
const INSIDE: &str = ".switchyard-new";

/// The name in [`INSIDE`] of the repository whose place the new one takes.
const OLD_GIT: &str = ".switchyard-old";

/// The file in the new `.git` that is there while the clone is moved out of [`INSIDE`].
const MOVING: &str = "switchyard-moving";

/// What `mkfs` makes in every ext4, and `fsck` uses.
const LOST_AND_FOUND: &str = "lost+found";

/// How many things that were in the way are kept.
const MAX_PUT_ASIDE: u32 = 3;

/// A clone that is whole and on disk, beside what it may replace.
#[derive(Debug)]
pub(super) struct Fresh {
    /// Where it goes.
    dir: PathBuf,
    /// Where it is.
    new: PathBuf,
    /// It goes into a file system of its own, where it also is.
    is_mount: bool,
    replaced: Replaced,
}

/// Makes a clone and puts it in the place of what is there. Whatever fails, that stays as it is, or is finished by the
/// next pull.
pub(super) fn make(git: &Git, pull: &Pull, url: &str, replaced: Replaced) -> Result<(), PullError> {
    prepare(git, pull, url, replaced)?.install()
}

/// Makes a clone beside what is there, which stays as it is.
pub(super) fn prepare(
    git: &Git,
    pull: &Pull,
    url: &str,
    replaced: Replaced,
) -> Result<Fresh, PullError> {
    let dir = fs::canonicalize(&pull.dir).unwrap_or_else(|_| pull.dir.clone());
    let parent = dir.parent().unwrap_or(Path::new("/")).to_owned();
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o755).create(&parent);
    made.map_err(PullError::at(&parent))?;
    let is_mount = may_be_replaced(&dir, replaced)?;
    let (new, disk) = if is_mount {
        (dir.join(INSIDE), &dir)
    } else {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        (parent.join(format!(".{name}.switchyard-new")), &parent)
    };
    remove(&new).map_err(PullError::at(&new))?;
    build(git, pull, url, &new).map_err(|error| {
        let error = room::blame(disk, error);
        // Half a clone would only take room.
        let _ = remove(&new);
        error
    })?;
    Ok(Fresh {
        dir,
        new,
        is_mount,
        replaced,
    })
}

impl Fresh {
    /// Puts it in the place of what is there.
    pub(super) fn install(self) -> Result<(), PullError> {
        let Self { dir, new, .. } = &self;
        if self.is_mount {
            // What fails here is finished by the next pull, which needs the new clone for it.
            return refill(dir, new).map_err(PullError::at(dir));
        }
        replace(dir, new, self.replaced).map_err(|error| {
            let error = room::blame(dir.parent().unwrap_or(dir), error);
            let _ = remove(new);
            error
        })
    }

    /// Removes it: what is there is as good.
    pub(super) fn discard(self) {
        // The next pull that makes one removes it first.
        let _ = remove(&self.new);
    }
}

/// Looks whether a clone may take the place of what is at `dir`, and whether that is a mount point, in which all is
/// replaced.
fn may_be_replaced(dir: &Path, replaced: Replaced) -> Result<bool, PullError> {
    let mounts = Mounts::read();
    if let Some(mount) = mounts.below(dir).next() {
        let (dir, mount) = (dir.to_owned(), mount.to_owned());
        return Err(PullError::MountedWithin { dir, mount });
    }
    let is_mount = mounts.is_at(dir);
    if is_mount && replaced == Replaced::PutAside {
        let mut entries = fs::read_dir(dir).map_err(PullError::at(dir))?.flatten();
        if !entries.all(|entry| is_nothing(&entry)) {
            return Err(PullError::Mounted(dir.to_owned()));
        }
    }
    Ok(is_mount)
}

/// Whether nobody would miss this entry of the clone's folder.
pub(super) fn is_nothing(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let is_empty = || match fs::read_dir(entry.path()) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    };
    name == INSIDE || (name == LOST_AND_FOUND && is_empty())
}

/// Clones into `new`, and has it on disk.
fn build(git: &Git, pull: &Pull, url: &str, new: &Path) -> Result<(), PullError> {
    let target = new.to_string_lossy();
    let branch = format!("--branch={}", pull.branch);
    let arguments = [
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
    ];
    git.elsewhere(None).transfer(&arguments, url)?;
    // It names a branch that may go.
    remove(&new.join(".git/refs/remotes/origin/HEAD")).map_err(PullError::at(new))?;
    let before = (&git.elsewhere(Some(&pull.dir)), pull.dir.as_path());
    let git = git.elsewhere(Some(new));
    look_for_filters((&git, new), &pull.branch, before)?;
    bring_to_branch(&git, &pull.branch, new)
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
            Replaced::PutAside => note(&format!("the old content was moved to {}", old.display())),
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

/// Replaces everything in `dir`, which cannot be renamed itself, by what is in `new`, a folder of it. The old repository
/// goes last and at once: until then this is a clone whose files are missing, and from then on the next pull goes on
/// with [`finish_refill`].
fn refill(dir: &Path, new: &Path) -> io::Result<()> {
    let new_git = new.join(".git");
    File::create(new_git.join(MOVING))?.sync_all()?;
    File::open(&new_git)?.sync_all()?;
    for entry in entries(dir)? {
        let name = entry.file_name();
        if name != INSIDE && name != ".git" && name != LOST_AND_FOUND {
            remove(&entry.path())?;
        }
    }
    let old_git = dir.join(".git");
    if fs::symlink_metadata(&old_git).is_ok() {
        fs::rename(old_git, new.join(OLD_GIT))?;
    }
    move_out(dir, new)
}

/// Finishes a refill that was interrupted; `false` if there is none.
pub(super) fn finish_refill(dir: &Path) -> io::Result<bool> {
    let new = dir.join(INSIDE);
    let is_there = |path: PathBuf| fs::symlink_metadata(path).is_ok();
    if is_there(dir.join(".git")) || !is_there(new.join(".git").join(MOVING)) {
        return Ok(false);
    }
    move_out(dir, &new)?;
    Ok(true)
}

/// Moves what is in `new` into `dir`, the repository last.
fn move_out(dir: &Path, new: &Path) -> io::Result<()> {
    for entry in entries(new)? {
        let name = entry.file_name();
        if name != ".git" && name != OLD_GIT {
            let target = dir.join(name);
            remove(&target)?;
            fs::rename(entry.path(), target)?;
        }
    }
    let git_dir = dir.join(".git");
    fs::rename(new.join(".git"), &git_dir)?;
    remove(&git_dir.join(MOVING))?;
    remove(new)?;
    File::open(dir)?.sync_all()
}

/// What is in a folder, read to the end before anything in there changes.
fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    fs::read_dir(folder)?.collect()
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
