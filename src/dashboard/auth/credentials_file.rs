//! What agents file and users file have in common: words on lines, comments from `#` at the beginning of one.

use crate::config_file::{ConfigError, Place};
use std::path::Path;

/// The lines that say something, with their numbers from 1.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    text.lines()
        .zip(1..)
        .map(|(line, number)| (number, line.split_ascii_whitespace().collect::<Vec<_>>()))
        .filter(|(_, words)| words.first().is_some_and(|word| !word.starts_with('#')))
}

/// The error that a line cannot be used.
pub(super) fn wrong(
    path: &Path,
    line: usize,
    problem: impl Into<String>,
    remedy: &str,
) -> ConfigError {
    ConfigError::Invalid {
        place: Place {
            file: Some(path.to_owned()),
            line: Some(line),
            key: None,
        },
        problem: problem.into(),
        remedy: remedy.to_owned(),
    }
}
