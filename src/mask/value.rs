//! What stands behind the name of a secret: where it ends, and whether it looks like one.

use std::ops::Range;

/// As much of a value decides what it is, in bytes.
pub(super) const LOOKED_AT_BYTES: usize = 512;

/// Words that stand in the place of a secret, in lower case.
const STAND_INS: [&str; 36] = [
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "null",
    "none",
    "nil",
    "nullptr",
    "undefined",
    "unset",
    "empty",
    "string",
    "str",
    "text",
    "password",
    "token",
    "secret",
    "key",
    "required",
    "optional",
    "default",
    "disabled",
    "enabled",
    "hidden",
    "redacted",
    "identifier",
    "unknown",
    "missing",
    "changed",
    "unchanged",
    "ok",
    "n/a",
    "(null)",
    "prompt",
];

/// Words that go on with a sentence about a password, in lower case.
const WORDS_OF_SENTENCES: [&str; 30] = [
    "is",
    "was",
    "are",
    "for",
    "of",
    "on",
    "in",
    "at",
    "to",
    "and",
    "or",
    "has",
    "had",
    "will",
    "must",
    "can",
    "cannot",
    "should",
    "does",
    "reset",
    "prompt",
    "authentication",
    "file",
    "with",
    "failed",
    "incorrect",
    "wrong",
    "accepted",
    "expired",
    "invalid",
];

/// Where paths begin. A secret in base64 may begin with `/`, too.
const ROOTS: [&str; 18] = [
    "/run/",
    "/etc/",
    "/var/",
    "/nix/",
    "/home/",
    "/root/",
    "/tmp/",
    "/opt/",
    "/srv/",
    "/usr/",
    "/mnt/",
    "/dev/",
    "/proc/",
    "/sys/",
    "/boot/",
    "/persist/",
    "./",
    "~/",
];

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    None,
    Single,
    Double,
    /// In double quotes that are escaped themselves.
    Escaped,
    /// In an address, where `&` and `#` end it.
    Query,
    /// Between the tags of XML.
    Tags,
    /// Several in double quotes, as JSON and Nix write them in brackets.
    List,
    /// All that a header has.
    Header,
}

/// A value in a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    text: &'a str,
    start: usize,
    pub(super) quoting: Quoting,
}

impl<'a> Value<'a> {
    /// What begins here, behind a quote if there is one.
    pub(super) fn at(text: &'a str, start: usize) -> Self {
        let (quote, quoting) = match text.as_bytes().get(start..) {
            Some([b'\\', b'"', ..]) => (2, Quoting::Escaped),
            Some([b'"', ..]) => (1, Quoting::Double),
            Some([b'\'' | b'`', ..]) => (1, Quoting::Single),
            Some([b'[', b'"', ..]) => (2, Quoting::List),
            Some([b'[', b' ', b'"', ..]) => (3, Quoting::List),
            _ => (0, Quoting::None),
        };
        Self {
            text,
            start: start + quote,
            quoting,
        }
    }

    /// The same, written in another way.
    pub(super) fn in_form(self, quoting: Quoting) -> Self {
        if self.quoting == Quoting::None {
            Self { quoting, ..self }
        } else {
            self
        }
    }

    pub(super) fn is_quoted(self) -> bool {
        !matches!(self.quoting, Quoting::None | Quoting::Query)
    }

    /// Where it is.
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.start + self.length(self.text.len() - self.start)
    }

    /// Enough of it to tell what it is.
    pub(super) fn head(self) -> &'a str {
        let rest = self.text.len() - self.start;
        &self.text[self.start..self.start + self.length(rest.min(LOOKED_AT_BYTES))]
    }

    /// What stands behind the head.
    pub(super) fn follows(self) -> &'a str {
        &self.text[self.start + self.head().len()..]
    }

    /// Whether it is one of several that signs part.
    pub(super) fn is_entry(self) -> bool {
        self.follows().starts_with([',', ';', '}'])
    }

    /// Whether what follows is another part of the sentence that it stands in.
    pub(super) fn ends_clause(self) -> bool {
        let follows = self.follows();
        let ends_sentence = self.head().ends_with(['.', '!']) && follows.starts_with(' ');
        ends_sentence
            || [", ", "; ", " (", " - ", " – "]
                .iter()
                .any(|sign| follows.starts_with(sign))
    }

    fn length(self, most: usize) -> usize {
        let most = self.text.floor_char_boundary(self.start + most) - self.start;
        let rest = &self.text[self.start..self.start + most];
        let end = |ends: &dyn Fn(char) -> bool| rest.find(ends).unwrap_or(rest.len());
        match self.quoting {
            Quoting::Single => end(&|c| c == '\'' || c == '`'),
            Quoting::Escaped => end(&|c| c == '"' || c == '\\'),
            Quoting::Tags => end(&|c| c == '<'),
            Quoting::Double => double_quoted(rest),
            Quoting::List => list(rest),
            Quoting::Header => {
                let end = end(&|c| "\"'`\\".contains(c));
                rest[..end].trim_end().len()
            }
            Quoting::Query => end(&|c| c.is_whitespace() || "\"'`&#".contains(c)),
            Quoting::None => {
                let length = end(&|c| c.is_whitespace() || "\"'`".contains(c));
                rest[..length]
                    .trim_end_matches([',', ';', ')', '}', ']'])
                    .len()
            }
        }
    }
}

