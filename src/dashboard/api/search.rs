//! `GET /api/hosts/{id}/runs/{run}/search`: where a text occurs in a run.
//!
//! What is searched is what a terminal would show: lines without their escapes. Without `case`, upper and lower
//! case are the same. `total` counts every line of the run with a match; `matches` begins at line `from` and may
//! be shorter than `limit` where the lines are very long.

use super::lines::{DEFAULT_LIMIT, MAX_LIMIT};
use super::listing;
use super::logs::{self, RunPath};
use crate::dashboard::app::App;
use crate::dashboard::auth::Identity;
use crate::dashboard::extract::{Ids, Params};
use crate::dashboard::problem::Problem;
use crate::dashboard::search::{Expression, Found, SearchError, Syntax, Turn, Wanted, scan};
use crate::protocol::Seq;
use crate::runlog::LogReader;
use axum::extract::State;
use axum::response::Response;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a search may take, once it is its turn: to read the expression, and to look for it.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(20);
/// So much longer a search that may not go on is waited for.
const GRACE: Duration = Duration::from_secs(1);

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

pub(crate) async fn search(
    State(app): State<Arc<App>>,
    identity: Identity,
    Ids(path): Ids<RunPath>,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    Expression::check_length(&query.q).map_err(SearchError::from)?;
    let reader = logs::open(&app, &path).await?;
    let Some(turn) = app.searches.turn(&identity.name).await else {
        return Err(Problem::unavailable(
            "too many searches are running: try again in a moment",
        ));
    };
    // Dropped with this future, when the client goes away.
    let wanted = Arc::new(());
    let still = Arc::downgrade(&wanted);
    let end = Instant::now() + SEARCH_TIMEOUT;
    let goes_on = move || Instant::now() < end && still.strong_count() > 0;
    // The turn goes along: the next search begins when the thread is free again, whether or not anybody waits for
    // this one.
    let looking = tokio::task::spawn_blocking(move || query.look(reader, &turn, goes_on));
    let Ok(looked) = timeout(SEARCH_TIMEOUT + GRACE, looking).await else {
        return Err(SearchError::TooLong.into());
    };
    let found = looked.map_err(|error| Problem::internal(&error))?;
    drop(wanted);
    let Found { total, matches } = found.map_err(|error| match error {
        SearchError::Log(error) => logs::unreadable(&app, &path, error),
        other => other.into(),
    })?;
    let head = format!("{{\"total\":{total},\"matches\":[");
    Ok(listing::from_iter(head, matches.into_iter(), "]}"))
}

impl Query {
    /// Reads the expression, and looks through the log if the run has one.
    fn look(
        &self,
        reader: Option<LogReader>,
        turn: &Turn,
        goes_on: impl Fn() -> bool + Sync,
    ) -> Result<Found, SearchError> {
        let processor = turn.processor();
        if !goes_on() {
            return Err(SearchError::TooLong);
        }
        let syntax = if self.regex {
            Syntax::Regex
        } else {
            Syntax::Literal
        };
        let expression = Expression::compile(&self.q, syntax, self.case)?;
        let Some(reader) = reader else {
            return Ok(Found::default());
        };
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT) as usize;
        let wanted = Wanted {
            from: self.from,
            limit,
        };
        let help = || turn.helper();
        scan(&reader, &expression, wanted, goes_on, Some(processor), help)
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Expression(error) => Self::bad_request(error.to_string()),
            SearchError::Log(error) => error.into(),
            SearchError::TooLong => Self::unavailable(format!(
                "the search took more than {} s: use a simpler expression, or try again when less is asked of the dashboard",
                SEARCH_TIMEOUT.as_secs()
            )),
        }
    }
}

/// `1`, `true` or nothing for yes; `0` or `false` for no.
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match String::deserialize(from)?.as_str() {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(D::Error::custom(format!("{other:?} is not true or false"))),
    }
}
