use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Somebody deleted, moved, replaced or cut a file that is being written.
    #[error("{} was deleted, moved or cut while it was written: do not change the files of a run before it is over", .0.display())]
    Displaced(PathBuf),
    /// The file does not begin with the header of a log.
    #[error("{} is not a log: its header is incomplete", .0.display())]
    NoHeader(PathBuf),
    /// An index and its log do not belong together.
    #[error("{} does not match its index at line {seq}", path.display())]
    Corrupt {
        /// The log.
        path: PathBuf,
        /// The first line that is not there as the index says.
        seq: u64,
    },
}

impl LogError {
    /// For `map_err`.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    /// Whether nothing can be read of the log because its file is gone, or empty.
    pub fn is_gone(&self) -> bool {
        self.is_not_found() || matches!(self, Self::NoHeader(_))
    }

    /// Whether the index may be to blame, and be made anew.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }

    /// Whether there is no such log.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
