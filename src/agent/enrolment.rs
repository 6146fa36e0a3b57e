//! The token that a dashboard gave in exchange for an enrolment secret.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes it whole or not at all, for its owner alone.
pub(super) fn keep(path: &Path, token: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}
