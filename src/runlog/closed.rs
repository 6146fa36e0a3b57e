//! A log whose files are closed for a while, because nobody writes it.

use super::files::{Extent, Files};
use super::head::Header;
use super::recovery::Recovered;
use super::writer::LogWriter;
use super::{LogError, place};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// What to remember of a log to go on with it later, without reading all of it again.
#[derive(Debug)]
pub struct ClosedLog {
    header: Header,
    rebuilt: bool,
    stored: Extent,
    log: ClosedFile,
    idx: ClosedFile,
    is_named: bool,
}

/// A file and how it was when it was closed.
#[derive(Debug)]
struct ClosedFile {
    path: PathBuf,
    state: FileState,
}

/// What differs when anybody wrote, cut or replaced the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl LogWriter {
    /// Closes the files of a log that goes on later. Nothing may be pending, and there may be no footer.
    ///
    /// # Errors
    /// When the file system does not tell how the files are.
    pub fn close(self) -> Result<ClosedLog, LogError> {
        debug_assert!(self.pending_bytes() == 0 && self.footer().is_none());
        let (files, header, stored, rebuilt) = self.into_parts();
        Ok(ClosedLog {
            header,
            rebuilt,
            stored,
            log: ClosedFile::of(&files.log, &files.log_path)?,
            idx: ClosedFile::of(&files.idx, &files.idx_path)?,
            is_named: files.named.load(Ordering::Relaxed),
        })
    }
}

impl ClosedLog {
    /// Opens the files again.
    ///
    /// # Errors
    /// [`LogError::Displaced`] when they are not as they were left; another one when the file system refuses.
    pub fn open(&self) -> Result<LogWriter, LogError> {
        let dir = self.log.path.parent().unwrap_or(Path::new("."));
        place::look_at(dir).map_err(|error| self.displaced_if_gone(error))?;
        let log = self.log.open()?;
        let idx = self.idx.open()?;
        let files = Files::of((log, self.log.path.clone()), (idx, self.idx.path.clone()));
        files.named.store(self.is_named, Ordering::Relaxed);
        let found = Recovered {
            header: self.header.clone(),
            footer: None,
            rebuilt: self.rebuilt,
            stored: self.stored,
        };
        Ok(LogWriter::new(files, found))
    }

    /// The number the next line gets.
    pub fn next_seq(&self) -> u64 {
        self.stored.seq
    }

    fn displaced_if_gone(&self, error: LogError) -> LogError {
        match error.is_not_found() {
            true => LogError::Displaced(self.log.path.clone()),
            false => error,
        }
    }
}

impl ClosedFile {
    fn of(file: &File, path: &Path) -> Result<Self, LogError> {
        let found = file.metadata().map_err(LogError::io("look at", path))?;
        Ok(Self {
            path: path.to_owned(),
            state: FileState::of(&found),
        })
    }

    fn open(&self) -> Result<File, LogError> {
        let mut options = place::options();
        let opened = options.read(true).write(true).open(&self.path);
        let found = opened.and_then(|file| Ok((FileState::of(&file.metadata()?), file)));
        match found {
            Ok((state, file)) if state == self.state => Ok(file),
            Ok(_) => Err(LogError::Displaced(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(LogError::Displaced(self.path.clone()))
            }
            Err(error) => Err(LogError::io("open", &self.path)(error)),
        }
    }
}

impl FileState {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{CommandName, HostId, RunId, Timestamp};
    use crate::runlog::{Batch, LogReader, paths};
    use std::os::unix::fs::FileExt;

    fn closed(dir: &Path) -> (RunId, ClosedLog) {
        let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        let header = Header::started_at(
            HostId::new("h1").unwrap(),
            CommandName::new("switch").unwrap(),
            Timestamp::from_millis(0),
        );
        let mut log = LogWriter::create(dir, &run_id, &header).unwrap();
        for text in ["one", "two"] {
            log.push(text, Timestamp::from_millis(1_000), Some(true));
        }
        log.flush().unwrap();
        (run_id, log.close().unwrap())
    }

    #[test]
    fn a_log_that_was_closed_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (run_id, closed) = closed(dir.path());
        let mut log = closed.open().unwrap();
        assert_eq!((log.next_seq(), log.errors()), (2, Some(2)));
        log.push("three", Timestamp::from_millis(2_000), Some(false));
        log.flush().unwrap();
        log.check_length().unwrap();
        let mut batch = Batch::default();
        let reader = LogReader::open(dir.path(), &run_id).unwrap();
        reader.read(0, 10, 1 << 20, &mut batch).unwrap();
        let lines: Vec<_> = batch.iter().map(|line| line.line.to_owned()).collect();
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn a_log_to_which_something_was_done_while_it_was_closed_is_not_gone_on_with() {
        let cut = |path: &Path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(40).unwrap();
        };
        let write = |path: &Path| {
            let file = File::options().write(true).open(path).unwrap();
            // The clock of the file system may have steps of some milliseconds.
            let before = FileState::of(&file.metadata().unwrap());
            while FileState::of(&file.metadata().unwrap()) == before {
                file.write_all_at(b"x", 20).unwrap();
            }
        };
        let replace = |path: &Path| {
            let copy = path.with_extension("copy");
            std::fs::copy(path, &copy).unwrap();
            std::fs::rename(copy, path).unwrap();
        };
        let remove = |path: &Path| std::fs::remove_file(path).unwrap();
        let deeds: [&dyn Fn(&Path); 4] = [&cut, &write, &replace, &remove];
        for (n, deed) in deeds.iter().enumerate() {
            for is_index in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                let (run_id, closed) = closed(dir.path());
                let (log, idx) = paths(dir.path(), &run_id);
                deed(if is_index { &idx } else { &log });
                let opened = closed.open();
                assert!(
                    matches!(opened, Err(LogError::Displaced(_))),
                    "{n}: {opened:?}"
                );
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("h1");
        std::fs::create_dir(&folder).unwrap();
        let (_, closed) = closed(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        let opened = closed.open();
        assert!(matches!(opened, Err(LogError::Displaced(_))), "{opened:?}");
    }
}
