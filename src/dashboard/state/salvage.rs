//! Makes a new database of what can still be read of a damaged one.
//!
//! What goes over: hosts, tokens, revocations, the runs that retention took. Runs are made anew from their logs. What
//! is left behind: sessions, whose ends may be lost, and queued commands, which may have been cancelled.

use super::{StateError, schema};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use std::fs;
use std::path::Path;

/// What was saved of a damaged database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) hosts: Table,
    pub(crate) issued: Table,
    pub(crate) revoked: Table,
}

/// What was saved of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) rows: usize,
    /// Whether that is all there was.
    pub(crate) is_whole: bool,
}

/// Makes the database `new`, with what `old`, if there is one, still tells. `knows_revoked` is whether all revocations are known from
/// elsewhere: where some may be missing no token is saved, since it may be one of those.
///
/// # Errors
/// When `new` cannot be written.
pub(super) fn make(
    old: Option<&Path>,
    new: &Path,
    knows_revoked: bool,
) -> Result<Saved, StateError> {
    let at_new = StateError::at(new);
    let connection = schema::make(new)?;
    let mut saved = Saved::default();
    // What cannot even be opened tells nothing.
    if let Some(Ok(old)) = old.map(schema::open_as_found) {
        let transaction = connection.unchecked_transaction().map_err(&at_new)?;
        let copy = |table| copy(&old, &transaction, table).map_err(&at_new);
        saved.hosts = copy("hosts")?;
        copy("removed")?;
        saved.revoked = copy("revoked")?;
        if knows_revoked || saved.revoked.is_whole {
            saved.issued = copy("issued")?;
        }
        if let Ok(last) = schema::last_number(&old) {
            let number = "UPDATE numbers SET last = ?1";
            transaction
                .execute(number, [last.cast_signed()])
                .map_err(&at_new)?;
        }
        transaction.commit().map_err(&at_new)?;
    }
    connection.close().map_err(|(_, error)| at_new(error))?;
    Ok(saved)
}

/// Removes what an earlier attempt left behind.
pub(super) fn clear(new: &Path) {
    for end in ["", "-journal", "-wal", "-shm"] {
        let _ = fs::remove_file(super::aside::with_end(new, end));
    }
}

/// Copies a table of two columns of text, from both ends as far as it can be read.
fn copy(old: &Connection, new: &Connection, table: &str) -> rusqlite::Result<Table> {
    let mut insert = new.prepare(&format!("INSERT OR IGNORE INTO {table} VALUES (?1, ?2)"))?;
    let mut copied = Table::default();
    for order in ["", "DESC"] {
        let all = format!("SELECT * FROM {table} ORDER BY 1 {order}");
        let Ok(mut all) = old.prepare(&all) else {
            break;
        };
        let mut rows = all.raw_query();
        copied.is_whole = loop {
            match rows.next() {
                Ok(Some(row)) => {
                    if let (Some(key), Some(value)) = (text(row, 0), text(row, 1)) {
                        copied.rows += insert.execute([key, value])?;
                    }
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if copied.is_whole {
            break;
        }
    }
    Ok(copied)
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Option<&'a str> {
    match row.get_ref(column) {
        Ok(ValueRef::Text(text)) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}
