//! Private keys in PEM, which go over many lines.

use super::MASK;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

const BEGIN: &str = "-----BEGIN ";
const PRIVATE: &str = "PRIVATE KEY";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// A key whose end does not come is given up after so many lines; the longest usual one has about 100.
const MOST_LINES: u32 = 400;
/// So many letters of base64 in a row are no word.
const LONG: usize = 16;

/// A key whose beginning came and whose end did not: how many lines it may still have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key(u32);

impl Key {
    /// Whether one is going on.
    pub(super) fn is_open(self) -> bool {
        self.0 > 0
    }

    /// The line without what it has of a key. Other lines may stand between those of a key: several builds write
    /// at once.
    pub(super) fn line<'a>(&mut self, line: &'a str) -> Cow<'a, str> {
        if let Some(start) = begin(line) {
            self.0 = MOST_LINES;
            let before = &line[..start];
            return match end(&line[start..]) {
                Some(length) => {
                    self.0 = 0;
                    let rest = self.line(&line[start + length..]).into_owned();
                    Cow::Owned(format!("{before}{MASK}{rest}"))
                }
                None => Cow::Owned(format!("{before}{MASK}")),
            };
        }
        if !self.is_open() {
            return Cow::Borrowed(line);
        }
        self.0 -= 1;
        if let Some(length) = end(line) {
            self.0 = 0;
            return Cow::Owned(format!("{MASK}{}", &line[length..]));
        }
        match body(line) {
            Some(start) => Cow::Owned(format!("{}{MASK}", &line[..start])),
            None => Cow::Borrowed(line),
        }
    }
}

/// Where a private key begins.
fn begin(line: &str) -> Option<usize> {
    line.match_indices(BEGIN).map(|(at, _)| at).find(|at| {
        let kind = &line[at + BEGIN.len()..];
        kind.split(DASHES)
            .next()
            .is_some_and(|kind| kind.contains(PRIVATE))
    })
}

/// Where what ends a key is over.
fn end(line: &str) -> Option<usize> {
    let start = line.find(END)? + END.len();
    let length = line[start..].find(DASHES)?;
    Some(start + length + DASHES.len())
}

/// Where the last word begins, if it looks like a line of a key: base64, and long, or alone behind the name of who
/// writes. It may be in quotes, as where a text is shown as a list of its lines.
fn body(line: &str) -> Option<usize> {
    let is_quoting = |c: char| c.is_whitespace() || "\"'\\,;+".contains(c);
    let mut text = line.trim_end_matches(is_quoting);
    while let Some(before) = text.strip_suffix("\\n").or(text.strip_suffix("\\r")) {
        text = before;
    }
    let start = text.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let word = text[start..].trim_start_matches(['"', '\'']);
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
    let is_alone = matches!(
        text[..start].trim_end().bytes().last(),
        None | Some(b'>' | b':' | b'|')
    );
    let fits = !word.is_empty() && word.bytes().all(is_base64);
    (fits && (word.len() >= LONG || is_alone)).then_some(start)
}
