//! The writer of the audit log: one thread adds records to `audit.log` and begins it anew when it is full.

use super::Todo;
use super::chain::Chain;
use super::segments::{self, Segment};
use crate::dashboard::health::{Health, Part, Topic, WarningEnds};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Most records that are written and synced at once.
const MAX_BATCH: usize = 64;

/// Most bytes that are kept of what the disk does not take. Nothing new is done long before; beyond it records of what
/// was under way are in our own log alone, and `health` warns of that.
pub(super) const MAX_WAITING_BYTES: usize = 4 << 20;

/// Longest last line that is looked for in a file that is opened, in bytes.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// Into how many files the log is cut when it is as large as it may be.
const SEGMENTS: u64 = 8;

/// How large the log may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// All its files together, in bytes.
    pub(super) max_bytes: u64,
}

/// Starts the thread, which ends when nobody can send to it any more.
///
/// # Errors
/// When the log cannot be opened, or no thread can be started.
pub(super) fn start(
    folder: &Path,
    size: Size,
    mut todo: mpsc::Receiver<Todo>,
    health: Arc<Health>,
    waiting: Arc<AtomicUsize>,
) -> io::Result<()> {
    let mut log = Appender::open(folder.to_owned(), size)?;
    let work = move || {
        while let Some(first) = todo.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(next) = todo.try_recv()
            {
                batch.push(next);
            }
            let records = batch.iter().filter_map(|(record, _)| record.as_deref());
            let added = log.add(records);
            waiting.store(log.waiting.len(), Ordering::Relaxed);
            log.tell(&added, &health);
            for (_, written) in batch {
                let _ = written.send(());
            }
        }
    };
    let thread = std::thread::Builder::new().name("audit".into());
    thread.spawn(work).map(drop)
}

/// The end of the log, and what the disk has not taken yet.
struct Appender {
    folder: PathBuf,
    path: PathBuf,
    size: Size,
    /// Position of the log at which `audit.log` begins.
    base: u64,
    chain: Chain,
    waiting: Vec<u8>,
    /// How many records had no room among what waits.
    lost: u64,
}

impl Appender {
    /// Goes on with the log. A record that was torn by a loss of power becomes a line of its own.
    fn open(folder: PathBuf, size: Size) -> io::Result<Self> {
        let path = segments::current(&folder);
        let file = segments::open_to_add(&path)?;
        let full = segments::list_full(&folder)?;
        let mut last = last_line(&file)?;
        let waiting = match &last {
            Some(line) if !line.is_whole => vec![b'\n'],
            _ => Vec::new(),
        };
        if last.is_none()
            && let Some(segment) = full.last()
        {
            last = last_line(&segments::open(&segment.path)?)?;
        }
        Ok(Self {
            base: full.last().map_or(0, Segment::end),
            chain: last.map_or_else(Chain::default, |line| Chain::after(&line.text)),
            folder,
            path,
            size,
            waiting,
            lost: 0,
        })
    }

    /// Adds records behind what waits; where the disk takes a part, the next call goes on behind that.
    fn add<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        for record in records {
            if self.waiting.len() + record.len() <= MAX_WAITING_BYTES {
                self.chain.add(record, &mut self.waiting);
            } else {
                self.lost += 1;
            }
        }
        // Opened anew each time, so that it may be moved away.
        let mut file = segments::open_to_add(&self.path)?;
        if self.is_full(file.metadata()?.len()) {
            self.roll_over(&file)?;
            file = segments::open_to_add(&self.path)?;
        }
        while !self.waiting.is_empty() {
            match file.write(&self.waiting) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        file.sync_data()
    }

    /// Tells `health` how that went.
    fn tell(&self, added: &io::Result<()>, health: &Health) {
        match added {
            Ok(()) => health.well(&Part::Audit),
            Err(error) => {
                let path = self.path.display();
                let reason = format!("the audit log cannot be written: {path}: {error}");
                health.fault(&Part::Audit, &reason);
            }
        }
        if self.lost > 0 {
            let warning = format!(
                "{} records are missing in the audit log, because it could not be written: they are in the journal of this service",
                self.lost
            );
            health.warn(Topic::Audit, warning, WarningEnds::WithProcess);
        }
    }

