use super::head::{Footer, Header, RunResult};
use super::reader::LineRef;
use super::record::{Head, RECORD_BYTES, Record};
use super::recovery::{self, Recovered};
use super::{LogError, paths, place};
use crate::protocol::{RunId, Seq, Timestamp};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `[HH:MM:SS] `
pub(super) const STAMP_BYTES: usize = 11;

/// About as much as is stored at a time.
static PROBE: [u8; 1 << 16] = [0; 1 << 16];

/// Both files of a log, open.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) log: File,
    pub(super) idx: File,
    pub(super) log_path: PathBuf,
    pub(super) idx_path: PathBuf,
    /// Whether the names of the files are on disk, too.
    pub(super) named: AtomicBool,
}

/// Makes a log durable, from whatever thread.
#[derive(Clone, Debug)]
pub struct SyncHandle(Arc<Files>);

impl SyncHandle {
    /// `fdatasync` of both files; the first time also of the folder that names them, and of the one above it.
    pub fn sync(&self) -> Result<(), LogError> {
        if !self.0.named.load(Ordering::Relaxed) {
            for dir in self.0.log_path.ancestors().skip(1).take(2) {
                File::open(dir)
                    .and_then(|dir| dir.sync_all())
                    .map_err(LogError::io("sync", dir))?;
            }
            self.0.named.store(true, Ordering::Relaxed);
        }
        self.0
            .log
            .sync_data()
            .map_err(LogError::io("sync", &self.0.log_path))?;
        self.0
            .idx
            .sync_data()
            .map_err(LogError::io("sync", &self.0.idx_path))
    }
}

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

/// How far a log goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) seq: Seq,
    pub(super) errors: u64,
    pub(super) end: u64,
}

