//! The users file: a line `NAME viewer|operator|admin HASH` for each password or API token. Behind it may stand
//! `hosts=web-*,db1`, `expires=2027-01-31T00:00:00Z` and, behind a password, `totp=BASE32`. In the place of HASH
//! the word `proxy` lets in whom the proxy names.

use super::credentials_file::{entries, wrong};
use super::identity::{Role, is_user_name};
use super::one_time::OneTime;
use super::scope::Scope;
use super::token::SecretHash;
use crate::config_file::ConfigError;
use crate::protocol::Timestamp;
use argon2::password_hash::PasswordHash;
use std::path::Path;

/// Most memory that checking one password may take, in KiB. Two are checked at a time.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// Most memory that is written in all passes over it together, in KiB: about a second of one core.
const MAX_WORK_KIB: u32 = 1024 * 1024;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UserEntry {
    /// From 1.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) secret: Secret,
    pub(super) scope: Scope,
    pub(super) expires: Option<Timestamp>,
    pub(super) one_time: Option<OneTime>,
}

/// What a user knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    /// A password, by its argon2id hash.
    Password(String),
    /// An API token.
    Token(SecretHash),
    /// Nothing: the proxy in front knows who it is.
    Proxy,
}

/// Reads the text of a users file.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<UserEntry>, ConfigError> {
    let mut found: Vec<UserEntry> = Vec::new();
    for (line, words) in entries(text) {
        let [name, role, hash, options @ ..] = words.as_slice() else {
            return Err(wrong(
                path,
                line,
                "this line is not of the form NAME viewer|operator|admin HASH",
                "use the hash that `switchyard passwd` or `switchyard token --user` prints",
            ));
        };
        if !is_user_name(name) {
            return Err(wrong(
                path,
                line,
                format!("{name:?} is not a valid user name"),
                "use letters, digits, '.', '_', '@' and '-', at most 63 characters",
            ));
        }
        let role = role
            .parse()
            .map_err(|error: String| wrong(path, line, error, "correct the role"))?;
        let mut entry = UserEntry {
            line,
            name: (*name).to_owned(),
            role,
            secret: secret(hash).map_err(|error| {
                wrong(
                    path,
                    line,
                    error.to_string(),
                    "use the hash that `switchyard passwd` or `switchyard token --user` prints",
                )
            })?,
            scope: Scope::EVERY,
            expires: None,
            one_time: None,
        };
        for option in options {
            entry.take(option).map_err(|problem| {
                wrong(
                    path,
                    line,
                    problem,
                    "after the hash, write hosts=PATTERN,…, expires=TIME or, for a password, totp=BASE32",
                )
            })?;
        }
        found.push(entry);
    }
    Ok(found)
}

impl UserEntry {
    fn take(&mut self, option: &str) -> Result<(), String> {
        match option.split_once('=') {
            Some(("hosts", hosts)) => self.scope = Scope::parse(hosts)?,
            Some(("expires", time)) => {
                let time = Timestamp::parse(time);
                let time = time.ok_or_else(|| {
                    format!("{option:?} is not a time such as 2027-01-31T00:00:00Z")
                })?;
                self.expires = Some(time);
            }
            // The word itself is a secret, and stays out of the message.
            Some(("totp", secret)) if matches!(self.secret, Secret::Password(_)) => {
                self.one_time = Some(OneTime::parse(secret)?);
            }
            Some((key, _)) => return Err(format!("{key:?} cannot be set in this line")),
            None => return Err("a word after the hash is not of the form KEY=VALUE".to_owned()),
        }
        Ok(())
    }
}

/// Why the third word lets nobody in.
#[derive(Debug, thiserror::Error)]
enum SecretError {
    #[error("the third word is neither an argon2id hash nor sha256:HEX")]
    Unknown,
    #[error(
        "the argon2id hash needs too much memory for each sign-in: {memory_kib} KiB in each of {passes} passes; at most {MAX_MEMORY_KIB} KiB are allowed, and {MAX_WORK_KIB} KiB over all passes"
    )]
    TooDear { memory_kib: u32, passes: u32 },
}

