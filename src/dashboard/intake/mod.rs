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
use serde::Deserialize;

/// A longer text takes more than a millisecond to read as JSON, in bytes. Agents send about 64 KiB at a time.
const LONG_TEXT_BYTES: usize = 128 * 1024;
/// The same of a message that is not read in one pass, because some of its fields are those of another struct
/// (`#[serde(flatten)]`) or in a list of values that may be unknown: up to 130 ns for each byte.
const LONG_MESSAGE_BYTES: usize = 8 * 1024;
/// So many bytes of a message other than lines count as one more message.
const BYTES_A_MESSAGE: usize = 4 * 1024;

/// Reads a text where it keeps no other task from its thread: what an agent sends decides how long that takes.
pub(crate) fn aside<'a, T>(text: &'a str, read: impl FnOnce(&'a str) -> T) -> T {
    aside_beyond(LONG_TEXT_BYTES, text, read)
}

/// Reads a message other than lines, in the same way.
fn parsed<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
    aside_beyond(LONG_MESSAGE_BYTES, json, serde_json::from_str)
}

fn aside_beyond<'a, T>(bytes: usize, text: &'a str, read: impl FnOnce(&'a str) -> T) -> T {
    if text.len() > bytes {
        tokio::task::block_in_place(|| read(text))
    } else {
        read(text)
    }
}

/// How many messages a text other than lines counts for, which is charged before it is read.
fn weight(text: &str) -> u32 {
    u32::try_from(1 + text.len() / BYTES_A_MESSAGE).unwrap_or(u32::MAX)
}

/// Why the connection of an agent is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("malformed: {0}")]
    Malformed(String),
    #[error("the message is for host {0}, and this token is another host's")]
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

#[cfg(test)]
mod message_tests {
    use super::*;
    use crate::protocol::Heartbeat;

    #[tokio::test]
    async fn short_messages_are_read_where_they_came() {
        let beat = r#"{"type":"heartbeat","host_id":"h1"}"#;
        assert!(parsed::<Heartbeat>(beat).is_ok());
    }

    /// The runtime of this test has one thread, of which there is no aside.
    #[tokio::test]
    #[should_panic(expected = "can call blocking only when running on the multi-threaded runtime")]
    async fn long_messages_are_read_aside() {
        let beat = format!(
            r#"{{"type":"heartbeat","host_id":"h1","x":"{}"}}"#,
            "x".repeat(LONG_MESSAGE_BYTES)
        );
        let _ = parsed::<Heartbeat>(&beat);
    }
}
