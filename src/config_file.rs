//! Configuration in TOML, with errors that name the file, the line, the key and the remedy.

mod reader;

use reader::{Fault, FaultKind, Wanted};
use serde::de::DeserializeOwned;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
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

    /// The error that the file is no TOML.
    fn not_toml(&self, error: &toml::de::Error) -> ConfigError {
        let message = error.message().trim().replace('\n', " ");
        ConfigError::Invalid {
            place: Place {
                file: self.path.clone(),
                line: error.span().map(|span| self.line(span.start)),
                key: None,
            },
            problem: format!("not TOML: {message}"),
            remedy: "correct the line".to_owned(),
        }
    }

    /// The error that a key or its value cannot be.
    fn unfit(&self, fault: &Fault, remedies: Remedies) -> ConfigError {
        let details = fault.details();
        let key = details.key();
        let remedy = key.as_deref().and_then(|key| remedy_of(remedies, key));
        let (problem, remedy) = match (&details.kind, &details.found) {
            (FaultKind::UnknownKey(key, known), _) => {
                ("unknown key".to_owned(), known_keys(known, key))
            }
            (FaultKind::MissingKey(key), _) => {
                ("the key is missing".to_owned(), format!("add `{key} = …`"))
            }
            (FaultKind::WrongType, Some((found, wanted))) => (
                format!("this is {found}, not {}", noun(*wanted)),
                remedy.unwrap_or_else(|| how_to_write(*wanted)),
            ),
            (FaultKind::WrongValue(_), Some((found, wanted @ Wanted::Number(_)))) => (
                format!("{found} is out of range"),
                remedy.unwrap_or_else(|| how_to_write(*wanted)),
            ),
            (FaultKind::WrongValue(_), Some((found, wanted @ Wanted::OneOf(_)))) => (
                format!("{found} is not a value of this key"),
                remedy.unwrap_or_else(|| how_to_write(*wanted)),
            ),
            (FaultKind::WrongValue(why), Some((found, _))) => (
                format!("{found} is not valid: {why}"),
                remedy.unwrap_or_else(|| "correct it".to_owned()),
            ),
            (FaultKind::WrongValue(why), None) => (why.clone(), "correct it".to_owned()),
            (FaultKind::WrongType, None) => {
                ("wrong type".to_owned(), "correct the value".to_owned())
            }
        };
        ConfigError::Invalid {
            place: Place {
                file: self.path.clone(),
                line: Some(self.line(details.offset.unwrap_or(0))),
                key,
            },
            problem: problem.replace('\n', " "),
            remedy,
        }
    }
}

/// What to do about a wrong value, for keys as `retention.days`, in which `*` stands for any name.
pub type Remedies = &'static [(&'static str, &'static str)];

/// Reads `path` into `T`, whose structs deny unknown fields.
pub fn load<T: DeserializeOwned>(
    path: &Path,
    remedies: Remedies,
) -> Result<(T, ConfigSource), ConfigError> {
    let read = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let source = ConfigSource {
        path: Some(path.to_owned()),
        text,
    };
    let table = DeTable::parse(&source.text).map_err(|error| source.not_toml(&error))?;
    let config = reader::read(&table).map_err(|fault| source.unfit(&fault, remedies))?;
    Ok((config, source))
}

fn remedy_of(remedies: Remedies, key: &str) -> Option<String> {
    let fits = |pattern: &str| {
        let (mut names, mut keys) = (pattern.split('.'), key.split('.'));
        loop {
            match (names.next(), keys.next()) {
                (None, None) => return true,
                (Some(name), Some(key)) if name == "*" || name == key => {}
                _ => return false,
            }
        }
    };
    let remedy = remedies.iter().find(|(pattern, _)| fits(pattern));
    remedy.map(|(_, remedy)| (*remedy).to_owned())
}

fn noun(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Text => "a text",
        Wanted::Number(_) => "a whole number",
        Wanted::Flag => "true or false",
        Wanted::List => "a list",
        Wanted::Table => "a table",
        Wanted::OneOf(_) => "one of the texts for this key",
        Wanted::Anything => "what belongs here",
    }
}

fn how_to_write(wanted: Wanted) -> String {
    match wanted {
        Wanted::Text => "write a text in quotes".to_owned(),
        Wanted::Number(u64::MAX) => "write a whole number, 0 or more, without quotes".to_owned(),
        Wanted::Number(most) => format!("write a whole number from 0 to {most}, without quotes"),
        Wanted::Flag => "write true or false, without quotes".to_owned(),
        Wanted::List => "write a list in brackets, as [\"a\", \"b\"]".to_owned(),
        Wanted::Table => "write its keys below a line with its name in brackets".to_owned(),
        Wanted::OneOf(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
            format!("write one of {}", texts.join(", "))
        }
        Wanted::Anything => "correct the value".to_owned(),
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

/// The remedy for an unknown key.
fn known_keys(known: &[&str], key: &str) -> String {
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
        let error = load::<Example>(&path, &[]).unwrap_err().to_string();
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
            "x.toml:3: retention.days: this is the text \"many\", not a whole number; write a whole number, 0 or more, without quotes"
        );
        assert_eq!(
            complaint("needed = \"x\"\n[commands.switch]\nsteps = [\n  [\"a\"],\n  \"b\",\n]\n"),
            "x.toml:5: commands.switch.steps: this is the text \"b\", not a list; write a list in brackets, as [\"a\", \"b\"]"
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
        let error = load::<Example>(Path::new("/nowhere/x.toml"), &[]).unwrap_err();
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
        let (_, source) = load::<Example>(&path, &[]).unwrap();
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
