//! Opens the database of a dashboard. One that is damaged is set aside, and a new one takes its place.

use super::revocations::Revocations;
use super::salvage::{self, Saved};
use super::{State, StateError, aside};
use crate::protocol::Timestamp;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Why the database is a new one, although there was one before.
#[derive(Clone, Debug)]
pub(crate) enum Anew {
    /// It was damaged.
    Damaged {
        /// What was wrong with it.
        what: String,
        /// Where it is now.
        aside: PathBuf,
        saved: Saved,
    },
    /// It was damaged, and the dashboard ended while it was replaced.
    Resumed,
    /// It was gone, while there had been a dashboard here. What was left of it was set aside.
    Missing { aside: Option<PathBuf> },
}

impl fmt::Display for Anew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { what, aside, saved } => {
                let aside = aside.file_name().unwrap_or_default().to_string_lossy();
                write!(
                    f,
                    "the database was damaged ({what}) and was set aside as {aside}; a new one was made from the logs. {saved}"
                )
            }
            Self::Resumed => f.write_str(
                "the database was damaged and was set aside; a new one was made from the logs and from what could be read of it. Lost: sessions (everyone must sign in again), queued commands, runs that never began, and perhaps tokens that the dashboard made: check which hosts and users need new ones. Tokens that were revoked stay revoked",
            ),
            Self::Missing { aside } => {
                f.write_str("the database was missing and a new one was made from the logs")?;
                if let Some(aside) = aside {
                    let aside = aside.file_name().unwrap_or_default().to_string_lossy();
                    write!(f, "; the remaining files were renamed to {aside}")?;
                }
                write!(f, ". {}", Saved::default())
            }
        }
    }
}

/// What is lost and what is not, in words.
impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "Lost: sessions (everyone must sign in again), queued commands, and runs that never began",
        )?;
        match (self.issued.rows, self.issued.is_whole) {
            (0, true) => {}
            (rows, true) => write!(f, "; kept: all {rows} tokens that the dashboard made")?,
            (0, false) => f.write_str(
                ", and the tokens that the dashboard made: make new ones for their hosts and users",
            )?,
            (rows, false) => write!(
                f,
                ", and the tokens that the dashboard made, except {rows}: check which hosts and users need new ones"
            )?,
        }
        f.write_str(". Tokens that were revoked stay revoked")
    }
}

/// Opens the database, or makes one. `has_logs` is whether runs of an earlier dashboard are here.
///
/// # Errors
/// When it cannot be used for another reason than damage; then nothing was changed.
pub(crate) fn open(path: &Path, has_logs: bool) -> Result<(State, Option<Anew>), StateError> {
    let was_here = has_logs || Revocations::exist(path);
    let fresh = aside::with_end(path, ".new");
    let parts = aside::parts(path).map_err(|source| StateError::NotSetAside {
        path: path.to_owned(),
        source,
    })?;
    if parts.contains(&"") {
        salvage::clear(&fresh);
        if is_empty(path) && (was_here || parts.contains(&"-wal")) {
            return replace(path, &fresh, "it is empty".to_owned());
        }
        return match State::open(path) {
            Err(StateError::Damaged { what, .. }) => replace(path, &fresh, what),
            opened => opened.map(|state| (state, None)),
        };
    }
    // Cut short between setting a damaged one aside and putting the new one in its place.
    if fs::exists(&fresh).is_ok_and(|exists| exists) {
        let resumed = aside::set_rest_aside(path, Timestamp::now())
            .and_then(|()| fs::rename(&fresh, path))
            .map_err(|source| StateError::NotSetAside {
                path: path.to_owned(),
                source,
            });
        return resumed.and_then(|()| Ok((State::open(path)?, Some(Anew::Resumed))));
    }
    // A write-ahead log without its database would be deleted by SQLite.
    let rest = parts.contains(&"-wal");
    let aside = rest.then(|| aside::set_aside(path, Timestamp::now()));
    let aside = aside.transpose()?;
    let anew = (was_here || rest).then_some(Anew::Missing { aside });
    Ok((State::open(path)?, anew))
}

fn is_empty(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0)
}

/// Makes the new database beside the damaged one first: when that fails, for want of room say, nothing was changed.
fn replace(path: &Path, fresh: &Path, what: String) -> Result<(State, Option<Anew>), StateError> {
    // An empty file tells nothing, and to open it would delete the write-ahead log beside it.
    let old = (!is_empty(path)).then_some(path);
    let saved = salvage::make(old, fresh, Revocations::exist(path))?;
    let aside = aside::set_aside(path, Timestamp::now())?;
    fs::rename(fresh, path).map_err(|source| StateError::NotSetAside {
        path: path.to_owned(),
        source,
    })?;
    let state = State::open(path)?;
    let anew = Anew::Damaged { what, aside, saved };
    Ok((state, Some(anew)))
}

#[cfg(test)]
#[path = "anew_tests.rs"]
mod tests;
