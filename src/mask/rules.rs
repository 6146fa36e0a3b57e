//! What secrets usually look like.

use super::key::Key;
use super::names::Names;
use super::scan::Scan;
use super::value::{is_odd, is_random, is_stand_in, is_word_of_sentence};
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
/// The same with each sign in percent-encoding, in an address of its own or as a part of another.
const ENCODED_ADDRESS: [&str; 2] = [
    r"(?i)%3a%2f%2f(?:[^/\s:@&%]|%2[0-9])*(?:%3a|:)([^/\s&]+?)(?:%40|@)",
    r"(?i)://[^/\s:@%]*%3a([^/\s@]+)@",
];
/// `password%3D…`, where an address is a part of another.
const ENCODED_VALUE: &str = r#"(?i)(?:token|passw(?:or)?d|passphrase|secret|(?:[?&_.-]|%[0-9a-f]{2})(?:pass|pwd|pw|api-?key))(?:%5d)?(?:%22)?(?:%20)*(?:%3d|%3a)(?:%20|%22)*((?:[^\s"'&#%]|%(?:[013-9a-f][0-9a-f]|2[013-57-9a-f]))+)"#;
/// `https://token@host`, and `https://token:x-oauth-basic@host`.
const USER_IN_ADDRESS: &str = r"://([^/\s:@]{16,})(?::[^/\s@]*)?@";
const BEARER: &str = r"(?i)bearer\s+([A-Za-z0-9._~+/=-]{16,})";
/// What `nix key generate-secret` prints: a name and 64 bytes.
const NIX_KEY: &str = r"[\w.-]:([A-Za-z0-9+/]{86}==)";
/// Programs that take a password as a short option.
const OPTIONS: [&str; 23] = [
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
    r#"\b(?:keytool|jarsigner)\b.*?\s-\w*pass(?:\s+|=)["']?([^\s"']+)"#,
    r#"\b(?:ipmitool\b.*?\s-P|mosquitto_(?:pub|sub|rr)\b.*?\s-P|(?:un)?zip\s+(?:-\S+\s+)*-P|mongo(?:sh|dump|restore|import|export)?\s(?:.*?\s)?-p)\s*["']?([^\s"']+)"#,
    r#"\brabbitmqctl\s+(?:-\S+\s+)*(?:add_user|change_password)\s+\S+\s+["']?([^\s"']+)"#,
    r#"\blftp\s+(?:.*?\s)?-u\s*["']?[^\s,"']+,([^\s"']+)"#,
    r#"\b(?:echo|printf)\s+(?:-\S+\s+)*(?:"([^"]+)"|'([^']+)'|([^\s"'|]+))\s*\|\s*(?:sudo\s+(?:-\w+\s+)*-\w*S|.*?--?password-stdin\b|(?:sudo\s+)?passwd\s+--stdin)"#,
    r#"\bwpa_passphrase\s+\S+\s+["']?([^\s"']+)"#,
    r#"\b(?:plink|pscp|psftp|putty)\b.*?\s-pw\s+["']?([^\s"']+)"#,
    r#"\bopenssl\s+(?:enc|(?:aes|aria|bf|blowfish|camellia|cast5?|chacha20|des3?|idea|rc2|rc4|rc5|seed|sm4)(?:-[\w-]+)?)\s(?:.*?\s)?-[kK]\s+(?:"([^"]+)|'([^']+)|([^\s"']+))"#,
    r#"\s--?(?:d?pass|passin|passout|password|passwd|srppass|keypass)(?:\s+|=)(?:"pass:([^"]+)|'pass:([^']+)|pass:([^\s"']+))"#,
    r#"\bopenssl\b.*?\s-(?:hmac\s+|macopt\s+(?:hex)?key:)["']?([^\s"']+)"#,
    r#"\bopenssl\s+passwd\s+(?:-salt\s+\S+\s+|-\S+\s+)+["']?([^-\s"'][^\s"']*)"#,
    r#"\bmkpasswd\s+(?:-[mSR]\s+\S+\s+|-\S+\s+)+["']?([^-\s"'][^\s"']*)"#,
    r#"\becho\s+(?:-\S+\s+)*["']?[^\s:"']+:([^\s"'|]+)["']?\s*\|.*?\bchpasswd\b"#,
];
/// Settings and statements whose last word is the password.
const STATEMENTS: [&str; 10] = [
    r#"(?:(?:^|>\s|["'])\s*|(?i:set)\s+)(?:requirepass|masterauth|rootpw|bindpw)\s+["']?([^\s"']+)["']?\s*(?:["',\]].*)?$"#,
    r#"--(?:requirepass|masterauth)(?:\s+|=)\s*(?:"([^"]+)|'([^']+)|([^\s"']+))"#,
    r#"\b(?:user\s+\S+\s+on|(?i:setuser)\s+\S+)\s+(?:[^\s>]\S*\s+)*>([^\s"']+)"#,
    r#"\bauth-pass\s+\S+\s+["']?([^\s"']+)"#,
    // A shell that is not POSIX's, and a Dockerfile.
    r#"(?:^|[>+;&|])\s*(?:set|setenv|ENV|ARG)\s+(?:-\w+\s+)*\w*(?:PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|PW|TOKEN|SECRET|KEY)\s+["']?([^\s"']+)["']?\s*$"#,
    // What curl shows of FTP and POP3.
    r"^>\s+PASS\s+(\S+)\s*$",
    r#"(?i)\bidentified\s+(?:(?:with|via)\s+\S+\s+)?(?:by|as|using)\s+(?:password\s+)?(?:'([^']+)|\\?"([^"\\]+))"#,
    r"\bAUTH\s+(?:PLAIN|LOGIN)\s+([A-Za-z0-9+/=]{8,})",
    // What a shell shows of the first half of a pipe.
    r#"^\++ echo\s+["']?root:([^\s"':]+)["']?$"#,
    // A key of Mailgun.
    r#"(?:^|[\s"'=:,])(key-[0-9a-f]{32})(?-u:\b)"#,
];
/// A file for `netrc(5)`, on one line or on a line for each machine.
const MACHINES: [&str; 3] = [
    r#"(?:^|[\s>"':])(?:machine\s+\S+|default)\s+(?:(?:login|account|port)\s+\S+\s+)+password\s+(?:\\?"([^"\\]+)|'([^']+)|([^\s"'\\]+))"#,
    r#"(?:^|[\s>"':])(?:machine\s+\S+|default)\s+password\s+(?:\\?"([^"\\]+)\\?"|'([^']+)'|([^\s"'\\]+))\s+(?:login|account|port)\s"#,
    r"^\s*login\s+[^\s:]+\s+(?:(?:account|port)\s+\S+\s+)*password\s+(\S+)\s*$",
];
/// The same where it may be a sentence, too: only what looks like a password is one.
const MAYBE_MACHINES: [&str; 3] = [
    r#"(?:^|[>"':]\s*)\s*(?:machine\s+\S+|default)\s+password\s+(?:\\?"([^"\\]+)|'([^']+)|([^\s"'\\]+))"#,
    r#"(?:^|[\s>"':])login\s+[^\s:]+\s+(?:(?:account|port)\s+\S+\s+)*password\s+(?:\\?"([^"\\]+)|'([^']+)|([^\s"'\\]+))"#,
    r"^\s*password\s+(\S+)\s*$",
];
/// What a password is kept as in `/etc/shadow`: crypt's kind, salt and hash.
const CRYPTED: &str = r"(\$(?:y|gy|7|6|5|1|2[aby])\$[./A-Za-z0-9,=]{1,40}\$[./A-Za-z0-9$]{20,}|\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53})";
/// An entry of a list whose name is that of a secret, and whose value stands beside it.
const ENTRY: &str = r#"(?i)\b(?:name|key)\\?["']?\s*[:=]\s*\\?["']?(?:[\w.-]*[_.-])?(?:\w*(?:token|password|passwd|passphrase|secret)|(?:api|secret|private|access|encryption|signing|master)[_-]?key|pass|pwd)\\?["']?\s*[,;]?\s*\\?["']?value\\?["']?\s*[:=]\s*(?:\\?"([^"\\]+)|'([^']+)|([^\s"',;}\\]+))"#;

