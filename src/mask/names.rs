//! Secrets that are told by the name before them: assigned, in JSON and YAML, in headers, behind a flag.

use super::link::{Link, link};
use super::value::{Quoting, Value, is_folder, is_odd, is_random, is_stand_in, is_uuid};
use super::{MASK, expression};
use regex::Regex;
use std::ops::Range;

/// What keys that are secret are called.
const KEYS: &str = "(?:secret|private|api|access|auth|account|shared|signing|encryption|master|pre-?shared|storage\
    |client|consumer|licen[cs]e|recovery|unseal|subscription|app|webhook|service|session|jwt|hmac|admin|root)\
    [ _-]?(?:access[ _-]?)?key(?:[ _-]?base)?";
/// With what the name of a secret ends. The first group is the last part of the name.
const NAMES: &str = r#"(?:^|[^\w-])([\w.-]*(?:(?:auth)?token|passw(?:or)?d|passwort|passphrase|sshpass|rootpw|bindpw|authtok|requirepass|masterauth|bw_session|secret[_-]?id|secret|credential|cookie|authorization|psk|@KEYS|signature|\bsig|(?-i:[a-z0-9](?:Pass|Pw|PW))|(?:\b|[_.-]|(?:db|my|admin|user|key|store))(?:pw)|(?:\b|[_.-])(?:pass|pwd|auth|creds?)))(s?)(?: ?[0-9]+)?\b(?:\\?["'`]|\]|%5d)*"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What people choose.
    Password,
    /// What programs make, or people call so.
    Key,
    /// What is as often something else: a part of a text, a count.
    Token,
    /// All that follows is secret.
    Cookie,
    /// What follows is a scheme and the secret.
    Authorization,
}

/// A name in a line, and how the value is bound to it.
struct Named<'a> {
    name: &'a str,
    kind: Kind,
    is_plural: bool,
    /// The character before the name.
    before: Option<u8>,
    /// Whether it is one of several settings that `;` or `&` parts.
    is_setting: bool,
}

/// As much before a name is looked at for another setting, in bytes.
const SETTING_BYTES: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct Names(Regex);

impl Names {
    pub(super) fn new() -> Result<Self, regex::Error> {
        let names = NAMES.replace("@KEYS", KEYS);
        expression(&format!("(?i){names}")).map(Self)
    }

    /// The line with the secrets masked that have a name; none where there are none.
    pub(super) fn replaced(&self, text: &str) -> Option<String> {
        let mut masked = String::new();
        let (mut from, mut at) = (0, 0);
        while let Some(found) = self.0.captures_at(text, at) {
            let (Some(all), Some(name)) = (found.get(0), found.get(1)) else {
                break;
            };
            // A name may begin where the one before ended.
            at = text.floor_char_boundary(all.end() - 1).max(all.start() + 1);
            at = text.ceil_char_boundary(at);
            let named = Named {
                name: name.as_str(),
                kind: kind(name.as_str()),
                is_plural: found.get(2).is_some_and(|plural| !plural.is_empty()),
                before: name
                    .start()
                    .checked_sub(1)
                    .map(|before| text.as_bytes()[before]),
                is_setting: is_setting(&text[..name.start()]),
            };
            if let Some(secret) = named.secret(text, all.end())
                && !secret.is_empty()
            {
                masked.push_str(&text[from..secret.start]);
                masked.push_str(MASK);
                from = secret.end;
                at = secret.end;
            }
        }
        (from > 0).then(|| masked + &text[from..])
    }
}

fn kind(name: &str) -> Kind {
    let name = name.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&["authorization"]) {
        Kind::Authorization
    } else if ends(&["masterauth"]) {
        Kind::Password
    } else if ends(&["cookie"]) {
        Kind::Cookie
    } else if ends(&["token", "auth", "sig", "signature"]) {
        Kind::Token
    } else if ends(&["secret", "key", "credential", "cred", "creds", "base"]) {
        Kind::Key
    } else {
        Kind::Password
    }
}

