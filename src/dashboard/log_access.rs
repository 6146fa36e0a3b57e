//! Opens the logs of runs for those who read them: says of a finished one that is gone that it is, and makes an index
//! that is gone or damaged anew.

use super::core::Core;
use super::state::{RunRecord, StateError};
use crate::protocol::{HostId, RunId};
use crate::runlog::{self, LogError, LogReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long somebody who reads a log waits for its index; it is made all the same.
const INDEX_TIMEOUT: Duration = Duration::from_secs(8);

/// Most readers whose log gets its index anew, or waits for that; others are told to come again.
const MAX_MENDING: usize = 16;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogAccessError {
    /// The run is over, and its log is not there any more.
    #[error(
        "the log of {0} is gone: its file was deleted, moved or emptied in the dashboard's data folder. Put it back from a backup to read it here"
    )]
    Gone(RunId),
    /// It takes a while.
    #[error("the index of the log of {0} was lost and is being rebuilt: try again in a minute")]
    Mending(RunId),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    State(#[from] StateError),
    /// The dashboard ends.
    #[error("the dashboard ends")]
    Ending,
}

/// Makes lost indexes anew, one at a time: each reads a whole log.
#[derive(Debug)]
pub(crate) struct IndexMender {
    turn: Semaphore,
    /// Of those that have their turn or wait for it. A reader that is told to come again leaves its mend behind, so
    /// that without a limit whoever asks often would have ever more of them wait.
    places: Arc<Semaphore>,
}

impl Default for IndexMender {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            places: Arc::new(Semaphore::new(MAX_MENDING)),
        }
    }
}

impl Core {
    /// Opens the log of a run; none where it has not begun, or there is no such run.
    pub(crate) async fn open_log(
        self: &Arc<Self>,
        host_id: &HostId,
        run_id: &RunId,
    ) -> Result<Option<LogReader>, LogAccessError> {
        let opened = self.look_at_log(host_id, run_id).await?;
        if let Ok((reader, true)) = opened {
            return Ok(Some(reader));
        }
        let Some(record) = self.run_that_is_over(host_id, run_id).await? else {
            // Who writes it looks after it, and a log that was created this moment has no header yet.
            return match opened {
                Ok((reader, _)) => Ok(Some(reader)),
                Err(error) if error.is_gone() => Ok(None),
                Err(error) => Err(error.into()),
            };
        };
        let id = record.run.run_id.clone();
        let Ok(place) = Arc::clone(&self.mender.places).try_acquire_owned() else {
            return Err(LogAccessError::Mending(id));
        };
        // It goes on to its end even when nobody waits for that any more: the next one then finds the index.
        let core = Arc::clone(self);
        let mending = tokio::spawn(async move {
            let _place = place;
            core.mend_log(record).await
        });
        match timeout(INDEX_TIMEOUT, mending).await {
            Ok(Ok(mended)) => mended.map(Some),
            Ok(Err(_)) => Err(LogAccessError::Ending),
            Err(_) => Err(LogAccessError::Mending(id)),
        }
    }

