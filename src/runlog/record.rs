//! The index: 16 bytes of head, then 16 bytes for each line, all numbers little-endian.
//!
//! | head | record |
//! | --- | --- |
//! | 4 bytes `SYI1` | 6 bytes: where the line ends in the log (behind its newline) |
//! | 1 byte: 1 if the index was rebuilt from the log | 6 bytes: milliseconds since 1970 (46 bits), from standard error (1 bit), stream unknown (1 bit) |
//! | 3 bytes 0, 4 bytes: where the first line begins | |
//! | 4 bytes: CRC-32 of the 12 before | 4 bytes: CRC-32 of the 12 before and of the line as it stands in the log |

use crate::protocol::Timestamp;

/// The size of a record, and of the head.
pub(super) const RECORD_BYTES: usize = 16;
const CHECKED: usize = RECORD_BYTES - 4;
const MAGIC: &[u8; 4] = b"SYI1";
const IS_ERROR: u64 = 1 << 46;
const UNKNOWN: u64 = 1 << 47;
const MAX_MILLIS: i64 = (1 << 46) - 1;

/// The beginning of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) rebuilt: bool,
    pub(super) body_start: u32,
}

/// A line, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) end: u64,
    pub(super) at: Timestamp,
    pub(super) is_error: Option<bool>,
}

impl Head {
    pub(super) fn encode(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = u8::from(self.rebuilt);
        bytes[8..12].copy_from_slice(&self.body_start.to_le_bytes());
        seal(&mut bytes, &[]);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let [_, _, _, _, rebuilt, _, _, _, a, b, c, d, ..] = *bytes;
        (bytes.starts_with(MAGIC) && is_sealed(bytes, &[])).then_some(Self {
            rebuilt: rebuilt == 1,
            body_start: u32::from_le_bytes([a, b, c, d]),
        })
    }
}

impl Record {
    /// `line` is the line as it stands in the log, with time and newline.
    pub(super) fn encode(&self, line: &[u8]) -> [u8; RECORD_BYTES] {
        let stream = match self.is_error {
            Some(true) => IS_ERROR,
            Some(false) => 0,
            None => UNKNOWN,
        };
        let when = self.at.millis().clamp(0, MAX_MILLIS).unsigned_abs() | stream;
        let mut bytes = [0; RECORD_BYTES];
        bytes[..6].copy_from_slice(&self.end.to_le_bytes()[..6]);
        bytes[6..CHECKED].copy_from_slice(&when.to_le_bytes()[..6]);
        seal(&mut bytes, line);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; RECORD_BYTES]) -> Self {
        let [e0, e1, e2, e3, e4, e5, w0, w1, w2, w3, w4, w5, ..] = *bytes;
        let when = u64::from_le_bytes([w0, w1, w2, w3, w4, w5, 0, 0]);
        Self {
            end: u64::from_le_bytes([e0, e1, e2, e3, e4, e5, 0, 0]),
            at: Timestamp::from_millis((when & (IS_ERROR - 1)).cast_signed()),
            is_error: (when & UNKNOWN == 0).then_some(when & IS_ERROR != 0),
        }
    }
}

/// Whether `bytes` are what [`Record::encode`] made for `line`.
pub(super) fn is_sealed(bytes: &[u8; RECORD_BYTES], line: &[u8]) -> bool {
    let mut again = *bytes;
    seal(&mut again, line);
    again == *bytes
}

fn seal(bytes: &mut [u8; RECORD_BYTES], line: &[u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKED]);
    hasher.update(line);
    bytes[CHECKED..].copy_from_slice(&hasher.finalize().to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_again_what_it_was_told() {
        for (end, millis, is_error) in [
            (0, 0, Some(false)),
            (1 << 47, 1_765_708_200_123, Some(true)),
            (7, 9, None),
        ] {
            let record = Record {
                end,
                at: Timestamp::from_millis(millis),
                is_error,
            };
            assert_eq!(Record::decode(&record.encode(b"line")), record);
        }
    }

    #[test]
    fn a_changed_byte_in_record_or_line_is_noticed() {
        let record = Record {
            end: 77,
            at: Timestamp::from_millis(5),
            is_error: Some(true),
        };
        let good = record.encode(b"[10:30:00] hello\n");
        assert!(is_sealed(&good, b"[10:30:00] hello\n"));
        assert!(!is_sealed(&good, b"[10:30:00] hellp\n"));
        for i in 0..RECORD_BYTES {
            let mut bad = good;
            bad[i] ^= 1;
            assert!(!is_sealed(&bad, b"[10:30:00] hello\n"), "byte {i}");
        }
        assert!(
            !is_sealed(&[0; RECORD_BYTES], b""),
            "a hole in the file is no record"
        );
    }

    #[test]
    fn a_head_says_again_what_it_was_told() {
        let head = Head {
            rebuilt: true,
            body_start: 300,
        };
        assert_eq!(Head::decode(&head.encode()), Some(head));
        assert_eq!(Head::decode(&[0; RECORD_BYTES]), None);
    }
}
