//! Both files of a log, and what is done to them.

use super::record::{Head, RECORD_BYTES, Record};
use super::{LogError, paths, place};
use crate::protocol::{RunId, Seq};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    /// How long log and index are at least, unless somebody cuts them.
    pub(super) ends: (AtomicU64, AtomicU64),
}

/// How far a log goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) seq: Seq,
    pub(super) errors: u64,
    pub(super) end: u64,
}

impl Files {
    /// These two, with their names.
    pub(super) fn of((log, log_path): (File, PathBuf), (idx, idx_path): (File, PathBuf)) -> Self {
        Self {
            log,
            idx,
            log_path,
            idx_path,
            named: AtomicBool::new(false),
            ends: Default::default(),
        }
    }

    /// A new log that holds this much of a header. Half a log is none: where it cannot be written nothing is left.
    pub(super) fn create(dir: &Path, run_id: &RunId, header: &str) -> Result<Self, LogError> {
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
        let files = Self::of((log, log_path), (idx, idx_path));
        files.begin(header).inspect_err(|_| {
            let _ = std::fs::remove_file(&files.log_path);
            let _ = std::fs::remove_file(&files.idx_path);
        })?;
        Ok(files)
    }

    fn begin(&self, header: &str) -> Result<(), LogError> {
        let head = Head {
            rebuilt: false,
            body_start: u32::try_from(header.len()).unwrap_or(u32::MAX),
        };
        self.log
            .write_all_at(header.as_bytes(), 0)
            .map_err(LogError::io("write", &self.log_path))?;
        self.idx
            .write_all_at(&head.encode(), 0)
            .map_err(LogError::io("write", &self.idx_path))
    }

    /// Those of a log that there is; its index may be missing.
    pub(super) fn open(dir: &Path, run_id: &RunId) -> Result<Self, LogError> {
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
        Ok(Self::of((log, log_path), (idx, idx_path)))
    }

    /// Where the text of line `seq` begins.
    pub(super) fn begin_of(&self, seq: Seq) -> Result<u64, LogError> {
        let Some(before) = seq.checked_sub(1) else {
            return Ok(0);
        };
        let mut record = [0; RECORD_BYTES];
        read_at(&self.idx, &mut record, index_offset(before))
            .map_err(LogError::io("read", &self.idx_path))?;
        Ok(Record::decode(&record).end)
    }

    /// Writes lines and their records behind what is stored.
    pub(super) fn append(
        &self,
        stored: Extent,
        lines: &[u8],
        records: &[u8],
    ) -> Result<(), LogError> {
        self.log
            .write_all_at(lines, stored.end)
            .map_err(LogError::io("write", &self.log_path))?;
        self.idx
            .write_all_at(records, index_offset(stored.seq))
            .map_err(LogError::io("write", &self.idx_path))?;
        self.ends
            .0
            .store(stored.end + lines.len() as u64, Ordering::Release);
        self.ends.1.store(
            index_offset(stored.seq) + records.len() as u64,
            Ordering::Release,
        );
        Ok(())
    }

    /// Notes how long the files are.
    pub(super) fn reach(&self, stored: Extent) {
        self.ends.0.store(stored.end, Ordering::Release);
        self.ends
            .1
            .store(index_offset(stored.seq), Ordering::Release);
    }

    /// Whether both files are as long as they were written.
    pub(super) fn check_length(&self) -> Result<(), LogError> {
        for (file, path, end) in self.both() {
            let found = file.metadata().map_err(LogError::io("look at", path))?;
            if found.len() < end {
                return Err(LogError::Displaced(path.to_owned()));
            }
        }
        Ok(())
    }

    /// Log and index, their names, and how long they are at least.
    fn both(&self) -> [(&File, &Path, u64); 2] {
        let (log, idx) = &self.ends;
        [
            (&self.log, &self.log_path, log.load(Ordering::Acquire)),
            (&self.idx, &self.idx_path, idx.load(Ordering::Acquire)),
        ]
    }

