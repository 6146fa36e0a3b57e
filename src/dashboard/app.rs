//! What every request may need.

use super::audit::Audit;
use super::auth::Auth;
use super::core::Core;
use super::rates::Rates;
use super::searches::Searches;
use super::visits::Visits;
use crate::protocol::HostId;
use std::path::PathBuf;
use std::sync::Arc;

/// The most pages that one user may have open,
const MOST_PAGES: usize = 200;
/// and the most answers that may be under way to them: each holds up to a few MiB in memory.
const MOST_ANSWERS: usize = 64;

/// The dashboard, as its requests see it.
#[derive(Debug)]
pub(crate) struct App {
    /// Who may come in.
    pub(crate) auth: Auth,
    /// What it works on.
    pub(crate) core: Arc<Core>,
    /// Lets few searches run at a time.
    pub(crate) searches: Searches,
    /// How many pages each user has open.
    pub(crate) visits: Visits,
    /// How many answers are under way to each user.
    pub(crate) answers: Visits,
    /// How often everybody may ask.
    pub(crate) rates: Arc<Rates>,
    /// Who did what.
    pub(crate) audit: Audit,
}

impl App {
    pub(crate) fn new(auth: Auth, core: Arc<Core>, audit: Audit) -> Self {
        Self {
            auth,
            core,
            searches: Searches::default(),
            visits: Visits::at_most(MOST_PAGES),
            answers: Visits::at_most(MOST_ANSWERS),
            rates: Arc::default(),
            audit,
        }
    }

    /// The folder of a host's logs.
    pub(crate) fn logs_of(&self, host: &HostId) -> PathBuf {
        self.core.log_dir(host)
    }
}
