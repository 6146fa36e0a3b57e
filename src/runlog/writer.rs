use super::LogError;
use super::files::{Extent, Files, SyncHandle};
use super::head::{Footer, Header, RunResult};
use super::reader::LineRef;
use super::record::{RECORD_BYTES, Record};
use super::recovery::{self, Recovered};
use crate::protocol::{RunId, Seq, Timestamp};
use std::path::Path;
use std::sync::Arc;

/// Length of the time before each line, `[HH:MM:SS] `, in bytes.
pub const STAMP_BYTES: usize = 11;

/// Appends to a log. There is one for each log at a time.
///
/// Lines are gathered in memory by [`push`](Self::push) and stored by [`flush`](Self::flush), one write of
/// the log and then one of the index.
#[derive(Debug)]
pub struct LogWriter {
    files: Arc<Files>,
    header: Header,
    footer: Option<Footer>,
    rebuilt: bool,
    stored: Extent,
    pushed: Extent,
    lines: Vec<u8>,
    records: Vec<u8>,
    stamp: Stamp,
}

impl LogWriter {
    /// A new log with its header on disk. Only root and its own user may read it.
    ///
    /// # Errors
    /// When there is such a log already, or the file system refuses.
    pub fn create(dir: &Path, run_id: &RunId, header: &Header) -> Result<Self, LogError> {
        let text = header.to_text();
        let files = Files::create(dir, run_id, &text)?;
        let stored = Extent {
            seq: 0,
            errors: 0,
            end: text.len() as u64,
        };
        Ok(Self::new(
            files,
            Recovered {
                header: header.clone(),
                footer: None,
                rebuilt: false,
                stored,
            },
        ))
    }

    /// Opens a log that may have been left in the middle: keeps the longest prefix whose records check
    /// out, and a whole footer behind it, and cuts both files there. A lost index is made anew from the log.
    ///
    /// # Errors
    /// When there is no such log, its header is not whole, or the file system refuses.
    pub fn open(dir: &Path, run_id: &RunId) -> Result<Self, LogError> {
        let files = Files::open(dir, run_id)?;
        let recovered = recovery::recover(&files)?;
        Ok(Self::new(files, recovered))
    }

    pub(super) fn new(files: Files, found: Recovered) -> Self {
        files.reach(found.stored);
        Self {
            files: Arc::new(files),
            header: found.header,
            footer: found.footer,
            rebuilt: found.rebuilt,
            stored: found.stored,
            pushed: found.stored,
            lines: Vec::new(),
            records: Vec::new(),
            stamp: Stamp::default(),
        }
    }

    /// The files, the header, how far the log goes, and whether its index was made anew.
    pub(super) fn into_parts(self) -> (Arc<Files>, Header, Extent, bool) {
        (self.files, self.header, self.stored, self.rebuilt)
    }

    /// Takes a line, at most [`MAX_LINE_BYTES`](crate::protocol::MAX_LINE_BYTES) long and without a newline,
    /// into memory.
    pub fn push(&mut self, line: &str, at: Timestamp, is_error: Option<bool>) {
        debug_assert!(!line.contains('\n') && self.footer.is_none());
        let from = self.lines.len();
        self.lines.extend_from_slice(self.stamp.text(at));
        self.lines.extend_from_slice(line.as_bytes());
        self.lines.push(b'\n');
        let line = &self.lines[from..];
        self.pushed.end += line.len() as u64;
        self.pushed.seq += 1;
        self.pushed.errors += u64::from(is_error == Some(true));
        self.records.extend_from_slice(
            &Record {
                end: self.pushed.end,
                at,
                is_error,
            }
            .encode(line),
        );
    }

    /// Forgets what was pushed since the last flush.
    pub fn rollback(&mut self) {
        self.lines.clear();
        self.records.clear();
        self.pushed = self.stored;
    }

    /// Bytes pushed and not yet stored.
    pub fn pending_bytes(&self) -> usize {
        self.lines.len()
    }

    /// Stores what was pushed.
    ///
    /// # Errors
    /// When the file system refuses; what was pushed is then forgotten, and the files hold what they held.
    pub fn flush(&mut self) -> Result<(), LogError> {
        let written = self.try_flush();
        self.rollback();
        written
    }

    /// Stores what was pushed.
    ///
    /// # Errors
    /// When the file system refuses; what was pushed is still [`pending`](Self::pending), and the files hold
    /// what they held.
    pub fn try_flush(&mut self) -> Result<(), LogError> {
        if self.records.is_empty() {
            return Ok(());
        }
        let written = self.files.append(self.stored, &self.lines, &self.records);
        written.inspect_err(|_| self.files.truncate(self.stored))?;
        self.stored = self.pushed;
        self.rollback();
        Ok(())
    }

