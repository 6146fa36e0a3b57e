//! The reader of the audit log: goes through its files from the end, a page at a time.

use super::segments::{self, Segment};
use super::{Filter, Record};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How much of a file is read at once, in bytes.
const PIECE_BYTES: u64 = 64 * 1024;

/// Most bytes that one request goes through; its page says where to go on.
const MAX_READ_BYTES: u64 = 8 << 20;

/// Some records, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    /// Where to go on; none at the beginning of the log.
    pub(crate) next: Option<u64>,
}

/// The last `limit` records that are asked for, before the position `before` or before the end.
///
/// # Errors
/// When folder or files cannot be read.
pub(crate) fn read(
    folder: &Path,
    before: Option<u64>,
    limit: usize,
    filter: &Filter,
) -> io::Result<Page> {
    let segments = segments::list(folder)?;
    let mut page = Page::default();
    let mut left = MAX_READ_BYTES;
    for segment in segments.iter().rev() {
        let end = before.unwrap_or(u64::MAX).min(segment.end());
        if end <= segment.base {
            continue;
        }
        let stopped = read_segment(
            segment,
            end - segment.base,
            limit,
            filter,
            &mut left,
            &mut page,
        )?;
        if let Some(at) = stopped {
            page.next = Some(segment.base + at);
            return Ok(page);
        }
        page.next = Some(segment.base);
    }
    page.next = None;
    Ok(page)
}

/// Reads one file backwards from `end`. Gives where it stopped because the page is full, or too much was read;
/// none at the beginning of the file.
fn read_segment(
    segment: &Segment,
    end: u64,
    limit: usize,
    filter: &Filter,
    left: &mut u64,
    page: &mut Page,
) -> io::Result<Option<u64>> {
    let file = match segments::open(&segment.path) {
        Ok(file) => file,
        // It was removed since, because it was the oldest, or moved away.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut start = end.min(file.metadata()?.len());
    let mut stopped_at = start;
    // The beginning of the earliest line at hand, which may go on before it.
    let mut held: Vec<u8> = Vec::new();
    while start > 0 {
        if page.records.len() >= limit || *left == 0 {
            return Ok(Some(stopped_at));
        }
        let from = start.saturating_sub(PIECE_BYTES);
        *left = left.saturating_sub(start - from);
        let mut piece = vec![0; usize::try_from(start - from).unwrap_or_default()];
        file.read_exact_at(&mut piece, from)?;
        piece.append(&mut held);
        start = from;
        let mut line_end = piece.len();
        while line_end > 0 && page.records.len() < limit {
            let line_start = match memchr::memrchr(b'\n', &piece[..line_end.saturating_sub(1)]) {
                Some(newline) => newline + 1,
                None if from == 0 => 0,
                None => break,
            };
            // What is torn or strange is passed over.
            let record = serde_json::from_slice::<Record>(&piece[line_start..line_end]);
            page.records
                .extend(record.into_iter().filter(|record| filter.wants(record)));
            line_end = line_start;
            stopped_at = from + line_end as u64;
        }
        held = piece;
        held.truncate(line_end);
    }
    Ok(Some(stopped_at).filter(|at| *at > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::audit::{Action, Audit, Note};
    use crate::dashboard::auth::{ClientAddress, Identity};
    use std::sync::Arc;

    const GOOD: &str = r#"{"time":"2025-12-14T10:30:00.000Z","action":"login","result":"ok"}"#;

    /// Every record's detail, the newest first, read `limit` at a time.
    fn details(folder: &Path, limit: usize) -> Vec<String> {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = read(folder, before, limit, &Filter::default()).unwrap();
            assert!(page.records.len() <= limit);
            seen.extend(page.records);
            match page.next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        let details = seen.into_iter().map(|record| record.detail.unwrap());
        details.collect()
    }

    async fn write(folder: &Path, max_bytes: u64, count: usize) {
        let audit = Audit::open(folder, max_bytes, Arc::default()).unwrap();
        let somebody = Identity::open();
        for n in 0..count {
            let note = Note::of(Some(&somebody), ClientAddress(None), Action::Command);
            let detail = format!("{n} {}", "x".repeat(1000));
            audit.done(note.detail(&detail)).await;
        }
    }

    fn numbers(details: &[String]) -> Vec<usize> {
        let first = |text: &String| text.split(' ').next().unwrap().parse().unwrap();
        details.iter().map(first).collect()
    }

    #[tokio::test]
    async fn what_was_written_is_read_from_its_end_page_by_page() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 1 << 30, 250).await;
        let seen = numbers(&details(folder.path(), 100));
        assert_eq!(seen, (0..250).rev().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn pages_go_on_from_one_file_to_the_older_one() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 400_000, 250).await;
        assert!(segments::list(folder.path()).unwrap().len() > 3);
        for limit in [1, 7, 1_000] {
            let seen = numbers(&details(folder.path(), limit));
            assert_eq!(seen, (0..250).rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_torn_is_passed_over_and_a_file_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let read = |before| super::read(folder.path(), before, 10, &Filter::default()).unwrap();
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
        let many =
            record("somebody").repeat(2 * MAX_READ_BYTES as usize / record("somebody").len());
        std::fs::write(&path, record("Rare") + &many).unwrap();
        let rare = Filter {
            user: Some("rar".to_owned()),
            ..Filter::default()
        };
        let (mut before, mut found, mut requests) = (None, 0, 0);
        loop {
            let page = read(folder.path(), before, 10, &rare).unwrap();
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
