//! The file: one thread adds to it; readers go through it from its end.

use super::{Filter, Record, Written};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// How many records are written, and synced, at once.
const BATCH: usize = 64;
/// How much of the file is read at once, in bytes.
const PIECE_BYTES: u64 = 64 * 1024;
/// How much of it one request goes through, in bytes; the page then says where to go on.
const MOST_BYTES: u64 = 8 << 20;

/// How much is kept of what the disk does not take, in bytes; beyond it the newest is in our own log alone.
const MOST_KEPT: usize = 1 << 20;

/// Starts the thread, which ends when nobody can send to it any more.
pub(super) fn start(path: &Path, mut todo: mpsc::Receiver<(Vec<u8>, Written)>) -> io::Result<()> {
    let mut file = Appended::open(path.to_owned())?;
    let work = move || {
        while let Some(first) = todo.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = todo.try_recv()
            {
                batch.push(next);
            }
            if let Err(error) = file.add(batch.iter().map(|(line, _)| line.as_slice())) {
                tracing::error!(path = %file.path.display(), %error, "the audit log cannot be written");
            }
            for (_, written) in batch {
                let _ = written.send(());
            }
        }
    };
    let thread = std::thread::Builder::new().name("audit".into());
    thread.spawn(work).map(drop)
}

/// The file, and what it has not taken yet.
struct Appended {
    path: PathBuf,
    waiting: Vec<u8>,
}

impl Appended {
    /// What was torn by a loss of power becomes a line of its own.
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = to_add().open(&path)?;
        let mut last = [b'\n'];
        let length = file.metadata()?.len();
        if length > 0 {
            file.read_exact_at(&mut last, length - 1)?;
        }
        let waiting = if last == *b"\n" {
            Vec::new()
        } else {
            vec![b'\n']
        };
        Ok(Self { path, waiting })
    }

    /// Adds lines behind what waits; where the disk takes a part, the next call goes on behind that.
    fn add<'a>(&mut self, lines: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        for line in lines {
            if self.waiting.len() + line.len() <= MOST_KEPT {
                self.waiting.extend_from_slice(line);
            }
        }
        // Opened anew each time, so that it may be moved away.
        let mut file = to_add().open(&self.path)?;
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
}

/// To add to it, or to make it.
fn to_add() -> OpenOptions {
    let mut options = options();
    options.append(true).create(true).mode(0o600);
    options
}

/// A link that somebody planted there leads nowhere.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NOFOLLOW);
    options
}

/// Some records, the newest first.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Page {
    records: Vec<Record>,
    /// Where to go on; none at the beginning of the file.
    next: Option<u64>,
}

/// The last `limit` records that are asked for, before the byte `before` or before the end.
pub(crate) fn read(
    path: &Path,
    before: Option<u64>,
    limit: usize,
    filter: &Filter,
) -> io::Result<Page> {
    let file = match options().open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Page::default()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let end_of_all = before.unwrap_or(length).min(length);
    let mut start = end_of_all;
    let mut page = Page::default();
    // The beginning of the earliest line that is at hand may not be.
    let mut held: Vec<u8> = Vec::new();
    while start > 0 && page.records.len() < limit && end_of_all - start < MOST_BYTES {
        let from = start.saturating_sub(PIECE_BYTES);
        let mut piece = vec![0; usize::try_from(start - from).unwrap_or_default()];
        file.read_exact_at(&mut piece, from)?;
        piece.append(&mut held);
        start = from;
        let mut end = piece.len();
        while page.records.len() < limit {
            let line_start = match memchr::memrchr(b'\n', &piece[..end.saturating_sub(1)]) {
                Some(newline) => newline + 1,
                None if from == 0 => 0,
                None => break,
            };
            // What is torn or strange is passed over.
            let record = serde_json::from_slice::<Record>(&piece[line_start..end]);
            page.records
                .extend(record.into_iter().filter(|record| filter.wants(record)));
            end = line_start;
            page.next = Some(from + end as u64).filter(|next| *next > 0);
            if end == 0 {
                break;
            }
        }
        held = piece;
        held.truncate(end);
    }
    if page.records.len() < limit && start == 0 {
        page.next = None;
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::audit::{Action, Audit, Note};
    use crate::dashboard::auth::{ClientAddress, Identity};

    #[tokio::test]
    async fn what_was_written_is_read_from_its_end_page_by_page() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        let somebody = Identity::open();
        for n in 0..250 {
            let note = Note::of(Some(&somebody), ClientAddress(None), Action::Command);
            let detail = format!("{n} {}", "x".repeat(1000));
            audit.done(note.detail(&detail)).await;
        }
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = read(audit.path(), before, 100, &Filter::default()).unwrap();
            assert!(page.records.len() <= 100);
            seen.extend(page.records);
            match page.next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        let numbers: Vec<usize> = seen
            .iter()
            .map(|record| {
                let detail = record.detail.as_ref().unwrap();
                detail.split(' ').next().unwrap().parse().unwrap()
            })
            .collect();
        assert_eq!(numbers, (0..250).rev().collect::<Vec<_>>());
    }

    const GOOD: &str = r#"{"time":"2025-12-14T10:30:00.000Z","action":"login","result":"ok"}"#;

    #[test]
    fn a_record_that_was_torn_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, format!("{GOOD}\n{{\"time\":")).unwrap();
        let line = format!("{GOOD}\n");
        let mut file = Appended::open(path.clone()).unwrap();
        file.add([line.as_bytes()].into_iter()).unwrap();
        assert_eq!(
            read(&path, None, 10, &Filter::default())
                .unwrap()
                .records
                .len(),
            2
        );
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_added_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let line = format!("{GOOD}\n");
        let mut file = Appended::open(path.clone()).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        assert!(file.add([line.as_bytes()].into_iter()).is_err(), "a link");
        file.path = "/dev/full".into();
        let many = std::iter::repeat_n(line.as_bytes(), 100_000);
        assert!(file.add(many).is_err());
        assert!(file.waiting.len() <= MOST_KEPT);
        let kept = file.waiting.len() / line.len();
        std::fs::remove_file(&path).unwrap();
        file.path = path.clone();
        file.add([].into_iter()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text == line.repeat(kept) && kept > 10_000);
    }

    #[test]
    fn what_is_torn_is_passed_over_and_a_file_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let read = |before| super::read(&path, before, 10, &Filter::default()).unwrap();
        assert!(read(None).records.is_empty());
        std::fs::write(&path, format!("torn\n{GOOD}\n{{\"time\"\n{GOOD}\nto")).unwrap();
        assert_eq!(read(None).records.len(), 2);
        assert!(read(Some(3)).records.is_empty());
    }

    #[test]
    fn what_is_rare_is_found_over_several_requests_and_nothing_else_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let record = |user: &str| {
            format!(
                r#"{{"time":"2025-12-14T10:30:00.000Z","user":"{user}","action":"login","result":"ok"}}"#
            ) + "\n"
        };
        let many = record("somebody").repeat(2 * MOST_BYTES as usize / record("somebody").len());
        std::fs::write(&path, record("Rare") + &many).unwrap();
        let rare = Filter {
            user: Some("rar".to_owned()),
            ..Filter::default()
        };
        let (mut before, mut found, mut requests) = (None, 0, 0);
        loop {
            let page = read(&path, before, 10, &rare).unwrap();
            (found, requests) = (found + page.records.len(), requests + 1);
            match page.next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        assert_eq!(found, 1);
        assert!((2..=4).contains(&requests), "{requests}");
    }
}
