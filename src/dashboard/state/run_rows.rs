//! Rows of the table of runs. No run is left out because its row cannot be read: a run that is `lost` stands in for it
//! until the row is made anew.

use super::runs::RunRecord;
use super::{State, StateError};
use crate::protocol::{CommandName, HostId, Run, RunId, Status, Timestamp};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Statement, ToSql, params};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The columns that [`read`] takes, in this order.
pub(super) const COLUMNS: &str = "host_id, run_id, number, at, record";

/// Rows in one turn of a search, after which other readers have theirs.
const PAGE_ROWS: usize = 500;
/// Most runs remembered as told, and most that wait to have their rows made anew; of further ones the next start tells.
const MAX_REMEMBERED: usize = 1_000;

const NOT_READ: &str = "the row of this run in the dashboard's database cannot be read";

/// A row that cannot be read, with what its other columns tell of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreadRun {
    pub(crate) host_id: HostId,
    pub(crate) run_id: RunId,
    /// The place of the run among all runs.
    pub(crate) number: u64,
    /// Why it cannot be read.
    pub(crate) why: String,
    at: i64,
}

impl UnreadRun {
    /// What is shown of the run while nothing else tells of it: `lost`, with `message` behind the reason.
    pub(crate) fn stand_in(&self, message: &str) -> Option<RunRecord> {
        // Each id holds the name of a command.
        let command = CommandName::new(self.run_id.command()).ok()?;
        let mut run = Run::queued(self.run_id.clone(), self.host_id.clone(), command);
        run.status = Status::Lost;
        run.number = self.number;
        run.queued = (self.at > 0).then(|| Timestamp::from_millis(self.at));
        run.errors = None;
        run.message = Some(format!("{NOT_READ}{message}"));
        Some(RunRecord::of(run))
    }
}

/// Runs whose rows were met and could not be read.
#[derive(Debug, Default)]
pub(crate) struct UnreadRuns(Mutex<Met>);

#[derive(Debug, Default)]
struct Met {
    told: HashSet<(HostId, RunId)>,
    waiting: Vec<UnreadRun>,
}

impl UnreadRuns {
    /// Tells of a run once, and has its row made anew.
    fn meet(&self, unread: &UnreadRun) {
        let id = (unread.host_id.clone(), unread.run_id.clone());
        let mut met = self.lock();
        if met.told.len() >= MAX_REMEMBERED || !met.told.insert(id) {
            return;
        }
        met.waiting.push(unread.clone());
        drop(met);
        let UnreadRun {
            host_id,
            run_id,
            why,
            ..
        } = unread;
        tracing::error!(host = %host_id, run = %run_id, error = why, "{NOT_READ}; the run is shown as lost until its log has been read");
    }