impl Named<'_> {
    /// Where the secret is that follows the name, which ends here.
    fn secret(&self, text: &str, end: usize) -> Option<Range<usize>> {
        let (link, start) = link(text, end, self.before)?;
        let is_query = (matches!(self.before, Some(b'?' | b'&')) || ends_encoded(&text[..end]))
            && matches!(link, Link::Assigned { .. });
        let value = Value::at(text, start);
        let value = match link {
            Link::Tag => value.in_form(Quoting::Tags),
            _ if is_query => value.in_form(Quoting::Query),
            _ => value,
        };
        match self.kind {
            Kind::Authorization if link != Link::Blank => return authorization(text, start),
            Kind::Cookie if link != Link::Blank => return cookie(text, start),
            _ => {}
        }
        let head = value.head();
        let is_secret = match link {
            Link::Blank => self.is_secret_behind_blank(head),
            Link::Said { colon } => self.is_said(head, value, colon),
            Link::Assigned { spaced } => self.is_assigned(head, value, spaced, is_query),
            Link::Colon { spaced } => self.is_declared(head, value, spaced),
            Link::Tag => !is_stand_in(head),
        };
        is_secret.then(|| value.range())
    }

    fn is_secret_behind_blank(&self, head: &str) -> bool {
        let is_flag = self.name.starts_with("--") && !self.is_id_of_secret();
        !is_stand_in(head)
            && !head.starts_with('-')
            && (is_random(head) || (is_flag && is_odd(head)))
    }

    /// Whether a sentence names the secret: `the password for ada is …`.
    fn is_said(&self, head: &str, value: Value<'_>, colon: bool) -> bool {
        if is_stand_in(head) {
            return false;
        }
        let is_chosen = match self.kind {
            Kind::Password if value.is_quoted() => true,
            Kind::Password if is_last(value) => colon || is_odd(head),
            Kind::Password => value.ends_clause() && is_odd(head),
            Kind::Key => is_last(value) && is_odd(head),
            _ => false,
        };
        is_random(head) || (is_chosen && !self.is_plural && !self.is_id_of_secret())
    }

    /// Whether no text has the name but a setting whose value is a password.
    fn is_for_nothing_else(&self) -> bool {
        ["requirepass", "masterauth"]
            .iter()
            .any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// Whether this is how often or that a test passed, as those who run tests print it.
    fn is_verdict(&self, head: &str, value: Value<'_>) -> bool {
        let digits = head.bytes().take_while(u8::is_ascii_digit).count();
        let is_count = (1..6).contains(&digits) && head.len() <= digits + 2;
        let is_test = !value.is_quoted()
            && (self.name.bytes().any(|b| b.is_ascii_uppercase())
                || head.contains(['.', '/', ':']));
        self.name.eq_ignore_ascii_case("pass") && (is_count || is_test)
    }

    /// The id of a secret is its name in some places, and one half of a credential in others.
    fn is_id_of_secret(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        ["secret_id", "secret-id", "secretid"]
            .iter()
            .any(|ending| name.ends_with(ending))
    }

    fn is_assigned(&self, head: &str, value: Value<'_>, spaced: bool, is_query: bool) -> bool {
        let is_name = |name: &str| self.name.eq_ignore_ascii_case(name);
        let is_folder =
            ["PWD", "OLDPWD", "pwd"].contains(&self.name) && !self.is_setting && is_folder(head);
        if head.starts_with('=') || is_stand_in(head) || is_folder {
            return false;
        }
        let is_word = |ending: &str| self.name.to_ascii_lowercase().ends_with(ending);
        if is_word("sig") || is_word("signature") {
            return is_query;
        }
        let is_number = head.bytes().all(|b| b.is_ascii_digit());
        let is_count = is_number
            && match self.kind {
                Kind::Token => head.len() < 10,
                // As test runners print, beside how many failed; and widths.
                _ => head.len() < 6 && (is_name("pass") || is_name("pw")),
            };
        let is_code =
            spaced && !value.is_quoted() && (is_code(head) || (is_name("pw") && !is_odd(head)));
        if self.is_id_of_secret() {
            return is_random(head) || is_uuid(head);
        }
        if self.is_plural || (is_word("auth") && self.kind == Kind::Token) {
            return is_random(head);
        }
        !is_count && !is_code
    }

    fn is_declared(&self, head: &str, value: Value<'_>, spaced: bool) -> bool {
        if (spaced && self.is_verdict(head, value)) || is_stand_in(head) {
            return false;
        }
        let is_last = is_last(value);
        let is_test = self.name.eq_ignore_ascii_case("pass");
        match self.kind {
            _ if self.is_id_of_secret() => is_random(head) || is_uuid(head),
            _ if self.is_plural => is_random(head),
            Kind::Password if value.is_quoted() || self.is_for_nothing_else() => true,
            Kind::Password if is_last => is_odd(head),
            Kind::Password if value.is_entry() || (value.ends_clause() && !is_test) => {
                is_odd(head) && !head.starts_with('&')
            }
            Kind::Key if is_last || value.is_quoted() => is_odd(head),
            _ => is_random(head) || (value.is_quoted() && head.len() >= 12 && is_odd(head)),
        }
    }
}

