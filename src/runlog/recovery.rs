//! Brings a log that was left in the middle into order.

use super::files::{Extent, Files, index_offset, read_at};
use super::head::{Footer, Header, MAX_FOOTER_BYTES, MAX_HEAD_BYTES};
use super::record::{Head, RECORD_BYTES, Record, is_sealed};
use super::writer::STAMP_BYTES;
use super::{LogError, paths, place, unfinished};
use crate::protocol::{MAX_LINE_BYTES, RunId, Timestamp};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const LONGEST: u64 = (STAMP_BYTES + MAX_LINE_BYTES + 1) as u64;
const DAY_MS: i64 = 86_400_000;

/// What a log holds.
pub(super) struct Recovered {
    pub(super) header: Header,
    pub(super) footer: Option<Footer>,
    pub(super) rebuilt: bool,
    pub(super) stored: Extent,
}

/// Reads the whole log once, and cuts what does not check out.
pub(super) fn recover(files: &Files) -> Result<Recovered, LogError> {
    let (header, body_start) = read_header(files)?;
    let mut head = [0; RECORD_BYTES];
    let got = read_at(&files.idx, &mut head, 0).map_err(LogError::io("read", &files.idx_path))?;
    let known = (got == RECORD_BYTES).then(|| Head::decode(&head)).flatten();
    let known = known.filter(|head| u64::from(head.body_start) == body_start);
    let (mut stored, mut rebuilt) = match known {
        Some(head) => (check(files, body_start)?, head.rebuilt),
        None => (rebuild(files, body_start, header.meta.started)?, true),
    };
    let mut footer = footer_behind(files, stored)?;
    if footer.is_none()
        && let Some((whole, end)) = complete(files, stored, &header)?
    {
        mark_rebuilt(files, body_start)?;
        (stored, rebuilt, footer) = (whole, true, Some(end));
    }
    if footer.is_none() {
        files
            .log
            .set_len(stored.end)
            .map_err(LogError::io("cut", &files.log_path))?;
    }
    files
        .idx
        .set_len(index_offset(stored.seq))
        .map_err(LogError::io("cut", &files.idx_path))?;
    Ok(Recovered {
        header,
        footer,
        rebuilt,
        stored,
    })
}

/// The footer that begins where the lines end, if it counts as many.
fn footer_behind(files: &Files, stored: Extent) -> Result<Option<Footer>, LogError> {
    let footer = read_footer(files, stored.end)?;
    Ok(footer.filter(|footer| footer.result.lines == stored.seq))
}

/// Indexes the lines behind `stored`, where they go up to a footer that counts them all: then the index of a log that
/// is over was damaged, and nobody will send its lines again. None where the log was left in the middle.
fn complete(
    files: &Files,
    stored: Extent,
    header: &Header,
) -> Result<Option<(Extent, Footer)>, LogError> {
    let mut record = [0; RECORD_BYTES];
    let mut clock = header.meta.started.millis();
    if let Some(last) = stored.seq.checked_sub(1) {
        let got = read_at(&files.idx, &mut record, index_offset(last));
        if got.map_err(LogError::io("read", &files.idx_path))? == RECORD_BYTES {
            clock = Record::decode(&record).at.millis();
        }
    }
    let whole = index_lines(files, stored, clock)?;
    let footer = footer_behind(files, whole)?;
    Ok(footer.map(|footer| (whole, footer)))
}

/// The header, and where the first line begins.
pub(super) fn read_header(files: &Files) -> Result<(Header, u64), LogError> {
    read_header_of(&files.log, &files.log_path)
}

pub(super) fn read_header_of(log: &File, path: &Path) -> Result<(Header, u64), LogError> {
    let mut text = vec![0; 4096];
    loop {
        let got = read_at(log, &mut text, 0).map_err(LogError::io("read", path))?;
        if let Some((header, end)) = Header::parse(&text[..got]) {
            return Ok((header, end as u64));
        }
        if got < text.len() || text.len() >= MAX_HEAD_BYTES {
            return Err(LogError::NoHeader(path.to_owned()));
        }
        text.resize(text.len() * 4, 0);
    }
}

