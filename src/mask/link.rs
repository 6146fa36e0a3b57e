//! What binds a value to the name of a secret: a sign, a tag, or the words of a sentence.

use super::value::LOOKED_AT_BYTES;

/// As much of a sentence is read for what binds its value, in bytes and in words.
const SENTENCE_BYTES: usize = 160;
const SENTENCE_WORDS: usize = 10;

/// With what it begins whose secret it is: `the password for ada is …`.
const PREPOSITIONS: [&str; 4] = ["for", "of", "on", "at"];
/// The words that say that a value follows: `the password has been set to …`.
const VERBS: [&str; 9] = [
    "is", "was", "has", "been", "now", "set", "reset", "changed", "to",
];
/// Those of them that stand right before the value.
const LAST_VERBS: [&str; 4] = ["is", "was", "now", "to"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// `=`, with or without blanks around it.
    Assigned { spaced: bool },
    /// `:`, and whether a blank follows.
    Colon { spaced: bool },
    /// `>` of a tag.
    Tag,
    /// The words of a sentence, and whether a colon ends them.
    Said { colon: bool },
    /// Blanks.
    Blank,
}

/// What binds the value that follows here to a name, and where that begins.
pub(super) fn link(text: &str, end: usize, before: Option<u8>) -> Option<(Link, usize)> {
    let rest = &text[end..];
    let trimmed = rest.trim_start();
    let spaced = trimmed.len() < rest.len();
    let value = |behind: &str| text.len() - behind.trim_start().len();
    for sign in ["=>", ":=", "=", "＝"] {
        if let Some(behind) = trimmed.strip_prefix(sign) {
            let is_comparison = sign == "=" && behind.starts_with('=');
            return (!is_comparison).then(|| (Link::Assigned { spaced }, value(behind)));
        }
    }
    if let Some(behind) = trimmed.strip_prefix([':', '：']) {
        let spaced = behind.starts_with(char::is_whitespace);
        return (!behind.starts_with(':')).then(|| (Link::Colon { spaced }, value(behind)));
    }
    if before == Some(b'<') && trimmed.starts_with('>') && !spaced && has_end_tag(trimmed) {
        return Some((Link::Tag, end + 1));
    }
    if !spaced {
        return None;
    }
    match sentence(&rest[..rest.floor_char_boundary(SENTENCE_BYTES)]) {
        Some((link, length)) => Some((link, value(&rest[length..]))),
        None => Some((Link::Blank, value(trimmed))),
    }
}

fn has_end_tag(tag: &str) -> bool {
    let value = &tag[1..tag.floor_char_boundary(LOOKED_AT_BYTES)];
    value
        .find('<')
        .is_some_and(|end| value[end..].starts_with("</"))
}

/// What the words behind a name say before the value, and how long they are.
fn sentence(text: &str) -> Option<(Link, usize)> {
    let is_in = |words: &[&str], word: &str| words.iter().any(|w| w.eq_ignore_ascii_case(word));
    let mut verb: Option<&str> = None;
    let mut has_owner = false;
    let mut at = 0;
    for place in 0..SENTENCE_WORDS {
        let rest = text[at..].trim_start();
        let start = text.len() - rest.len();
        let word = rest.split(char::is_whitespace).next()?;
        at = start + word.len();
        let plain = word.strip_suffix([':', '：']).unwrap_or(word);
        let colon = plain.len() < word.len();
        if is_in(&VERBS, plain) {
            if place == 0 && plain.eq_ignore_ascii_case("to") {
                // As often the place that gets the secret.
                return Some((Link::Blank, at));
            }
            if colon {
                return Some((Link::Said { colon }, at));
            }
            verb = Some(plain);
            continue;
        }
        if let Some(verb) = verb {
            let behind = rest.trim_start_matches(':');
            let link = Link::Said {
                colon: behind.len() < rest.len(),
            };
            return is_in(&LAST_VERBS, verb).then(|| (link, text.len() - behind.len()));
        }
        if place == 0 && !is_in(&PREPOSITIONS, plain) && !word.starts_with(['(', '[']) {
            return None;
        }
        if colon && (has_owner || place == 0) {
            return Some((Link::Colon { spaced: true }, at));
        }
        if has_owner && word == "=" {
            return Some((Link::Assigned { spaced: true }, at));
        }
        has_owner = true;
    }
    None
}
