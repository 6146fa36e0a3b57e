//! The users file: a line `NAME viewer|operator|admin HASH` for each password or API token.

use super::credentials_file::{entries, wrong};
use super::identity::{Role, is_user_name};
use super::token::SecretHash;
use crate::config_file::ConfigError;
use argon2::password_hash::PasswordHash;
use std::path::Path;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UserEntry {
    /// From 1.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) secret: Secret,
}

/// What a user knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    /// A password, by its argon2id hash.
    Password(String),
    /// An API token.
    Token(SecretHash),
}

/// Reads the text of a users file.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<UserEntry>, ConfigError> {
    let mut found: Vec<UserEntry> = Vec::new();
    for (line, words) in entries(text) {
        let [name, role, hash] = words[..] else {
            return Err(wrong(
                path,
                line,
                "not the three words NAME viewer|operator|admin HASH",
                "take the hash that `switchyard passwd` or `switchyard token --user` writes",
            ));
        };
        if !is_user_name(name) {
            return Err(wrong(
                path,
                line,
                format!("{name:?} cannot name a user"),
                "use letters, digits, '.', '_', '@' and '-', at most 63",
            ));
        }
        let role = role
            .parse()
            .map_err(|error: String| wrong(path, line, error, "give one of the three"))?;
        let secret = secret(hash).ok_or_else(|| {
            wrong(
                path,
                line,
                "the third word is neither an argon2id hash nor sha256:HEX",
                "take the hash that `switchyard passwd` or `switchyard token --user` writes",
            )
        })?;
        found.push(UserEntry {
            line,
            name: name.to_owned(),
            role,
            secret,
        });
    }
    Ok(found)
}

fn secret(hash: &str) -> Option<Secret> {
    if let Some(hex) = hash.strip_prefix("sha256:") {
        return SecretHash::parse(hex).map(Secret::Token);
    }
    let parsed = PasswordHash::new(hash).ok()?;
    let usable = parsed.algorithm == argon2::ARGON2ID_IDENT
        && parsed.salt.is_some()
        && parsed.hash.is_some()
        && argon2::Params::try_from(&parsed).is_ok();
    usable.then(|| Secret::Password(hash.to_owned()))
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
            ("\nalice admin\n", "users:2: not the three words"),
            ("alice root x\n", "users:1: \"root\" is no role"),
            ("al/ice admin x\n", "users:1: \"al/ice\" cannot name a user"),
            ("alice admin hunter2\n", "users:1: the third word"),
            ("alice admin sha256:12\n", "users:1: the third word"),
            (
                &format!("a admin {}\n", HASH.replace("2id", "2i")),
                "users:1: the third word",
            ),
        ] {
            let error = parse(Path::new("users"), text).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }
}
