//! `GET /api/audit?limit=&before=&host=&user=&action=&result=`: who did what, the newest first. `before` is the `next`
//! of the page before; the others leave out what is not asked for.

use super::listing::{self, Batch, Source};
use crate::dashboard::app::App;
use crate::dashboard::audit::{self, Action, Filter, Page, Record};
use crate::dashboard::extract::Params;
use crate::dashboard::problem::Problem;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
/// How many records are in memory at once for one answer; one has up to 4 KiB.
const RECORDS_AT_ONCE: usize = 50;

#[derive(Deserialize)]
pub(crate) struct Which {
    limit: Option<usize>,
    before: Option<u64>,
    host: Option<String>,
    user: Option<String>,
    action: Option<Action>,
    result: Option<String>,
}

pub(crate) async fn audit(
    State(app): State<Arc<App>>,
    Params(which): Params<Which>,
) -> Result<Response, Problem> {
    let records = Records {
        folder: app.audit.folder().to_owned(),
        before: which.before,
        left: which.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT),
        filter: Arc::new(Filter {
            host: which.host,
            user: which.user,
            action: which.action,
            result: which.result,
        }),
    };
    listing::from_source("{\"records\":[", records).await
}

/// The records that are asked for, the newest first, read from the files a few at a time.
struct Records {
    folder: PathBuf,
    before: Option<u64>,
    left: usize,
    filter: Arc<Filter>,
}

impl Source for Records {
    type Entry = Record;

    async fn next(&mut self) -> Result<Batch<Record>, Problem> {
        let (folder, before) = (self.folder.clone(), self.before);
        let (filter, count) = (Arc::clone(&self.filter), self.left.min(RECORDS_AT_ONCE));
        let read =
            tokio::task::spawn_blocking(move || audit::read(&folder, before, count, &filter));
        let page = read.await.map_err(|error| Problem::internal(&error))?;
        let Page { records, next } = page.map_err(|error| Problem::internal(&error))?;
        self.left -= records.len();
        self.before = next;
        // A page that is not full ends where enough of the file was looked at.
        let is_last = self.left == 0 || next.is_none() || records.len() < count;
        let tail = match next {
            Some(next) => format!("],\"next\":{next}}}"),
            None => "],\"next\":null}".to_owned(),
        };
        Ok(Batch {
            entries: records,
            tail: is_last.then_some(tail),
        })
    }
}
