//! What can go wrong with the database, and what is to be done about it.

use rusqlite::{Error as SqliteError, ErrorCode};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite refused.
    #[error("database {}: {source}{}", path.display(), remedy(source))]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Arc<SqliteError>,
    },
    /// What the file holds is no whole database of ours.
    #[error("database {} is damaged: {what}. Start the dashboard again: it then sets the database aside and makes a new one from the logs", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A newer program wrote it.
    #[error("database {} has version {found}, but this program supports only versions up to {known}: start the newer program, or move the file away (it is rebuilt from the logs)", path.display())]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A damaged database could not be renamed.
    #[error("database {} is damaged and cannot be set aside: {source}. Move it away by hand, with the files beside it that end in -wal and -shm", path.display())]
    NotSetAside {
        /// The database.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Damaged databases have been set aside again and again.
    #[error("database {} is damaged, and there are {count} damaged ones beside it already: find the cause (the disk or the memory of the machine), then move them away", path.display())]
    TooManySetAside {
        /// The database.
        path: PathBuf,
        /// How many were set aside.
        count: usize,
    },
    /// The list of revoked tokens can be neither read nor written.
    #[error("the list of revoked tokens {}: {source}. Without it a revoked token could come back: it must be a file that this user can read and write", path.display())]
    Revocations {
        /// The list.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread could not be started.
    #[error("cannot start the thread of the database: {0}")]
    Thread(io::Error),
    /// The thread is gone, which only happens while the program ends.
    #[error("the database is closed")]
    Closed,
}

impl StateError {
    /// What SQLite said of this database.
    pub(super) fn of(path: &Path, source: impl Into<Arc<SqliteError>>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        if is_damage(&source) {
            let what = source.to_string();
            Self::Damaged { path, what }
        } else {
            Self::Sqlite { path, source }
        }
    }

    /// The database holds something that it cannot hold.
    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// For [`Result::map_err`].
    pub(super) fn at(path: &Path) -> impl Fn(SqliteError) -> Self {
        |source| Self::of(path, source)
    }
}

/// Whether SQLite found bytes that make no database. A full disk, a missing right, a lock and a disk that cannot be
/// read are no damage: the file may be whole.
fn is_damage(error: &SqliteError) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// What to do about it, where that is known.
fn remedy(error: &SqliteError) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; make room on the disk",
        Some(ErrorCode::ReadOnly) => {
            "; the file and its folder must be writable for the user of the dashboard"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "; it must be a file that the user of the dashboard can read and write, in a folder where it can make others"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another program has it open: close that"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "; the disk cannot be read or written: check it (dmesg). Nothing was changed"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn only_bytes_that_make_no_database_are_damage() {
        let of = |code| {
            let error = SqliteError::SqliteFailure(ffi::Error::new(code), None);
            StateError::of(Path::new("x"), error)
        };
        for code in [
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_CORRUPT_INDEX,
            ffi::SQLITE_NOTADB,
        ] {
            assert!(matches!(of(code), StateError::Damaged { .. }), "{code}");
        }
        for code in [
            ffi::SQLITE_FULL,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_PERM,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_CORRUPTFS,
        ] {
            let error = of(code);
            assert!(matches!(error, StateError::Sqlite { .. }), "{code}");
            assert!(error.to_string().contains("; "), "no remedy: {error}");
        }
    }
}
