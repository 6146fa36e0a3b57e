//! What the dashboard does before it is ready: told to systemd, to the journal, and to whoever asks meanwhile.

use super::assets;
use super::problem::Problem;
use crate::lifecycle;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::interval;

/// When somebody is to ask again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How often systemd hears that the start goes on.
const TELL_INTERVAL: Duration = Duration::from_secs(5);
/// How long systemd then waits for the next word.
const EXTENSION: Duration = Duration::from_secs(60);
/// A start that has not come any further for so long is left to systemd's own limit.
const MAX_STANDSTILL: Duration = Duration::from_secs(600);

/// How far the start is.
#[derive(Debug, Default)]
pub(super) struct Starting {
    phase: Mutex<Phase>,
    hosts: AtomicUsize,
    hosts_done: AtomicUsize,
    /// Logs that were looked at,
    logs: AtomicUsize,
    /// and those of them that the database did not know.
    logs_new: AtomicUsize,
}

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Database,
    Logs,
    Runs,
}

impl Starting {
    /// Goes on with another part.
    pub(super) fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        lifecycle::notify_starting(&self.details(), EXTENSION);
    }

    /// How many hosts have folders of logs.
    pub(super) fn expect_hosts(&self, count: usize) {
        self.hosts.store(count, Ordering::Relaxed);
    }

    /// All logs of one more host were looked at.
    pub(super) fn host_done(&self) {
        self.hosts_done.fetch_add(1, Ordering::Relaxed);
    }

    /// So many logs were looked at, and so many of them the database did not know.
    pub(super) fn logs_done(&self, count: usize, new: usize) {
        self.logs.fetch_add(count, Ordering::Relaxed);
        self.logs_new.fetch_add(new, Ordering::Relaxed);
    }

    /// How many logs were taken in.
    pub(super) fn logs_new(&self) -> usize {
        self.logs_new.load(Ordering::Relaxed)
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes whenever the start came further.
    fn position(&self) -> (Phase, usize, usize) {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (self.phase(), of(&self.hosts_done), of(&self.logs))
    }

    /// In words, for the owner of the machine.
    fn details(&self) -> String {
        let (phase, done, logs) = self.position();
        let hosts = self.hosts.load(Ordering::Relaxed);
        match phase {
            Phase::Database => "starting: checking the database".to_owned(),
            Phase::Logs => format!(
                "starting: checking the logs, {done} of {hosts} hosts done, {logs} logs, {} of them new",
                self.logs_new()
            ),
            Phase::Runs => "starting: checking the unfinished runs".to_owned(),
        }
    }

    /// In words, for strangers too: without numbers of the fleet.
    fn summary(&self) -> String {
        let (phase, done, _) = self.position();
        let hosts = self.hosts.load(Ordering::Relaxed).max(1);
        let doing = match phase {
            Phase::Database => "checking its database".to_owned(),
            Phase::Logs => format!("checking the logs, {} % done", 100 * done / hosts),
            Phase::Runs => "checking the unfinished runs".to_owned(),
        };
        format!(
            "The dashboard is starting: {doing}. Agents and pages connect by themselves when it is ready"
        )
    }
}

/// Tells systemd and the journal how far the start is, until this is dropped.
pub(super) async fn tell(starting: Arc<Starting>) {
    let mut ticks = interval(TELL_INTERVAL);
    let (mut position, mut moved) = (starting.position(), Instant::now());
    let mut is_first = true;
    loop {
        ticks.tick().await;
        let now = starting.position();
        if now != position {
            (position, moved) = (now, Instant::now());
        }
        let details = starting.details();
        if moved.elapsed() < MAX_STANDSTILL {
            lifecycle::notify_starting(&details, EXTENSION);
        }
        // Most starts are over before there is anything to tell.
        if !is_first {
            tracing::info!("{details}");
        }
        is_first = false;
    }
}

/// Answers everything while the dashboard starts.
pub(super) fn router(starting: Arc<Starting>, behind_tls: bool) -> Router {
    Router::new()
        .fallback(answer)
        .with_state((starting, behind_tls))
}

/// 503 and when to ask again: nothing is shown, taken or acknowledged that is not known yet.
async fn answer(
    State((starting, behind_tls)): State<(Arc<Starting>, bool)>,
    request: Request,
) -> Response {
    let summary = starting.summary();
    let mut response = Problem::unavailable(&*summary)
        .after(RETRY_AFTER)
        .into_response();
    if request.method() == Method::GET && wants_page(request.headers()) {
        let (parts, _) = response.into_parts();
        let text =
            format!("<!doctype html><html lang=\"en\"><title>Switchyard</title><p>{summary}.</p>");
        response = (StatusCode::SERVICE_UNAVAILABLE, parts.headers, text).into_response();
        let headers = response.headers_mut();
        headers.remove(axum::http::header::CONTENT_LENGTH);
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(CONTENT_TYPE, kind);
        // The page comes again by itself.
        let seconds = RETRY_AFTER.as_secs().into();
        headers.insert(HeaderName::from_static("refresh"), seconds);
    }
    assets::secure(response.headers_mut(), behind_tls);
    response
}

/// Whether a browser shows the answer as a page.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}
