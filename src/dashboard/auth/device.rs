//! Browsers that signed in before. Each has a cookie that says so, by which its attempts are counted apart from those
//! of everybody else: who guesses a user's password elsewhere cannot keep that user out.
//!
//! These are OWASP's device cookies
//! (<https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies>): the cookie opens nothing.

use super::origin::{cookie_name, is_at_loopback, secure_cookies};
use super::token::{SecretHash, new_token};
use crate::protocol::Timestamp;
use axum::http::{HeaderMap, header};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How long a browser is known after it signed in, in seconds: 180 days.
const LIFETIME_SECONDS: u64 = 180 * 24 * 3_600;

/// Name of the file with the key, in the data folder.
const KEY_FILE: &str = "devices.key";

/// Name of the cookie,
const COOKIE: &str = "switchyard-device";
/// and where it travels through TLS alone.
const SECURE_COOKIE: &str = "__Host-switchyard-device";

/// The cookie of a browser in which somebody signed in before, if the request has one.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let named = |wanted: &str| {
        let wanted = cookie_name(wanted, headers);
        let lines = headers.get_all(header::COOKIE).iter();
        let pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value)
    };
    let plain = || is_at_loopback(headers).then(|| named(COOKIE)).flatten();
    named(SECURE_COOKIE).or_else(plain)
}

/// The value of `Set-Cookie` with which a browser keeps its cookie.
pub(super) fn set_cookie(cookie: &str, headers: &HeaderMap) -> String {
    let (name, secure) = if secure_cookies(headers) {
        (SECURE_COOKIE, "; Secure")
    } else {
        (COOKIE, "")
    };
    let name = cookie_name(name, headers);
    format!(
        "{name}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={LIFETIME_SECONDS}{secure}"
    )
}

/// Makes and checks the cookies of browsers that signed in before.
#[derive(Clone)]
pub(super) struct Devices {
    key: Hmac<Sha256>,
}

impl std::fmt::Debug for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Devices")
    }
}

impl Devices {
    /// Signs with this secret.
    pub(super) fn new(secret: &str) -> Self {
        // One block of SHA-256, as long as the key of HMAC is inside.
        let mut block = [0; 64];
        block[..32].copy_from_slice(SecretHash::of(secret).as_bytes());
        Self {
            key: Hmac::new(&block.into()),
        }
    }

    /// Signs with the secret in the data folder, which is made where there is none. Without it no browser is known
    /// any more, and nothing else happens.
    ///
    /// # Errors
    /// When the file can neither be read nor made.
    pub(super) fn load(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(KEY_FILE);
        let mut options = File::options();
        options.read(true).custom_flags(nix::libc::O_NOFOLLOW);
        let mut secret = String::new();
        match options.open(&path) {
            Ok(file) => drop(file.take(1_024).read_to_string(&mut secret)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if SecretHash::parse(secret.trim()).is_none() {
            secret = new_token().map_err(io::Error::other)?;
            let file = options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = file.open(&path)?;
            file.write_all(secret.as_bytes())?;
            file.sync_all()?;
        }
        Ok(Self::new(secret.trim()))
    }

    /// The cookie of a browser in which this user signed in. With another password it is no longer good.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub(super) fn issue(
        &self,
        user: &str,
        password: SecretHash,
        now: Timestamp,
    ) -> Result<String, getrandom::Error> {
        let nonce = new_token()?;
        let expires = seconds(now).saturating_add_unsigned(LIFETIME_SECONDS);
        let signature = self.signed(user, password, &nonce, expires).finalize();
        let mut cookie = format!("{nonce}.{expires}.");
        for byte in signature.into_bytes() {
            // Writing to a string does not fail.
            let _ = write!(cookie, "{byte:02x}");
        }
        Ok(cookie)
    }

    /// Which browser it is, if this user signed in there with this password.
    pub(super) fn find(
        &self,
        cookie: &str,
        user: &str,
        password: SecretHash,
        now: Timestamp,
    ) -> Option<SecretHash> {
        let mut parts = cookie.splitn(3, '.');
        let (nonce, expires, signature) = (parts.next()?, parts.next()?, parts.next()?);
        SecretHash::parse(nonce)?;
        let expires: i64 = expires.parse().ok()?;
        let signature = SecretHash::parse(signature)?;
        self.signed(user, password, nonce, expires)
            .verify_slice(signature.as_bytes())
            .ok()?;
        (expires > seconds(now)).then(|| SecretHash::of(nonce))
    }

    fn signed(&self, user: &str, password: SecretHash, nonce: &str, expires: i64) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        mac.update(format!("{user}\n{password}\n{nonce}\n{expires}").as_bytes());
        mac
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.millis() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_765_708_200_000)
    }

    #[test]
    fn a_browser_is_known_to_the_user_who_signed_in_there_with_the_same_password() {
        let devices = Devices::new("secret");
        let (password, other) = (SecretHash::of("a"), SecretHash::of("b"));
        let cookie = devices.issue("alice", password, now()).unwrap();
        let found = devices.find(&cookie, "alice", password, now());
        assert!(found.is_some());
        assert_eq!(devices.find(&cookie, "alice", password, now()), found);
        assert_eq!(devices.find(&cookie, "bob", password, now()), None);
        assert_eq!(devices.find(&cookie, "alice", other, now()), None);
        let later = now().millis() + LIFETIME_SECONDS as i64 * 1_000;
        let later = Timestamp::from_millis(later);
        assert_eq!(devices.find(&cookie, "alice", password, later), None);
        let elsewhere = Devices::new("another");
        assert_eq!(elsewhere.find(&cookie, "alice", password, now()), None);
    }

    #[test]
    fn what_is_made_up_or_changed_is_no_browser() {
        let devices = Devices::new("secret");
        let password = SecretHash::of("a");
        let cookie = devices.issue("alice", password, now()).unwrap();
        let later = cookie.replacen(".17", ".27", 1);
        for bad in ["", ".", "..", "a.1.b", later.as_str(), &cookie[..100]] {
            assert_eq!(devices.find(bad, "alice", password, now()), None, "{bad}");
        }
    }

    #[test]
    fn the_key_outlives_the_dashboard_and_is_its_own() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let password = SecretHash::of("a");
        let first = Devices::load(folder.path()).unwrap();
        let cookie = first.issue("alice", password, now()).unwrap();
        let second = Devices::load(folder.path()).unwrap();
        assert!(second.find(&cookie, "alice", password, now()).is_some());
        let path = folder.path().join(KEY_FILE);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, "").unwrap();
        let third = Devices::load(folder.path()).unwrap();
        assert_eq!(third.find(&cookie, "alice", password, now()), None);
    }
}