#[derive(Clone, Debug)]
pub(super) struct Rules {
    scan: Scan,
    /// Those whose group is masked whatever it is.
    always: [Regex; 7],
    tokens: Regex,
    names: Names,
    bearer: Regex,
    user: Regex,
    options: Vec<Regex>,
    machines: Vec<Regex>,
    maybe_machines: Vec<Regex>,
}

impl Rules {
    pub(super) fn new() -> Result<Self, regex::Error> {
        let entry = [ENTRY].into_iter();
        let encoded = [ENCODED_VALUE].into_iter();
        let options = OPTIONS.into_iter().chain(STATEMENTS).chain(entry);
        let options = options.chain(encoded);
        let options = options.map(expression);
        let machines = MACHINES.into_iter().map(expression);
        let maybe_machines = MAYBE_MACHINES.into_iter().map(expression);
        Ok(Self {
            scan: Scan::new(),
            always: [
                // What the widest masked holds no `=` any more.
                expression(ACCESS_TOKENS)?,
                expression(SLASH_IN_ADDRESS)?,
                expression(PASSWORD_IN_ADDRESS)?,
                expression(ENCODED_ADDRESS[0])?,
                expression(ENCODED_ADDRESS[1])?,
                expression(NIX_KEY)?,
                expression(CRYPTED)?,
            ],
            tokens: tokens::tokens()?,
            names: Names::new()?,
            bearer: expression(BEARER)?,
            user: expression(USER_IN_ADDRESS)?,
            options: options.collect::<Result<_, _>>()?,
            machines: machines.collect::<Result<_, _>>()?,
            maybe_machines: maybe_machines.collect::<Result<_, _>>()?,
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
            keep(replaced_if(rule, &masked, |_, _| true), &mut masked);
        }
        keep(replaced_if(&self.tokens, &masked, |_, _| true), &mut masked);
        keep(self.names.replaced(&masked), &mut masked);
        keep(
            replaced_if(&self.bearer, &masked, |_, token| {
                is_random(token) || is_odd(token)
            }),
            &mut masked,
        );
        keep(
            replaced_if(&self.user, &masked, is_token_as_user),
            &mut masked,
        );
        for rule in &self.options {
            keep(
                replaced_if(rule, &masked, |_, secret| !is_stand_in(secret)),
                &mut masked,
            );
        }
        let is_password = |secret: &str| !is_stand_in(secret) && !is_word_of_sentence(secret);
        for rule in &self.machines {
            keep(
                replaced_if(rule, &masked, |_, secret| is_password(secret)),
                &mut masked,
            );
        }
        for rule in &self.maybe_machines {
            keep(
                replaced_if(rule, &masked, |_, secret| {
                    is_password(secret) && is_odd(secret)
                }),
                &mut masked,
            );
        }
        masked
    }
}

/// Whether a user in an address is a token: made by chance, or longer than names are. Over ssh it is a name.
fn is_token_as_user(before: &str, user: &str) -> bool {
    let is_ssh = ["ssh://", "ssh-ng://", "sftp://", "rsync://"]
        .iter()
        .any(|scheme| before.ends_with(scheme));
    let is_long = user.len() >= 32 && user.bytes().all(|b| b.is_ascii_alphanumeric());
    !is_ssh && (is_long || is_random(user))
}
