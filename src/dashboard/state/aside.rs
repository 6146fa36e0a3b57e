//! Damaged databases that were set aside: renamed with a date, together with the files that belong to them, and never
//! deleted.

use super::StateError;
use crate::protocol::Timestamp;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Most that may lie beside the database; with more of them something destroys one after the other.
const MAX_SET_ASIDE: usize = 20;

/// What a database is made of: the file itself, its write-ahead log and the index of that.
const ENDS: [&str; 3] = ["", "-wal", "-shm"];

/// The files of a database that are there.
pub(super) fn parts(database: &Path) -> io::Result<Vec<&'static str>> {
    let mut there = Vec::new();
    for end in ENDS {
        match fs::symlink_metadata(with_end(database, end)) {
            Ok(_) => there.push(end),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}

/// Renames a database and what belongs to it; gives the new path.
///
/// # Errors
/// When too many were set aside before, or the folder cannot be changed.
pub(super) fn set_aside(database: &Path, now: Timestamp) -> Result<PathBuf, StateError> {
    let not_set_aside = |source| StateError::NotSetAside {
        path: database.to_owned(),
        source,
    };
    let count = list(database).map_err(not_set_aside)?.len();
    if count >= MAX_SET_ASIDE {
        let path = database.to_owned();
        return Err(StateError::TooManySetAside { path, count });
    }
    let to = free_name(database, now).map_err(not_set_aside)?;
    // The file itself first: without it what belongs to it is set aside at the next start, should this be cut short.
    for end in parts(database).map_err(not_set_aside)? {
        fs::rename(with_end(database, end), with_end(&to, end)).map_err(not_set_aside)?;
    }
    sync_folder(database).map_err(not_set_aside)?;
    Ok(to)
}

/// Renames what belongs to a database that was set aside without it, so that the next one does not take it for its own.
///
/// # Errors
/// When the folder cannot be changed.
pub(super) fn set_rest_aside(database: &Path, now: Timestamp) -> io::Result<()> {
    let rest = parts(database)?;
    let newest = list(database)?.pop();
    let newest = newest.map(|name| database.with_file_name(name));
    let to = match newest {
        Some(path) if parts(&path)? == [""] => path,
        _ => free_name(database, now)?,
    };
    for end in rest {
        fs::rename(with_end(database, end), with_end(&to, end))?;
    }
    sync_folder(database)
}

/// Names of the databases that lie beside this one because they were damaged, oldest first.
pub(super) fn list(database: &Path) -> io::Result<Vec<String>> {
    let (prefix, mut names) = (prefix(database), Vec::new());
    for entry in fs::read_dir(folder(database))? {
        if let Ok(name) = entry?.file_name().into_string()
            && name.starts_with(&prefix)
        {
            let end = ENDS[1..].iter().find(|end| name.ends_with(*end));
            names.push(name[..name.len() - end.map_or(0, |end| end.len())].to_owned());
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Makes what was renamed in the folder of a database durable.
pub(super) fn sync_folder(database: &Path) -> io::Result<()> {
    File::open(folder(database))?.sync_all()
}

/// The first name of this second of which nothing is there.
fn free_name(database: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let date = now.to_chrono().format("%Y-%m-%dT%H-%M-%S");
    let mut attempt = 1;
    loop {
        let number = if attempt < 2 {
            String::new()
        } else {
            format!("-{attempt}")
        };
        let name = format!("{}{date}{number}.sqlite", prefix(database));
        let path = database.with_file_name(name);
        if parts(&path)?.is_empty() {
            return Ok(path);
        }
        attempt += 1;
    }
}

fn prefix(database: &Path) -> String {
    let stem = database.file_stem().unwrap_or_default();
    format!("{}-damaged-", stem.to_string_lossy())
}

fn folder(database: &Path) -> &Path {
    match database.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

pub(super) fn with_end(database: &Path, end: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(end);
    path.into()
}
