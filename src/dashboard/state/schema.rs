use super::StateError;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::path::Path;

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

/// Tables of each version, by which a database is known to be ours.
const TABLES_SINCE: [(i64, &[&str]); 3] = [
    (1, &["hosts", "runs", "removed", "sessions"]),
    (2, &["issued", "revoked"]),
    (3, &["numbers"]),
];

/// How long a lock of another program is waited for, and how much of the database a connection keeps in memory.
const SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA cache_size = -1000;";

/// Opens or makes the database, and looks whether it is whole.
pub(super) fn open(path: &Path) -> Result<Connection, StateError> {
    let at = StateError::at(path);
    let connection = open_as_found(path)?;
    let found = version(&connection).map_err(&at)?;
    if found > VERSION {
        return Err(StateError::TooNew {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    check(&connection, path, found)?;
    // FULL: what was answered with 202 is on disk even when the power goes.
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        .map_err(&at)?;
    connection.set_prepared_statement_cache_capacity(64);
    upgrade(&connection, found).map_err(&at)?;
    keep_as_found(&connection, false).map_err(at)?;
    Ok(connection)
}

/// Opens a database such that neither this nor its end writes into it, so that one that is damaged stays as it is.
pub(super) fn open_as_found(path: &Path) -> Result<Connection, StateError> {
    let at = StateError::at(path);
    let connection = Connection::open(path).map_err(&at)?;
    keep_as_found(&connection, true).map_err(&at)?;
    connection.execute_batch(SETTINGS).map_err(at)?;
    Ok(connection)
}

fn keep_as_found(connection: &Connection, is_kept: bool) -> rusqlite::Result<()> {
    let option = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(option, is_kept).map(drop)
}

/// Makes a database that is not there yet, to be renamed once it is closed.
pub(super) fn make(path: &Path) -> Result<Connection, StateError> {
    let connection = Connection::open(path).map_err(StateError::at(path))?;
    let made = upgrade(&connection, 0);
    made.map_err(StateError::at(path))?;
    Ok(connection)
}

/// Looks whether a database that is in use is whole.
///
/// # Errors
/// [`StateError::Damaged`] when it is not.
pub(super) fn verify(path: &Path) -> Result<(), StateError> {
    let connection = open_as_found(path)?;
    let found = version(&connection).map_err(StateError::at(path))?;
    check(&connection, path, found)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Goes through all pages once, and through the names of the tables.
fn check(connection: &Connection, path: &Path, found: i64) -> Result<(), StateError> {
    let at = StateError::at(path);
    // One finding is enough. Unlike `integrity_check` this does not hold each row against its indexes, which takes
    // several times as long.
    let pages = "PRAGMA quick_check(1)";
    let finding: String = connection
        .query_row(pages, [], |row| row.get(0))
        .map_err(&at)?;
    if finding != "ok" {
        return Err(StateError::damaged(path, one_line(&finding)));
    }
    let mut names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .map_err(&at)?;
    let names = names.query_map([], |row| row.get(0)).map_err(&at)?;
    let names = names.collect::<Result<Vec<String>, _>>().map_err(&at)?;
    let has = |name: &&&str| names.iter().any(|there| there == *name);
    let mut tables = TABLES_SINCE
        .iter()
        .flat_map(|(since, tables)| tables.iter().map(move |table| (*since <= found, table)));
    match tables.find(|(is_ours, table)| *is_ours != has(table)) {
        Some((true, table)) => {
            let what = format!("its version is {found}, and the table {table} is missing");
            Err(StateError::damaged(path, what))
        }
        Some((false, table)) => {
            let what = format!("its version is {found}, and it has a table {table}");
            Err(StateError::damaged(path, what))
        }
        None => Ok(()),
    }
}

/// What `quick_check` found, without its line breaks.
fn one_line(finding: &str) -> String {
    finding.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Brings a database to our version, at once or not at all.
fn upgrade(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    let missing = match found {
        1 => [TOKENS, NUMBERS].concat(),
        2 => NUMBERS.to_owned(),
        VERSION => return Ok(()),
        _ => [TABLES, TOKENS, NUMBERS].concat(),
    };
    let all = format!("BEGIN; {missing} PRAGMA user_version = {VERSION}; COMMIT;");
    connection.execute_batch(&all)
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
