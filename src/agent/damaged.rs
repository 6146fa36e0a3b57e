//! Folders of runs of which nothing can be read any more: each is put aside and told once, and never deleted. What the
//! programs wrote, with its secrets, is not kept in them: nobody goes on with such a run.

use super::requests::sync;
use crate::spool::{self, RunDir};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Behind the name of a folder that was put aside. No run has such a name.
const ENDING: &str = ".damaged";

/// Most folders that are put aside; further ones stay where they are until somebody has looked.
const MAX_ASIDE: usize = 20;

/// Why a folder stays where it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum PutAsideError {
    #[error("a process still uses it")]
    InUse,
    #[error(
        "{} already contains {MAX_ASIDE} folders that end in {ENDING}: find the cause (the disk or the memory of the machine), then move them away",
        .0.display()
    )]
    TooMany(PathBuf),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Puts the folder of a run aside; gives where it is now.
///
/// # Errors
/// When it stays where it is.
pub(super) fn put_aside(dir: &RunDir) -> Result<PathBuf, PutAsideError> {
    let _lock = lock(dir)?;
    let runs = dir.path().parent().unwrap_or(Path::new("/"));
    if count(runs)? >= MAX_ASIDE {
        return Err(PutAsideError::TooMany(runs.to_owned()));
    }
    let name = |number: usize| match number {
        1 => runs.join(format!("{}{ENDING}", dir.run_id())),
        _ => runs.join(format!("{}{ENDING}-{number}", dir.run_id())),
    };
    // One of these is free, as there are fewer.
    let free = (1..=MAX_ASIDE)
        .map(name)
        .find(|path| fs::symlink_metadata(path).is_err());
    let to = free.ok_or_else(|| PutAsideError::TooMany(runs.to_owned()))?;
    fs::rename(dir.path(), &to)?;
    sync(&to)?;
    spool::remove_captures(&to);
    Ok(to)
}

/// Removes what programs wrote, with its secrets, from the folders that lie aside among these: those of an older agent
/// still have it, and so has one whose agent died in the middle.
pub(super) fn remove_captures(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().contains(ENDING) {
            spool::remove_captures(&entry.path());
        }
    }
}

/// Takes the lock that whoever runs the run has, or settles it; `None` where the file system has no locks.
///
/// # Errors
/// When somebody has it.
pub(super) fn lock(dir: &RunDir) -> Result<Option<Flock<File>>, PutAsideError> {
    let folder = File::open(dir.path())?;
    match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Err(PutAsideError::InUse),
        Err(_) => Ok(None),
    }
}

/// How many folders lie aside.
fn count(runs: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(runs)? {
        let name = entry?.file_name();
        count += usize::from(name.to_string_lossy().contains(ENDING));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RunId;

    #[test]
    fn folders_put_aside_are_kept_under_names_of_their_own_and_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        let dir = RunDir::new(folder.path(), &run_id);
        for number in 0..=MAX_ASIDE {
            fs::create_dir_all(dir.path()).unwrap();
            fs::write(dir.spec(), number.to_string()).unwrap();
            match put_aside(&dir) {
                Ok(aside) => {
                    let kept = fs::read_to_string(aside.join("spec.json")).unwrap();
                    assert_eq!(kept, number.to_string());
                    assert_eq!(RunDir::at(&aside), None, "it is no run's");
                }
                Err(PutAsideError::TooMany(_)) => assert_eq!(number, MAX_ASIDE),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(dir.spec().exists());
    }

    #[test]
    fn what_programs_wrote_is_not_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        let dir = RunDir::new(folder.path(), &run_id);
        fs::create_dir_all(dir.path()).unwrap();
        let files = ["capture-3.bytes", "capture-3.records", "spec.json", "notes"];
        let fill = |folder: &Path| {
            for file in files {
                fs::write(folder.join(file), "password=hunter2").unwrap();
            }
        };
        let kept = |folder: &Path| files.map(|file| folder.join(file).exists());
        fill(dir.path());
        let aside = put_aside(&dir).unwrap();
        assert_eq!(kept(&aside), [false, false, true, true]);
        // Another agent left these.
        fill(&aside);
        fs::create_dir_all(dir.path()).unwrap();
        fill(dir.path());
        remove_captures(&folder.path().join("runs"));
        assert_eq!(kept(&aside), [false, false, true, true]);
        assert_eq!(kept(dir.path()), [true; 4], "somebody may go on with it");
    }

    #[test]
    fn the_folder_of_a_run_that_a_process_has_stays() {
        let folder = tempfile::tempdir().unwrap();
        let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        let dir = RunDir::new(folder.path(), &run_id);
        fs::create_dir_all(dir.path()).unwrap();
        let held = File::open(dir.path()).unwrap();
        let held = Flock::lock(held, FlockArg::LockExclusiveNonblock).unwrap();
        assert!(matches!(put_aside(&dir), Err(PutAsideError::InUse)));
        drop(held);
        put_aside(&dir).unwrap();
        assert!(!dir.path().exists());
    }
}
