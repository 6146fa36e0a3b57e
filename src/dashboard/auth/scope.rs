//! Which hosts somebody may see and command.

use crate::protocol::HostId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The hosts that match one of some patterns, in which `*` stands for any text; or every host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Scope(Option<Arc<[String]>>);

/// The most patterns, and the longest, in bytes: no more than names a host, and its stars.
const MOST: usize = 100;
const LONGEST: usize = 127;

impl Scope {
    /// Every host.
    pub(crate) const EVERY: Self = Self(None);

    /// Reads `web-*,db1`; `*` alone is every host.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let patterns: Vec<String> = text.split(',').map(str::to_owned).collect();
        let good = |pattern: &String| {
            (1..=LONGEST).contains(&pattern.len())
                && pattern
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-*".contains(&b))
        };
        if patterns.len() > MOST || !patterns.iter().all(good) {
            return Err(format!(
                "{text:?} is not a list of hosts: write it as \"web-*,db1\", with at most {MOST} patterns"
            ));
        }
        let every = patterns.iter().any(|pattern| pattern == "*");
        Ok(Self((!every).then(|| patterns.into())))
    }

    /// Whether a host is among them.
    pub(crate) fn has(&self, host: &HostId) -> bool {
        self.0.as_ref().is_none_or(|patterns| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| fits(pattern.as_bytes(), host.as_str().as_bytes()))
        })
    }

    /// Whether it is every host.
    pub(crate) fn is_every(&self) -> bool {
        self.0.is_none()
    }
}

/// Goes back to the last star alone, so it takes at most the product of both lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("*"),
            Some(patterns) => f.write_str(&patterns.join(",")),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(scope: &str, host: &str) -> bool {
        Scope::parse(scope)
            .unwrap()
            .has(&HostId::new(host).unwrap())
    }

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_is_special() {
        for (scope, host) in [
            ("*", "a"),
            ("web-*", "web-1"),
            ("web-*", "web-"),
            ("*-1", "web-1"),
            ("w*b*1", "wb1"),
            ("w*b*1", "wxbxb-11"),
            ("a,b", "b"),
        ] {
            assert!(has(scope, host), "{scope} {host}");
        }
        for (scope, host) in [
            ("web-*", "web"),
            ("web-*", "xweb-1"),
            ("w.b", "web"),
            ("web", "web-1"),
            ("*-1", "web-12"),
            ("a,b", "c"),
        ] {
            assert!(!has(scope, host), "{scope} {host}");
        }
        assert!(Scope::parse("a,*").unwrap().is_every() && !Scope::parse("a*").unwrap().is_every());
        for bad in ["", "a,", "a b", "../x", "a?", &"x".repeat(128)] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn many_stars_cost_little() {
        let text = "a".repeat(63);
        assert!(!has(&format!("{}b", "*a".repeat(60)), &text));
    }
}
