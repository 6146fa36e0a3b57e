//! `GET /api/hosts/{id}/runs/{run}/search`: where a text occurs in a run.
//!
//! What is searched is what a terminal would show: lines without their escapes. Without `case`, upper and lower
//! case are the same. `total` counts every line of the run with a match; `matches` begins at line `from` and may
//! be shorter than `limit` where the lines are very long.

use super::lines::{DEFAULT_LIMIT, MAX_LIMIT};
use super::logs::{self, Lines, RunPath};
use crate::ansi::strip_line;
use crate::dashboard::app::App;
use crate::dashboard::auth::Identity;
use crate::dashboard::extract::{Ids, Params};
use crate::dashboard::problem::Problem;
use crate::protocol::Seq;
use crate::runlog::{LogError, LogReader};
use axum::Json;
use axum::extract::State;
use regex::{Regex, RegexBuilder};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest text or expression, in bytes.
const LONGEST_QUERY: usize = 1_000;
/// Memory that one expression may take, in bytes.
const MAX_REGEX_BYTES: usize = 1024 * 1024;
/// How much text of lines one answer holds, in bytes, but for its last line.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// How long a search may take, once it is its turn.
const WITHIN: Duration = Duration::from_secs(20);

/// After so many bytes it is asked whether the search may go on; an expression can take some microseconds for each.
const ASK_EVERY: usize = 4 * 1024;

/// What to look for.
#[derive(Deserialize)]
pub(crate) struct Query {
    q: String,
    #[serde(default, deserialize_with = "flag")]
    regex: bool,
    #[serde(default, deserialize_with = "flag")]
    case: bool,
    #[serde(default)]
    from: Seq,
    limit: Option<u64>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Found {
    total: u64,
    matches: Vec<Match>,
    #[serde(skip)]
    bytes: usize,
}

#[derive(Debug, Serialize)]
struct Match {
    seq: Seq,
    line: String,
}

pub(crate) async fn search(
    State(app): State<Arc<App>>,
    identity: Identity,
    Ids(path): Ids<RunPath>,
    Params(query): Params<Query>,
) -> Result<Json<Found>, Problem> {
    let expression = query.expression()?;
    let Some(reader) = logs::open(&app, &path).await? else {
        return Ok(Json(Found::default()));
    };
    let Some(turn) = app.searches.turn(&identity.name).await else {
        return Err(Problem::unavailable("too many searches are going on"));
    };
    // Dropped with this future, when the client goes away.
    let wanted = Arc::new(());
    let still = Arc::downgrade(&wanted);
    let end = Instant::now() + WITHIN;
    let looked = logs::blocking(move || {
        // The next search begins when the thread is free again, whether or not anybody waits for this one.
        let _turn = turn;
        let looks_on = || Instant::now() < end && still.strong_count() > 0;
        query.look(&expression, reader, looks_on)
    })
    .await?;
    drop(wanted);
    looked.map(Json).ok_or_else(|| {
        Problem::unavailable(format!(
            "the search took over {} s: look for something simpler",
            WITHIN.as_secs()
        ))
    })
}

impl Query {
    #[cfg(test)]
    pub(super) fn of(expression: &str) -> Self {
        Self {
            q: expression.to_owned(),
            regex: true,
            case: false,
            from: 0,
            limit: None,
        }
    }

    /// Looks through a whole log, for as long as it may; none where that was not long enough.
    fn look(
        &self,
        expression: &Regex,
        reader: LogReader,
        looks_on: impl Fn() -> bool,
    ) -> Result<Option<Found>, LogError> {
        let mut found = Found::default();
        let total = reader.total()?;
        let mut lines = Lines::new(reader, 0, total);
        let mut unasked = 0;
        while let Some(batch) = lines.read()? {
            for line in batch.iter() {
                unasked += 1 + line.line.len();
                if unasked > ASK_EVERY {
                    if !looks_on() {
                        return Ok(None);
                    }
                    unasked = 0;
                }
                if expression.is_match(&strip_line(line.line)) {
                    found.add(line.seq, line.line, self);
                }
            }
        }
        Ok(Some(found))
    }

    pub(super) fn expression(&self) -> Result<Regex, Problem> {
        if self.q.is_empty() || self.q.len() > LONGEST_QUERY {
            return Err(Problem::bad_request(format!(
                "`q` must have 1 to {LONGEST_QUERY} bytes"
            )));
        }
        let pattern = if self.regex {
            self.q.clone()
        } else {
            regex::escape(&self.q)
        };
        RegexBuilder::new(&pattern)
            .case_insensitive(!self.case)
            .size_limit(MAX_REGEX_BYTES)
            .dfa_size_limit(MAX_REGEX_BYTES)
            .build()
            .map_err(|error| Problem::bad_request(format!("`q` is no expression: {error}")))
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT) as usize
    }
}

impl Found {
    fn add(&mut self, seq: Seq, line: &str, query: &Query) {
        self.total += 1;
        let room = self.matches.len() < query.limit() && self.bytes < MAX_ANSWER_BYTES;
        if room && seq >= query.from {
            self.bytes += line.len();
            let line = line.to_owned();
            self.matches.push(Match { seq, line });
        }
    }
}

/// `1`, `true` or nothing for yes; `0` or `false` for no.
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match String::deserialize(from)?.as_str() {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(D::Error::custom(format!(
            "{other:?} is neither true nor false"
        ))),
    }
}
