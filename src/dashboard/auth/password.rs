//! Passwords: argon2id with 19 MiB, two passes and one lane, as OWASP asks for.

use argon2::password_hash::{Output, PasswordHash, PasswordHasher, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use tokio::sync::Semaphore;

/// Stands in for the hash of users that do not exist, so that they take as long as others. Nobody knows its password.
pub(crate) const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c3dpdGNoeWFyZC1kdW1teQ$TmV2ZXIgdGhlIGhhc2ggb2YgYW55IHBhc3N3b3JkISE";

/// Most that are checked at once; each takes 19 MiB and a processor.
const MOST_AT_ONCE: usize = 2;

/// A password that cannot be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Nothing was given.
    #[error("the password is empty; write it to standard input")]
    Empty,
    /// argon2 refused.
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
    /// The kernel gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// Checks passwords, a few at a time.
#[derive(Debug)]
pub(super) struct Passwords {
    permits: Arc<Semaphore>,
    checked: AtomicU64,
    /// The memory of checks that are over, at most [`MOST_AT_ONCE`] of them. What is freed in the many threads that
    /// check would stay with each of them.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            permits: Arc::new(Semaphore::new(at_once(processors))),
            checked: AtomicU64::new(0),
            memory: Arc::default(),
        }
    }

    /// How often a password was hashed to compare it.
    pub(super) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Whether `password` is the one that was hashed; `None` is false, and the same work with the `stand_in`.
    pub(super) async fn check(
        &self,
        hash: Option<String>,
        stand_in: Option<String>,
        password: String,
    ) -> bool {
        // Nobody closes it. It goes along: the next check begins when this one is over, whether or not anybody waits
        // for it.
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return false;
        };
        let known = hash.is_some();
        let hash = hash.or(stand_in).unwrap_or_else(|| DUMMY.to_owned());
        self.checked.fetch_add(1, Ordering::Relaxed);
        let memory = Arc::clone(&self.memory);
        let checking = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut blocks = lock(&memory).pop().unwrap_or_default();
            let fits = is_password_of(&hash, &password, &mut blocks);
            if blocks.len() <= Params::DEFAULT.block_count() {
                lock(&memory).push(blocks);
            }
            fits.unwrap_or(false)
        });
        // Waited for in either case, so that both take as long.
        let fits = checking.await.unwrap_or(false);
        known && fits
    }
}

/// How many are checked at once on a machine with so many processors.
fn at_once(processors: usize) -> usize {
    (processors / 2).clamp(1, MOST_AT_ONCE)
}

fn lock(memory: &Mutex<Vec<Vec<Block>>>) -> MutexGuard<'_, Vec<Vec<Block>>> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hashes a password as the other one was, in this memory, and compares the two in constant time.
fn is_password_of(
    phc: &str,
    password: &str,
    memory: &mut Vec<Block>,
) -> Result<bool, argon2::password_hash::Error> {
    let phc = PasswordHash::new(phc)?;
    let (Some(salt), Some(expected)) = (phc.salt, phc.hash) else {
        return Ok(false);
    };
    let algorithm = Algorithm::try_from(phc.algorithm)?;
    let version = phc.version.map_or(Ok(Version::V0x13), Version::try_from)?;
    let params = Params::try_from(&phc)?;
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let mut salt_bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut salt_bytes)?;
    let found = Output::init_with(expected.len(), |out| {
        let argon2 = Argon2::new(algorithm, version, params);
        Ok(argon2.hash_password_into_with_memory(password.as_bytes(), salt, out, memory)?)
    })?;
    Ok(found == expected)
}

/// The argon2id hash of a password, for the users file.
///
/// # Errors
/// When it is empty.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)?;
    let salt = SaltString::encode_b64(&salt).map_err(PasswordError::Hash)?;
    let hash = argon2()
        .hash_password(password.as_bytes(), &salt)
        .map_err(PasswordError::Hash)?;
    Ok(hash.to_string())
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let hash = hash("correct horse").unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let passwords = Passwords::new();
        assert!(
            passwords
                .check(Some(hash.clone()), None, "correct horse".into())
                .await
        );
        let wrong = passwords.check(Some(hash.clone()), None, "wrong horse".into());
        assert!(!wrong.await);
        assert!(!passwords.check(None, None, "correct horse".into()).await);
        let stand_in = passwords.check(None, Some(hash), "correct horse".into());
        assert!(!stand_in.await);
        assert_eq!(passwords.checked(), 4, "each took the same work");
        let memory = lock(&passwords.memory);
        let blocks: Vec<usize> = memory.iter().map(Vec::len).collect();
        assert_eq!(
            blocks,
            [Params::DEFAULT.block_count()],
            "one memory for all"
        );
    }

    #[test]
    fn on_few_processors_one_password_is_checked_at_a_time() {
        assert_eq!([1, 2, 3, 4, 64].map(at_once), [1, 1, 1, 2, 2]);
    }

    #[test]
    fn the_stand_in_is_a_hash_with_the_same_cost() {
        let dummy = PasswordHash::new(DUMMY).unwrap();
        assert_eq!(
            Params::try_from(&dummy).unwrap().m_cost(),
            Params::DEFAULT.m_cost()
        );
        assert!(matches!(hash(""), Err(PasswordError::Empty)));
    }
}
