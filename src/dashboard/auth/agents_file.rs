//! The agents file: a line `HOST_ID SHA256_HEX_OF_TOKEN` for each token; a host may have two.

use super::credentials_file::{entries, wrong};
use super::token::SecretHash;
use crate::config_file::ConfigError;
use crate::protocol::HostId;
use std::path::Path;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AgentEntry {
    /// From 1.
    pub(super) line: usize,
    pub(super) host: HostId,
    pub(super) hash: SecretHash,
}

/// While a token is replaced there is an old and a new one.
const MOST_TOKENS: usize = 2;

/// Reads the text of an agents file.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<AgentEntry>, ConfigError> {
    let mut found: Vec<AgentEntry> = Vec::new();
    for (line, words) in entries(text) {
        let [host, hash] = words[..] else {
            return Err(wrong(
                path,
                line,
                "this line is not of the form HOST_ID SHA256_HEX",
                "use the line that `switchyard token HOST` prints",
            ));
        };
        let host = HostId::new(host).map_err(|error| {
            wrong(
                path,
                line,
                error.to_string(),
                "correct the name of the host",
            )
        })?;
        let hash = SecretHash::parse(hash).ok_or_else(|| {
            wrong(
                path,
                line,
                "the second word is not a SHA-256 hash of 64 hexadecimal digits",
                "use the line that `switchyard token HOST` prints",
            )
        })?;
        found.push(AgentEntry { line, host, hash });
    }
    let mut counts = std::collections::HashMap::new();
    let mut distinct = std::collections::HashSet::new();
    for entry in &found {
        if distinct.insert((&entry.host, entry.hash)) {
            let count = counts.entry(&entry.host).or_insert(0);
            *count += 1;
            if *count > MOST_TOKENS {
                let problem = format!(
                    "this is the third token of {}; a host may have two",
                    entry.host
                );
                return Err(wrong(path, entry.line, problem, "remove the oldest"));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        parse(Path::new("agents"), text).unwrap_err().to_string()
    }

    #[test]
    fn comments_and_empty_lines_are_passed_over() {
        let (a, b) = (SecretHash::of("a"), SecretHash::of("b"));
        let text = format!("# fleet\n\nweb-1 {a}\n  web-1\t{b}  \r\n");
        let found = parse(Path::new("agents"), &text).unwrap();
        let lines: Vec<_> = found.iter().map(|entry| (entry.line, entry.hash)).collect();
        assert_eq!(lines, [(3, a), (4, b)]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert!(
            complaint("\nweb-1\n")
                .starts_with("agents:2: this line is not of the form HOST_ID SHA256_HEX")
        );
        assert!(complaint("web-1 abc\n").starts_with("agents:1: the second word"));
        let hash = SecretHash::of("a");
        assert!(
            complaint(&format!("../x {hash}\n"))
                .starts_with("agents:1: \"../x\" is not a valid host name")
        );
        let three: String = ["a", "b", "c"]
            .map(|token| format!("h {}\n", SecretHash::of(token)))
            .concat();
        assert!(complaint(&three).starts_with("agents:3: this is the third token of h"));
    }
}
