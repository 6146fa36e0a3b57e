//! The files of the audit log: `audit.log`, to which records are added, and `audit-POSITION.log`, older ones that
//! were full. POSITION, in 20 digits, is how many bytes of the log came before the file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Name of the file to which records are added.
const CURRENT: &str = "audit.log";

/// One file of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Where it begins, in bytes from the beginning of the log.
    pub(super) base: u64,
    /// Its length in bytes.
    pub(super) length: u64,
}

impl Segment {
    /// Where it ends, in bytes from the beginning of the log.
    pub(super) fn end(&self) -> u64 {
        self.base + self.length
    }
}

/// Path of the file to which records are added.
pub(super) fn current(folder: &Path) -> PathBuf {
    folder.join(CURRENT)
}

/// Path of a full file that begins at this position of the log.
pub(super) fn full(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("audit-{base:020}.log"))
}

/// Full files, the oldest first.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn list_full(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let digits = name
            .to_str()
            .and_then(|name| name.strip_prefix("audit-")?.strip_suffix(".log"));
        let base = digits
            .filter(|digits| digits.len() == 20)
            .and_then(|digits| digits.parse().ok());
        let Some(base) = base else { continue };
        // Of a link the length would be that of its target.
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            segments.push(Segment {
                path: entry.path(),
                base,
                length: metadata.len(),
            });
        }
    }
    segments.sort_by_key(|segment| segment.base);
    Ok(segments)
}

/// Every file that there is, the oldest first; `audit.log` is the last.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = list_full(folder)?;
    let path = current(folder);
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) => segments.push(Segment {
            path,
            base: segments.last().map_or(0, Segment::end),
            length: metadata.len(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(segments)
}

/// Opens a file of the log to read it. A link that somebody planted there is refused.
///
/// # Errors
/// As `open(2)`.
pub(super) fn open(path: &Path) -> io::Result<File> {
    options().open(path)
}

/// Opens a file of the log to add to it, and makes it where it is not there.
///
/// # Errors
/// As `open(2)`.
pub(super) fn open_to_add(path: &Path) -> io::Result<File> {
    options().append(true).create(true).mode(0o600).open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NOFOLLOW);
    options
}
