//! Takes secrets out of lines before they leave the host. Pure.
//!
//! What is masked is decided line by line, but for private keys, which have many; so a text that is cut into two
//! lines where a secret stands may show a part of it.

mod key;
mod link;
mod names;
mod rules;
mod scan;
#[cfg(test)]
mod shapes_tests;
#[cfg(test)]
mod tests;
mod tokens;
mod value;

use crate::protocol::MAX_LINE_BYTES;
use key::Key;
use regex::{Regex, RegexBuilder};
use rules::Rules;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// The memory that one expression may take, in bytes.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// What is to be masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Masking {
    /// Private keys, passwords and tokens as they are usually written.
    pub defaults: bool,
    /// Expressions; of one with groups the first that took part, else all that matches.
    pub patterns: Vec<String>,
}

impl Default for Masking {
    fn default() -> Self {
        Self {
            defaults: true,
            patterns: Vec::new(),
        }
    }
}

/// Masks lines, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    defaults: Option<Rules>,
    patterns: Vec<Regex>,
}

/// Where a run's output stands. It can be stored and goes on where it was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    key: Key,
}

impl Masker {
    /// Reads the expressions.
    ///
    /// # Errors
    /// When one is none.
    pub fn new(masking: &Masking) -> Result<Self, regex::Error> {
        let patterns = masking.patterns.iter().map(|pattern| expression(pattern));
        Ok(Self {
            defaults: masking.defaults.then(Rules::new).transpose()?,
            patterns: patterns.collect::<Result<_, _>>()?,
        })
    }

    /// The line without its secrets; never over 64 KiB.
    pub fn line<'a>(&self, state: &mut State, line: &'a str) -> Cow<'a, str> {
        let mut masked = match crate::ansi::strip_line(line) {
            Cow::Borrowed(line) => self.mask(state, line),
            // An escape may stand in the midst of a secret, whose line then has none any more.
            Cow::Owned(plain) => match self.mask(state, &plain) {
                Cow::Owned(masked) => Cow::Owned(masked),
                // What the escapes hide stays in the line.
                Cow::Borrowed(_) => self.mask(&mut state.clone(), line),
            },
        };
        if let Cow::Owned(text) = &mut masked {
            text.truncate(text.floor_char_boundary(MAX_LINE_BYTES));
        }
        masked
    }

    /// Borrowed where there was nothing to mask.
    fn mask<'a>(&self, state: &mut State, line: &'a str) -> Cow<'a, str> {
        let mut masked = Cow::Borrowed(line);
        if let Some(rules) = &self.defaults
            && (state.key.is_open() || rules.may_match(line))
        {
            masked = rules.mask(&mut state.key, line);
        }
        for pattern in &self.patterns {
            if let Some(other) = replaced(pattern, &masked) {
                masked = Cow::Owned(other);
            }
        }
        masked
    }

    /// A text by itself, of one line or many, without its secrets.
    pub fn text(&self, text: &str) -> String {
        let mut state = State::default();
        let lines = text.split('\n').map(|line| self.line(&mut state, line));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn expression(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES)
        .build()
}

/// The text with the first group of each match masked, or all of it; none where nothing matches.
fn replaced(pattern: &Regex, text: &str) -> Option<String> {
    replaced_if(pattern, text, |_, _| true)
}

/// The same, of those that are secret, which is asked of the text before each and of itself.
fn replaced_if(
    pattern: &Regex,
    text: &str,
    is_secret: impl Fn(&str, &str) -> bool,
) -> Option<String> {
    let mut masked = String::new();
    let mut from = 0;
    for found in pattern.captures_iter(text) {
        let secret = found
            .iter()
            .skip(1)
            .flatten()
            .next()
            .or_else(|| found.get(0))?;
        if secret.is_empty() || !is_secret(&text[..secret.start()], secret.as_str()) {
            continue;
        }
        masked.push_str(&text[from..secret.start()]);
        masked.push_str(MASK);
        from = secret.end();
    }
    (from > 0).then(|| masked + &text[from..])
}
