//! Records are chained: each holds the SHA-256 of the line before it, so that a line that was changed, taken out or
//! put in later is found. Whoever can write the file can also write the whole rest of it anew; only a copy of its
//! last hash that is kept elsewhere shows that.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Key of the hash in a record.
const KEY: &str = r#","prev":""#;

/// Hash of the last line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain(Option<[u8; 32]>);

impl Chain {
    /// The chain behind this line, given without its newline.
    pub(super) fn after(line: &[u8]) -> Self {
        Self(Some(Sha256::digest(line).into()))
    }

    /// The hash in hexadecimal; none before the first line.
    pub(super) fn hex(self) -> Option<String> {
        self.0.map(|hash| {
            hash.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a string does not fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        })
    }

    /// Adds a record, a JSON object, as one line that holds the hash of the line before it.
    pub(super) fn add(&mut self, record: &[u8], lines: &mut Vec<u8>) {
        let begin = lines.len();
        let object = record.strip_suffix(b"}").unwrap_or(record);
        lines.extend_from_slice(object);
        if let Some(hash) = self.hex() {
            lines.extend_from_slice(KEY.as_bytes());
            lines.extend_from_slice(hash.as_bytes());
            lines.push(b'"');
        }
        lines.push(b'}');
        *self = Self::after(&lines[begin..]);
        lines.push(b'\n');
    }
}
