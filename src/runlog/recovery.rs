//! Brings a log that was left in the middle into order.

use super::LogError;
use super::files::{Extent, Files, index_offset, read_at};
use super::head::{Footer, Header, MAX_FOOTER_BYTES, MAX_HEAD_BYTES};
use super::record::{Head, RECORD_BYTES, Record, is_sealed};
use super::writer::STAMP_BYTES;
use crate::protocol::{MAX_LINE_BYTES, Timestamp};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

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
    let (stored, rebuilt) = match known {
        Some(head) => (check(files, body_start)?, head.rebuilt),
        None => (rebuild(files, body_start, header.meta.started)?, true),
    };
    let footer = read_footer(files, stored.end)?.filter(|footer| footer.result.lines == stored.seq);
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

/// The header, and where the first line begins.
pub(super) fn read_header(files: &Files) -> Result<(Header, u64), LogError> {
    let mut text = vec![0; 4096];
    loop {
        let got =
            read_at(&files.log, &mut text, 0).map_err(LogError::io("read", &files.log_path))?;
        if let Some((header, end)) = Header::parse(&text[..got]) {
            return Ok((header, end as u64));
        }
        if got < text.len() || text.len() >= MAX_HEAD_BYTES {
            return Err(LogError::NoHeader(files.log_path.clone()));
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
    let read = |source| LogError::io("read", &files.log_path)(source);
    let write = |source| LogError::io("write", &files.idx_path)(source);
    let mut log = BufReader::with_capacity(1 << 18, &files.log);
    log.seek(SeekFrom::Start(body_start)).map_err(read)?;
    let head = Head {
        rebuilt: true,
        body_start: u32::try_from(body_start).unwrap_or(u32::MAX),
    };
    files.idx.set_len(0).map_err(write)?;
    files.idx.write_all_at(&head.encode(), 0).map_err(write)?;

    let mut found = Extent {
        seq: 0,
        errors: 0,
        end: body_start,
    };
    let (mut line, mut records, mut stored) = (Vec::new(), Vec::new(), 0);
    let mut clock = started.millis();
    loop {
        line.clear();
        log.by_ref()
            .take(LONGEST)
            .read_until(b'\n', &mut line)
            .map_err(read)?;
        let time_of_day = parse_stamp(&line).filter(|_| std::str::from_utf8(&line).is_ok());
        if let (Some(time_of_day), Some(b'\n')) = (time_of_day, line.last()) {
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
        let over = time_of_day.is_none() || line.last() != Some(&b'\n');
        if over || records.len() >= 1 << 16 {
            files
                .idx
                .write_all_at(&records, index_offset(stored))
                .map_err(write)?;
            records.clear();
            stored = found.seq;
        }
        if over {
            return Ok(found);
        }
    }
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
