//! The names of hosts and runs. Both become names of files, so both are checked wherever they enter. Copies of a name
//! share its text: a fleet has many copies of each.

use super::command;
use super::{CommandName, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A line's number in its run, from 0, without holes.
pub type Seq = u64;

/// One NixOS machine: `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`, never with `..` in it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostId(Arc<str>);

/// A text that cannot name a host.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a valid host name: use letters, digits, '.', '_' and '-', at most 63 characters, beginning with a letter or digit, without \"..\""
)]
pub struct InvalidHostId(pub String);

impl HostId {
    /// Checks the form of an id.
    pub fn new(id: &str) -> Result<Self, InvalidHostId> {
        let bytes = id.as_bytes();
        let good = (1..=63).contains(&bytes.len())
            && bytes[0].is_ascii_alphanumeric()
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            && !id.contains("..");
        if good {
            Ok(Self(id.into()))
        } else {
            Err(InvalidHostId(id.to_owned()))
        }
    }
}

/// One execution of one command on one host, unique per host; the stem of its log file's name:
/// `2025-12-14T10-30-00-switch`, with `-2`, `-3`… behind it when that second is taken.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Arc<str>);

/// A text that cannot name a run.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a valid run id: it must look like 2025-12-14T10-30-00-switch")]
pub struct InvalidRunId(pub String);

impl RunId {
    /// The longest id, in characters.
    pub const MAX_LEN: usize = 200;

    /// Checks the form of an id.
    pub fn new(id: &str) -> Result<Self, InvalidRunId> {
        if Self::parts(id).is_some() {
            Ok(Self(id.into()))
        } else {
            Err(InvalidRunId(id.to_owned()))
        }
    }

    /// The id of a run of `command` asked for at `when`; `attempt` 1 is the plain one, 2 ends in `-2`.
    pub fn compose(when: Timestamp, command: &CommandName, attempt: u32) -> Self {
        let second = when.to_chrono().format("%Y-%m-%dT%H-%M-%S");
        let id = if attempt < 2 {
            format!("{second}-{command}")
        } else {
            format!("{second}-{command}-{attempt}")
        };
        Self(id.into())
    }

    /// The command that the id names.
    pub fn command(&self) -> &str {
        Self::parts(&self.0).unwrap_or_default()
    }

    /// Checks `\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-[a-z][a-z_-]{0,30}(-\d+)?` and gives the command.
    fn parts(id: &str) -> Option<&str> {
        const SECOND: &[u8] = b"0000-00-00T00-00-00-";
        if !id.is_ascii() || id.len() > Self::MAX_LEN || id.len() <= SECOND.len() {
            return None;
        }
        let (second, rest) = id.split_at(SECOND.len());
        let fits = second.bytes().zip(SECOND).all(|(b, form)| {
            if *form == b'0' {
                b.is_ascii_digit()
            } else {
                b == *form
            }
        });
        let name = match rest.trim_end_matches(|c: char| c.is_ascii_digit()) {
            whole if whole.len() == rest.len() => whole,
            cut => cut.strip_suffix('-')?,
        };
        (fits && command::valid(name)).then_some(name)
    }
}

/// A random number of 128 bits in hexadecimal digits, which tells two runs of one `run_id` apart.
pub fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

macro_rules! text_id {
    ($name:ident, $error:ident) => {
        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(id: String) -> Result<Self, $error> {
                Self::new(&id)
            }
        }
        impl std::str::FromStr for $name {
            type Err = $error;
            fn from_str(id: &str) -> Result<Self, $error> {
                Self::new(id)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}
text_id!(HostId, InvalidHostId);
text_id!(RunId, InvalidRunId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_id_never_climbs_out_of_its_folder() {
        for good in ["hsb0", "a", "web-1.example.org", "A_b"] {
            assert!(HostId::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a..b",
            "../x",
            "a/b",
            "a\0b",
            "-a",
            ".a",
            "a b",
            "é",
            &"a".repeat(64),
        ] {
            assert!(HostId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_run_id_is_a_second_and_a_command() {
        let id = RunId::new("2025-12-14T10-30-00-home-manager-12").unwrap();
        assert_eq!(id.command(), "home-manager");
        assert_eq!(
            RunId::new("2025-12-14T10-30-00-switch").unwrap().command(),
            "switch"
        );
        for bad in [
            "",
            "switch",
            "2025-12-14T10-30-00-",
            "2025-12-14T10-30-00-2",
            "2025-12-14T10:30:00-switch",
            "2025-12-14T10-30-00-../x",
            "2025-12-14T10-30-00-switch2",
            "2025-12-14T10-30-00-switch/..",
            "2025-12-14T10-30-00-switch\n",
            &format!("2025-12-14T10-30-00-switch-{}", "1".repeat(200)),
        ] {
            assert!(RunId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_composed_run_id_is_valid() {
        let when = Timestamp::parse("2025-12-14T10:30:00.999Z").unwrap();
        let switch = CommandName::new("switch").unwrap();
        assert_eq!(
            RunId::compose(when, &switch, 1).as_str(),
            "2025-12-14T10-30-00-switch"
        );
        let second = RunId::compose(when, &switch, 2);
        assert_eq!(second.as_str(), "2025-12-14T10-30-00-switch-2");
        assert!(RunId::new(second.as_str()).is_ok());
    }
}
