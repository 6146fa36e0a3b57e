use super::StateError;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;

const VERSION: i64 = 3;

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

/// New in version 3: runs have a number, which orders them whatever the clocks say, and those that activated a
/// system or set the boot default are found at once. `numbers` remembers the highest number ever given; runs from
/// before have 0 and are ordered by their times.
const NUMBERS: &str = "
ALTER TABLE runs ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN deployed INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET deployed = 1 WHERE open = 0 AND CASE WHEN json_valid(record) THEN
    json_extract(record, '$.command') IN ('switch', 'boot', 'test', 'rollback')
    AND json_extract(record, '$.started') IS NOT NULL END;
DROP INDEX runs_by_time;
CREATE INDEX runs_by_number ON runs(host_id, number, at, run_id);
CREATE INDEX runs_deployed ON runs(host_id, number, at, run_id) WHERE deployed = 1;
CREATE TABLE numbers(last INTEGER NOT NULL) STRICT;
INSERT INTO numbers VALUES (0);
CREATE TRIGGER runs_numbered AFTER INSERT ON runs BEGIN
    UPDATE numbers SET last = NEW.number WHERE last < NEW.number;
END;
";

pub(super) fn open(path: &Path) -> Result<Connection, StateError> {
    let sqlite = |source| StateError::Sqlite {
        path: path.to_owned(),
        source: Arc::new(source),
    };
    let connection = Connection::open(path).map_err(sqlite)?;
    // FULL: what was answered with 202 is on disk even when the power goes.
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1000; PRAGMA busy_timeout = 5000;")
        .map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(64);
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
        0 => [TABLES, TOKENS, NUMBERS].concat(),
        1 => [TOKENS, NUMBERS].concat(),
        2 => NUMBERS.to_owned(),
        _ => return Ok(connection),
    };
    let all = format!("BEGIN; {missing} PRAGMA user_version = {VERSION}; COMMIT;");
    connection.execute_batch(&all).map_err(sqlite)?;
    Ok(connection)
}

/// The highest number that a run was ever given.
pub(super) fn last_number(connection: &Connection) -> rusqlite::Result<u64> {
    let last = "SELECT max(last) FROM numbers";
    let last = connection.query_row(last, [], |row| row.get::<_, Option<i64>>(0))?;
    Ok(last.unwrap_or(0).max(0).unsigned_abs())
}

pub(super) fn write_version(connection: &Connection) -> rusqlite::Result<()> {
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
        assert_eq!(count("numbers"), 1);
        drop(new);
        assert!(open(&path).is_ok());
    }

    #[test]
    fn runs_of_version_2_are_older_than_new_ones_and_deployments_are_found_among_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        let old = Connection::open(&path).unwrap();
        let rows = r#"INSERT INTO runs VALUES ('h', 'a', 5, 0, '{"command":"switch","started":"x"}'),
            ('h', 'b', 6, 0, '{"command":"pull","started":"x"}'), ('h', 'c', 7, 0, 'no json'),
            ('h', 'd', 8, 0, '{"command":"switch","started":null}');"#;
        let all = format!("{TABLES} {TOKENS} {rows} PRAGMA user_version = 2;");
        old.execute_batch(&all).unwrap();
        drop(old);
        let new = open(&path).unwrap();
        let row = "INSERT INTO runs(host_id, run_id, at, open, record, number) VALUES ('h', 'e', 1, 0, '', 7)";
        new.execute_batch(row).unwrap();
        let list = |query: &str| -> Vec<String> {
            let mut found = new.prepare(query).unwrap();
            let rows = found.query_map([], |row| row.get(0)).unwrap();
            rows.collect::<Result<_, _>>().unwrap()
        };
        assert_eq!(list("SELECT run_id FROM runs WHERE deployed = 1"), ["a"]);
        let by_age = "SELECT run_id FROM runs ORDER BY number, at, run_id";
        assert_eq!(list(by_age), ["a", "b", "c", "d", "e"]);
        assert_eq!(last_number(&new).unwrap(), 7);
        new.execute_batch("DELETE FROM runs").unwrap();
        assert_eq!(
            last_number(&new).unwrap(),
            7,
            "a number is never given again"
        );
    }
}
