//! What the programs of a run wrote, as it was read: from here a supervisor that systemd started again decodes
//! anew what the one before it had taken from the pipes.
//!
//! The kernel moves the bytes from a pipe into the file, so that a supervisor killed at any moment leaves each
//! byte in exactly one of the two. A record before each move says whose bytes follow and when they came.

use super::streams::Stream;
use crate::protocol::Timestamp;
use nix::fcntl::{SpliceFFlags, splice};
use std::fs::{self, File, OpenOptions};
use std::io::{self, PipeReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Divides the size of a page, so that a record is written as a whole or not at all.
const RECORD_BYTES: usize = 32;

/// How much of a capture is kept before the next begins, in bytes.
const ROLL_BYTES: u64 = 4 << 20;

/// What one read gave.
pub(super) enum Taken {
    Bytes(usize),
    Nothing,
    End,
}

/// What happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Bytes came; where they end in the file.
    Bytes { from: u64, to: u64 },
    /// It ended.
    End,
}

/// One entry of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) stream: Stream,
    pub(super) at: Timestamp,
    pub(super) event: Event,
}

/// A file of bytes and one of records.
pub(super) struct Capture {
    bytes: File,
    records: File,
    /// Where the next bytes and the next record go.
    end: u64,
    count: u64,
    /// The disk took no more: the pipes are read past the file.
    passed_by: bool,
}

fn paths(folder: &Path, generation: u32) -> [PathBuf; 2] {
    ["bytes", "records"].map(|what| folder.join(format!("capture-{generation}.{what}")))
}

/// Removes a capture that is not needed any more.
pub(super) fn remove(folder: &Path, generation: u32) {
    for path in paths(folder, generation) {
        // What stays behind goes with the folder.
        let _ = fs::remove_file(path);
    }
}

impl Capture {
    /// An empty one.
    pub(super) fn create(folder: &Path, generation: u32) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let [bytes, records] = paths(folder, generation).map(|path| options.mode(0o600).open(path));
        Ok(Self {
            bytes: bytes?,
            records: records?,
            end: 0,
            count: 0,
            passed_by: false,
        })
    }

    /// One that another supervisor left, and its entries in order.
    pub(super) fn open(folder: &Path, generation: u32) -> io::Result<(Self, Vec<Entry>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let [bytes, records] = paths(folder, generation).map(|path| options.open(path));
        let (bytes, mut records) = (bytes?, records?);
        let mut text = Vec::new();
        records.read_to_end(&mut text)?;
        let end = bytes.metadata()?.len();
        let entries = decode(&text, end);
        let capture = Self {
            bytes,
            records,
            end,
            count: entries.len() as u64,
            passed_by: false,
        };
        Ok((capture, entries))
    }

    /// Reads again what an entry tells of.
    pub(super) fn read(&self, from: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.bytes.read_exact_at(buffer, from)
    }

    /// Takes what there is of a stream, at most the buffer.
    pub(super) fn take(
        &mut self,
        stream: Stream,
        pipe: &PipeReader,
        at: Timestamp,
        buffer: &mut [u8],
    ) -> Taken {
        if self.passed_by {
            return read_past(pipe, buffer);
        }
        match self.splice(stream, pipe, at, buffer) {
            Ok(taken) => taken,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Taken::Nothing,
                _ => {
                    tracing::warn!(%error, "output cannot be kept twice: if this supervisor dies now, some output is lost");
                    self.passed_by = true;
                    read_past(pipe, buffer)
                }
            },
        }
    }

    fn splice(
        &mut self,
        stream: Stream,
        pipe: &PipeReader,
        at: Timestamp,
        buffer: &mut [u8],
    ) -> io::Result<Taken> {
        self.write_record(stream, at, false)?;
        let mut end = i64::try_from(self.end).map_err(io::Error::other)?;
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
        let moved = splice(pipe, None, &self.bytes, Some(&mut end), buffer.len(), flags)?;
        if moved == 0 {
            return Ok(Taken::End);
        }
        self.count += 1;
        let from = self.end;
        self.end += moved as u64;
        self.bytes.read_exact_at(&mut buffer[..moved], from)?;
        Ok(Taken::Bytes(moved))
    }

    /// Notes that a stream ended.
    pub(super) fn note_end(&mut self, stream: Stream, at: Timestamp) {
        match self.write_record(stream, at, true) {
            Ok(()) => self.count += 1,
            Err(_) => self.passed_by = true,
        }
    }

    /// A record with nothing behind it is overwritten by the next.
    fn write_record(&self, stream: Stream, at: Timestamp, ends: bool) -> io::Result<()> {
        let mut record = [0; RECORD_BYTES];
        record[..8].copy_from_slice(&self.end.to_le_bytes());
        record[8..16].copy_from_slice(&at.millis().to_le_bytes());
        record[16] = stream.code();
        record[17] = u8::from(ends);
        let place = self.count * RECORD_BYTES as u64;
        self.records.write_all_at(&record, place)
    }

    /// Whether the next one should begin: this one is long enough, or the disk took no more of it.
    pub(super) fn is_full(&self) -> bool {
        self.end >= ROLL_BYTES || self.passed_by
    }
}

