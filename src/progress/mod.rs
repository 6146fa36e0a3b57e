//! How far a run is, read from its output. Pure: text in, text, phases and counts out.
//!
//! `@nix {…}` lines of `--log-format internal-json` become the lines that nix itself would have printed.
//! Counts are what nix said last, never more; a build is complete when something else follows, not when the
//! counts are equal.

mod activation;
mod activities;
mod block;
mod counter;
mod decoder;
mod failure;
#[cfg(test)]
mod failure_cases;
mod findings;
mod nix_error;
mod nix_json;
mod numbering;
mod phases;
mod plain;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use failure::{Ending, Failure, Killed, Line, MAX_MESSAGE_BYTES, Memory, Output};
pub use numbering::{Position, Renumber};
pub use plain::of_journal;

use serde::{Deserialize, Serialize};

/// How many there are of what the phase is about; `None` where nix did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    done: Option<u64>,
    expected: Option<u64>,
    running: Option<u64>,
    failed: Option<u64>,
}