    /// The lines that were pushed and not yet stored.
    pub fn pending(&self) -> impl Iterator<Item = LineRef<'_>> {
        let (records, _) = self.records.as_chunks::<RECORD_BYTES>();
        let mut rest = &self.lines[..];
        let mut begin = self.stored.end;
        records
            .iter()
            .zip(self.stored.seq..)
            .map_while(move |(record, seq)| {
                let record = Record::decode(record);
                let length = usize::try_from(record.end - begin).ok()?;
                let (line, after) = rest.split_at_checked(length)?;
                (begin, rest) = (record.end, after);
                let text = line.get(STAMP_BYTES..length.checked_sub(1)?)?;
                Some(LineRef {
                    seq,
                    line: std::str::from_utf8(text).ok()?,
                    timestamp: record.at,
                    is_error: record.is_error,
                })
            })
    }

    /// How many bytes of the log and its index hold the stored lines from `seq` on.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn bytes_from(&self, seq: Seq) -> Result<u64, LogError> {
        let lines = self.stored.seq.saturating_sub(seq);
        let begin = match lines {
            0 => self.stored.end,
            _ => self.files.begin_of(seq)?,
        };
        let text = self.stored.end.saturating_sub(begin);
        Ok(text + lines * RECORD_BYTES as u64)
    }

    /// Writes again what the files hold from line `seq` on, with all that stands behind it, so that a later sync
    /// makes it durable.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write_again(&self, seq: Seq) -> Result<(), LogError> {
        self.files.write_again(seq)
    }

    /// Tries whether more can be stored.
    ///
    /// # Errors
    /// When the file system still refuses.
    pub fn probe(&self) -> Result<(), LogError> {
        self.files.probe(self.stored)
    }

    /// Whether the files are as long as they were written. Where they were cut, what is written from now on would
    /// stand behind a hole.
    ///
    /// # Errors
    /// When they were cut.
    pub fn check_length(&self) -> Result<(), LogError> {
        self.files.check_length()
    }

    /// The number the next line gets.
    pub fn next_seq(&self) -> Seq {
        self.pushed.seq
    }

    /// How many lines came from standard error; unknown where the index was rebuilt.
    pub fn errors(&self) -> Option<u64> {
        (!self.rebuilt).then_some(self.pushed.errors)
    }

    /// What the log begins with.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the log ends with, if the run is over.
    pub fn footer(&self) -> Option<&Footer> {
        self.footer.as_ref()
    }

    /// Whether the index was lost, and made anew from the log.
    pub fn index_rebuilt(&self) -> bool {
        self.rebuilt
    }

    /// Stores what was pushed and writes the footer; `lines` and `errors` of `result` are filled in.
    ///
    /// # Errors
    /// When the file system refuses; the log is then as it was without a footer.
    pub fn finish(&mut self, exit_code: Option<i32>, result: RunResult) -> Result<(), LogError> {
        self.flush()?;
        let result = RunResult {
            lines: self.stored.seq,
            errors: self.errors(),
            ..result
        };
        let footer = Footer { exit_code, result };
        self.files.end_with(self.stored, &footer.to_text())?;
        self.footer = Some(footer);
        Ok(())
    }

    /// Takes the footer off again, for a run that was held for lost.
    pub fn cut_footer(&mut self) -> Result<(), LogError> {
        self.files.cut(self.stored)?;
        self.footer = None;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn replace_log_file_for_test(&mut self, log: std::fs::File) {
        self.files = Arc::new(self.files.with_log_for_test(log));
    }

    /// To make the log durable from another thread.
    pub fn sync_handle(&self) -> SyncHandle {
        SyncHandle(Arc::clone(&self.files))
    }
}

/// The time of day before each line, made once a second.
#[derive(Debug, Default)]
struct Stamp {
    second: Option<i64>,
    text: [u8; STAMP_BYTES],
}

impl Stamp {
    fn text(&mut self, at: Timestamp) -> &[u8] {
        let second = at.millis().div_euclid(1000);
        if self.second != Some(second) {
            self.second = Some(second);
            let day = second.rem_euclid(86_400);
            self.text = *b"[00:00:00] ";
            for (place, number) in [(1, day / 3600), (4, day / 60 % 60), (7, day % 60)] {
                self.text[place] = b'0' + (number / 10) as u8;
                self.text[place + 1] = b'0' + (number % 10) as u8;
            }
        }
        &self.text
    }
}
