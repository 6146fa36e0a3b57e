//! Stands in for the agent.

/// Its configuration.
pub mod config {
    use crate::config_file::ConfigError;
    use std::path::Path;

    /// Nothing yet.
    #[derive(Debug)]
    pub struct Config;

    impl Config {
        /// Reads the file.
        pub fn load(_path: &Path) -> Result<Self, ConfigError> {
            Ok(Self)
        }
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[error("there is no agent yet")]
pub struct Error;

/// Runs until `shutdown`.
pub async fn run(
    _config: config::Config,
    _shutdown: crate::lifecycle::Shutdown,
) -> Result<(), Error> {
    Err(Error)
}
