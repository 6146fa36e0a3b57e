//! The lock on the agent's state folder: two agents on one folder would run two switches at once.

use super::Error;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest number of a process in the lock file, in bytes.
const MAX_PID_BYTES: u64 = 20;

/// Holds the folder until it is dropped; the kernel takes it from a process that dies.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: Flock<File>,
    /// The folder itself: the file may be deleted under us. `None` where the file system has no locks on folders.
    _folder: Option<Flock<File>>,
}

impl StateLock {
    /// Takes the folder, which is made where there is none.
    ///
    /// # Errors
    /// [`Error::InUse`] when another agent has it.
    pub(super) fn take(state_dir: &Path) -> Result<Self, Error> {
        let at = |path: &Path| {
            let path: PathBuf = path.to_owned();
            move |source| Error::State { path, source }
        };
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(state_dir);
        made.map_err(at(state_dir))?;
        let path = state_dir.join("lock");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        options.mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(at(&path))?;
        let in_use = |file: Option<File>| Error::InUse {
            state_dir: state_dir.to_owned(),
            pid: file.and_then(read_pid),
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                let folder = File::open(state_dir).map_err(at(state_dir))?;
                let folder = match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
                    Ok(folder) => Some(folder),
                    // The file is a new one: that of the other agent was deleted.
                    Err((_, Errno::EWOULDBLOCK)) => return Err(in_use(None)),
                    Err(_) => None,
                };
                // Only for the message of another one: without it that names no process.
                if let Err(error) = write_pid(&mut file) {
                    tracing::warn!("cannot write to {}: {error}", path.display());
                }
                Ok(Self {
                    _file: file,
                    _folder: folder,
                })
            }
            Err((file, Errno::EWOULDBLOCK)) => Err(in_use(Some(file))),
            Err((_, error)) => Err(at(&path)(error.into())),
        }
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_PID_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stays_in_use_when_the_lock_in_it_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let held = StateLock::take(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        let second = StateLock::take(dir.path());
        assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
        drop(held);
        StateLock::take(dir.path()).unwrap();
    }
}
