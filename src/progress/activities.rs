//! What nix is doing, by its own activities.

use super::Counts;
use super::nix_json::{Start, activity};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How many activities with a name are remembered; nix builds far fewer at a time. The log lines of those
/// beyond come without their name.
const MAX_NAMED: usize = 10_000;

/// The longest name nix gives to a store path, in bytes.
const MAX_NAME: usize = 211;

/// An activity that counts, and what it said last.
#[derive(Clone, Serialize, Deserialize)]
struct Counting {
    id: u64,
    said: Option<Counts>,
}

/// nix's activities as far as they matter. A program may start nix several times: the newest builds count.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Activities {
    builds: Option<Counting>,
    copies: Option<Counting>,
    evaluation: Option<u64>,
    /// Of each running build and hook what stands before its log lines, `name> `.
    prefixes: HashMap<u64, Box<str>>,
}

/// What the end of an activity, or how far it is, means.
pub(super) enum Meaning {
    /// The newest builds say how far they are.
    Builds(Counts),
    /// The newest copies say how far they are.
    Copies(Counts),
    /// The builds are over and the evaluation that needed them goes on.
    EvaluationGoesOn,
}

impl Activities {
    /// Takes note of an activity that begins.
    pub(super) fn start(&mut self, start: &Start<'_>) {
        let counting = Some(Counting {
            id: start.id,
            said: None,
        });
        match start.kind {
            activity::BUILDS => self.builds = counting,
            activity::COPY_PATHS => self.copies = counting,
            activity::BUILD => self.remember(start, "> "),
            activity::POST_BUILD_HOOK => self.remember(start, " (post)> "),
            activity::UNKNOWN if is_evaluation(start) => {
                self.builds = None;
                self.copies = None;
                self.evaluation = Some(start.id);
            }
            _ => {}
        }
    }

    fn remember(&mut self, start: &Start<'_>, behind: &str) {
        let Some(path) = start.first_field() else {
            return;
        };
        let name = derivation_name(&path);
        if name.len() <= MAX_NAME && self.prefixes.len() < MAX_NAMED {
            self.prefixes
                .insert(start.id, format!("{name}{behind}").into());
        }
    }

    /// Takes note of an activity that is over.
    pub(super) fn stop(&mut self, id: u64) -> Option<Meaning> {
        self.prefixes.remove(&id);
        if self.evaluation == Some(id) {
            self.evaluation = None;
        }
        let builds_end = self.builds.as_ref().is_some_and(|builds| builds.id == id);
        if !builds_end || self.evaluation.is_none() {
            return None;
        }
        self.builds = None;
        self.copies = None;
        Some(Meaning::EvaluationGoesOn)
    }

    /// Takes note of how far an activity is; `None` where it matters to nobody.
    pub(super) fn progress(&mut self, id: u64, counts: Counts) -> Option<Meaning> {
        let of = |counting: &mut Option<Counting>| match counting {
            Some(counting) if counting.id == id => {
                counting.said = Some(counts);
                true
            }
            _ => false,
        };
        if of(&mut self.builds) {
            Some(Meaning::Builds(counts))
        } else if of(&mut self.copies) {
            Some(Meaning::Copies(counts))
        } else {
            None
        }
    }

    /// What the newest builds said last.
    pub(super) fn builds(&self) -> Option<Counts> {
        self.builds.as_ref()?.said
    }

    /// What the newest copies said last.
    pub(super) fn copies(&self) -> Option<Counts> {
        self.copies.as_ref()?.said
    }

    /// Whether nix has begun to count in activities, so that its texts need not be counted.
    pub(super) fn counting(&self) -> bool {
        self.builds.is_some()
    }

    /// What stands before the log lines of a build; empty where the build is not known.
    pub(super) fn prefix(&self, id: u64) -> &str {
        self.prefixes.get(&id).map_or("", |prefix| prefix)
    }
}

/// Whether an activity is the evaluation of the system.
pub(super) fn is_evaluation(start: &Start<'_>) -> bool {
    start.kind == activity::UNKNOWN && start.text.starts_with("evaluating ")
}

/// `linux-6.12.30-modules` of `/nix/store/HASH-linux-6.12.30-modules.drv`.
pub(super) fn derivation_name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = match file.split_once('-') {
        Some((hash, name)) if hash.len() == 32 => name,
        _ => file,
    };
    name.strip_suffix(".drv").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derivation_has_a_name_without_hash_and_ending() {
        assert_eq!(
            derivation_name(
                "/nix/store/m9hm90d72sy0cwmfsk1yn146yksdip9m-linux-6.12.30-modules.drv"
            ),
            "linux-6.12.30-modules"
        );
        assert_eq!(derivation_name("odd-name.drv"), "odd-name");
        assert_eq!(derivation_name(""), "");
    }
}