impl LogWriter {
    /// A new log with its header on disk. Only root and its own user may read it.
    ///
    /// # Errors
    /// When there is such a log already, or the file system refuses.
    pub fn create(dir: &Path, run_id: &RunId, header: &Header) -> Result<Self, LogError> {
        let (log_path, idx_path) = paths(dir, run_id);
        place::look_at(dir)?;
        let mut options = place::options();
        options.read(true).write(true).create_new(true).mode(0o600);
        let log = options
            .open(&log_path)
            .map_err(LogError::io("create", &log_path))?;
        // An index without a log is what an interrupted deletion leaves.
        let idx = options
            .create_new(false)
            .create(true)
            .truncate(true)
            .open(&idx_path);
        let idx = idx.map_err(LogError::io("create", &idx_path))?;
        let text = header.to_text();
        let head = Head {
            rebuilt: false,
            body_start: u32::try_from(text.len()).unwrap_or(u32::MAX),
        };
        let written = log
            .write_all_at(text.as_bytes(), 0)
            .map_err(LogError::io("write", &log_path))
            .and_then(|()| {
                idx.write_all_at(&head.encode(), 0)
                    .map_err(LogError::io("write", &idx_path))
            });
        if let Err(error) = written {
            // Half a log is none: the next attempt begins anew.
            let _ = std::fs::remove_file(&log_path);
            let _ = std::fs::remove_file(&idx_path);
            return Err(error);
        }
        let files = Files {
            log,
            idx,
            log_path,
            idx_path,
            named: AtomicBool::new(false),
        };
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
        let (log_path, idx_path) = paths(dir, run_id);
        place::look_at(dir)?;
        let mut options = place::options();
        options.read(true).write(true);
        let log = options
            .open(&log_path)
            .map_err(LogError::io("open", &log_path))?;
        let idx = options
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&idx_path);
        let idx = idx.map_err(LogError::io("open", &idx_path))?;
        let files = Files {
            log,
            idx,
            log_path,
            idx_path,
            named: AtomicBool::new(false),
        };
        let recovered = recovery::recover(&files)?;
        Ok(Self::new(files, recovered))
    }

    fn new(files: Files, found: Recovered) -> Self {
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
        if let Err(error) = self.write_batch() {
            self.truncate();
            return Err(error);
        }
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
            _ => self.begin_of(seq)?,
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
        let files = &self.files;
        let (log, idx) = match seq {
            0 => (0, 0),
            _ => (self.begin_of(seq)?, index_offset(seq)),
        };
        copy_onto_itself(&files.log, log).map_err(LogError::io("write", &files.log_path))?;
        copy_onto_itself(&files.idx, idx).map_err(LogError::io("write", &files.idx_path))
    }

    /// Where the text of line `seq` begins.
    fn begin_of(&self, seq: Seq) -> Result<u64, LogError> {
        let Some(before) = seq.checked_sub(1) else {
            return Ok(0);
        };
        let mut record = [0; RECORD_BYTES];
        read_at(&self.files.idx, &mut record, index_offset(before))
            .map_err(LogError::io("read", &self.files.idx_path))?;
        Ok(Record::decode(&record).end)
    }

    fn write_batch(&self) -> Result<(), LogError> {
        let files = &self.files;
        files
            .log
            .write_all_at(&self.lines, self.stored.end)
            .map_err(LogError::io("write", &files.log_path))?;
        let at = index_offset(self.stored.seq);
        files
            .idx
            .write_all_at(&self.records, at)
            .map_err(LogError::io("write", &files.idx_path))
    }

    /// Tries whether more can be stored: writes behind the end, and takes it off again.
    ///
    /// # Errors
    /// When the file system still refuses.
    pub fn probe(&self) -> Result<(), LogError> {
        let files = &self.files;
        let log = files.log.write_all_at(&PROBE, self.stored.end);
        // Less than a record, so that no reader takes it for a line.
        let part = &PROBE[..RECORD_BYTES - 1];
        let idx = files.idx.write_all_at(part, index_offset(self.stored.seq));
        self.truncate();
        log.map_err(LogError::io("write", &files.log_path))?;
        idx.map_err(LogError::io("write", &files.idx_path))
    }

    /// Takes back half a write. What remains when this fails too is cut by the next recovery.
    fn truncate(&self) {
        let _ = self.files.idx.set_len(index_offset(self.stored.seq));
        let _ = self.files.log.set_len(self.stored.end);
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
        let text = footer.to_text();
        let written = self
            .files
            .log
            .write_all_at(text.as_bytes(), self.stored.end);
        // A longer footer, cut off before, may still stand behind it.
        let written =
            written.and_then(|()| self.files.log.set_len(self.stored.end + text.len() as u64));
        if let Err(source) = written {
            self.truncate();
            return Err(LogError::io("write", &self.files.log_path)(source));
        }
        self.footer = Some(footer);
        Ok(())
    }

    /// Takes the footer off again, for a run that was held for lost.
    pub fn cut_footer(&mut self) -> Result<(), LogError> {
        self.files
            .log
            .set_len(self.stored.end)
            .map_err(LogError::io("cut", &self.files.log_path))?;
        self.footer = None;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn replace_log_file_for_test(&mut self, log: File) {
        let idx = self.files.idx.try_clone().unwrap();
        let (log_path, idx_path) = (self.files.log_path.clone(), self.files.idx_path.clone());
        self.files = Arc::new(Files {
            log,
            idx,
            log_path,
            idx_path,
            named: AtomicBool::new(false),
        });
    }

    /// To make the log durable from another thread.
    pub fn sync_handle(&self) -> SyncHandle {
        SyncHandle(Arc::clone(&self.files))
    }
}

/// Reads a file from `offset` on and writes the same bytes to the same place.
fn copy_onto_itself(file: &File, mut offset: u64) -> io::Result<()> {
    let mut buffer = vec![0; PROBE.len()];
    loop {
        let length = read_at(file, &mut buffer, offset)?;
        if length == 0 {
            return Ok(());
        }
        file.write_all_at(&buffer[..length], offset)?;
        offset += length as u64;
    }
}

/// Where the record of line `seq` is.
pub(super) fn index_offset(seq: Seq) -> u64 {
    (seq + 1) * RECORD_BYTES as u64
}

/// Reads as much of `buffer` as there is, and says how much.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
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