fn secret(hash: &str) -> Result<Secret, SecretError> {
    if hash == "proxy" {
        return Ok(Secret::Proxy);
    }
    if let Some(hex) = hash.strip_prefix("sha256:") {
        let token = SecretHash::parse(hex).map(Secret::Token);
        return token.ok_or(SecretError::Unknown);
    }
    let parsed = PasswordHash::new(hash).map_err(|_| SecretError::Unknown)?;
    if parsed.algorithm != argon2::ARGON2ID_IDENT || parsed.salt.is_none() || parsed.hash.is_none()
    {
        return Err(SecretError::Unknown);
    }
    let params = argon2::Params::try_from(&parsed).map_err(|_| SecretError::Unknown)?;
    let (memory_kib, passes) = (params.m_cost(), params.t_cost());
    if memory_kib > MAX_MEMORY_KIB || memory_kib.saturating_mul(passes) > MAX_WORK_KIB {
        return Err(SecretError::TooDear { memory_kib, passes });
    }
    Ok(Secret::Password(hash.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = crate::dashboard::auth::password::DUMMY;

    #[test]
    fn passwords_and_tokens_are_told_apart() {
        let token = SecretHash::of("t");
        let text = format!("# people\nalice admin {HASH}\nalice viewer sha256:{token}\n");
        let found = parse(Path::new("users"), &text).unwrap();
        assert_eq!(found[0].secret, Secret::Password(HASH.to_owned()));
        assert_eq!(found[1].secret, Secret::Token(token));
        assert_eq!((found[1].role, found[1].line), (Role::Viewer, 3));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, problem) in [
            (
                "\nalice admin\n",
                "users:2: this line is not of the form NAME",
            ),
            ("alice root x\n", "users:1: \"root\" is not a role"),
            (
                "al/ice admin x\n",
                "users:1: \"al/ice\" is not a valid user name",
            ),
            ("alice admin hunter2\n", "users:1: the third word"),
            ("alice admin sha256:12\n", "users:1: the third word"),
            (
                &format!("a admin {}\n", HASH.replace("2id", "2i")),
                "users:1: the third word",
            ),
            ("a admin proxy x\n", "users:1: a word after the hash is not"),
            (
                "a admin proxy totp=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n",
                "users:1: \"totp\" cannot be set",
            ),
            (
                "a admin proxy hosts=../x\n",
                "users:1: \"../x\" is not a list of hosts",
            ),
            (
                "a admin proxy expires=soon\n",
                "users:1: \"expires=soon\" is not a time",
            ),
            (
                &format!("a admin {HASH} totp=secret\n"),
                "users:1: this secret for one-time codes is not valid",
            ),
        ] {
            let error = parse(Path::new("users"), text).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    #[test]
    fn a_hash_that_would_take_the_machines_memory_or_time_is_refused_and_a_strong_one_is_not() {
        let with = |params: &str| {
            let text = format!("a admin {}\n", HASH.replace("m=19456,t=2,p=1", params));
            parse(Path::new("users"), &text)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        for fine in ["m=262144,t=4,p=1", "m=65536,t=3,p=4", "m=19456,t=50,p=1"] {
            assert_eq!(with(fine), Ok(()), "{fine}");
        }
        for dear in [
            "m=262145,t=1,p=1",
            "m=4194304,t=1,p=1",
            "m=4294967295,t=4294967295,p=1",
            "m=8,t=4294967295,p=1",
            "m=262144,t=5,p=1",
        ] {
            let error = with(dear).unwrap_err();
            assert!(
                error.starts_with("users:1: the argon2id hash needs too much memory"),
                "{dear}: {error}"
            );
        }
    }

    #[test]
    fn hosts_expiry_and_codes_may_stand_behind_the_hash() {
        let totp = "totp=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let text = format!(
            "a admin {HASH} {totp} hosts=web-* expires=2027-01-31T00:00:00Z\nb viewer proxy\n"
        );
        let found = parse(Path::new("users"), &text).unwrap();
        assert!(found[0].one_time.is_some());
        assert_eq!(found[0].scope, Scope::parse("web-*").unwrap());
        assert_eq!(found[0].expires, Timestamp::parse("2027-01-31T00:00:00Z"));
        assert_eq!(
            (&found[1].secret, &found[1].scope),
            (&Secret::Proxy, &Scope::EVERY)
        );
    }
}
