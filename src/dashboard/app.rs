//! What every request may need.

use super::audit::Audit;
use super::auth::Auth;
use super::core::Core;
use crate::protocol::HostId;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many searches run at once; each takes a core.
const MOST_SEARCHES: usize = 2;

/// The dashboard, as its requests see it.
#[derive(Debug)]
pub(crate) struct App {
    /// Who may come in.
    pub(crate) auth: Auth,
    /// What it works on.
    pub(crate) core: Arc<Core>,
    /// Lets few searches run at a time.
    pub(crate) searches: Semaphore,
    /// Who did what.
    pub(crate) audit: Audit,
}

impl App {
    pub(crate) fn new(auth: Auth, core: Arc<Core>, audit: Audit) -> Self {
        Self {
            auth,
            core,
            searches: Semaphore::new(MOST_SEARCHES),
            audit,
        }
    }

    /// The folder of a host's logs.
    pub(crate) fn logs_of(&self, host: &HostId) -> PathBuf {
        self.core.log_dir(host)
    }
}
