//! What a finished log says of its run, read from its two ends: neither its lines nor its index are needed.

use super::head::{Footer, Header, MAX_FOOTER_BYTES};
use super::recovery::read_header_of;
use super::{LogError, paths, place};
use crate::protocol::RunId;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How much of the end is read at first, in bytes; few footers are longer.
const TAIL_BYTES: u64 = 16 << 10;
/// What a footer begins with, behind the newline of the last line. Every line of output begins with `[`.
const BEGIN: &[u8] = b"\n\n# Completed: ";

/// Header and footer of a log; `None` when it has no footer.
///
/// # Errors
/// When there is no such log, or its header is not whole.
pub fn read_ends(dir: &Path, run_id: &RunId) -> Result<Option<(Header, Footer)>, LogError> {
    let (path, _) = paths(dir, run_id);
    place::look_at(dir)?;
    let log = place::options().read(true).open(&path);
    let log = log.map_err(LogError::io("open", &path))?;
    let (header, _) = read_header_of(&log, &path)?;
    let footer = last_footer(&log).map_err(LogError::io("read", &path))?;
    Ok(footer.map(|footer| (header, footer)))
}

fn last_footer(log: &File) -> io::Result<Option<Footer>> {
    let length = log.metadata()?.len();
    let mut wanted = TAIL_BYTES;
    loop {
        let taken = wanted.min(length).min(MAX_FOOTER_BYTES as u64);
        // It is at most `MAX_FOOTER_BYTES`.
        let mut tail = vec![0; usize::try_from(taken).unwrap_or(MAX_FOOTER_BYTES)];
        log.read_exact_at(&mut tail, length - taken)?;
        if let Some(at) = memchr::memmem::rfind(&tail, BEGIN) {
            return Ok(Footer::parse(&tail[at + 1..]));
        }
        if taken < wanted {
            return Ok(None);
        }
        wanted *= 16;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogWriter, RunResult};
    use super::*;
    use crate::protocol::{CommandName, HostId, Status, Timestamp};

    fn log(dir: &Path, run_id: &RunId, lines: &[&str]) -> LogWriter {
        let header = Header::started_at(
            HostId::new("h1").unwrap(),
            CommandName::new("switch").unwrap(),
            Timestamp::from_millis(0),
        );
        let mut log = LogWriter::create(dir, run_id, &header).unwrap();
        for line in lines {
            log.push(line, Timestamp::from_millis(0), Some(true));
        }
        log.flush().unwrap();
        log
    }

    fn result(message: &str) -> RunResult {
        RunResult {
            message: Some(message.to_owned()),
            ..RunResult::ended_at(Status::Error, Timestamp::from_millis(1))
        }
    }

    #[test]
    fn a_finished_log_tells_of_its_run_without_an_index_and_a_torn_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(40_000);
        for (n, (lines, message)) in [
            (&[][..], "short"),
            (&["# Completed: never", "a"][..], "short"),
            (&["a", "b", "c"][..], long.as_str()),
        ]
        .into_iter()
        .enumerate()
        {
            let run_id = RunId::new(&format!("2025-12-14T10-30-0{n}-switch")).unwrap();
            let mut log = log(dir.path(), &run_id, lines);
            assert!(read_ends(dir.path(), &run_id).unwrap().is_none());
            log.finish(Some(4), result(message)).unwrap();
            let (path, idx) = paths(dir.path(), &run_id);
            std::fs::remove_file(idx).unwrap();
            let (header, footer) = read_ends(dir.path(), &run_id).unwrap().unwrap();
            assert_eq!(header.command.as_str(), "switch");
            assert_eq!(footer.exit_code, Some(4));
            assert_eq!(footer.result.lines, lines.len() as u64);
            assert_eq!(footer.result.message.as_deref(), Some(message));
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
            assert!(read_ends(dir.path(), &run_id).unwrap().is_none());
        }
    }
}