    /// The runs that were met since the last time.
    pub(crate) fn take(&self) -> Vec<UnreadRun> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// These rows were made anew: one that is damaged again is told again.
    fn mended(&self, runs: &[RunRecord]) {
        let mut met = self.lock();
        for RunRecord { run, .. } in runs {
            met.told.remove(&(run.host_id.clone(), run.run_id.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Met> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a row says.
enum RunRow {
    Read(Box<RunRecord>),
    Unread(UnreadRun),
    /// Not even whose run it is; with what stands in place of the ids.
    Nameless(String),
}

/// Reads a row of [`COLUMNS`].
fn read(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let (host, run) = (text(row, 0)?, text(row, 1)?);
    let ids = HostId::new(&host).ok().zip(RunId::new(&run).ok());
    let Some((host_id, run_id)) = ids else {
        return Ok(RunRow::Nameless(format!("{host}/{run}")));
    };
    let json = row.get_ref(4)?.as_bytes().unwrap_or_default();
    let why = match serde_json::from_slice::<RunRecord>(json) {
        Ok(record) if record.run.host_id == host_id && record.run.run_id == run_id => {
            return Ok(RunRow::Read(Box::new(record)));
        }
        Ok(record) => format!(
            "it is about run {} of host {}",
            record.run.run_id, record.run.host_id
        ),
        Err(error) => error.to_string(),
    };
    Ok(RunRow::Unread(UnreadRun {
        host_id,
        run_id,
        number: row.get::<_, i64>(2).unwrap_or(0).max(0).unsigned_abs(),
        why,
        at: row.get(3).unwrap_or(0),
    }))
}

/// A text of a row; what is no text is shown as well as it can be.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes = row.get_ref(column)?.as_bytes().unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// The run of a row, or the one that stands in for it.
fn record(row: &Row<'_>, unread: &UnreadRuns) -> rusqlite::Result<Option<RunRecord>> {
    Ok(match read(row)? {
        RunRow::Read(record) => Some(*record),
        RunRow::Unread(run) => {
            unread.meet(&run);
            run.stand_in("")
        }
        // A look through the whole table tells of these.
        RunRow::Nameless(_) => None,
    })
}

/// The runs that a statement finds, which selects [`COLUMNS`].
pub(super) fn records(
    statement: &mut Statement<'_>,
    values: impl rusqlite::Params,
    unread: &UnreadRuns,
) -> rusqlite::Result<Vec<RunRecord>> {
    let mut rows = statement.query(values)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.extend(record(row, unread)?);
    }
    Ok(records)
}

/// One run.
pub(super) fn one(
    connection: &Connection,
    host_id: &str,
    run_id: &str,
    unread: &UnreadRuns,
) -> rusqlite::Result<Option<RunRecord>> {
    let query = format!("SELECT {COLUMNS} FROM runs WHERE host_id = ?1 AND run_id = ?2");
    let mut one = connection.prepare_cached(&query)?;
    let found = one.query_row((host_id, run_id), |row| record(row, unread));
    Ok(found.optional()?.flatten())
}

/// One run whose row can be read. Nothing stands in for one whose row cannot be: to change that and write it would put
/// the stand-in in the place of the row, which nobody would make anew then.
pub(super) fn to_change(
    connection: &Connection,
    host_id: &HostId,
    run_id: &RunId,
    unread: &UnreadRuns,
) -> rusqlite::Result<Option<RunRecord>> {
    let query = format!("SELECT {COLUMNS} FROM runs WHERE host_id = ?1 AND run_id = ?2");
    let mut one = connection.prepare_cached(&query)?;
    let id = (host_id.as_str(), run_id.as_str());
    Ok(match one.query_row(id, read).optional()? {
        Some(RunRow::Read(record)) => Some(*record),
        Some(RunRow::Unread(run)) => {
            unread.meet(&run);
            None
        }
        Some(RunRow::Nameless(_)) | None => None,
    })
}

/// Whether the row of a run is there and cannot be read.
fn is_unread(connection: &Connection, run: &Run) -> rusqlite::Result<bool> {
    let query = format!("SELECT {COLUMNS} FROM runs WHERE host_id = ?1 AND run_id = ?2");
    let mut one = connection.prepare_cached(&query)?;
    let id = (run.host_id.as_str(), run.run_id.as_str());
    let found = one.query_row(id, read).optional()?;
    Ok(matches!(found, Some(RunRow::Unread(_))))
}

/// The key of a row, as its bytes are.
type Key = [Vec<u8>; 2];

/// A text whose bytes may be none of UTF-8.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// Where a look through all rows is.
#[derive(Debug, Default)]
pub(crate) struct UnreadSearch {
    behind: Key,
    /// Whether all rows were looked at.
    pub(crate) is_over: bool,
    pub(crate) found: Vec<UnreadRun>,
    /// How many rows name no run.
    pub(crate) nameless: usize,
    first_nameless: String,
}

impl UnreadSearch {
    /// Tells of the rows that name no run, for which nothing can stand in. Their logs, if there are any, were taken in
    /// under their right names.
    pub(crate) fn tell_nameless(&self) {
        let Self {
            nameless,
            first_nameless,
            ..
        } = self;
        if *nameless > 0 {
            tracing::error!(
                table = "runs",
                count = nameless,
                first = first_nameless,
                "rows without a readable run id are left out; their runs are read from the logs, where there are any"
            );
        }
    }

    fn look(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let query = format!(
            "SELECT {COLUMNS} FROM runs WHERE (host_id, run_id) > (?1, ?2) ORDER BY host_id, run_id LIMIT ?3"
        );
        let mut some = connection.prepare_cached(&query)?;
        let [host, run] = &self.behind;
        let mut rows = some.query(params![Text(host), Text(run), PAGE_ROWS as i64])?;
        let (mut last, mut count) = (Key::default(), 0);
        while let Some(row) = rows.next()? {
            count += 1;
            for (key, column) in last.iter_mut().zip(0..) {
                row.get_ref(column)?
                    .as_bytes()
                    .unwrap_or_default()
                    .clone_into(key);
            }
            match read(row)? {
                RunRow::Read(_) => {}
                RunRow::Unread(run) => self.found.push(run),
                RunRow::Nameless(ids) => {
                    if self.nameless == 0 {
                        self.first_nameless = ids;
                    }
                    self.nameless += 1;
                }
            }
        }
        self.is_over = count < PAGE_ROWS;
        self.behind = last;
        Ok(())
    }
}

impl State {
    /// Looks at the next rows.
    pub(crate) async fn look_for_unread_runs(
        &self,
        mut search: UnreadSearch,
    ) -> Result<UnreadSearch, StateError> {
        self.read(move |connection| {
            search.look(connection)?;
            Ok(search)
        })
        .await
    }

    /// The runs whose rows were met and could not be read since the last time.
    pub(crate) fn take_unread_runs(&self) -> Vec<UnreadRun> {
        self.unread_runs.take()
    }

    /// Makes these rows anew, unless they can be read by now.
    pub(crate) async fn mend_runs(&self, records: Vec<RunRecord>) -> Result<(), StateError> {
        if records.is_empty() {
            return Ok(());
        }
        let unread = std::sync::Arc::clone(&self.unread_runs);
        self.call(move |connection| {
            for record in &records {
                if is_unread(connection, &record.run)? {
                    super::runs::write(connection, record)?;
                }
            }
            unread.mended(&records);
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
#[path = "run_rows_tests.rs"]
mod tests;