    /// Writes a footer behind what is stored; where that cannot be, there is none.
    pub(super) fn end_with(&self, stored: Extent, footer: &str) -> Result<(), LogError> {
        let written = self.log.write_all_at(footer.as_bytes(), stored.end);
        // A longer footer, cut off before, may still stand behind it.
        let written = written.and_then(|()| self.log.set_len(stored.end + footer.len() as u64));
        written
            .inspect_err(|_| self.truncate(stored))
            .map_err(LogError::io("write", &self.log_path))?;
        let end = stored.end + footer.len() as u64;
        self.ends.0.store(end, Ordering::Release);
        Ok(())
    }

    /// Cuts off what stands behind the last line.
    pub(super) fn cut(&self, stored: Extent) -> Result<(), LogError> {
        self.reach(stored);
        self.log
            .set_len(stored.end)
            .map_err(LogError::io("cut", &self.log_path))
    }

    /// Writes what stands from line `seq` on to the same place.
    pub(super) fn write_again(&self, seq: Seq) -> Result<(), LogError> {
        let (log, idx) = match seq {
            0 => (0, 0),
            _ => (self.begin_of(seq)?, index_offset(seq)),
        };
        copy_onto_itself(&self.log, log).map_err(LogError::io("write", &self.log_path))?;
        copy_onto_itself(&self.idx, idx).map_err(LogError::io("write", &self.idx_path))
    }

    /// Tries whether more can be stored: writes behind the end, and takes it off again.
    pub(super) fn probe(&self, stored: Extent) -> Result<(), LogError> {
        // Less than a record, so that no reader takes it for a line.
        let part = &PROBE[..RECORD_BYTES - 1];
        let log = self.log.write_all_at(&PROBE, stored.end);
        let idx = self.idx.write_all_at(part, index_offset(stored.seq));
        self.truncate(stored);
        log.map_err(LogError::io("write", &self.log_path))?;
        idx.map_err(LogError::io("write", &self.idx_path))
    }

    /// Takes back half a write. What remains when this fails too is cut by the next recovery.
    pub(super) fn truncate(&self, stored: Extent) {
        let _ = self.idx.set_len(index_offset(stored.seq));
        let _ = self.log.set_len(stored.end);
    }

    #[cfg(test)]
    pub(super) fn with_log_for_test(&self, log: File) -> Self {
        Self {
            log,
            idx: self.idx.try_clone().unwrap(),
            log_path: self.log_path.clone(),
            idx_path: self.idx_path.clone(),
            named: AtomicBool::new(false),
            ends: Default::default(),
        }
    }
}

/// Makes a log durable, from whatever thread.
#[derive(Clone, Debug)]
pub struct SyncHandle(pub(super) Arc<Files>);

impl SyncHandle {
    /// The device that the log is on.
    pub fn device(&self) -> Result<u64, LogError> {
        let log = &self.0.log_path;
        let found = self
            .0
            .log
            .metadata()
            .map_err(LogError::io("look at", log))?;
        Ok(found.dev())
    }

    /// Whether both files still have their names and are as long as they were written: what is durable in a file that
    /// nobody can find any more is lost all the same.
    pub fn check_in_place(&self) -> Result<(), LogError> {
        self.0.check_length()?;
        for (file, path, _) in self.0.both() {
            let look = LogError::io("look at", path);
            let open = file.metadata().map_err(look)?;
            let named = path.symlink_metadata();
            let is_same = |named: &Metadata| (named.dev(), named.ino()) == (open.dev(), open.ino());
            if !named.is_ok_and(|named| is_same(&named)) {
                return Err(LogError::Displaced(path.to_owned()));
            }
        }
        Ok(())
    }

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

/// No file has a byte there, and what is read from there on does not overflow the kernel's offsets.
const BEYOND_ALL: u64 = 1 << 62;

/// Where the record of line `seq` is. A number that no log can have, which a peer may name, is beyond the end of all.
pub(super) fn index_offset(seq: Seq) -> u64 {
    let offset = seq.saturating_add(1).saturating_mul(RECORD_BYTES as u64);
    offset.min(BEYOND_ALL)
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
