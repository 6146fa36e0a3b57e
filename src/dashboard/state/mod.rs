//! The SQLite database: what can be lost without losing a log.
//!
//! One thread writes, many jobs to a transaction; reads have connections of their own. It is written when a run or a
//! host changes its state, never for each batch of lines.

mod hosts;
mod newer_runs;
mod reader;
mod runs;
mod schema;
mod sessions;
mod tokens;
mod writer;

pub(crate) use hosts::StoredHost;
pub(crate) use runs::{FollowUp, Known, RunRecord, StopWish, ToStore};
pub(crate) use writer::{Lane, WriteCounters};

use reader::Reader;
use rusqlite::Connection;
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
}

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite refused.
    #[error("database {}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Arc<rusqlite::Error>,
    },
    /// A newer program wrote it.
    #[error("database {} has version {found}, this program knows {known}: start the newer program, or move the file away (it is rebuilt from the logs)", path.display())]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The thread could not be started.
    #[error("cannot start the thread of the database: {0}")]
    Thread(std::io::Error),
    /// The thread is gone, which only happens while the program ends.
    #[error("the database is closed")]
    Closed,
}

impl State {
    /// Opens or makes the database.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let connection = schema::open(path)?;
        let sqlite = |source| StateError::Sqlite {
            path: path.to_owned(),
            source: Arc::new(source),
        };
        let last = schema::last_number(&connection).map_err(sqlite)?;
        let reading = || reader::open(path).map_err(sqlite);
        let start = |connection, name| Reader::start(connection, name).map_err(StateError::Thread);
        Ok(Self {
            path: path.to_owned(),
            reader: start(reading()?, "state-reader")?,
            agent_reader: start(reading()?, "state-agents")?,
            writer: Writer::start(connection).map_err(StateError::Thread)?,
            numbers: Arc::new(AtomicU64::new(last)),
        })
    }

    /// Writes what is there already, to see whether it can.
    pub(crate) async fn probe(&self) -> Result<(), StateError> {
        self.call(schema::write_version).await
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
        result.map_err(|source| StateError::Sqlite {
            path: self.path.clone(),
            source,
        })
    }
}
