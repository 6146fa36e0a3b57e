use super::files::{Files, index_offset, read_at};
use super::head::{Footer, Header};
use super::record::{Head, RECORD_BYTES, Record};
use super::recovery::{is_line_at, read_footer, read_header};
use super::writer::STAMP_BYTES;
use super::{LogError, paths, place};
use crate::protocol::{RunId, Seq, Timestamp};
use std::ops::Range;
use std::path::Path;

/// Reads a log, while it grows or afterwards, from any place in constant time.
#[derive(Debug)]
pub struct LogReader {
    files: Files,
    header: Header,
    body_start: u64,
    rebuilt: bool,
}

/// A line as it was read, borrowed from its [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRef<'a> {
    /// Its number in the run.
    pub seq: Seq,
    /// Its text.
    pub line: &'a str,
    /// When it was written.
    pub timestamp: Timestamp,
    /// Whether it came from standard error; unknown where the index was rebuilt.
    pub is_error: Option<bool>,
}

/// Some lines in a row; keeps its memory for the next ones.
#[derive(Debug, Default)]
pub struct Batch {
    first: Seq,
    start: u64,
    records: Vec<Record>,
    text: String,
    index: Vec<u8>,
}

impl Batch {
    /// The number of the first line.
    pub fn first(&self) -> Seq {
        self.first
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The lines, in order.
    pub fn iter(&self) -> impl Iterator<Item = LineRef<'_>> {
        let mut begin = 0;
        self.records
            .iter()
            .zip(self.first..)
            .map(move |(record, seq)| {
                let end = (record.end - self.start) as usize;
                let line = &self.text[begin + STAMP_BYTES..end - 1];
                begin = end;
                LineRef {
                    seq,
                    line,
                    timestamp: record.at,
                    is_error: record.is_error,
                }
            })
    }
}

impl LogReader {
    /// Opens a log; needs neither the writer nor a footer.
    ///
    /// # Errors
    /// When there is no such log or index, or the header is not whole.
    pub fn open(dir: &Path, run_id: &RunId) -> Result<Self, LogError> {
        let (log_path, idx_path) = paths(dir, run_id);
        place::look_at(dir)?;
        let open = |path: &Path| {
            let file = place::options().read(true).open(path);
            file.map_err(LogError::io("open", path))
        };
        let (log, idx) = (open(&log_path)?, open(&idx_path)?);
        let files = Files::of((log, log_path), (idx, idx_path));
        let (header, body_start) = read_header(&files)?;
        let mut head = [0; RECORD_BYTES];
        let got =
            read_at(&files.idx, &mut head, 0).map_err(LogError::io("read", &files.idx_path))?;
        let rebuilt = got == RECORD_BYTES && Head::decode(&head).is_some_and(|head| head.rebuilt);
        Ok(Self {
            files,
            header,
            body_start,
            rebuilt,
        })
    }

    /// What the log begins with.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the index was lost, and made anew from the log.
    pub fn index_rebuilt(&self) -> bool {
        self.rebuilt
    }

    /// How many lines there are now.
    pub fn total(&self) -> Result<Seq, LogError> {
        let length = self
            .files
            .idx
            .metadata()
            .map_err(LogError::io("read", &self.files.idx_path))?
            .len();
        Ok((length / RECORD_BYTES as u64).saturating_sub(1))
    }

    /// Reads lines from `from` on into `batch`: none where there are none yet, at most `max_lines`, and no
    /// more than `max_bytes` of the log unless the first line alone is longer.
    pub fn read(
        &self,
        from: Seq,
        max_lines: usize,
        max_bytes: usize,
        batch: &mut Batch,
    ) -> Result<(), LogError> {
        batch.first = from;
        batch.records.clear();
        batch.text.clear();
        // The record before tells where the first line begins.
        let (skip, offset) = if from == 0 {
            (0, index_offset(0))
        } else {
            (1, index_offset(from - 1))
        };
        // No line is shorter than its stamp.
        let most = max_lines.min(max_bytes / STAMP_BYTES + 1);
        batch.index.resize((most + skip) * RECORD_BYTES, 0);
        let got = read_at(&self.files.idx, &mut batch.index, offset)
            .map_err(LogError::io("read", &self.files.idx_path))?;
        let (records, _) = batch.index[..got].as_chunks::<RECORD_BYTES>();
        let mut records = records.iter().map(Record::decode);
        batch.start = self.body_start;
        if skip == 1 {
            match records.next() {
                Some(before) => batch.start = before.end,
                None => return Ok(()),
            }
        }
        let mut end = batch.start;
        for record in records {
            let least = end.saturating_add(STAMP_BYTES as u64 + 1);
            if record.end < least {
                let seq = from + batch.records.len() as u64;
                batch.records.clear();
                return Err(self.corrupt(seq));
            }
            if record.end - batch.start > max_bytes as u64 && !batch.records.is_empty() {
                break;
            }
            end = record.end;
            batch.records.push(record);
        }
        let result = self.read_text(end, max_bytes, batch);
        if result.is_err() {
            batch.records.clear();
        }
        result
    }

