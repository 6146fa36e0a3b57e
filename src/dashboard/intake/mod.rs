//! What agents send, on its way to the log files.

mod facts;
mod host_runs;
mod messages;
mod open_run;
mod register;
mod session;
mod single;
#[cfg(test)]
mod tests;

pub(crate) use host_runs::HostRuns;
pub(crate) use session::{first, is_too_big, serve};

use crate::protocol::close;

/// Why the connection of an agent is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("malformed: {0}")]
    Malformed(String),
    #[error("speaks for {0}, which is not its host")]
    OtherHost(String),
}

impl Violation {
    /// The code to close with.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Malformed(_) => close::MALFORMED,
            Self::OtherHost(_) => close::FORBIDDEN,
        }
    }
}

impl From<serde_json::Error> for Violation {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