fn double_quoted(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.bytes().position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(rest.len())
}

/// Up to the quote with a closing bracket behind it.
fn list(rest: &str) -> usize {
    let quotes = rest.bytes().enumerate().filter(|(_, b)| *b == b'"');
    let mut ends = quotes.map(|(at, _)| at);
    ends.find(|at| matches!(rest.as_bytes()[at + 1..], [b']', ..] | [b' ', b']', ..]))
        .unwrap_or(rest.len())
}

/// Whether a text cannot be a secret: it stands for one, or says where one is.
pub(super) fn is_stand_in(value: &str) -> bool {
    let plain = value.trim_end_matches(['.', ',', ';', '!', '?', '…']);
    let is_variable = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    plain.is_empty()
        || STAND_INS
            .iter()
            .any(|word| plain.eq_ignore_ascii_case(word))
        || plain.starts_with("${")
        || plain.starts_with("$(")
        || plain.strip_prefix('$').is_some_and(is_variable)
        || (plain.starts_with('<') && plain.ends_with('>'))
        || (plain.starts_with("{{") && plain.ends_with("}}"))
        || (plain != "x" && plain.chars().all(|c| "*x•.-_[](){}".contains(c)))
        || is_path(plain)
}

/// Whether a text says which folder a shell is in, and not what a string of settings has.
pub(super) fn is_folder(value: &str) -> bool {
    let is_path = value.starts_with('/')
        || ["./", "../", "~/"]
            .iter()
            .any(|root| value.starts_with(root));
    let is_string = value
        .split_once(';')
        .is_some_and(|(_, others)| others.contains('='));
    (is_path && !is_string) || [".", "..", "~", "pwd"].contains(&value)
}

/// Whether a word goes on with a sentence rather than being a password.
pub(super) fn is_word_of_sentence(value: &str) -> bool {
    let plain = value.trim_end_matches(['.', ',', ':', ';', '!', '?', ')']);
    WORDS_OF_SENTENCES
        .iter()
        .any(|word| plain.eq_ignore_ascii_case(word))
}

fn is_path(value: &str) -> bool {
    if ROOTS.iter().any(|root| value.starts_with(root)) {
        return true;
    }
    value.starts_with('/')
        && value.matches('/').count() > 1
        && !value.contains(['+', '='])
        && !is_random(value)
}

/// Whether a text looks like a password or better: letters and digits, a sign, both cases, or just long.
pub(super) fn is_odd(value: &str) -> bool {
    let has = |is: fn(&u8) -> bool| value.bytes().any(|b| is(&b));
    let (digit, letter) = (has(u8::is_ascii_digit), has(u8::is_ascii_alphabetic));
    let sign = value
        .trim_end_matches(['.', ',', ':', ';', '!', '?', ')'])
        .bytes()
        .any(|b| b"!#$%^&*+=@~?|".contains(&b));
    let is_mixed = value.len() >= 10 && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    value.len() >= 4 && !is_version(value) && ((digit && letter) || sign || is_mixed)
        || (value.len() >= 6 && value.bytes().all(|b| b.is_ascii_digit()))
        || (value.len() >= 20 && value.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Whether a text looks as if made by chance: a long run without a blank or sign that is no word.
pub(super) fn is_random(value: &str) -> bool {
    value.len() >= 16
        && value
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|run| {
                let count = |is: fn(&u8) -> bool| run.bytes().filter(is).count();
                let (digits, upper) = (count(u8::is_ascii_digit), count(u8::is_ascii_uppercase));
                let lower = run.len() - digits - upper;
                run.len() >= 10 && ((digits > 0 && lower + upper > 0) || (upper > 1 && lower > 1))
            })
}

/// As `0a1b2c3d-0123-4567-89ab-0123456789ab`.
pub(super) fn is_uuid(value: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    value.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && value.split('-').all(is_hex)
}

/// As `v1.0` and `1.2.3-rc1`.
fn is_version(value: &str) -> bool {
    let value = value.strip_prefix('v').unwrap_or(value);
    let (major, rest) = value.split_once('.').unwrap_or((value, ""));
    !rest.is_empty() && !major.is_empty() && major.bytes().all(|b| b.is_ascii_digit())
}
