//! One line of output.

use super::{Seq, Timestamp, TimestampFormatter};
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

/// Writes lines as they stand in the frames to the dashboard and to browsers.
#[derive(Default)]
pub struct LineEncoder {
    stamps: TimestampFormatter,
}

impl LineEncoder {
    /// Appends one line as a JSON object.
    pub fn write(&mut self, to: &mut Vec<u8>, line: &str, at: Timestamp, is_error: Option<bool>) {
        to.extend_from_slice(b"{\"line\":");
        write_text(to, line);
        to.extend_from_slice(b",\"timestamp\":\"");
        to.extend_from_slice(self.stamps.format(at).as_bytes());
        to.extend_from_slice(match is_error {
            Some(true) => b"\",\"is_error\":true}",
            Some(false) => b"\",\"is_error\":false}",
            None => b"\",\"is_error\":null}",
        });
    }
}

/// Appends a text as JSON. Nearly all lines have nothing to escape, and to look at all their bytes, without
/// stopping at the first that has, is done by many at once.
fn write_text(to: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| (byte >= b' ') & (byte != b'"') & (byte != b'\\');
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        to.push(b'"');
        to.extend_from_slice(text.as_bytes());
        to.push(b'"');
    } else {
        // Writing a text to memory does not fail.
        let _ = serde_json::to_writer(to, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::WireLine;

    #[test]
    fn an_encoded_line_is_what_serde_writes() {
        let at = Timestamp::from_millis(1_765_708_200_123);
        for line in [
            "",
            "plain",
            "ünï \u{7f}",
            "a\"b",
            "a\\b",
            "tab\t",
            "\0",
            "\x1b[1mred",
        ] {
            for is_error in [Some(true), Some(false), None] {
                let mut ours = Vec::new();
                LineEncoder::default().write(&mut ours, line, at, is_error);
                let theirs = serde_json::to_vec(&WireLine {
                    line: line.into(),
                    timestamp: at.to_string().into(),
                    is_error,
                });
                assert_eq!(ours, theirs.unwrap(), "{line:?}");
            }
        }
    }
}
