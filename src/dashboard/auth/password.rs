//! Passwords: argon2id with 19 MiB, two passes and one lane, as OWASP asks for.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// Stands in for the hash of users that do not exist, so that they take as long as others. Nobody knows its password.
pub(crate) const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c3dpdGNoeWFyZC1kdW1teQ$TmV2ZXIgdGhlIGhhc2ggb2YgYW55IHBhc3N3b3JkISE";

/// How many are checked at once; each takes 19 MiB and a core.
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
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// Checks passwords, a few at a time.
#[derive(Debug)]
pub(super) struct Passwords {
    permits: Semaphore,
    checked: AtomicU64,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            permits: Semaphore::new(MOST_AT_ONCE),
            checked: AtomicU64::new(0),
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
        // Nobody closes it.
        let Ok(_permit) = self.permits.acquire().await else {
            return false;
        };
        let known = hash.is_some();
        let hash = hash.or(stand_in).unwrap_or_else(|| DUMMY.to_owned());
        self.checked.fetch_add(1, Ordering::Relaxed);
        let fits = tokio::task::spawn_blocking(move || matches(&hash, &password)).await;
        known && fits.unwrap_or(false)
    }
}

fn matches(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
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
