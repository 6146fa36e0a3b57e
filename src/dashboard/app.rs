//! What every request may need.

use super::api::health::Health;
use super::auth::Auth;
use super::config::Config;
use crate::config_file::ConfigError;
use crate::protocol::HostId;
use std::path::PathBuf;
use tokio::sync::Semaphore;

/// How many searches run at once; each takes a core.
const MOST_SEARCHES: usize = 2;

/// The dashboard, as its requests see it.
#[derive(Debug)]
pub(crate) struct App {
    /// Who may come in.
    pub(crate) auth: Auth,
    /// Whether it can store.
    pub(crate) health: Health,
    /// Lets few searches run at a time.
    pub(crate) searches: Semaphore,
    logs: PathBuf,
}

impl App {
    /// Reads the files with the credentials.
    pub(crate) fn load(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self {
            auth: Auth::load(config)?,
            health: Health::default(),
            searches: Semaphore::new(MOST_SEARCHES),
            logs: config.data_dir.join("logs"),
        })
    }

    /// The folder of a host's logs.
    pub(crate) fn logs_of(&self, host: &HostId) -> PathBuf {
        self.logs.join(host.as_str())
    }
}
