//! Indexes that are being made anew, beside those whose place they take.

use super::{LogError, place};
use std::fs::{self, File, TryLockError};
use std::path::Path;

/// What the name of such an index ends with.
pub(super) const ENDING: &str = "idx.new";

/// Creates such an index, empty, and locks it: nobody else makes it, and nobody removes it. What an interrupted
/// attempt left in its place goes.
pub(super) fn create(path: &Path) -> Result<File, LogError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = place::options();
    options.read(true).write(true).create(true).mode(0o600);
    let file = options.open(path).map_err(LogError::io("create", path))?;
    lock(&file).map_err(LogError::io("lock", path))?;
    file.set_len(0).map_err(LogError::io("cut", path))?;
    Ok(file)
}

/// Removes the indexes in a folder of logs that a program began and did not finish, because it was killed. Those that
/// are being made stay.
///
/// # Errors
/// When the folder cannot be read.
pub fn remove_unfinished_indexes(dir: &Path) -> Result<(), LogError> {
    place::look_at(dir)?;
    let entries = fs::read_dir(dir).map_err(LogError::io("read", dir))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(|name| name.ends_with(&format!(".{ENDING}"))) {
            continue;
        }
        // What cannot be removed takes a little room, and is tried again at the next start.
        let file = place::options().read(true).open(&path);
        if file.is_ok_and(|file| lock(&file).is_ok() && fs::remove_file(&path).is_ok()) {
            tracing::info!(file = %path.display(), "unfinished index removed");
        }
    }
    Ok(())
}

fn lock(file: &File) -> std::io::Result<()> {
    file.try_lock().map_err(|error| match error {
        TryLockError::Error(error) => error,
        TryLockError::WouldBlock => std::io::ErrorKind::WouldBlock.into(),
    })
}
