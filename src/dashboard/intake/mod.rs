//! What agents send, on its way to the log files.

mod facts;
mod host_runs;
mod idle_logs;
mod messages;
mod open_run;
mod register;
mod renamed;
mod session;
mod single;
#[cfg(test)]
mod tests;
mod unread;

pub(crate) use host_runs::HostRuns;
pub(crate) use idle_logs::MAX_SPARE;
pub(crate) use renamed::lose_renamed;
pub(crate) use session::{first, serve};

use crate::protocol::close;

/// A longer text takes more than a millisecond to read as JSON, in bytes. Agents send about 64 KiB at a time.
const LONG_TEXT_BYTES: usize = 128 * 1024;

/// Reads a text where it keeps no other task from its thread: what an agent sends decides how long that takes.
pub(crate) fn aside<'a, T>(text: &'a str, read: impl FnOnce(&'a str) -> T) -> T {
    if text.len() > LONG_TEXT_BYTES {
        tokio::task::block_in_place(|| read(text))
    } else {
        read(text)
    }
}

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
