//! The form of a token, and what the dashboard says of one that it does not take.

use serde::Deserialize;
use std::fmt;

/// Longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 4096;

/// Longest detail of the dashboard's that is passed on, in characters.
const MAX_DETAIL_CHARS: usize = 300;

/// What a text is that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Two words: a host and its token, as `switchyard token` prints them.
    WithHost,
    /// Several lines.
    Lines,
    /// More words than two.
    Words,
    /// A hash of a password or of an API token, as the dashboard's files hold them.
    Hash,
    /// Characters that no token has.
    Characters,
    /// More than any token has.
    Length,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WithHost => {
                "contains two words, such as the host and its token; keep only the token, the second one"
            }
            Self::Lines => "contains several lines; keep only the token of this host",
            Self::Words => "contains several words; keep only the token of this host",
            Self::Hash => {
                "contains a hash; put the token into it, which `switchyard token` prints on standard output, and the hash into the dashboard's agents file"
            }
            Self::Characters => "contains characters that no token has; put the token into it as text",
            Self::Length => "contains more than a token; put only the token into it",
        })
    }
}

/// Whether `text`, which is trimmed, can be a token. It is not sent otherwise.
pub(super) fn check(text: &str) -> Result<(), Form> {
    let words = text
        .split([' ', '\t'])
        .filter(|word| !word.is_empty())
        .count();
    if text.len() > MAX_TOKEN_BYTES {
        Err(Form::Length)
    } else if text.contains(['\n', '\r']) {
        Err(Form::Lines)
    } else if words > 1 {
        Err(if words == 2 {
            Form::WithHost
        } else {
            Form::Words
        })
    } else if text.starts_with("sha256:") || text.starts_with("$argon2") {
        Err(Form::Hash)
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err(Form::Characters)
    } else {
        Ok(())
    }
}

/// The `detail` of an answer as RFC 9457 has it, safe to be logged.
pub(super) fn detail(body: Option<&[u8]>) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let problem: Problem = serde_json::from_slice(body?).ok()?;
    let plain = problem.detail.chars().filter(|c| !c.is_control());
    Some(plain.take(MAX_DETAIL_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_in_place_of_a_token_is_recognised() {
        let token = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(check(token), Ok(()));
        assert_eq!(check("a-token"), Ok(()));
        assert_eq!(check(&format!("web1 {token}")), Err(Form::WithHost));
        assert_eq!(check(&format!("a {token}\nb {token}")), Err(Form::Lines));
        assert_eq!(check("the token is here"), Err(Form::Words));
        assert_eq!(check(&format!("sha256:{token}")), Err(Form::Hash));
        assert_eq!(check("$argon2id$v=19$m=19456,t=2,p=1$a$b"), Err(Form::Hash));
        assert_eq!(check("tökén"), Err(Form::Characters));
        assert_eq!(check(&"a".repeat(5000)), Err(Form::Length));
    }

    #[test]
    fn a_detail_is_bounded_and_holds_nothing_that_a_terminal_obeys() {
        let body = format!("{{\"detail\":\"a\\u001b[2J{}\"}}", "b".repeat(1000));
        let said = detail(Some(body.as_bytes())).unwrap();
        assert!(said.starts_with("a[2Jb") && said.len() == MAX_DETAIL_CHARS);
        assert_eq!(detail(Some(b"<html>")), None);
        assert_eq!(detail(None), None);
    }
}
