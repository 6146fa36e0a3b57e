//! The first look at a line, which is all that most of them need: whether any rule may match at all.

use super::tokens;
use memchr::{memchr, memmem};

/// With what the names of secrets end, in lower case.
const NAMES: [&str; 21] = [
    "token",
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "pass",
    "pwd",
    "pw",
    "rootpw",
    "bindpw",
    "authtok",
    "secret",
    "key_base",
    "key",
    "psk",
    "credential",
    "creds",
    "cred",
    "cookie",
    "authorization",
    "auth",
];
/// What else makes a line worth a second look, in lower case.
const OTHERS: [&str; 48] = [
    "-----begin ",
    "bearer ",
    "access-token",
    "signature=",
    "sig=",
    "curl ",
    "sshpass ",
    "mysql",
    "mariadb",
    "redis-cli ",
    "ldap",
    "login ",
    "requirepass",
    "masterauth",
    "bw_session",
    "secret_id",
    "secret-id",
    "secretid",
    "identified",
    "auth plain",
    "auth login",
    "chpasswd",
    "echo root:",
    "htpasswd ",
    "smbclient ",
    "rpcclient ",
    "ssh-keygen ",
    "7z a ",
    "7z x ",
    "7z u ",
    "7z e ",
    "7z t ",
    "7z l ",
    "7za a ",
    "7za x ",
    "openssl ",
    "ipmitool ",
    "mosquitto_",
    "zip -",
    "mongo",
    "rabbitmqctl ",
    "lftp ",
    "| sudo -",
    "auth-pass ",
    "setuser ",
    " ~*",
    "%3a%2f%2f",
    "key-",
];
/// How far behind the name of a machine its password may stand in a file for `netrc(5)`.
const MACHINE_BYTES: usize = 256;
/// How the hash of a password begins, as `crypt(5)` has it,
const CRYPT_KINDS: [&str; 9] = [
    "$y$", "$gy$", "$7$", "$6$", "$5$", "$1$", "$2a$", "$2b$", "$2y$",
];
/// and what stands before it, if not the beginning of the line. Marks of three bytes would take more looks.
const BEFORE_CRYPT: [&str; 6] = [":", " ", "\"", "'", "=", "`"];
/// How many marks are worth a second look wherever they are.
const OTHERS_COUNT: usize = OTHERS.len() + CRYPT_KINDS.len() * BEFORE_CRYPT.len();
/// Letters that are `s` and `k` to an expression that ignores case, and outside of ASCII.
const ODD_LETTERS: [&[u8]; 2] = ["\u{17f}".as_bytes(), "\u{212a}".as_bytes()];
/// Three bytes, of each what does not tell upper from lower case.
const KEYS: usize = 1 << 15;

/// Looks at three bytes at every second place of a line. A mark begins at such a place or right before one, so each
/// is found by its first three bytes or by the three behind the first; one of two bytes by any third, behind or
/// before them.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    marks: Vec<String>,
    /// For each key whether some mark has it.
    is_known: Box<[bool; KEYS]>,
    /// For each key the first of its places.
    firsts: Box<[usize]>,
    /// The key, the mark, and where in it the key's bytes begin; in order.
    places: Vec<(u16, u16, i8)>,
}

impl Scan {
    pub(super) fn new() -> Self {
        let tokens = tokens::marks().map(str::to_ascii_lowercase);
        let names = NAMES.iter().chain(&OTHERS).map(|&mark| mark.to_owned());
        let crypted = CRYPT_KINDS
            .iter()
            .flat_map(|kind| BEFORE_CRYPT.map(|before| format!("{before}{kind}")));
        let marks: Vec<_> = names.chain(crypted).chain(tokens).collect();
        let mut places = Vec::new();
        for (number, mark) in (0..).zip(&marks) {
            match mark.as_bytes() {
                [first, second] => {
                    places.extend((0..32).map(|any| (key(&[*first, *second, any]), number, 0)));
                    places.extend((0..32).map(|any| (key(&[any, *first, *second]), number, -1)));
                }
                [first, second, third] => {
                    places.push((key(&[*first, *second, *third]), number, 0));
                    places.extend((0..32).map(|any| (key(&[*second, *third, any]), number, 1)));
                }
                mark => {
                    places.push((key(&mark[..3]), number, 0));
                    places.push((key(&mark[1..4]), number, 1));
                }
            }
        }
        places.sort_unstable();
        let mut is_known = Box::new([false; KEYS]);
        let mut firsts = vec![0; KEYS].into_boxed_slice();
        for (place, (key, _, _)) in places.iter().enumerate().rev() {
            is_known[usize::from(*key)] = true;
            firsts[usize::from(*key)] = place;
        }
        Self {
            marks,
            is_known,
            firsts,
            places,
        }
    }

