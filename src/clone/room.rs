//! A full disk, of which git often says no more than that it cannot write.

use super::pull::PullError;
use nix::sys::statvfs::statvfs;
use std::path::Path;

/// With less room than this git can hardly write anything, in KiB.
const MIN_ROOM_KIB: u64 = 1024;

/// The error with its reason, if that is the disk on which `dir` is.
pub(super) fn blame(dir: &Path, error: PullError) -> PullError {
    let is_of_writing = matches!(error, PullError::Git(_) | PullError::File { .. });
    match left_kib(dir).filter(|_| is_of_writing) {
        Some(left_kib) if left_kib < MIN_ROOM_KIB => PullError::FullDisk {
            dir: dir.to_owned(),
            left_kib,
            source: Box::new(error),
        },
        _ => error,
    }
}

/// How much room is left; none where there is none for further files.
#[allow(
    clippy::useless_conversion,
    reason = "the fields are narrower on some platforms"
)]
fn left_kib(dir: &Path) -> Option<u64> {
    let disk = statvfs(dir).ok()?;
    // Some file systems make room for files as they need it, and say 0 of both.
    let has_no_files = disk.files() > 0 && disk.files_available() == 0;
    let bytes = u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size()));
    Some(if has_no_files { 0 } else { bytes / 1024 })
}
