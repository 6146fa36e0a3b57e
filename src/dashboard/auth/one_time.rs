//! One-time codes (RFC 6238: SHA-1, six digits, 30 seconds), each good once.

use super::token::SecretHash;
use crate::dashboard::code_clock::Misfit;
use crate::protocol::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use totp_rs::{Builder, Secret, Totp};

/// How many bytes a new secret has; RFC 4226 asks for at least 16 and recommends 20.
const SECRET_BYTES: usize = 20;
/// A clock may be off by so many steps.
const SKEW: u16 = 1;
/// How many steps away a code is looked for that is not good now: an hour.
const MAX_MISFIT: u16 = 120;
/// How long a step is, in milliseconds.
const STEP: i64 = 30_000;

/// The secret that somebody's codes are made of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OneTime {
    totp: Totp,
    /// Of its text.
    hash: SecretHash,
}

impl OneTime {
    /// From base32, at least 16 bytes of it.
    pub(super) fn parse(base32: &str) -> Result<Self, String> {
        let wrong = |error: &dyn fmt::Display| {
            format!("this secret for one-time codes is not valid: {error}")
        };
        let secret = Secret::try_from_base32(base32).map_err(|error| wrong(&error))?;
        let totp = Builder::new().with_secret(secret).with_skew(SKEW).build();
        let totp = totp.map_err(|error| wrong(&error))?;
        let hash = SecretHash::of(base32);
        Ok(Self { totp, hash })
    }

    /// Names the secret without telling it.
    pub(super) fn hash(&self) -> SecretHash {
        self.hash
    }

    /// Which step of 30 seconds a code is of, if of one that may be now.
    fn step(&self, code: &str, now: Timestamp) -> Option<u64> {
        self.totp
            .check(code, u64::try_from(now.millis() / 1000).ok()?)
    }

    /// At which other time within an hour a code is good that is not now: the nearest, and none before `used`.
    pub(super) fn misfit(&self, code: &str, now: Timestamp, used: u64) -> Option<Misfit> {
        let step = u64::try_from(now.millis() / STEP).ok()?;
        for away in SKEW + 1..=MAX_MISFIT {
            for ahead in [i64::from(away), -i64::from(away)] {
                let Some(step) = step.checked_add_signed(ahead).filter(|step| *step > used) else {
                    continue;
                };
                if self
                    .totp
                    .generate(step * (STEP.unsigned_abs() / 1000))
                    .to_string()
                    == code
                {
                    return Some(Misfit { step, ahead });
                }
            }
        }
        None
    }
}

impl fmt::Debug for OneTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTime(…)")
    }
}

/// A new secret in base32, for the users file and an app.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn new_totp_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::from(&bytes[..]).to_base32())
}

/// Which codes were used.
#[derive(Debug, Default)]
pub(super) struct UsedCodes(Mutex<HashMap<String, u64>>);

impl UsedCodes {
    /// Whether the code is good for this user now; takes it up, so that it and those before it are good no more.
    pub(super) fn take(&self, user: &str, codes: &OneTime, code: &str, now: Timestamp) -> bool {
        let Some(step) = codes.step(code, now) else {
            return false;
        };
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = used.entry(user.to_owned()).or_default();
        let fresh = step > *last;
        *last = step.max(*last);
        fresh
    }
}

impl UsedCodes {
    /// The last step of which this user used a code.
    pub(super) fn last(&self, user: &str) -> u64 {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(user).copied().unwrap_or_default()
    }

    /// Some code was used at that moment, nobody knows which: none of those that it may have been is good any more.
    pub(super) fn was_used(&self, user: &str, at: Timestamp) {
        let latest = at.millis().div_euclid(STEP) + i64::from(SKEW);
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = used.entry(user.to_owned()).or_default();
        *last = (*last).max(u64::try_from(latest).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `12345678901234567890`, of the test vectors in RFC 6238, appendix B.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        let codes = OneTime::parse(SECRET).unwrap();
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
            (20_000_000_000, "353130"),
        ] {
            assert!(codes.step(code, at(seconds)).is_some(), "{seconds}");
            assert!(codes.step(code, at(seconds + 30)).is_some());
            assert!(codes.step(code, at(seconds + 90)).is_none());
            assert!(codes.step("000000", at(seconds)).is_none());
        }
    }

    #[test]
    fn a_code_is_good_once_and_those_before_it_no_more() {
        let codes = OneTime::parse(SECRET).unwrap();
        let used = UsedCodes::default();
        let code = |step: u64| codes.totp.generate(step * 30).to_string();
        assert!(used.take("alice", &codes, &code(10), at(300)));
        assert!(!used.take("alice", &codes, &code(10), at(300)));
        assert!(!used.take("alice", &codes, &code(9), at(300)));
        assert!(used.take("bob", &codes, &code(10), at(300)));
        assert!(used.take("alice", &codes, &code(11), at(300)));
    }

    #[test]
    fn a_code_of_another_time_is_found_within_an_hour_unless_it_was_used() {
        let codes = OneTime::parse(SECRET).unwrap();
        let code = |step: u64| codes.totp.generate(step * 30).to_string();
        let found = |step: u64, used: u64| codes.misfit(&code(step), at(30_000), used);
        for (step, ahead) in [(1_020, 20), (980, -20), (1_120, 120), (880, -120)] {
            assert_eq!(found(step, 0), Some(Misfit { step, ahead }));
        }
        assert_eq!([found(1_121, 0), found(879, 0)], [None, None]);
        assert_eq!(found(980, 980), None);
        assert_eq!(codes.misfit("no code", at(30_000), 0), None);
    }

    #[test]
    fn a_code_that_was_used_before_a_restart_is_good_no_more() {
        let codes = OneTime::parse(SECRET).unwrap();
        let code = |step: u64| codes.totp.generate(step * 30).to_string();
        let used = UsedCodes::default();
        used.was_used("alice", at(300));
        for step in [9, 10, 11] {
            assert!(!used.take("alice", &codes, &code(step), at(310)), "{step}");
        }
        assert!(used.take("bob", &codes, &code(10), at(310)));
        assert!(used.take("alice", &codes, &code(12), at(340)));
    }

    #[test]
    fn a_new_secret_can_be_read_and_a_short_one_cannot() {
        assert!(OneTime::parse(&new_totp_secret().unwrap()).is_ok());
        for bad in ["", "GEZDGNBV", "not base32!"] {
            assert!(OneTime::parse(bad).is_err(), "{bad}");
        }
    }
}