    fn is_full(&self, length: u64) -> bool {
        // What was torn is ended in the file in which it stands.
        length >= self.size.max_bytes / SEGMENTS && self.waiting.first() != Some(&b'\n')
    }

    /// Gives `audit.log` the name of its position, and removes the oldest files beyond the limit.
    fn roll_over(&mut self, file: &File) -> io::Result<()> {
        let length = file.metadata()?.len();
        std::fs::rename(&self.path, segments::full(&self.folder, self.base))?;
        self.base += length;
        let full = segments::list_full(&self.folder)?;
        let mut all: u64 = full.iter().map(|segment| segment.length).sum();
        let room = self.size.max_bytes - self.size.max_bytes / SEGMENTS;
        for segment in full {
            if all <= room {
                break;
            }
            std::fs::remove_file(&segment.path)?;
            all -= segment.length;
            tracing::warn!(path = %segment.path.display(), max_bytes = self.size.max_bytes, "oldest part of the audit log removed: the log had reached audit.max_bytes");
        }
        File::open(&self.folder)?.sync_all()
    }
}

/// The last line of a file.
struct LastLine {
    text: Vec<u8>,
    /// Whether its newline is there.
    is_whole: bool,
}

fn last_line(file: &File) -> io::Result<Option<LastLine>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MAX_LINE_BYTES);
    let mut end = vec![0; usize::try_from(length - from).unwrap_or_default()];
    file.read_exact_at(&mut end, from)?;
    let is_whole = end.pop_if(|last| *last == b'\n').is_some();
    if end.is_empty() {
        return Ok(None);
    }
    let begin = memchr::memrchr(b'\n', &end).map_or(0, |newline| newline + 1);
    let text = end.split_off(begin);
    Ok(Some(LastLine { text, is_whole }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::audit::verify::verify;

    const RECORD: &[u8] = br#"{"time":"2025-12-14T10:30:00.000Z","action":"login","result":"ok"}"#;
    const SIZE: Size = Size { max_bytes: 1 << 30 };

    fn opened(folder: &Path, size: Size) -> Appender {
        Appender::open(folder.to_owned(), size).unwrap()
    }

    #[test]
    fn a_record_that_was_torn_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let whole = std::str::from_utf8(RECORD).unwrap();
        std::fs::write(&path, format!("{whole}\n{{\"time\":")).unwrap();
        let mut log = opened(folder.path(), SIZE);
        log.add([RECORD].into_iter()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], [whole, "{\"time\":"]);
        assert!(lines[2].starts_with(whole.trim_end_matches('}')));
        let verified = verify(folder.path()).unwrap();
        assert_eq!((verified.chained, verified.unreadable), (1, 1));
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_added_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut log = opened(folder.path(), SIZE);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        assert!(log.add([RECORD].into_iter()).is_err(), "a link");
        log.path = "/dev/full".into();
        let many = std::iter::repeat_n(RECORD, 100_000);
        assert!(log.add(many).is_err());
        assert!(log.waiting.len() <= 2 * MAX_WAITING_BYTES);
        let kept = memchr::memchr_iter(b'\n', &log.waiting).count();
        assert_eq!(log.lost + kept as u64, 100_001, "the others are counted");
        std::fs::remove_file(&path).unwrap();
        log.path = path;
        log.add([].into_iter()).unwrap();
        let verified = verify(folder.path()).unwrap();
        assert!(verified.records == kept as u64 && kept > 5_000);
    }

    #[test]
    fn a_log_that_is_full_goes_on_in_a_new_file_and_its_oldest_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let size = Size { max_bytes: 80_000 };
        let mut log = opened(folder.path(), size);
        for _ in 0..200 {
            log.add(std::iter::repeat_n(RECORD, 10)).unwrap();
        }
        let files = segments::list(folder.path()).unwrap();
        let all: u64 = files.iter().map(|file| file.length).sum();
        assert!((60_000..=81_000).contains(&all), "{all} bytes");
        assert!(files[0].base > 0, "the oldest are gone");
        let follow = files.windows(2).all(|pair| pair[0].end() == pair[1].base);
        assert!(follow, "{files:?}");
        verify(folder.path()).unwrap();
        drop(log);
        let mut log = opened(folder.path(), size);
        log.add([RECORD].into_iter()).unwrap();
        verify(folder.path()).unwrap();
    }
}
