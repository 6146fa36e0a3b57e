//! Goes through the text of a log, a block of whole lines at a time, on up to two threads.
//!
//! The file is searched as it stands, and the ends of lines are looked for only around a match. Lines are counted
//! only in blocks with matches that are listed; the index tells the number of such a block's first match.

use super::expression::{Caches, Expression, NotALine};
use super::{Helper, SearchError};
use crate::ansi::Stripper;
use crate::dashboard::cpu_permits::CpuPermit;
use crate::protocol::{MAX_LINE_BYTES, Seq};
use crate::runlog::{LogError, LogReader, STAMP_BYTES};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much text of lines one answer holds, in bytes, but for its last line.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// First and smallest, and largest block of a log, in bytes. The largest, with and without escapes, stays in the cache
/// of a core.
const MIN_BLOCK_BYTES: u64 = 4 * 1024;
const MAX_BLOCK_BYTES: u64 = 256 * 1024;
/// An expression that is no plain text is asked to go on after so many bytes: it can take microseconds for each.
const WINDOW_BYTES: usize = 32 * 1024;
/// A block shall take about so long, at most.
const MAX_BLOCK_TIME: Duration = Duration::from_millis(10);
/// A block that took less may be followed by a larger one.
const QUICK_BLOCK_TIME: Duration = Duration::from_millis(1);
/// So much is read at a time to find the end of a block's last line, in bytes.
const REST_BYTES: usize = 1024;
/// Longest line, with its time and newline, in bytes.
const LONGEST_LINE_BYTES: usize = STAMP_BYTES + MAX_LINE_BYTES + 1;
/// How long a second thread helps: a search that takes longer is one of many steps for each byte, and must not keep
/// two processors from all others.
const MAX_HELP_TIME: Duration = Duration::from_secs(2);
/// A log with more text than this is searched by two threads, in bytes.
const HELPED_FROM_BYTES: u64 = 8 * 1024 * 1024;

/// Which matches are listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// From this line on.
    pub(crate) from: Seq,
    /// So many at most.
    pub(crate) limit: usize,
}

/// What was found.
#[derive(Debug, Default, PartialEq)]
#[cfg_attr(test, derive(Serialize))]
pub(crate) struct Found {
    /// How many lines have a match.
    pub(crate) total: u64,
    /// Those that were wanted.
    pub(crate) matches: Vec<Match>,
}

/// A line with a match.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Match {
    seq: Seq,
    line: String,
}

/// Searches the lines that a log has now, for as long as `goes_on` says so, and with a `processor` that others have now
/// and then. Where `help` gives one, a second thread takes part in a long log.
///
/// # Errors
/// When the log cannot be read, or it may not go on.
pub(crate) fn scan(
    reader: &LogReader,
    expression: &Expression,
    wanted: Wanted,
    goes_on: impl Fn() -> bool + Sync,
    mut processor: Option<CpuPermit>,
    help: impl FnOnce() -> Option<Helper>,
) -> Result<Found, SearchError> {
    let span = reader.lines_span()?;
    let is_long = span.end - span.start > HELPED_FROM_BYTES;
    let scan = Scan {
        reader,
        expression,
        wanted,
        goes_on: &goes_on,
        start: span.start,
        end: span.end,
        progress: Mutex::new(Progress {
            next: span.start,
            ..Progress::default()
        }),
    };
    std::thread::scope(|threads| {
        let scan = &scan;
        if is_long && let Some(helper) = help() {
            let thread = std::thread::Builder::new().name("search".to_owned());
            // Without it the search takes longer, and that is all.
            let until = Instant::now() + MAX_HELP_TIME;
            let stays = move || !helper.is_missed() && Instant::now() < until;
            let _ = thread.spawn_scoped(threads, move || scan.work(stays));
        }
        scan.work(move || {
            processor.iter_mut().for_each(CpuPermit::yield_to_waiters);
            true
        });
    });
    let progress = scan.progress.into_inner();
    let progress = progress.unwrap_or_else(PoisonError::into_inner);
    progress.found(wanted)
}