/// The footer that begins at `end`, if what stands there is one.
pub(super) fn read_footer(files: &Files, end: u64) -> Result<Option<Footer>, LogError> {
    let read = |source| LogError::io("read", &files.log_path)(source);
    let length = files.log.metadata().map_err(read)?.len();
    let behind = usize::try_from(length.saturating_sub(end)).unwrap_or(usize::MAX);
    let mut text = vec![0; behind.min(MAX_FOOTER_BYTES)];
    let got = read_at(&files.log, &mut text, end).map_err(read)?;
    Ok(Footer::parse(&text[..got]))
}

/// Goes through the index as long as its records fit the log.
fn check(files: &Files, body_start: u64) -> Result<Extent, LogError> {
    let read = |source| LogError::io("read", &files.log_path)(source);
    let (mut idx, mut log) = (
        BufReader::with_capacity(1 << 18, &files.idx),
        BufReader::with_capacity(1 << 18, &files.log),
    );
    idx.seek(SeekFrom::Start(RECORD_BYTES as u64))
        .map_err(read)?;
    log.seek(SeekFrom::Start(body_start)).map_err(read)?;
    let mut good = Extent {
        seq: 0,
        errors: 0,
        end: body_start,
    };
    let (mut bytes, mut line) = ([0; RECORD_BYTES], Vec::new());
    while fill(&mut idx, &mut bytes).map_err(read)? {
        let record = Record::decode(&bytes);
        let length = record.end.wrapping_sub(good.end);
        if !(STAMP_BYTES as u64 + 1..=LONGEST).contains(&length) {
            break;
        }
        line.resize(length as usize, 0);
        if !fill(&mut log, &mut line).map_err(read)? || !is_sealed(&bytes, &line) {
            break;
        }
        good = Extent {
            seq: good.seq + 1,
            errors: good.errors + u64::from(record.is_error == Some(true)),
            end: record.end,
        };
    }
    Ok(good)
}

/// Whether all of `buffer` could be filled.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the index anew: the times are good to the second, the streams are unknown.
fn rebuild(files: &Files, body_start: u64, started: Timestamp) -> Result<Extent, LogError> {
    begin_index(files, body_start)?;
    let begin = Extent {
        seq: 0,
        errors: 0,
        end: body_start,
    };
    index_lines(files, begin, started.millis())
}

/// An index without lines, which says of itself that it was made anew.
fn begin_index(files: &Files, body_start: u64) -> Result<(), LogError> {
    let cut = files.idx.set_len(0);
    cut.map_err(LogError::io("cut", &files.idx_path))?;
    mark_rebuilt(files, body_start)
}

/// Has the index say of itself that it was made anew.
fn mark_rebuilt(files: &Files, body_start: u64) -> Result<(), LogError> {
    let head = Head {
        rebuilt: true,
        body_start: u32::try_from(body_start).unwrap_or(u32::MAX),
    };
    let written = files.idx.write_all_at(&head.encode(), 0);
    written.map_err(LogError::io("write", &files.idx_path))
}

/// Adds records of the lines that stand behind `found`; the one before them was written at about `clock`.
fn index_lines(files: &Files, mut found: Extent, mut clock: i64) -> Result<Extent, LogError> {
    let read = |source| LogError::io("read", &files.log_path)(source);
    let write = |source| LogError::io("write", &files.idx_path)(source);
    let mut log = BufReader::with_capacity(1 << 18, &files.log);
    log.seek(SeekFrom::Start(found.end)).map_err(read)?;
    let (mut line, mut records, mut stored) = (Vec::new(), Vec::new(), found.seq);
    loop {
        let time_of_day = next_line(&mut log, &mut line).map_err(read)?;
        if let Some(time_of_day) = time_of_day {
            clock = after(clock, time_of_day);
            found.end += line.len() as u64;
            found.seq += 1;
            let record = Record {
                end: found.end,
                at: Timestamp::from_millis(clock),
                is_error: None,
            };
            records.extend_from_slice(&record.encode(&line));
        }
        if time_of_day.is_none() || records.len() >= 1 << 16 {
            files
                .idx
                .write_all_at(&records, index_offset(stored))
                .map_err(write)?;
            records.clear();
            stored = found.seq;
        }
        if time_of_day.is_none() {
            return Ok(found);
        }
    }
}

