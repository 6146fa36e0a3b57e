//! What answers requests: one router while the dashboard starts, and another one from then on, also on connections that
//! were there before.

use axum::Router;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout_at};

/// How long after the beginning of a start requests wait for its end. Most starts are over by then, and nobody is
/// turned away.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shared by all connections.
#[derive(Clone, Debug)]
pub(in crate::dashboard) struct Entrance {
    starting: Router,
    ready: Arc<watch::Sender<Option<Router>>>,
    until: Instant,
}

impl Entrance {
    /// One where `starting` answers, soon.
    pub(in crate::dashboard) fn new(starting: Router) -> Self {
        Self {
            starting,
            ready: Arc::default(),
            until: Instant::now() + PATIENCE,
        }
    }

    /// Has this one answer from now on.
    pub(in crate::dashboard) fn open(&self, router: Router) {
        self.ready.send_replace(Some(router));
    }

    /// Whichever is to answer now.
    pub(super) async fn router(&self) -> Router {
        if let Some(router) = &*self.ready.borrow() {
            return router.clone();
        }
        let mut ready = self.ready.subscribe();
        let opened = timeout_at(self.until, ready.wait_for(Option::is_some)).await;
        let router = opened.ok().and_then(|opened| opened.ok()?.clone());
        router.unwrap_or_else(|| self.starting.clone())
    }
}
