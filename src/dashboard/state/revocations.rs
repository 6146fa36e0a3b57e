//! The hashes of all tokens that were ever taken back, in a file of their own beside the database: a database that is
//! lost, or an old one that somebody puts in its place, brings no token back.
//!
//! A line is a hash in hexadecimal digits, a space, and when and by whom as JSON. It is only ever added to. Whatever
//! follows a hash, the hash is revoked.

use super::{StateError, aside, unread};
use crate::dashboard::auth::{Revoked, SecretHash};
use crate::protocol::Timestamp;
use nix::libc::O_NOFOLLOW;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Name of the file.
const NAME: &str = "revoked-tokens";
/// Largest file, in bytes: some 400,000 tokens. Beyond it a revocation is in the database alone, and whoever revokes
/// is told so.
const MAX_BYTES: u64 = 64 << 20;

/// The file, as far as it was read or written.
#[derive(Debug)]
pub(super) struct Revocations {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    all: HashMap<SecretHash, Revoked>,
    /// Whether the file is there, with all that was revoked until then.
    is_made: bool,
    /// Whether it ends in the middle of a line.
    is_torn: bool,
}

impl Revocations {
    /// Whether there is such a file beside a database.
    pub(super) fn exist(database: &Path) -> bool {
        fs::symlink_metadata(database.with_file_name(NAME)).is_ok()
    }

    /// Reads the file beside a database.
    ///
    /// # Errors
    /// When it is there and cannot be read: then nobody knows what was revoked.
    pub(super) fn read(database: &Path, unread: &unread::Counts) -> Result<Self, StateError> {
        let path = database.with_file_name(NAME);
        let known = match read_limited(&path) {
            Ok(text) => Known {
                all: parse(&text, unread),
                is_made: true,
                is_torn: text.last().is_some_and(|byte| *byte != b'\n'),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Known {
                all: HashMap::new(),
                is_made: false,
                is_torn: false,
            },
            Err(source) => return Err(StateError::Revocations { path, source }),
        };
        let known = Mutex::new(known);
        Ok(Self { path, known })
    }

    /// Adds to the file what it does not have; durable when it returns. Gives all there is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn add(
        &self,
        revoked: impl IntoIterator<Item = (SecretHash, Revoked)>,
    ) -> Result<HashMap<SecretHash, Revoked>, StateError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<_> = revoked.into_iter().collect();
        new.retain(|(hash, _)| !known.all.contains_key(hash));
        new.sort_by_key(|(hash, revoked)| (revoked.time, *hash));
        if !known.is_made || !new.is_empty() {
            let text: String = new.iter().map(line).collect();
            let written = if known.is_made {
                append(&self.path, known.is_torn, &text)
            } else {
                make(&self.path, &text)
            };
            if let Err(source) = written {
                known.is_torn = true;
                let path = self.path.clone();
                return Err(StateError::Revocations { path, source });
            }
            (known.is_made, known.is_torn) = (true, false);
            known.all.extend(new);
        }
        Ok(known.all.clone())
    }
}

fn line((hash, revoked): &(SecretHash, Revoked)) -> String {
    let json = serde_json::to_string(revoked).unwrap_or_default();
    format!("{hash} {json}\n")
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let file = options().read(true).open(path)?;
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

fn parse(text: &[u8], counts: &unread::Counts) -> HashMap<SecretHash, Revoked> {
    let mut all = HashMap::new();
    let mut unread = unread::Rows::of(NAME);
    for line in text.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let (hash, json) = line.split_once(' ').unwrap_or((&line, ""));
        match SecretHash::parse(hash) {
            Some(hash) => drop(all.insert(hash, read_revoked(json))),
            None if line.is_empty() => {}
            None => unread.count(&line),
        }
    }
    unread.tell(counts);
    all
}

/// When and by whom a token was taken back, as far as that can be read: that it was is certain.
pub(super) fn read_revoked(json: &str) -> Revoked {
    serde_json::from_str(json).unwrap_or_else(|_| Revoked {
        time: Timestamp::from_millis(0),
        by: "unknown".to_owned(),
    })
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.mode(0o600).custom_flags(O_NOFOLLOW);
    options
}

/// Makes the file with all that was revoked until now: where it is, it is whole.
fn make(path: &Path, text: &str) -> io::Result<()> {
    let draft = aside::with_end(path, ".new");
    let mut file = options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)?;
    aside::sync_folder(path)
}

fn append(path: &Path, is_torn: bool, text: &str) -> io::Result<()> {
    let mut file = options().append(true).open(path)?;
    if file.metadata()?.len() + text.len() as u64 >= MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let text = if is_torn {
        format!("\n{text}")
    } else {
        text.to_owned()
    };
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(by: &str) -> Revoked {
        Revoked {
            time: Timestamp::from_millis(1_000),
            by: by.to_owned(),
        }
    }

    #[test]
    fn what_was_revoked_is_read_back_whatever_became_of_the_rest_of_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.sqlite");
        let [a, b, c, d] = ["a", "b", "c", "d"].map(SecretHash::of);
        let list = Revocations::read(&database, &unread::Counts::default()).unwrap();
        assert!(!Revocations::exist(&database));
        list.add([(a, revoked("alice"))]).unwrap();
        list.add([(a, revoked("bob")), (b, revoked("bob"))])
            .unwrap();
        let path = folder.path().join(NAME);
        let mut text = fs::read(&path).unwrap();
        text.extend(format!("\0\0\0\nno hash\n{c} {{\"time\":").bytes());
        fs::write(&path, text).unwrap();

        let list = Revocations::read(&database, &unread::Counts::default()).unwrap();
        let all = list.add([(d, revoked("carol"))]).unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!((&*all[&a].by, &*all[&c].by), ("alice", "unknown"));
        let again = Revocations::read(&database, &unread::Counts::default()).unwrap();
        assert_eq!(
            again.add([]).unwrap(),
            all,
            "a torn line takes no other with it"
        );
    }

    #[test]
    fn a_list_that_cannot_be_read_is_an_error_and_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.sqlite");
        fs::create_dir(folder.path().join(NAME)).unwrap();
        let error = Revocations::read(&database, &unread::Counts::default()).unwrap_err();
        assert!(matches!(error, StateError::Revocations { .. }), "{error}");
    }
}
