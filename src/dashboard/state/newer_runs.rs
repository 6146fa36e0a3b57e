//! The way from a run to the ones after it.

use super::run_rows::{self, COLUMNS};
use super::runs::RunRecord;
use super::{State, StateError};
use crate::protocol::{HostId, RunId};
use rusqlite::params;
use std::sync::Arc;

impl State {
    /// At most `limit` runs of a host that are newer than `run`, the oldest of them first. None if there is no such run.
    pub(crate) async fn newer_runs(
        &self,
        host_id: &HostId,
        run: &RunId,
        limit: usize,
    ) -> Result<Vec<RunRecord>, StateError> {
        let (host, run) = (host_id.to_string(), run.to_string());
        let unread = Arc::clone(&self.unread_runs);
        self.read(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM runs WHERE host_id = ?1 AND
                     (number, at, run_id) >
                     (SELECT number, at, run_id FROM runs WHERE host_id = ?1 AND run_id = ?2)
                 ORDER BY number, at, run_id LIMIT ?3"
            );
            let mut some = connection.prepare_cached(&query)?;
            run_rows::records(&mut some, params![host, run, limit as i64], &unread)
        })
        .await
    }
}
