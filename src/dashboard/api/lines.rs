//! `GET /api/hosts/{id}/runs/{run}/lines`: some lines of a run.

use super::logs::{self, JsonLines, Lines, RunPath};
use crate::dashboard::app::App;
use crate::dashboard::auth::Identity;
use crate::dashboard::extract::{Ids, Params};
use crate::dashboard::problem::Problem;
use crate::protocol::Seq;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Deserialize;
use std::sync::Arc;

/// How many lines are given where nobody says, and at most.
pub(super) const DEFAULT_LIMIT: u64 = 1_000;
pub(super) const MAX_LIMIT: u64 = 10_000;

/// Which lines.
#[derive(Deserialize)]
pub(crate) struct Which {
    #[serde(default)]
    from: Seq,
    limit: Option<u64>,
}

pub(crate) async fn lines(
    State(app): State<Arc<App>>,
    _: Identity,
    Ids(path): Ids<RunPath>,
    Params(which): Params<Which>,
) -> Result<impl IntoResponse, Problem> {
    let first = which.from;
    let limit = which.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let (mut begin, mut lines, total) = match logs::open(&app, &path).await? {
        None => (None, None, 0),
        Some(reader) => {
            // The first of them before the answer begins: from then on there is no way to say what is wrong.
            let begin = move || {
                let total = reader.total()?;
                let end = first.saturating_add(limit).min(total);
                let mut lines = JsonLines::new(Lines::new(reader, first, end));
                Ok((lines.piece()?, Some(lines), total))
            };
            logs::reading(&app, &path, begin).await?
        }
    };
    let mut head = Some(format!("{{\"first\":{first},\"total\":{total},\"lines\":["));
    let mut tail = Some("]}");
    let body = logs::body(&app, path, move || {
        if let Some(head) = head.take() {
            return Ok(Some(head.into_bytes()));
        }
        if let Some(begin) = begin.take() {
            return Ok(Some(begin));
        }
        let piece = match &mut lines {
            Some(lines) => lines.piece()?,
            None => None,
        };
        Ok(piece.or_else(|| tail.take().map(|tail| tail.into())))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body))
}