/// Reads the next line of output, and gives its time of day in milliseconds; none where there is no whole line.
fn next_line(log: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Option<i64>> {
    line.clear();
    log.by_ref().take(LONGEST).read_until(b'\n', line)?;
    let is_whole = line.last() == Some(&b'\n') && std::str::from_utf8(line).is_ok();
    Ok(parse_stamp(line).filter(|_| is_whole))
}

/// Whether a whole line of output stands at `offset`.
pub(super) fn is_line_at(files: &Files, offset: u64) -> Result<bool, LogError> {
    let read = |source| LogError::io("read", &files.log_path)(source);
    let mut log = BufReader::new(&files.log);
    log.seek(SeekFrom::Start(offset)).map_err(read)?;
    let found = next_line(&mut log, &mut Vec::new()).map_err(read)?;
    Ok(found.is_some())
}

/// Makes the index of a log that nobody writes anew, beside the old one, whose place it then takes. Records that check
/// out are kept; the log itself is not touched.
///
/// # Errors
/// When there is no such log, its header is not whole, or the file system refuses.
pub fn rebuild_index(dir: &Path, run_id: &RunId) -> Result<(), LogError> {
    let (log_path, idx_path) = paths(dir, run_id);
    place::look_at(dir)?;
    let new_path = idx_path.with_extension(unfinished::ENDING);
    let log = place::options().read(true).open(&log_path);
    let log = log.map_err(LogError::io("open", &log_path))?;
    let old_log = log.try_clone().map_err(LogError::io("open", &log_path))?;
    let old = place::options().read(true).open(&idx_path).ok();
    let new = unfinished::create(&new_path)?;
    let new = Files::of((log, log_path.clone()), (new, new_path.clone()));
    let old = old.map(|old| Files::of((old_log, log_path), (old, idx_path.clone())));
    let made = fill_anew(&new, old.as_ref()).and_then(|()| {
        let synced = new.idx.sync_data();
        synced.map_err(LogError::io("sync", &new_path))?;
        std::fs::rename(&new_path, &idx_path).map_err(LogError::io("write", &idx_path))
    });
    made.inspect_err(|_| {
        let _ = std::fs::remove_file(&new_path);
    })
}

/// Writes an index for all lines of the log, beginning with what checks out in the old one.
fn fill_anew(new: &Files, old: Option<&Files>) -> Result<(), LogError> {
    let (header, body_start) = read_header(new)?;
    begin_index(new, body_start)?;
    let (mut begin, mut clock) = (
        Extent {
            seq: 0,
            errors: 0,
            end: body_start,
        },
        header.meta.started.millis(),
    );
    if let Some(old) = old {
        begin = check(old, body_start)?;
        let read = |source| LogError::io("read", &old.idx_path)(source);
        let mut record = [0; RECORD_BYTES];
        let mut from = BufReader::with_capacity(1 << 18, &old.idx);
        from.seek(SeekFrom::Start(RECORD_BYTES as u64))
            .map_err(read)?;
        let mut to = BufWriter::with_capacity(1 << 18, &new.idx);
        to.seek(SeekFrom::Start(RECORD_BYTES as u64))
            .map_err(read)?;
        for _ in 0..begin.seq {
            from.read_exact(&mut record).map_err(read)?;
            let written = to.write_all(&record);
            written.map_err(LogError::io("write", &new.idx_path))?;
            clock = Record::decode(&record).at.millis();
        }
        to.flush().map_err(LogError::io("write", &new.idx_path))?;
    }
    index_lines(new, begin, clock).map(|_| ())
}

/// Milliseconds of the day at the beginning of a line of output.
fn parse_stamp(line: &[u8]) -> Option<i64> {
    let [b'[', h1, h2, b':', m1, m2, b':', s1, s2, b']', b' ', ..] = *line else {
        return None;
    };
    let two = |a: u8, b: u8| {
        (a.is_ascii_digit() && b.is_ascii_digit())
            .then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
    };
    Some((two(h1, h2)? * 3600 + two(m1, m2)? * 60 + two(s1, s2)?) * 1000)
}

/// The moment nearest to `clock` with this time of day.
fn after(clock: i64, time_of_day: i64) -> i64 {
    let same_day = clock - clock.rem_euclid(DAY_MS) + time_of_day;
    [same_day - DAY_MS, same_day, same_day + DAY_MS]
        .into_iter()
        .min_by_key(|t| (t - clock).abs())
        .unwrap_or(same_day)
}
