//! What secrets usually look like.

use super::key::Key;
use super::names::Names;
use super::scan::Scan;
use super::value::{is_odd, is_random, is_stand_in};
use super::{expression, replaced_if, tokens};
use regex::Regex;
use std::borrow::Cow;

/// `access-tokens = github.com=… gitlab.com=…`, in nix.conf and on command lines.
const ACCESS_TOKENS: &str = r#"access-tokens\\?["\s=:]+([^\s=]+=\S.*)$"#;
/// `https://user:password@host`.
const PASSWORD_IN_ADDRESS: &str = r"://[^/\s:@]*:([^/\s]+)@";
/// The same with a `/` in the password. A number before the first `/` is the port of an address with a path.
const SLASH_IN_ADDRESS: &str =
    r"://(?:[^/\s:@\[]+:([^\s@/]*[^\s@/0-9][^\s@/]*/[^\s@]*)|:([^\s@/]*/[^\s@]*))@[\w.-]";
/// `https://token@host`, and `https://token:x-oauth-basic@host`.
const USER_IN_ADDRESS: &str = r"://([^/\s:@]{16,})(?::[^/\s@]*)?@";
const BEARER: &str = r"(?i)bearer\s+([A-Za-z0-9._~+/=-]{16,})";
/// What `nix key generate-secret` prints: a name and 64 bytes.
const NIX_KEY: &str = r"[\w.-]:([A-Za-z0-9+/]{86}==)";
/// Programs that take a password as a short option.
const OPTIONS: [&str; 11] = [
    r#"\bcurl\b.*?\s(?:-[A-Za-z]*[uU]|--(?:proxy-)?user)(?:\s+|=)?["']?[^\s:"']+:([^\s"']+)"#,
    r#"\bsshpass\s+-p\s*["']?([^\s"']+)"#,
    r#"\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump)\b.*?\s-p["']?([^\s"']+)"#,
    r#"\bldap(?:search|modify|add|delete|modrdn|compare|passwd|whoami)\b.*?\s-w\s*["']?([^\s"']+)"#,
    r#"\b(?:redis-cli\b.*?\s-a|login\b.*?\s-p)\s+["']?([^\s"']+)"#,
    r#"\b(?:smbclient|rpcclient)\b.*?\s(?:-U|--user)(?:\s+|=)?["']?[^\s%"']+%([^\s"']+)"#,
    r#"\bssh-keygen\b.*?\s-[NP]\s*(?:"([^"]+)|'([^']+)|([^\s"']+))"#,
    r#"\b7z[az]?\s+[a-z]+\s(?:.*?\s)?-p["']?([^\s"']+)"#,
    r#"\bhtpasswd\s+(?:-\S+\s+)*-[A-Za-z]*b[A-Za-z]*\s+(?:[^\s|<>&;]+\s+)+["']?([^\s"'|<>&;]+)["']?\s*(?:$|[|<>&;])"#,
    r#"\bchpasswd\b.*?<<<\s*["']?[^\s:"']+:([^\s"']+)"#,
    r#"\becho\s+(?:-\S+\s+)*["']?[^\s:"']+:([^\s"'|]+)["']?\s*\|.*?\bchpasswd\b"#,
];
/// Settings and statements whose last word is the password.
const STATEMENTS: [&str; 5] = [
    r#"(?:^\s*|--|(?i:set)\s+)(?:requirepass|masterauth)\s+["']?([^\s"']+)["']?\s*$"#,
    r#"(?i)\bidentified\s+(?:(?:with|via)\s+\S+\s+)?(?:by|as|using)\s+(?:password\s+)?(?:'([^']+)|\\?"([^"\\]+))"#,
    r"\bAUTH\s+(?:PLAIN|LOGIN)\s+([A-Za-z0-9+/=]{8,})",
    // What a shell shows of the first half of a pipe.
    r#"^\++ echo\s+["']?root:([^\s"':]+)["']?$"#,
    // A key of Mailgun.
    r#"(?:^|[\s"'=:,])(key-[0-9a-f]{32})(?-u:\b)"#,
];
/// What a password is kept as in `/etc/shadow`: crypt's kind, salt and hash.
const CRYPTED: &str = r"(\$(?:y|gy|7|6|5|1|2[aby])\$[./A-Za-z0-9,=]{1,40}\$[./A-Za-z0-9$]{20,}|\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53})";
/// An entry of a list whose name is that of a secret, and whose value stands beside it.
const ENTRY: &str = r#"(?i)\b(?:name|key)\\?["']?\s*[:=]\s*\\?["']?(?:[\w.-]*[_.-])?(?:\w*(?:token|password|passwd|passphrase|secret)|(?:api|secret|private|access|encryption|signing|master)[_-]?key|pass|pwd)\\?["']?\s*[,;]?\s*\\?["']?value\\?["']?\s*[:=]\s*(?:\\?"([^"\\]+)|'([^']+)|([^\s"',;}\\]+))"#;

#[derive(Clone, Debug)]
pub(super) struct Rules {
    scan: Scan,
    /// Those whose group is masked whatever it is.
    always: [Regex; 5],
    tokens: Regex,
    names: Names,
    bearer: Regex,
    user: Regex,
    options: Vec<Regex>,
}

impl Rules {
    pub(super) fn new() -> Result<Self, regex::Error> {
        let entry = [ENTRY].into_iter();
        let options = OPTIONS.into_iter().chain(STATEMENTS).chain(entry);
        let options = options.map(expression);
        Ok(Self {
            scan: Scan::new(),
            always: [
                // What the widest masked holds no `=` any more.
                expression(ACCESS_TOKENS)?,
                expression(SLASH_IN_ADDRESS)?,
                expression(PASSWORD_IN_ADDRESS)?,
                expression(NIX_KEY)?,
                expression(CRYPTED)?,
            ],
            tokens: tokens::tokens()?,
            names: Names::new()?,
            bearer: expression(BEARER)?,
            user: expression(USER_IN_ADDRESS)?,
            options: options.collect::<Result<_, _>>()?,
        })
    }

    /// Whether there may be a secret in the line; what most lines are is told from a single look at each byte.
    pub(super) fn may_match(&self, line: &str) -> bool {
        self.scan.may_match(line)
    }

    /// The line without its secrets.
    pub(super) fn mask<'a>(&self, key: &mut Key, line: &'a str) -> Cow<'a, str> {
        let mut masked = key.line(line);
        let keep = |other: Option<String>, masked: &mut Cow<'a, str>| {
            if let Some(other) = other {
                *masked = Cow::Owned(other);
            }
        };
        for rule in &self.always {
            keep(replaced_if(rule, &masked, |_| true), &mut masked);
        }
        keep(replaced_if(&self.tokens, &masked, |_| true), &mut masked);
        keep(self.names.replaced(&masked), &mut masked);
        keep(
            replaced_if(&self.bearer, &masked, |token| {
                is_random(token) || is_odd(token)
            }),
            &mut masked,
        );
        keep(replaced_if(&self.user, &masked, is_random), &mut masked);
        for rule in &self.options {
            keep(
                replaced_if(rule, &masked, |secret| !is_stand_in(secret)),
                &mut masked,
            );
        }
        masked
    }
}