/// The entries of whole records; each one's bytes go to where the next one's begin, the last one's to the end.
fn decode(records: &[u8], end: u64) -> Vec<Entry> {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |n, byte| n << 8 | u64::from(*byte))
    };
    let records: Vec<&[u8]> = records.chunks_exact(RECORD_BYTES).collect();
    let starts = records.iter().skip(1).map(|record| number(&record[..8]));
    let ends = starts.chain([end]);
    let entries = records.iter().zip(ends).map(|(record, to)| Entry {
        stream: Stream::of_code(record[16]),
        at: Timestamp::from_millis(number(&record[8..16]).cast_signed()),
        event: match record[17] {
            0 => Event::Bytes {
                from: number(&record[..8]),
                to,
            },
            _ => Event::End,
        },
    });
    let mut entries: Vec<Entry> = entries.collect();
    // The supervisor died before it moved anything.
    entries.pop_if(|last| matches!(last.event, Event::Bytes { from, to } if from == to));
    entries
}

fn read_past(mut pipe: &PipeReader, buffer: &mut [u8]) -> Taken {
    match pipe.read(buffer) {
        Ok(0) => Taken::End,
        Ok(bytes) => Taken::Bytes(bytes),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Taken::Nothing,
            _ => {
                tracing::error!(%error, "cannot read the output of the child");
                Taken::End
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn bytes_and_their_streams_and_times_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (out, mut out_end) = io::pipe().unwrap();
        let (err, mut err_end) = io::pipe().unwrap();
        let mut capture = Capture::create(folder.path(), 3).unwrap();
        let mut buffer = [0; 100];
        let times = [1, 2, 3, 4].map(Timestamp::from_millis);
        out_end.write_all(b"one").unwrap();
        assert!(matches!(
            capture.take(Stream::Stdout, &out, times[0], &mut buffer),
            Taken::Bytes(3)
        ));
        assert_eq!(&buffer[..3], b"one");
        assert!(matches!(
            capture.take(Stream::Stderr, &err, times[1], &mut buffer),
            Taken::Nothing
        ));
        err_end.write_all(b"three").unwrap();
        capture.take(Stream::Stderr, &err, times[2], &mut buffer);
        drop(out_end);
        assert!(matches!(
            capture.take(Stream::Stdout, &out, times[3], &mut buffer),
            Taken::End
        ));
        capture.note_end(Stream::Stdout, times[3]);
        let (capture, entries) = Capture::open(folder.path(), 3).unwrap();
        let entry = |stream, at, event| Entry { stream, at, event };
        assert_eq!(
            entries,
            [
                entry(Stream::Stdout, times[0], Event::Bytes { from: 0, to: 3 }),
                entry(Stream::Stderr, times[2], Event::Bytes { from: 3, to: 8 }),
                entry(Stream::Stdout, times[3], Event::End),
            ]
        );
        let mut bytes = [0; 5];
        capture.read(3, &mut bytes).unwrap();
        assert_eq!(&bytes, b"three");
    }

    #[test]
    fn half_a_record_and_one_without_bytes_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let (out, _out_end) = io::pipe().unwrap();
        nix::fcntl::fcntl(
            &out,
            nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
        )
        .unwrap();
        let mut capture = Capture::create(folder.path(), 0).unwrap();
        capture.take(Stream::Stdout, &out, Timestamp::from_millis(1), &mut [0; 9]);
        capture.records.write_all_at(b"half", 32).unwrap();
        let (capture, entries) = Capture::open(folder.path(), 0).unwrap();
        assert_eq!((entries.len(), capture.count), (0, 0));
    }
}
