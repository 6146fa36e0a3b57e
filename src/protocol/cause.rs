//! Why a run failed, as data: what failed, and where in the log it says so.

use super::Seq;
use serde::{Deserialize, Deserializer, Serialize};

/// Most causes that one run has; the most important ones are kept.
pub const MAX_CAUSES: usize = 16;

/// One thing that failed in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What sort of thing failed.
    pub kind: CauseKind,
    /// Its name: a derivation, a unit, a script, a check; null where it has none.
    pub name: Option<String>,
    /// What happened, on one line.
    pub summary: String,
    /// The first line of the log that belongs to it.
    pub from: Option<Seq>,
    /// The last line of the log that belongs to it.
    pub to: Option<Seq>,
    /// The line of the log that says most.
    pub line: Option<Seq>,
}

/// What sort of thing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// nix could not build a derivation.
    Derivation,
    /// A systemd unit failed, of the system or of a user.
    Unit,
    /// A part of the activation script failed.
    ActivationScript,
    /// The boot loader could not be installed.
    BootLoader,
    /// A check of NixOS before the activation, or one of the host's own checks after it.
    Check,
    /// nix could not evaluate the configuration.
    Evaluation,
    /// git could not bring the configuration.
    Git,
    /// There was not enough memory.
    Memory,
    /// A command took longer than it may.
    Timeout,
    /// Anything else, and what a newer version sends.
    #[serde(other)]
    Other,
}

/// Reads a list of causes; null is an empty one.
///
/// # Errors
/// What is neither null nor a list of causes.
pub fn causes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Cause>, D::Error> {
    super::message::null_as_default(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_a_newer_version_sends_is_other() {
        let json = r#"{"kind":"weather","name":null,"summary":"rain","from":1,"to":2,"line":null}"#;
        let cause: Cause = serde_json::from_str(json).unwrap();
        assert_eq!(cause.kind, CauseKind::Other);
    }

    #[test]
    fn kinds_are_the_words_of_the_contract() {
        let kinds = [CauseKind::ActivationScript, CauseKind::BootLoader];
        assert_eq!(
            serde_json::to_string(&kinds).unwrap(),
            r#"["activation_script","boot_loader"]"#
        );
    }
}