    /// Whether a rule may match.
    pub(super) fn may_match(&self, line: &str) -> bool {
        let bytes = line.as_bytes();
        if matches!(
            bytes,
            [b'$', b'1' | b'2' | b'5' | b'6' | b'7' | b'g' | b'y', ..]
        ) {
            return true;
        }
        if memchr(b'@', bytes).is_some() && memmem::find(bytes, b"://").is_some() {
            return true;
        }
        if memchr(b'=', bytes).is_some_and(|at| memmem::find(&bytes[at..], b"==").is_some()) {
            return true;
        }
        if !bytes.is_ascii()
            && ODD_LETTERS
                .iter()
                .any(|odd| memmem::find(bytes, odd).is_some())
        {
            return true;
        }
        let places = bytes.windows(3).step_by(2).enumerate();
        places
            .filter(|(_, three)| self.is_known[usize::from(key(three))])
            .any(|(place, three)| self.is_worth(bytes, 2 * place, key(three)))
    }

    /// Whether a mark is here, and where the name of a secret or a token can be.
    fn is_worth(&self, bytes: &[u8], place: usize, key: u16) -> bool {
        let mut places = self.places[self.firsts[usize::from(key)]..]
            .iter()
            .take_while(|(other, _, _)| *other == key);
        places.any(|(_, mark, offset)| {
            let mark = usize::from(*mark);
            let Some(start) = place.checked_sub_signed(isize::from(*offset)) else {
                return false;
            };
            let end = start + self.marks[mark].len();
            let found = bytes.get(start..end);
            found.is_some_and(|found| found.eq_ignore_ascii_case(self.marks[mark].as_bytes()))
                && is_worth(bytes, mark, start, end)
        })
    }
}

fn key(three: &[u8]) -> u16 {
    three
        .iter()
        .fold(0, |key, byte| key << 5 | u16::from(byte & 31))
}

/// Whether what was found is where the name of a secret or a token can be.
fn is_worth(bytes: &[u8], pattern: usize, start: usize, end: usize) -> bool {
    if pattern < NAMES.len() {
        return has_value(&bytes[end..]) || is_of_machine(&bytes[..start]);
    }
    let is_inside = start > 0 && bytes[start - 1].is_ascii_alphanumeric();
    if bytes[start..end].eq_ignore_ascii_case(b"key-") {
        // In the names of files it is behind a sign.
        return start == 0 || b" \t\"'=:,".contains(&bytes[start - 1]);
    }
    pattern < NAMES.len() + OTHERS_COUNT
        || !is_inside
        || bytes[start] == b':'
        || bytes[..start].ends_with(b"bot")
}

/// Whether this stands before the password of a machine, as in a file for `netrc(5)`.
fn is_of_machine(before: &[u8]) -> bool {
    let before = &before[before.len().saturating_sub(MACHINE_BYTES)..];
    before.ends_with(b" ")
        && ["machine ", "default "]
            .iter()
            .any(|word| memmem::find(before, word.as_bytes()).is_some())
}

/// Whether the word `value` follows, behind a comma or blanks and a quote.
fn is_entry(behind: &[u8]) -> bool {
    let is_between = |b: &&u8| b.is_ascii_whitespace() || b",;\\\"'".contains(b);
    let between = behind.iter().take(16).take_while(is_between).count();
    let word = behind.get(between..between + 5);
    word.is_some_and(|word| word.eq_ignore_ascii_case(b"value"))
}

/// Whether a value follows: behind a sign, or a blank where it looks like no word.
fn has_value(behind: &[u8]) -> bool {
    let behind = behind
        .strip_prefix(b"s")
        .or(behind.strip_prefix(b"S"))
        .unwrap_or(behind);
    let is_closing = |b: &&u8| b.is_ascii_digit() || b"\\\"'`]".contains(b);
    let behind = &behind[behind.iter().take_while(is_closing).count()..];
    let mut rest = behind.trim_ascii_start();
    while let Some(more) = rest.strip_prefix("\u{a0}".as_bytes()) {
        rest = more.trim_ascii_start();
    }
    match rest {
        [b'=' | b':' | b'>', rest @ ..] => !rest.is_empty(),
        // `--password-stdin`, and `passwd --stdin`
        [b'-', b's', b't', b'd', b'i', b'n', ..]
        | [b'-', b'-', b's', b't', b'd', b'i', b'n', ..] => true,
        // `：` and `＝`, as where programs speak Chinese or Japanese.
        [0xef, 0xbc, 0x9a | 0x9d, rest @ ..] => !rest.is_empty(),
        [b'%', b'2' | b'3' | b'5', _, rest @ ..] => !rest.is_empty(),
        // The name itself is a value here, and what it names follows.
        rest if is_entry(rest) => true,
        rest => {
            let head = &rest[..rest.len().min(80)];
            rest.len() < behind.len()
                && (head
                    .iter()
                    .any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
                    || (is_sentence(head) && head.iter().any(|b| b"\"':".contains(b))))
        }
    }
}

/// Whether what follows a name can say whose it is or what, before a value of any letters.
fn is_sentence(behind: &[u8]) -> bool {
    [
        "for ", "of ", "on ", "at ", "is", "was ", "has ", "set ", "now ", "(", "[",
    ]
    .iter()
    .any(|word| behind.starts_with(word.as_bytes()))
}
