//! The folder of the clone: what is in there, and whether it is the agent's to replace.
//!
//! A clone that the agent made has a mark in its `.git`. It is replaced when it cannot be mended, and so is any clone
//! at the place in the state folder where the agent puts its own. A clone that somebody else made, elsewhere, is used,
//! and put aside when it cannot be mended. What is no clone at all is put aside in the state folder and left alone
//! elsewhere.

use crate::spool::Pull;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file in `.git` by which a clone that the agent made is known.
const MARK: &str = "switchyard";

/// What becomes of a folder whose place a fresh clone takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// It is removed.
    Removed,
    /// It is kept under another name.
    PutAside,
}

/// What is at the place of the clone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing that anybody would miss.
    Empty,
    /// A clone that git may recognise.
    Clone(Replaced),
    /// Something of which no clone can be made, and why.
    Unusable(Replaced, String),
}

/// Why the place cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("{}: {source}; a pull must be able to read it", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{} is not a folder, and the clone must be there: move it away, or set `dir` in `[repo]` to another folder",
        .0.display()
    )]
    NoFolder(PathBuf),
    #[error(
        "{} contains files and is not a clone of a repository, so it is left unchanged: move it away, or set `dir` in `[repo]` to another folder",
        .0.display()
    )]
    NoClone(PathBuf),
    #[error(
        "{} belongs to user {user}, and git and nix refuse the repository of another user; remove it, and the next pull makes a new clone (do not give it to this user: its hooks would run)",
        dir.display()
    )]
    OtherOwner { dir: PathBuf, user: u32 },
}

impl Place {
    /// Looks at the place of the clone. It writes nothing.
    pub(super) fn look(pull: &Pull) -> Result<Self, PlaceError> {
        let dir = &pull.dir;
        let unreadable = |source| PlaceError::Unreadable {
            path: dir.clone(),
            source,
        };
        match fs::metadata(dir) {
            Ok(folder) if folder.is_dir() => {}
            Ok(_) if pull.in_state_dir => return Ok(aside("it is no folder")),
            Ok(_) => return Err(PlaceError::NoFolder(dir.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A link that leads nowhere is there and yet is not.
                return if dir.is_symlink() {
                    Err(PlaceError::NoFolder(dir.clone()))
                } else {
                    Ok(Self::Empty)
                };
            }
            Err(source) => return Err(unreadable(source)),
        }
        let mut entries = fs::read_dir(dir).map_err(unreadable)?.flatten();
        if entries.all(|entry| super::fresh::is_nothing(&entry)) {
            return Ok(Self::Empty);
        }
        let git_dir = dir.join(".git");
        let is_git_dir = fs::symlink_metadata(&git_dir).is_ok_and(|found| found.is_dir());
        if !is_git_dir {
            return if pull.in_state_dir {
                Ok(aside("it has no folder .git"))
            } else {
                Err(PlaceError::NoClone(dir.clone()))
            };
        }
        let replaced = if pull.in_state_dir || is_marked(dir) {
            Replaced::Removed
        } else {
            Replaced::PutAside
        };
        if let Some(user) = other_owner(dir) {
            return if replaced == Replaced::Removed {
                Ok(Self::Unusable(
                    replaced,
                    format!("it belongs to user {user}"),
                ))
            } else {
                let dir = dir.clone();
                Err(PlaceError::OtherOwner { dir, user })
            };
        }
        let parts = ["HEAD", "objects", "refs", "reftable"];
        let missing = |part: &str| !git_dir.join(part).exists();
        if parts.iter().all(|part| missing(part)) {
            let why = "its .git contains no repository".to_owned();
            return Ok(Self::Unusable(replaced, why));
        }
        Ok(Self::Clone(replaced))
    }
}

fn aside(why: &str) -> Place {
    Place::Unusable(Replaced::PutAside, why.to_owned())
}

/// The user to whom the clone in `dir` belongs, if that is another one than ours.
pub fn other_owner(dir: &Path) -> Option<u32> {
    let own = nix::unistd::geteuid().as_raw();
    [dir.to_owned(), dir.join(".git")]
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|found| found.uid())
        .find(|user| *user != own)
}

/// Marks a clone as made by the agent.
pub(super) fn mark(dir: &Path) -> io::Result<()> {
    let text = "The agent of Switchyard made this clone, and replaces it when it is damaged.\n";
    fs::write(dir.join(".git").join(MARK), text)
}

fn is_marked(dir: &Path) -> bool {
    let mark = fs::symlink_metadata(dir.join(".git").join(MARK));
    mark.is_ok_and(|mark| mark.is_file())
}

/// How the names begin under which something is put aside that was at `dir`.
pub fn put_aside_prefix(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.switchyard-old-")
}