/// A search under way.
struct Scan<'a> {
    reader: &'a LogReader,
    expression: &'a Expression,
    wanted: Wanted,
    goes_on: &'a (dyn Fn() -> bool + Sync),
    /// Where the lines begin and end in the log.
    start: u64,
    end: u64,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// Where the next block begins.
    next: u64,
    total: u64,
    /// The matches of blocks, by where the block begins.
    listed: BTreeMap<u64, Vec<Match>>,
    /// Why the search ended early.
    failure: Option<SearchError>,
}

/// A block that one thread searches: the lines that begin in it.
struct Block {
    span: Range<u64>,
    /// Whether its matches may be among those that are listed.
    lists: bool,
}

/// The memory of one thread.
struct Buffers {
    raw: Vec<u8>,
    plain: Vec<u8>,
    caches: Caches,
}

impl Scan<'_> {
    /// Searches blocks while there are any, and `stays` says so.
    fn work(&self, mut stays: impl FnMut() -> bool) {
        let mut buffers = Buffers {
            raw: Vec::new(),
            plain: Vec::new(),
            caches: self.expression.caches(),
        };
        let mut size = MIN_BLOCK_BYTES;
        while stays()
            && let Some(block) = self.take(size)
        {
            let began = Instant::now();
            let searched = self.block(&block, &mut buffers);
            size = match began.elapsed() {
                took if took > MAX_BLOCK_TIME => (size / 4).max(MIN_BLOCK_BYTES),
                took if took < QUICK_BLOCK_TIME => (size * 4).min(MAX_BLOCK_BYTES),
                _ => size,
            };
            let mut progress = self.progress();
            match searched {
                Ok((total, listed)) => {
                    progress.total += total;
                    if !listed.is_empty() {
                        progress.listed.insert(block.span.start, listed);
                    }
                }
                Err(error) => {
                    progress.failure.get_or_insert(error);
                }
            }
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next block; none at the end, or where another one failed.
    fn take(&self, size: u64) -> Option<Block> {
        let mut progress = self.progress();
        if progress.failure.is_some() || progress.next >= self.end {
            return None;
        }
        let begin = progress.next;
        progress.next = (begin + size).min(self.end);
        // All of them are before this one.
        let listed = progress.listed.values().flatten();
        let mut room = Room::new(self.wanted.limit);
        listed.for_each(|found| room.take(found));
        Some(Block {
            span: begin..progress.next,
            lists: room.is_left(),
        })
    }

    /// How many lines of a block have a match, and those of them that are wanted.
    fn block(
        &self,
        block: &Block,
        buffers: &mut Buffers,
    ) -> Result<(u64, Vec<Match>), SearchError> {
        let Buffers { raw, plain, caches } = buffers;
        let lines = self.read(&block.span, raw)?;
        let first = block.span.start - 1 + lines.start as u64;
        let raw = &raw[lines];
        let text = if memchr::memchr(0x1b, raw).is_some() {
            plain.clear();
            Stripper::default().strip(raw, plain);
            &plain[..]
        } else {
            raw
        };
        let mut list = List {
            raw,
            first,
            seq: None,
            at: 0,
            room: Room::new(self.wanted.limit),
            matches: Vec::new(),
        };
        let (mut total, mut at, mut counted) = (0, 0, 0);
        while at < text.len() {
            if !(self.goes_on)() {
                return Err(SearchError::TooLong);
            }
            let window = at + self.window(&text[at..]);
            while let Some(line) = self
                .expression
                .first_line(&text[at..window], STAMP_BYTES, caches)
                .map_err(|NotALine| self.reader.corrupt_at(first))?
            {
                total += 1;
                if block.lists && list.room.is_left() {
                    let skipped = &text[counted..at + line.start];
                    list.add(self, memchr::memchr_iter(b'\n', skipped).count())?;
                    counted = at + line.end + 1;
                }
                at += line.end + 1;
            }
            at = window;
        }
        Ok((total, list.matches))
    }

    /// How many bytes of whole lines are searched before it is asked whether to go on.
    fn window(&self, text: &[u8]) -> usize {
        if self.expression.is_literal() || text.len() <= WINDOW_BYTES {
            return text.len();
        }
        let last = memchr::memrchr(b'\n', &text[..WINDOW_BYTES]);
        let end = last.or_else(|| memchr::memchr(b'\n', text));
        end.map_or(text.len(), |newline| newline + 1)
    }

    /// Reads the lines that begin in `span`, and gives where they are in `raw`, whose first byte is the one before
    /// `span`.
    fn read(&self, span: &Range<u64>, raw: &mut Vec<u8>) -> Result<Range<usize>, LogError> {
        // Before the first line there is the newline that ends the header.
        let before = span.start - 1;
        let length = usize::try_from(span.end - before).unwrap_or(usize::MAX);
        raw.resize(length, 0);
        if self.reader.read_text_at(before, raw)? < length {
            return Err(self.reader.corrupt_at(before));
        }
        let damaged = || self.reader.corrupt_at(before);
        let begin = match memchr::memchr(b'\n', raw) {
            Some(newline) => newline + 1,
            // One line that began before is all there is.
            None if length <= LONGEST_LINE_BYTES && span.start > self.start => {
                return Ok(length..length);
            }
            None => return Err(damaged()),
        };
        if span.start == self.start && begin != 1 {
            return Err(damaged());
        }
        while raw.last() != Some(&b'\n') {
            let end = raw.len();
            let left = usize::try_from(self.end - before).unwrap_or(usize::MAX) - end;
            if left == 0 || end - length > LONGEST_LINE_BYTES {
                return Err(damaged());
            }
            raw.resize(end + left.min(REST_BYTES), 0);
            let got = self
                .reader
                .read_text_at(before + end as u64, &mut raw[end..])?;
            if got < raw.len() - end {
                return Err(damaged());
            }
            if let Some(newline) = memchr::memchr(b'\n', &raw[end..]) {
                raw.truncate(end + newline + 1);
            }
        }
        Ok(begin..raw.len())
    }
}

/// The matches of one block.
struct List<'a> {
    raw: &'a [u8],
    /// Where `raw` begins in the log.
    first: u64,
    /// The number of the line at `at`, once one was looked up.
    seq: Option<Seq>,
    at: usize,
    room: Room,
    matches: Vec<Match>,
}

