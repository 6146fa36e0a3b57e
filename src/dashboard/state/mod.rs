//! The SQLite database: what can be lost without losing a log. One thread owns the connection.
//!
//! It is written when a run or a host changes its state, never for each batch of lines.

mod hosts;
mod runs;
mod schema;
mod sessions;
mod tokens;

pub(crate) use hosts::StoredHost;
pub(crate) use runs::{RunRecord, StopWish, ToStore};

use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{mpsc, oneshot};

/// How many requests may wait for the thread; more make their senders wait.
const QUEUE: usize = 256;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the thread that owns the database. It ends when the last handle is gone.
#[derive(Clone, Debug)]
pub(crate) struct State {
    path: PathBuf,
    work: mpsc::Sender<Work>,
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
        source: rusqlite::Error,
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
        let mut connection = schema::open(path)?;
        let last = schema::last_number(&connection).map_err(|source| StateError::Sqlite {
            path: path.to_owned(),
            source,
        })?;
        let (work, mut todo) = mpsc::channel::<Work>(QUEUE);
        let thread = std::thread::Builder::new().name("state".into());
        let serve = move || {
            while let Some(work) = todo.blocking_recv() {
                work(&mut connection);
            }
        };
        thread.spawn(serve).map_err(StateError::Thread)?;
        Ok(Self {
            path: path.to_owned(),
            work,
            numbers: Arc::new(AtomicU64::new(last)),
        })
    }

    /// Writes what is there already, to see whether it can.
    pub(crate) async fn probe(&self) -> Result<(), StateError> {
        self.call(schema::write_version).await
    }

    /// Runs `work` on the thread of the database; requests are served in the order in which they came.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        let (answer, answered) = oneshot::channel();
        let boxed: Work = Box::new(move |connection| {
            let _ = answer.send(work(connection));
        });
        self.work
            .send(boxed)
            .await
            .map_err(|_| StateError::Closed)?;
        let result = answered.await.map_err(|_| StateError::Closed)?;
        result.map_err(|source| StateError::Sqlite {
            path: self.path.clone(),
            source,
        })
    }
}