    fn read_text(&self, end: u64, max_bytes: usize, batch: &mut Batch) -> Result<(), LogError> {
        // A broken index could ask for more memory than there is.
        if end - batch.start > max_bytes as u64 {
            let log = self.files.log.metadata();
            let log = log.map_err(LogError::io("read", &self.files.log_path))?;
            if end > log.len() {
                return Err(self.corrupt(batch.first));
            }
        }
        let mut bytes = std::mem::take(&mut batch.text).into_bytes();
        bytes.resize((end - batch.start) as usize, 0);
        let got = read_at(&self.files.log, &mut bytes, batch.start)
            .map_err(LogError::io("read", &self.files.log_path))?;
        if got < bytes.len() {
            return Err(self.corrupt(batch.first));
        }
        batch.text = String::from_utf8(bytes).map_err(|_| self.corrupt(batch.first))?;
        // Every line must begin and end between characters, or `iter` could not cut it out.
        let whole = batch.records.iter().all(|r| {
            batch
                .text
                .is_char_boundary((r.end - batch.start) as usize - 1)
        });
        let mut begin = 0;
        let stamped = batch.records.iter().all(|r| {
            let fits = batch.text.is_char_boundary(begin + STAMP_BYTES);
            begin = (r.end - batch.start) as usize;
            fits
        });
        if whole && stamped {
            Ok(())
        } else {
            Err(self.corrupt(batch.first))
        }
    }

    /// What the log ends with; `None` while the run goes on.
    pub fn footer(&self) -> Result<Option<Footer>, LogError> {
        let total = self.total()?;
        let footer = read_footer(&self.files, self.end_of_lines(total)?)?;
        Ok(footer.filter(|footer| footer.result.lines == total))
    }

    /// Whether the index of a log that nobody writes any more goes as far as its lines do.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn is_index_whole(&self) -> Result<bool, LogError> {
        if self.footer()?.is_some() {
            return Ok(true);
        }
        let log = self.files.log.metadata();
        let length = log
            .map_err(LogError::io("read", &self.files.log_path))?
            .len();
        let end = self.end_of_lines(self.total()?)?;
        Ok((self.body_start..=length).contains(&end) && !is_line_at(&self.files, end)?)
    }

    /// Where the lines begin and end that there are now, in bytes of the log's text.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn lines_span(&self) -> Result<Range<u64>, LogError> {
        Ok(self.body_start..self.end_of_lines(self.total()?)?)
    }

    /// The number of the line that begins at byte `offset` of the log's text and ends, with its newline, at `end`.
    ///
    /// # Errors
    /// When the index knows no such line, or cannot be read.
    pub fn line_between(&self, offset: u64, end: u64) -> Result<Seq, LogError> {
        let seq = self.line_around(offset)?;
        let fits = self.end_of_lines(seq)? == offset && self.end_of_lines(seq + 1)? == end;
        if fits {
            Ok(seq)
        } else {
            Err(self.corrupt(seq))
        }
    }

    /// The number of the line that holds byte `offset` of the log's text, by the index.
    fn line_around(&self, offset: u64) -> Result<Seq, LogError> {
        let (mut low, mut high) = (0, self.total()?);
        // The first line that ends behind `offset`.
        while low < high {
            let middle = low + (high - low) / 2;
            if self.end_of_lines(middle + 1)? <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// How many bytes of the log's text hold what exists now: header, lines, and the footer if there is one.
    pub fn text_len(&self) -> Result<u64, LogError> {
        if self.footer()?.is_none() {
            return self.end_of_lines(self.total()?);
        }
        let log = self.files.log.metadata();
        Ok(log
            .map_err(LogError::io("read", &self.files.log_path))?
            .len())
    }

    /// Reads the log's text as it is from `offset` on, in bytes; fills `buffer` except at the end.
    pub fn read_text_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        read_at(&self.files.log, buffer, offset).map_err(LogError::io("read", &self.files.log_path))
    }

    /// Where the first `total` lines end.
    fn end_of_lines(&self, total: Seq) -> Result<u64, LogError> {
        let Some(last) = total.checked_sub(1) else {
            return Ok(self.body_start);
        };
        let mut bytes = [0; RECORD_BYTES];
        read_at(&self.files.idx, &mut bytes, index_offset(last))
            .map_err(LogError::io("read", &self.files.idx_path))?;
        Ok(Record::decode(&bytes).end)
    }

    /// The error for a log whose text does not fit its index at byte `offset`.
    pub fn corrupt_at(&self, offset: u64) -> LogError {
        match self.line_around(offset) {
            Ok(seq) => self.corrupt(seq),
            Err(error) => error,
        }
    }

    fn corrupt(&self, seq: Seq) -> LogError {
        LogError::Corrupt {
            path: self.files.log_path.clone(),
            seq,
        }
    }
}
