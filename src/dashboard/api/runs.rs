//! `GET /api/hosts/{id}/runs`, `GET /api/hosts/{id}/runs/{run}`.

use super::hosts::no_such_host;
use super::listing::{self, Batch, Source};
use super::logs::RunPath;
use crate::dashboard::app::App;
use crate::dashboard::auth::Identity;
use crate::dashboard::extract::{Ids, Params};
use crate::dashboard::problem::Problem;
use crate::dashboard::state::RunRecord;
use crate::protocol::{HostId, Run, RunId};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;
/// How many runs are in memory at once for one answer; one with a long message and many phases has 100 KiB.
const RUNS_AT_ONCE: usize = 4;

#[derive(Deserialize)]
pub(crate) struct Which {
    limit: Option<usize>,
    /// Only runs older than this one, the newest of them first.
    before: Option<RunId>,
    /// Only runs newer than this one, the oldest of them first.
    after: Option<RunId>,
}

pub(crate) async fn runs(
    State(app): State<Arc<App>>,
    _: Identity,
    Ids(id): Ids<HostId>,
    Params(which): Params<Which>,
) -> Result<Response, Problem> {
    if !app.core.fleet.has(&id) {
        return Err(no_such_host(&id));
    }
    let left = which.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let from = match (which.before, which.after) {
        (Some(_), Some(_)) => {
            let why = "give `before` or `after`, not both";
            return Err(Problem::new(StatusCode::BAD_REQUEST, why));
        }
        (before, None) => Cursor::Before(before),
        (None, Some(run)) => Cursor::After(run),
    };
    let runs = RunsOf {
        app,
        id,
        from,
        left,
    };
    listing::from_source("{\"runs\":[", runs).await
}

/// Runs of a host in one direction of time, read from the database a few at a time.
struct RunsOf {
    app: Arc<App>,
    id: HostId,
    from: Cursor,
    left: usize,
}

/// How far the runs of a host have been read, and in which direction.
enum Cursor {
    /// Runs older than this one follow, at first the newest of all.
    Before(Option<RunId>),
    /// Runs newer than this one follow.
    After(RunId),
}

impl Source for RunsOf {
    type Entry = Run;

    async fn next(&mut self) -> Result<Batch<Run>, Problem> {
        let count = self.left.min(RUNS_AT_ONCE);
        let state = &self.app.core.state;
        let stored = match &self.from {
            Cursor::Before(run) => state.runs(&self.id, run.as_ref(), count).await,
            Cursor::After(run) => state.newer_runs(&self.id, run, count).await,
        };
        let stored = stored.map_err(|error| Problem::internal(&error))?;
        self.left -= stored.len();
        let is_last = self.left == 0 || stored.len() < count;
        if let Some(last) = stored.last() {
            let run = last.run.run_id.clone();
            self.from = match self.from {
                Cursor::Before(_) => Cursor::Before(Some(run)),
                Cursor::After(_) => Cursor::After(run),
            };
        }
        let present = |record| present(&self.app, record);
        Ok(Batch {
            entries: stored.into_iter().map(present).collect(),
            tail: is_last.then(|| "]}".to_owned()),
        })
    }
}

pub(crate) async fn run(
    State(app): State<Arc<App>>,
    _: Identity,
    Ids(path): Ids<RunPath>,
) -> Result<Json<Run>, Problem> {
    find(&app, &path).await.map(Json)
}

/// The run that a path names.
///
/// # Errors
/// 404 where there is none.
pub(super) async fn find(app: &App, path: &RunPath) -> Result<Run, Problem> {
    if let Some(record) = app.core.fleet.record(&path.id, &path.run) {
        return Ok(record.run);
    }
    let stored = app
        .core
        .state
        .run(&path.id, &path.run)
        .await
        .map_err(|error| Problem::internal(&error))?;
    match stored {
        Some(record) => Ok(record.run),
        None if app
            .core
            .state
            .was_removed(&path.id, &path.run)
            .await
            .unwrap_or(false) =>
        {
            Err(Problem::not_found(format!(
                "run {} of {} was removed by retention",
                path.run, path.id
            )))
        }
        None => Err(Problem::not_found(format!(
            "{} has no run {}",
            path.id, path.run
        ))),
    }
}

/// The run as it is now: the database lags behind while it runs.
fn present(app: &App, stored: RunRecord) -> Run {
    let at_hand = app
        .core
        .fleet
        .record(&stored.run.host_id, &stored.run.run_id);
    at_hand.unwrap_or(stored).run
}
