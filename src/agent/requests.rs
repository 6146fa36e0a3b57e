//! The memory of requests: which `run_id` was asked for with which nonce, so that a request sent twice
//! never runs twice.

use crate::protocol::RunId;
use crate::spool;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

const REMEMBERED: usize = 1000;

/// The last 1,000 requests that were taken, kept in a file.
#[derive(Debug)]
pub(super) struct Requests {
    path: PathBuf,
    taken: VecDeque<Taken>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    run_id: RunId,
    nonce: String,
}

/// What is remembered of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// This run was never asked for.
    New,
    /// This very request was taken before.
    Same,
    /// The run was asked for with another nonce.
    Other,
}

impl Requests {
    /// The requests that `path` holds; none where it does not exist or a power cut left it damaged.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let taken = match spool::read_json(&path) {
            Ok(taken) => taken.unwrap_or_default(),
            Err(error) if is_damage(&error) => {
                tracing::warn!(
                    "{} is damaged ({error}), so earlier requests are forgotten",
                    path.display()
                );
                VecDeque::new()
            }
            Err(error) => return Err(error),
        };
        Ok(Self { path, taken })
    }

    pub(super) fn look(&self, run_id: &RunId, nonce: &str) -> Memory {
        match self.taken.iter().find(|taken| taken.run_id == *run_id) {
            None => Memory::New,
            Some(taken) if taken.nonce == nonce => Memory::Same,
            Some(_) => Memory::Other,
        }
    }

    /// Remembers a request; on disk before this returns.
    pub(super) fn remember(&mut self, run_id: &RunId, nonce: &str) -> io::Result<()> {
        let mut taken = self.taken.clone();
        taken.push_back(Taken {
            run_id: run_id.clone(),
            nonce: nonce.to_owned(),
        });
        while taken.len() > REMEMBERED {
            taken.pop_front();
        }
        spool::write_json(&self.path, &taken)?;
        sync(&self.path)?;
        self.taken = taken;
        Ok(())
    }
}

/// Whether a file of JSON was read and holds something else than what was written.
pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// Makes a file and its name survive a power cut.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: usize) -> RunId {
        RunId::new(&format!("2025-12-14T10-30-00-switch-{n}")).unwrap()
    }

    #[test]
    fn the_last_thousand_requests_are_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.json");
        let mut requests = Requests::open(path.clone()).unwrap();
        requests.taken = (0..REMEMBERED)
            .map(|n| Taken {
                run_id: run(n),
                nonce: "a".into(),
            })
            .collect();
        requests.remember(&run(REMEMBERED), "b").unwrap();
        let again = Requests::open(path).unwrap();
        assert_eq!(again.look(&run(0), "a"), Memory::New);
        assert_eq!(again.look(&run(1), "a"), Memory::Same);
        assert_eq!(again.look(&run(1), "b"), Memory::Other);
        assert_eq!(again.look(&run(REMEMBERED), "b"), Memory::Same);
    }

    #[test]
    fn a_damaged_memory_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.json");
        for damaged in ["", "\0\0\0", "[{\"run_id\":\"202"] {
            std::fs::write(&path, damaged).unwrap();
            let requests = Requests::open(path.clone()).unwrap();
            assert_eq!(requests.look(&run(1), "a"), Memory::New);
        }
    }
}