impl List<'_> {
    /// Adds the line that comes `skipped` lines behind the one that was added before, if it is wanted.
    fn add(&mut self, scan: &Scan<'_>, skipped: usize) -> Result<(), LogError> {
        if let Some(last) = skipped.checked_sub(1) {
            let newline = memchr::memchr_iter(b'\n', &self.raw[self.at..]).nth(last);
            self.at += newline.map_or(self.raw.len() - self.at, |newline| newline + 1);
        }
        let damaged = || scan.reader.corrupt_at(self.first + self.at as u64);
        let rest = &self.raw[self.at..];
        let length = memchr::memchr(b'\n', rest).ok_or_else(damaged)?;
        let begin = self.first + self.at as u64;
        let seq = match self.seq {
            Some(seq) => seq + skipped as Seq,
            None => scan.reader.line_between(begin, begin + length as u64 + 1)?,
        };
        if seq >= scan.wanted.from {
            let text = rest.get(STAMP_BYTES..length).ok_or_else(damaged)?;
            let line = std::str::from_utf8(text).map_err(|_| damaged())?.to_owned();
            let found = Match { seq, line };
            self.room.take(&found);
            self.matches.push(found);
        }
        self.at += length + 1;
        self.seq = Some(seq + 1);
        Ok(())
    }
}

/// How much may still be listed.
struct Room {
    matches: usize,
    bytes: usize,
}

impl Room {
    fn new(matches: usize) -> Self {
        Self {
            matches,
            bytes: MAX_ANSWER_BYTES,
        }
    }

    fn is_left(&self) -> bool {
        self.matches > 0 && self.bytes > 0
    }

    fn take(&mut self, found: &Match) {
        self.matches = self.matches.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(found.line.len());
    }
}

impl Progress {
    fn found(self, wanted: Wanted) -> Result<Found, SearchError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let (mut room, mut matches) = (Room::new(wanted.limit), Vec::new());
        for found in self.listed.into_values().flatten() {
            if !room.is_left() {
                break;
            }
            room.take(&found);
            matches.push(found);
        }
        let total = self.total;
        Ok(Found { total, matches })
    }
}
