//! What secrets usually look like.

use super::key::Key;
use super::{expression, replaced};
use memchr::memchr2;
use regex::Regex;
use std::borrow::Cow;

/// Tokens that say what they are, and the beginnings of keys and of credentials in a header. Looked for in every
/// line, so each has at least four letters that seldom stand together.
const MARKS: &str = "-----BEGIN |gh[pousr]_|github_pat_|glpat-|earer ";

/// What follows `=`: in quotes, or up to a blank.
const ASSIGNED: &str = r#"(?i)(?:token|password|passwd|secret|api[_-]?key)s?\s*=\s*(?:\\?"([^"\\]+)|'([^']+)|([^\s"'\\&;,]+))"#;
/// `access-tokens = github.com=… gitlab.com=…`, in nix.conf and on command lines.
const ACCESS_TOKENS: &str = r"(?i)access-tokens[\s=:]+(\S.*)$";
/// `https://user:password@host`.
const IN_ADDRESS: &str = r"://[^/\s:@]*:([^/\s@]+)@";
const BEARER: &str = r"(?i)bearer\s+([A-Za-z0-9._~+/=-]{16,})";
const TOKENS: &str =
    r"(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})";

#[derive(Clone, Debug)]
pub(super) struct Rules {
    marks: Regex,
    /// Of lines with `=` or `@`.
    signed: [Regex; 3],
    /// Of lines with a mark.
    marked: [Regex; 2],
}

impl Rules {
    pub(super) fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            marks: expression(MARKS)?,
            // The widest comes first: what it masked holds no `=` any more.
            signed: [
                expression(ACCESS_TOKENS)?,
                expression(ASSIGNED)?,
                expression(IN_ADDRESS)?,
            ],
            marked: [expression(TOKENS)?, expression(BEARER)?],
        })
    }

    /// Whether there may be a secret in the line; what most lines are is told from a single look at each byte.
    pub(super) fn may_match(&self, line: &str) -> bool {
        memchr2(b'=', b'@', line.as_bytes()).is_some() || self.marks.is_match(line)
    }

    /// The line without its secrets.
    pub(super) fn mask<'a>(&self, key: &mut Key, line: &'a str) -> Cow<'a, str> {
        let mut masked = key.line(line);
        for rule in self.signed.iter().chain(&self.marked) {
            if let Some(other) = replaced(rule, &masked) {
                masked = Cow::Owned(other);
            }
        }
        masked
    }
}
