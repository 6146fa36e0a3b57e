//! The log of one run on disk: a text file for people and an index beside it for programs.
//!
//! `RUN_ID.log` holds a header of four lines and an empty one, a line `[HH:MM:SS] text` for each line of
//! output, and behind the last one the footer. `RUN_ID.idx` holds 16 bytes of head and 16 bytes for each
//! line (see `record`), written after the line: a line exists when its record does. Any line is found in
//! constant time. The agent's spool and the dashboard's log are the same files, written by this code.

mod closed;
mod error;
mod files;
mod head;
mod place;
mod reader;
mod record;
mod recovery;
mod tail;
#[cfg(test)]
mod tests;
mod unfinished;
mod writer;

pub use closed::ClosedLog;
pub use error::LogError;
pub use files::SyncHandle;
pub use head::{Footer, Header, RunMeta, RunResult};
pub use reader::{Batch, LineRef, LogReader};
pub use recovery::rebuild_index;
pub use tail::read_ends;
pub use unfinished::remove_unfinished_indexes;
pub use writer::{LogWriter, STAMP_BYTES};

use crate::protocol::RunId;
use std::path::{Path, PathBuf};

/// The log and the index of a run in `dir`.
pub fn paths(dir: &Path, run_id: &RunId) -> (PathBuf, PathBuf) {
    (
        dir.join(format!("{run_id}.log")),
        dir.join(format!("{run_id}.idx")),
    )
}