    /// Opens a log, and says whether its index knows all of it.
    async fn look_at_log(
        &self,
        host_id: &HostId,
        run_id: &RunId,
    ) -> Result<Result<(LogReader, bool), LogError>, LogAccessError> {
        let (dir, run_id) = (self.log_dir(host_id), run_id.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let reader = LogReader::open(&dir, &run_id)?;
            let is_whole = reader.is_index_whole()?;
            Ok((reader, is_whole))
        });
        looked.await.map_err(|_| LogAccessError::Ending)
    }

    /// A run that began and is over, so that it has a log that nobody writes.
    async fn run_that_is_over(
        &self,
        host_id: &HostId,
        run_id: &RunId,
    ) -> Result<Option<RunRecord>, StateError> {
        let record = match self.fleet.record(host_id, run_id) {
            Some(record) => Some(record),
            None => self.state.run(host_id, run_id).await?,
        };
        Ok(record.filter(|record| record.run.status.is_final() && record.run.started.is_some()))
    }

    /// Makes the index of a finished run's log anew, if it is still wrong when its turn comes.
    async fn mend_log(self: &Arc<Self>, record: RunRecord) -> Result<LogReader, LogAccessError> {
        let (host_id, run_id) = (&record.run.host_id, &record.run.run_id);
        let Ok(_turn) = self.mender.turn.acquire().await else {
            return Err(LogAccessError::Ending);
        };
        if let Ok((reader, true)) = self.look_at_log(host_id, run_id).await? {
            return Ok(reader);
        }
        self.rebuild_index(&record).await?;
        let opened = self.look_at_log(host_id, run_id).await?;
        Ok(opened?.0)
    }

    async fn rebuild_index(self: &Arc<Self>, record: &RunRecord) -> Result<(), LogAccessError> {
        let (host_id, run_id) = (&record.run.host_id, &record.run.run_id);
        let (dir, id): (PathBuf, RunId) = (self.log_dir(host_id), run_id.clone());
        let made = tokio::task::spawn_blocking(move || runlog::rebuild_index(&dir, &id)).await;
        match made.map_err(|_| LogAccessError::Ending)? {
            Ok(()) => {
                tracing::warn!(host = %host_id, run = %run_id, "index of a log was lost or damaged and was rebuilt: its times are exact to the second only, and its errors are no longer marked");
                let stored = self.index_was_rebuilt(record.clone()).await;
                Ok(self.noted(stored)?)
            }
            Err(error) if error.is_gone() => {
                tracing::warn!(host = %host_id, run = %run_id, "the log of a finished run is gone");
                Err(LogAccessError::Gone(run_id.clone()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Shows and stores that a finished run no longer tells which of its lines were errors.
    async fn index_was_rebuilt(self: &Arc<Self>, mut record: RunRecord) -> Result<(), StateError> {
        let (host_id, run_id) = (record.run.host_id.clone(), record.run.run_id.clone());
        if self.fleet.index_was_rebuilt(&host_id, &run_id) {
            return self.persist(&host_id, &run_id).await;
        }
        (record.run.errors, record.run.index_rebuilt) = (None, true);
        self.state.import(vec![record]).await
    }

    /// A log did not fit its index while it was read: where nobody writes it, the index is made anew for the next
    /// reader. While another one is made, that is left to the next reader as well.
    pub(crate) fn mend_later(self: &Arc<Self>, host_id: &HostId, run_id: &RunId) {
        let (core, host_id, run_id) = (Arc::clone(self), host_id.clone(), run_id.clone());
        tokio::spawn(async move {
            let Ok(_turn) = core.mender.turn.try_acquire() else {
                return;
            };
            if let Ok(Some(record)) = core.run_that_is_over(&host_id, &run_id).await {
                let made = core.rebuild_index(&record).await;
                if let Err(error) = made {
                    tracing::warn!(host = %host_id, run = %run_id, %error, "the index of a log cannot be rebuilt");
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::{host, open, run_id, switch};
    use crate::protocol::{Run, Status, Timestamp};
    use crate::runlog::{Header, LogWriter, RunResult};

    /// A run that is over and whose index is gone.
    async fn without_index(core: &Arc<Core>) -> RunId {
        let (id, now) = (run_id("2025-12-14T10-30-00-switch"), Timestamp::now());
        let dir = core.log_dir(&host("h1"));
        std::fs::create_dir_all(&dir).unwrap();
        let header = Header::started_at(host("h1"), switch(), now);
        let result = RunResult::ended_at(Status::Ok, now);
        let mut log = LogWriter::create(&dir, &id, &header).unwrap();
        log.finish(Some(0), result).unwrap();
        std::fs::remove_file(runlog::paths(&dir, &id).1).unwrap();
        let mut run = Run::queued(id.clone(), host("h1"), switch());
        (run.status, run.started) = (Status::Ok, Some(now));
        core.state.import(vec![RunRecord::of(run)]).await.unwrap();
        id
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_that_was_created_this_moment_has_no_lines_yet_and_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let id = run_id("2025-12-14T10-30-00-switch");
        std::fs::create_dir_all(core.log_dir(&host("h1"))).unwrap();
        let (log, idx) = runlog::paths(&core.log_dir(&host("h1")), &id);
        let mut run = Run::queued(id.clone(), host("h1"), switch());
        (run.status, run.started) = (Status::Running, Some(Timestamp::now()));
        core.state.import(vec![RunRecord::of(run)]).await.unwrap();
        for path in [log, idx] {
            std::fs::write(path, "").unwrap();
            assert!(core.open_log(&host("h1"), &id).await.unwrap().is_none());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn so_many_readers_wait_for_an_index_and_the_others_come_again() {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let run = without_index(&core).await;
        let turn = core.mender.turn.acquire().await.unwrap();
        let readers: Vec<_> = (0..MAX_MENDING)
            .map(|_| {
                let (core, run) = (Arc::clone(&core), run.clone());
                tokio::spawn(async move { core.open_log(&host("h1"), &run).await })
            })
            .collect();
        while core.mender.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let one_more = core.open_log(&host("h1"), &run).await;
        assert!(
            matches!(one_more, Err(LogAccessError::Mending(_))),
            "{one_more:?}"
        );
        drop(turn);
        for reader in readers {
            assert!(reader.await.unwrap().unwrap().is_some());
        }
        while core.mender.places.available_permits() < MAX_MENDING {
            tokio::task::yield_now().await;
        }
    }
}