/// Whether nothing but closing signs follows, or the quote of the whole word that it ends.
fn is_last(value: Value<'_>) -> bool {
    let follows = value.follows();
    let behind = follows.strip_prefix(['"', '\'', '`']);
    let is_word_end = behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(' '));
    (!value.is_quoted() && is_word_end)
        || follows
            .chars()
            .all(|c| c.is_whitespace() || "\"'`,;})]".contains(c))
}

/// Whether a setting stands before this and is parted from what follows: `Uid=ada;`, `?user=ada&`.
fn is_setting(before: &str) -> bool {
    let before = &before[before.ceil_char_boundary(before.len().saturating_sub(SETTING_BYTES))..];
    let plain = before.trim_end();
    let last = plain
        .strip_suffix(';')
        .and_then(|plain| plain.rsplit(';').next());
    before.ends_with(['?', '&']) || last.is_some_and(|last| last.contains('='))
}

/// Whether the name before this has a closing bracket in percent-encoding.
fn ends_encoded(name: &str) -> bool {
    name.ends_with("%5D") || name.ends_with("%5d")
}

/// Whether a value without quotes is an expression of a program rather than a text.
fn is_code(value: &str) -> bool {
    let word = value.find(|c: char| !(c.is_ascii_alphanumeric() || "_.:>-&*".contains(c)));
    let calls = word.is_some_and(|end| end > 0 && value[end..].starts_with(['(', '[']));
    let plain = value.trim_end_matches(';');
    let is_field = plain.contains('.')
        && plain
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b"_.".contains(&b));
    calls || is_field || ["await", "new", "nullptr", "lib", "config", "self"].contains(&plain)
}

/// Behind `Authorization:` a scheme and what it takes, or that alone.
fn authorization(text: &str, start: usize) -> Option<Range<usize>> {
    let value = Value::at(text, start).in_form(Quoting::Header);
    let head = value.head().trim_end();
    let Some((scheme, behind)) = head.split_once(char::is_whitespace) else {
        return is_random(head).then(|| value.range());
    };
    let behind = behind.trim_start();
    let is_known = [
        "basic",
        "bearer",
        "token",
        "digest",
        "negotiate",
        "apikey",
        "ntlm",
    ]
    .iter()
    .any(|known| scheme.eq_ignore_ascii_case(known));
    let first = behind.split_whitespace().next().unwrap_or_default();
    let before = head.len() - behind.len();
    let is_secret = !is_stand_in(first)
        && (is_random(behind) || (is_known && (is_odd(first) || first == behind)));
    is_secret.then(|| value.range().start + before..value.range().end)
}

/// Behind `Cookie:` the rest, if it has a cookie.
fn cookie(text: &str, start: usize) -> Option<Range<usize>> {
    let value = Value::at(text, start).in_form(Quoting::Header);
    let head = value.head().trim_end();
    let has_value = head
        .split_once('=')
        .is_some_and(|(_, value)| !value.is_empty());
    (has_value || is_random(head)).then(|| value.range())
}
