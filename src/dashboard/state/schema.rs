use super::StateError;
use rusqlite::Connection;
use std::path::Path;

const VERSION: i64 = 2;

/// `at` orders the runs of a host: when one was asked for, or began, in milliseconds since 1970.
/// `removed` remembers the runs that retention took, so that an agent is not asked for them again.
const TABLES: &str = "
CREATE TABLE hosts(host_id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE runs(host_id TEXT NOT NULL, run_id TEXT NOT NULL, at INTEGER NOT NULL, open INTEGER NOT NULL,
                  record TEXT NOT NULL, PRIMARY KEY(host_id, run_id)) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_time ON runs(host_id, at, run_id);
CREATE INDEX runs_open ON runs(host_id) WHERE open = 1;
CREATE TABLE removed(host_id TEXT NOT NULL, run_id TEXT NOT NULL, PRIMARY KEY(host_id, run_id)) STRICT, WITHOUT ROWID;
CREATE TABLE sessions(id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// New in version 2: tokens of the dashboard's own, and tokens that were taken back, by their hashes.
const TOKENS: &str = "
CREATE TABLE issued(hash TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE revoked(hash TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

pub(super) fn open(path: &Path) -> Result<Connection, StateError> {
    let sqlite = |source| StateError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let connection = Connection::open(path).map_err(sqlite)?;
    // FULL: what was answered with 202 is on disk even when the power goes.
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1000; PRAGMA busy_timeout = 5000;")
        .map_err(sqlite)?;
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(sqlite)?;
    if found > VERSION {
        return Err(StateError::TooNew {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    let missing = match found {
        0 => [TABLES, TOKENS].concat(),
        1 => TOKENS.to_owned(),
        _ => return Ok(connection),
    };
    let all = format!("BEGIN; {missing} PRAGMA user_version = {VERSION}; COMMIT;");
    connection.execute_batch(&all).map_err(sqlite)?;
    Ok(connection)
}

pub(super) fn write_version(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("PRAGMA user_version = {VERSION};"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_version_1_keeps_what_it_has_and_gets_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        let old = Connection::open(&path).unwrap();
        let session = "INSERT INTO sessions VALUES ('a', 'b');";
        let all = format!("{TABLES} {session} PRAGMA user_version = 1;");
        old.execute_batch(&all).unwrap();
        drop(old);
        let new = open(&path).unwrap();
        let count = |table: &str| {
            let query = format!("SELECT count(*) FROM {table}");
            new.query_row(&query, [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!((count("sessions"), count("issued")), (1, 0));
        drop(new);
        assert!(open(&path).is_ok());
    }
}
