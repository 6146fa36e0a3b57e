//! Opens the files of a log, and none that a link names: who can plant one in the folder must not make us read or
//! write elsewhere.

use super::LogError;
use nix::libc;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// For files in a folder that was looked at.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    options
}

/// The folder must be one itself.
pub(super) fn look_at(dir: &Path) -> Result<(), LogError> {
    let is_link = dir.symlink_metadata().map(|found| found.is_symlink());
    match is_link.map_err(LogError::io("open", dir))? {
        false => Ok(()),
        true => Err(LogError::io("open", dir)(io::Error::from_raw_os_error(
            libc::ELOOP,
        ))),
    }
}
