//! Whose a file is that may not be read or written.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Half a sentence on the file's owner, where `error` is that it is not ours to use.
pub(super) fn hint(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let own = nix::unistd::geteuid();
    match fs::symlink_metadata(path) {
        Ok(found) => format!(
            " (it belongs to user {} with mode {:04o}, and the agent runs as user {own})",
            found.uid(),
            found.mode() & 0o7777
        ),
        Err(_) => format!(" (the agent runs as user {own}, who may not enter a folder above it)"),
    }
}
