//! Configuration in TOML, with errors that name the file, the line, the key and the remedy.

use serde::de::DeserializeOwned;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "{}: cannot be read: {source}; give the path of a file that this user can read",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the file, or on the command line in its place, is wrong.
    #[error("{place}: {problem}; {remedy}")]
    Invalid {
        /// Where.
        place: Place,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file; none for the built-in defaults and the command line.
    pub file: Option<PathBuf>,
    /// From 1, where it is known.
    pub line: Option<usize>,
    /// With the tables it lies in, as `retention.days`.
    pub key: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => f.write_str("configuration")?,
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.key {
            Some(key) => write!(f, ": {key}"),
            None => Ok(()),
        }
    }
}

/// A file as it was read, to say where a value stands that is well-formed and yet wrong.
#[derive(Clone, Debug, Default)]
pub struct ConfigSource {
    path: Option<PathBuf>,
    text: String,
}

impl ConfigSource {
    /// No file: the built-in defaults.
    pub fn defaults() -> Self {
        Self::default()
    }

    /// The error that `key` (as `retention.days`) has a value that cannot be.
    pub fn invalid(
        &self,
        key: &str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ConfigError {
        let line = DeTable::parse(&self.text)
            .ok()
            .and_then(|table| span_of(table.get_ref(), key))
            .map(|span| self.line(span.start));
        ConfigError::Invalid {
            place: Place {
                file: self.path.clone(),
                line,
                key: Some(key.to_owned()),
            },
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// The error that `key` is not there.
    pub fn missing(&self, key: &str, remedy: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            place: Place {
                file: self.path.clone(),
                line: Some(1),
                key: Some(key.to_owned()),
            },
            problem: "the key is missing".to_owned(),
            remedy: remedy.into(),
        }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    fn of_toml(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span();
        let table = DeTable::parse(&self.text).ok();
        let mut path = match (&table, &span) {
            // What is missing in the whole file stands nowhere: its span is empty.
            (Some(table), Some(span)) if !span.is_empty() => path_at(table.get_ref(), span.start),
            _ => Vec::new(),
        };
        let message = error.message().trim();
        let (problem, remedy) = if let Some(key) = quoted_after(message, "unknown field ") {
            if path.last().is_none_or(|last| last != key) {
                path.push(key.to_owned());
            }
            ("unknown key".to_owned(), known_keys(message, key))
        } else if let Some(key) = quoted_after(message, "missing field ") {
            path.push(key.to_owned());
            ("the key is missing".to_owned(), format!("add `{key} = …`"))
        } else if table.is_none() {
            (
                format!("not TOML: {message}"),
                "correct the line".to_owned(),
            )
        } else {
            (
                message.to_owned(),
                "correct the value of that key".to_owned(),
            )
        };
        ConfigError::Invalid {
            place: Place {
                file: self.path.clone(),
                line: span.map(|span| self.line(span.start)),
                key: (!path.is_empty()).then(|| path.join(".")),
            },
            problem: problem.replace('\n', " "),
            remedy,
        }
    }
}

/// Reads `path` into `T`, whose structs deny unknown fields.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<(T, ConfigSource), ConfigError> {
    let read = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let source = ConfigSource {
        path: Some(path.to_owned()),
        text,
    };
    match toml::from_str(&source.text) {
        Ok(config) => Ok((config, source)),
        Err(error) => Err(source.of_toml(&error)),
    }
}

fn span_of(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    let (name, value) = table.iter().find(|(name, _)| name.get_ref() == first)?;
    match (rest, value.get_ref()) {
        (Some(rest), DeValue::Table(inner)) => span_of(inner, rest).or_else(|| Some(name.span())),
        _ => Some(name.span()),
    }
}

/// The keys that lead to the innermost key or value around `offset`.
fn path_at(table: &DeTable<'_>, offset: usize) -> Vec<String> {
    for (name, value) in table {
        let inner = path_in(value, offset);
        if name.span().contains(&offset) || value.span().contains(&offset) || !inner.is_empty() {
            let mut path = vec![name.get_ref().to_string()];
            path.extend(inner);
            return path;
        }
    }
    Vec::new()
}

fn path_in(value: &Spanned<DeValue<'_>>, offset: usize) -> Vec<String> {
    match value.get_ref() {
        DeValue::Table(table) => path_at(table, offset),
        _ => Vec::new(),
    }
}

/// The text in backquotes that follows `prefix`.
fn quoted_after<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message
        .strip_prefix(prefix)?
        .strip_prefix('`')?
        .split('`')
        .next()
}

/// The remedy for an unknown key, from serde's list of those it expected.
fn known_keys(message: &str, key: &str) -> String {
    let expected = message
        .split_once(", expected ")
        .map_or("", |(_, list)| list);
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = known
        .iter()
        .map(|word| (distance(word, key), word))
        .min()
        .filter(|(distance, word)| *distance <= 2.max(word.len() / 3));
    match nearest {
        Some((_, word)) => format!("did you mean `{word}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("remove it; the keys here are {}", known.join(", ")),
    }
}

/// How many letters to add, drop or change to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from a file")]
    struct Example {
        needed: String,
        #[serde(default)]
        retention: Retention,
        #[serde(default)]
        commands: BTreeMap<String, Steps>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from a file")]
    struct Retention {
        days: Option<u64>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read from a file")]
    struct Steps {
        steps: Vec<Vec<String>>,
    }

    fn complaint(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, text).unwrap();
        let error = load::<Example>(&path).unwrap_err().to_string();
        error.replace(&path.display().to_string(), "x.toml")
    }

    #[test]
    fn an_unknown_key_is_named_with_the_one_that_was_meant() {
        assert_eq!(
            complaint("needed = \"x\"\n\n[retention]\ndayz = 3\n"),
            "x.toml:4: retention.dayz: unknown key; did you mean `days`?"
        );
        assert_eq!(
            complaint("needed = \"x\"\nretention = { days = 1, fortnights = 2 }\n"),
            "x.toml:2: retention.fortnights: unknown key; remove it; the keys here are days"
        );
    }

    #[test]
    fn a_wrong_type_is_named_with_its_line_and_key() {
        assert_eq!(
            complaint("needed = \"x\"\n[retention]\ndays = \"many\"\n"),
            "x.toml:3: retention.days: invalid type: string \"many\", expected u64; correct the value of that key"
        );
        assert_eq!(
            complaint("needed = \"x\"\n[commands.switch]\nsteps = [\n  [\"a\"],\n  \"b\",\n]\n"),
            "x.toml:5: commands.switch.steps: invalid type: string \"b\", expected a sequence; correct the value of that key"
        );
    }

    #[test]
    fn a_missing_key_is_named_with_the_table_it_belongs_in() {
        for text in ["", "[retention]\ndays = 3\n", "retention = { days = 3 }\n"] {
            let whole = complaint(text);
            assert_eq!(
                whole,
                "x.toml:1: needed: the key is missing; add `needed = …`"
            );
        }
        let inner = complaint("needed = \"x\"\n[commands.switch]\n");
        assert!(
            inner.starts_with("x.toml:2: commands.switch.steps: the key is missing"),
            "{inner}"
        );
    }

    #[test]
    fn what_is_not_toml_is_named_with_its_line() {
        let error = complaint("needed = \"x\"\nwhat is this\n");
        assert!(error.starts_with("x.toml:2: not TOML: "), "{error}");
        assert!(complaint("needed = \"x\"\nneeded = \"y\"\n").starts_with("x.toml:2: "));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load::<Example>(Path::new("/nowhere/x.toml")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/nowhere/x.toml: cannot be read: ")
        );
    }

    #[test]
    fn a_value_that_is_wrong_by_its_meaning_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, "needed = \"x\"\n[retention]\ndays = 1\n").unwrap();
        let (_, source) = load::<Example>(&path).unwrap();
        let error = source
            .invalid("retention.days", "too few", "keep more")
            .to_string();
        assert!(
            error.ends_with("x.toml:3: retention.days: too few; keep more"),
            "{error}"
        );
        let none = ConfigSource::defaults()
            .invalid("listen", "a", "b")
            .to_string();
        assert_eq!(none, "configuration: listen: a; b");
    }
}
