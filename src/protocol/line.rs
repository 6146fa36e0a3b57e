//! One line of output.

use super::{Seq, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest line, in bytes of UTF-8 without its newline; a longer one is split into several.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// How much is packed into one message of lines, in bytes; one longer line may exceed it.
pub const LINE_BATCH_BYTES: usize = 64 * 1024;

/// A line as the HTTP interface gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number in the run.
    pub seq: Seq,
    /// Its text, without the newline.
    pub line: String,
    /// When it was written.
    pub timestamp: Timestamp,
    /// Whether it came from standard error; unknown where the index was lost and rebuilt.
    pub is_error: Option<bool>,
}
