//! The SQLite database: what can be lost without losing a log.
//!
//! One thread writes, many jobs to a transaction; reads have connections of their own. It is written when a run or a
//! host changes its state, never for each batch of lines.

mod alarm;
mod anew;
mod aside;
mod error;
mod hosts;
mod newer_runs;
mod reader;
mod revocations;
mod run_rows;
mod runs;
mod salvage;
mod schema;
mod sessions;
mod tokens;
mod unread;
mod writer;

pub(crate) use anew::{Anew, open};
pub use error::StateError;
pub(crate) use hosts::StoredHost;
pub(crate) use run_rows::{UnreadRun, UnreadSearch};
pub(crate) use runs::{FollowUp, Known, RunRecord, StopWish, ToStore};
pub(crate) use writer::{Lane, WriteCounters};

use alarm::Alarm;
use reader::Reader;
use revocations::Revocations;
use run_rows::UnreadRuns;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use writer::{SharedError, Writer};

/// A handle to the threads that have the database. They end when the last handle is gone.
#[derive(Clone, Debug)]
pub(crate) struct State {
    path: PathBuf,
    writer: Writer,
    /// For what people ask.
    reader: Reader,
    /// For what agents offer: many at once must not keep people waiting.
    agent_reader: Reader,
    /// The highest number that a run has.
    numbers: Arc<AtomicU64>,
    /// What was revoked, kept beside the database.
    revocations: Arc<Revocations>,
    alarm: Arc<Alarm>,
    unread_runs: Arc<UnreadRuns>,
    unread_rows: Arc<unread::Counts>,
}

impl State {
    /// Opens or makes the database.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let unread_rows = unread::Counts::default();
        let revocations = Revocations::read(path, &unread_rows)?;
        let connection = schema::open(path)?;
        let at = StateError::at(path);
        let last = schema::last_number(&connection).map_err(&at)?;
        let reading = || reader::open(path).map_err(&at);
        let start = |connection, name| Reader::start(connection, name).map_err(StateError::Thread);
        Ok(Self {
            path: path.to_owned(),
            reader: start(reading()?, "state-reader")?,
            agent_reader: start(reading()?, "state-agents")?,
            writer: Writer::start(connection).map_err(StateError::Thread)?,
            numbers: Arc::new(AtomicU64::new(last)),
            revocations: Arc::new(revocations),
            alarm: Arc::default(),
            unread_runs: Arc::default(),
            unread_rows: Arc::new(unread_rows),
        })
    }

    /// Returns once the database turned out to be damaged while it is in use, and a look at all of it confirms that.
    pub(crate) async fn damage(&self) -> StateError {
        self.alarm.confirmed(&self.path).await
    }

    /// Names of the databases that were set aside and lie in the data folder still, oldest first.
    pub(crate) fn set_aside(&self) -> std::io::Result<Vec<String>> {
        aside::list(&self.path)
    }

    /// Writes what is there already, to see whether it can.
    pub(crate) async fn probe(&self) -> Result<(), StateError> {
        self.call(schema::write_version).await
    }

    /// The tables, but for that of runs, in which rows could not be read, and how many at the last look.
    pub(crate) fn unread_rows(&self) -> BTreeMap<&'static str, usize> {
        self.unread_rows.all()
    }

    /// How much was written.
    pub(crate) fn write_counters(&self) -> &WriteCounters {
        self.writer.counters()
    }

    /// Does `work` ahead of what hosts have to be written; on disk when it returns. Jobs share transactions, so
    /// `work` begins none.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        self.write(Lane::Request, work).await
    }

    /// As [`call`](Self::call), in the lane that is named; each lane is served in the order in which jobs came.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        self.answered(self.writer.write(lane, work).await)
    }

    /// Reads what is committed, for somebody who asks.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        self.answered(self.reader.read(read).await)
    }

    /// Reads what is committed, for an agent.
    pub(crate) async fn read_for_agent<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        self.answered(self.agent_reader.read(read).await)
    }

    fn answered<T>(&self, answer: Option<Result<T, SharedError>>) -> Result<T, StateError> {
        let result = answer.ok_or(StateError::Closed)?;
        result.map_err(|source| {
            let error = StateError::of(&self.path, source);
            if let StateError::Damaged { what, .. } = &error {
                self.alarm.ring(what);
            }
            error
        })
    }
}
