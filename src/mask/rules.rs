//! What secrets usually look like.

use super::key::Key;
use super::{expression, replaced};
use memchr::{memchr_iter, memchr2, memmem, memrchr};
use regex::Regex;
use std::borrow::Cow;

/// Tokens that say what they are, and the beginnings of keys and of credentials in a header. Looked for in every
/// line, so each has at least four letters that seldom stand together.
const MARKS: &str = "-----BEGIN |gh[pousr]_|github_pat_|glpat-|earer |uthorization: ";

/// The names of secrets, whatever stands before them.
const NAMES: &str =
    r"(?:token|password|passwd|secret|(?:secret|private|api|access)[_-]?(?:access[_-]?)?key)s?";
/// What follows `=`: in quotes, which may be escaped themselves, or up to a blank.
const ASSIGNED: &str = r#"\s*=\s*(?:\\"([^"\\]+)|"((?:[^"\\]|\\.)+)|'([^']+)|([^\s"']+))"#;
/// The same in an address or a form, where `&` ends it.
const IN_QUERY: &str = r#"=([^\s"'&]+)"#;
/// `access-tokens = github.com=… gitlab.com=…`, in nix.conf and on command lines.
const ACCESS_TOKENS: &str = r#"access-tokens["\s=:]+(\S.*)$"#;
/// `https://user:password@host`.
const IN_ADDRESS: &str = r"://[^/\s:@]*:([^/\s]+)@";
const IN_HEADER: &str =
    r"(?i)(?:bearer\s+([A-Za-z0-9._~+/=-]{16,})|authorization:\s*basic\s+([A-Za-z0-9+/=]+))";
const TOKENS: &str =
    r"(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})";

/// With what the names of secrets end, in lower case.
const LAST_LETTERS: &[u8] = b"ndtys";

#[derive(Clone, Debug)]
pub(super) struct Rules {
    marks: Regex,
    /// Of lines with `=` or `@`.
    signed: [Regex; 4],
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
                expression(&format!(r"(?i)(?:^|[^\w?&-])[\w.-]*{NAMES}{ASSIGNED}"))?,
                expression(&format!(r"(?i)[?&][\w.-]*{NAMES}{IN_QUERY}"))?,
                expression(IN_ADDRESS)?,
            ],
            marked: [expression(TOKENS)?, expression(IN_HEADER)?],
        })
    }

    /// Whether there may be a secret in the line; what most lines are is told from a single look at each byte.
    pub(super) fn may_match(&self, line: &str) -> bool {
        let bytes = line.as_bytes();
        let is_signed = memchr2(b'=', b'@', bytes).is_some() && may_be_signed(bytes);
        is_signed || self.marks.is_match(line)
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

/// Whether the name before some `=` may be that of a secret, or an address have a password: flags of compilers,
/// which are many, seldom look so.
fn may_be_signed(bytes: &[u8]) -> bool {
    let is_name = |at: usize| {
        let name = bytes[..at].trim_ascii_end();
        let last = name.last().map(u8::to_ascii_lowercase);
        last.is_some_and(|last| LAST_LETTERS.contains(&last))
    };
    memchr_iter(b'=', bytes).any(is_name)
        || memrchr(b'@', bytes).is_some_and(|at| memmem::find(&bytes[..at], b"://").is_some())
        || memmem::find(bytes, b"access-token").is_some()
}
