//! Checks that no record of the audit log was changed, taken out or put in later.

use super::chain::Chain;
use super::segments;
use serde::Deserialize;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What was found in a log whose chain holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many lines there are.
    pub records: u64,
    /// How many of them hold the hash of the line before them. Those that do not come first: an older version wrote
    /// them, or the very first one.
    pub chained: u64,
    /// How many lines are no records, such as one that a loss of power tore.
    pub unreadable: u64,
    /// SHA-256 of the last line in hexadecimal. A copy of it kept elsewhere shows later whether the log up to here
    /// was written anew.
    pub last: Option<String>,
}

/// Why a log cannot be vouched for.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record does not follow the one before it.
    #[error("{}:{line}: this record does not follow the one before it: records were changed, removed or added", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
    },
}

#[derive(Deserialize)]
struct Link {
    prev: Option<String>,
}

/// Reads every file of the audit log in a data folder, the oldest first.
///
/// # Errors
/// With the first line that does not follow the one before it, or when a file cannot be read.
pub fn verify(data_dir: &Path) -> Result<Verified, VerifyError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| VerifyError::Read { path, source }
    };
    let mut verified = Verified::default();
    let mut chain = Chain::default();
    for segment in segments::list(data_dir).map_err(unreadable(data_dir))? {
        let path = segment.path;
        let file = segments::open(&path).map_err(unreadable(&path))?;
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            file.read_until(b'\n', &mut line)
                .map_err(unreadable(&path))?;
            // A line without its newline is being written.
            if line.pop_if(|last| *last == b'\n').is_none() {
                break;
            }
            verified
                .check(&line, chain)
                .ok_or_else(|| VerifyError::Broken {
                    path: path.clone(),
                    line: number,
                })?;
            chain = Chain::after(&line);
        }
    }
    verified.last = chain.hex();
    Ok(verified)
}

impl Verified {
    /// Counts a line; none if it does not follow the one before it.
    fn check(&mut self, line: &[u8], before: Chain) -> Option<()> {
        self.records += 1;
        let Ok(link) = serde_json::from_slice::<Link>(line) else {
            self.unreadable += 1;
            return Some(());
        };
        let is_first = self.records == 1;
        match link.prev {
            Some(prev) if is_first || Some(prev.as_str()) == before.hex().as_deref() => {
                self.chained += 1;
                Some(())
            }
            None if self.chained == 0 => Some(()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a log of five records.
    fn log() -> Vec<String> {
        let (mut chain, mut lines) = (Chain::default(), Vec::new());
        for n in 0..5 {
            chain.add(format!(r#"{{"detail":"{n}"}}"#).as_bytes(), &mut lines);
        }
        let text = String::from_utf8(lines).unwrap();
        text.lines().map(|line| format!("{line}\n")).collect()
    }

    fn verified(lines: &[String]) -> Result<Verified, VerifyError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("audit.log"), lines.concat()).unwrap();
        verify(folder.path())
    }

    fn broken_at(lines: &[String]) -> u64 {
        match verified(lines) {
            Err(VerifyError::Broken { line, .. }) => line,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_log_as_it_was_written_holds() {
        let found = verified(&log()).unwrap();
        assert_eq!((found.records, found.chained, found.unreadable), (5, 4, 0));
        assert_eq!(found.last.unwrap().len(), 64);
    }

    #[test]
    fn a_record_that_was_changed_taken_out_put_in_or_moved_is_found() {
        let good = log();
        let mut changed = good.clone();
        changed[2] = changed[2].replace("\"2\"", "\"7\"");
        assert_eq!(broken_at(&changed), 4);
        let mut shorter = good.clone();
        shorter.remove(2);
        assert_eq!(broken_at(&shorter), 3);
        let mut longer = good.clone();
        longer.insert(2, "{\"detail\":\"new\"}\n".into());
        assert_eq!(broken_at(&longer), 3);
        let mut swapped = good;
        swapped.swap(2, 3);
        assert_eq!(broken_at(&swapped), 3);
    }

    #[test]
    fn the_oldest_records_may_be_gone_and_one_may_be_half_written() {
        let mut lines = log();
        lines.drain(..2);
        lines.push("{\"detail\":".into());
        assert_eq!(verified(&lines).unwrap().records, 3);
    }

    #[test]
    fn records_of_a_version_without_a_chain_come_before_the_others() {
        let mut lines = vec!["{\"detail\":\"old\"}\n".to_owned()];
        let mut chain = Chain::after(lines[0].trim_end().as_bytes());
        let mut new = Vec::new();
        chain.add(br#"{"detail":"new"}"#, &mut new);
        lines.push(String::from_utf8(new).unwrap());
        assert_eq!(verified(&lines).unwrap().chained, 1);
    }
}
