//! What every request may need.

use super::audit::Audit;
use super::auth::Auth;
use super::core::Core;
use super::visits::Visits;
use crate::protocol::HostId;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many searches run at once; each takes a core.
const MOST_SEARCHES: usize = 2;

/// How many searches run or wait to.
const MOST_SEARCHERS: usize = 32;

/// The dashboard, as its requests see it.
#[derive(Debug)]
pub(crate) struct App {
    /// Who may come in.
    pub(crate) auth: Auth,
    /// What it works on.
    pub(crate) core: Arc<Core>,
    /// Lets few searches run at a time.
    pub(crate) searches: Semaphore,
    /// Lets few searches run or wait.
    pub(crate) searchers: Semaphore,
    /// How many pages each user has open.
    pub(crate) visits: Visits,
    /// Who did what.
    pub(crate) audit: Audit,
}

impl App {
    pub(crate) fn new(auth: Auth, core: Arc<Core>, audit: Audit) -> Self {
        Self {
            auth,
            core,
            searches: Semaphore::new(MOST_SEARCHES),
            searchers: Semaphore::new(MOST_SEARCHERS),
            visits: Visits::default(),
            audit,
        }
    }

    /// The folder of a host's logs.
    pub(crate) fn logs_of(&self, host: &HostId) -> PathBuf {
        self.core.log_dir(host)
    }
}
