//! The verbs an agent offers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The commands that activate a system or set the boot default, custom ones of these names included.
pub(crate) const DEPLOYING: [&str; 4] = ["switch", BOOT, "test", "rollback"];
const BOOT: &str = "boot";

/// The name of a command: `[a-z][a-z_-]{0,30}`, never `stop`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandName(String);

/// A word that cannot name a command.
#[derive(Debug, thiserror::Error)]
#[error(
    "\"{0}\" is not a valid command name: use lower-case letters, '-' and '_', at most 31 characters, and not \"stop\""
)]
pub struct InvalidCommand(pub String);

impl CommandName {
    /// Checks the form of a name.
    pub fn new(name: &str) -> Result<Self, InvalidCommand> {
        if valid(name) && name != "stop" {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidCommand(name.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the command activates a system or sets the boot default.
    pub fn deploys(&self) -> bool {
        DEPLOYING.contains(&self.as_str())
    }

    /// Whether the command changes the system of the next boot and not the running one.
    pub fn is_boot(&self) -> bool {
        self.as_str() == BOOT
    }
}

/// `[a-z][a-z_-]{0,30}`: the form shared by commands and the tail of run ids.
pub(super) fn valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=31).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'))
}

impl TryFrom<String> for CommandName {
    type Error = InvalidCommand;
    fn try_from(name: String) -> Result<Self, InvalidCommand> {
        Self::new(&name)
    }
}

impl From<CommandName> for String {
    fn from(name: CommandName) -> String {
        name.0
    }
}

impl fmt::Display for CommandName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CommandName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_short_lower_case_word_and_never_stop() {
        for good in ["switch", "a", "home-manager", "x_y", &"a".repeat(31)] {
            assert!(CommandName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "stop",
            "Switch",
            "-a",
            "a b",
            "a/b",
            "a1",
            "ä",
            &"a".repeat(32),
        ] {
            assert!(CommandName::new(bad).is_err(), "{bad}");
        }
    }
}
