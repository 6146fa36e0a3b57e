//! Room that is kept on the disk, so that the end of a run can be stored when there is none left.

use crate::spool::RunDir;
use nix::fcntl::posix_fallocate;
use std::fs::{self, File};
use std::io;

/// Holds a footer with the longest message and a few lines, in bytes.
const RESERVE_BYTES: i64 = 128 * 1024;

/// Keeps some room. Not every file system can, and a run does not fail for that.
pub(super) fn keep(rundir: &RunDir) {
    let path = rundir.reserve();
    let kept = File::create(&path)
        .and_then(|file| posix_fallocate(file, 0, RESERVE_BYTES).map_err(io::Error::from));
    if let Err(error) = kept {
        tracing::warn!(path = %path.display(), %error, "no disk space can be reserved for the end of the run");
    }
}

/// Gives it back.
pub(super) fn release(rundir: &RunDir) {
    // It is not there where it could not be kept.
    let _ = fs::remove_file(rundir.reserve());
}
