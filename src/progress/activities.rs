//! What nix is doing, by its own activities.

use super::Counts;
use super::nix_json::{Start, activity};
use super::numbering::Renumber;
use crate::protocol::Seq;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};

/// How many activities with a name are remembered; nix builds far fewer at a time. The log lines of those
/// beyond come without their name.
const MAX_NAMED: usize = 10_000;

/// The longest path of a derivation, in bytes: nix gives names of up to 211 bytes.
const MAX_PATH: usize = 512;

/// How many builds that are over are remembered: the error of one that failed comes soon after its end.
const MAX_ENDED: usize = 64;

/// Most failed builds whose lines are remembered.
const MAX_FAILED: usize = 16;

/// A build, or a hook that follows one, and its lines in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Build {
    /// Its derivation's path.
    pub(super) derivation: Box<str>,
    /// What stands before its log lines, `name> `.
    prefix: Box<str>,
    /// Its first and its last line in the log, if it wrote any.
    pub(super) lines: Option<(Seq, Seq)>,
    /// nix said that it failed.
    is_failed: bool,
}

/// An activity that counts, and what it said last.
#[derive(Clone, Serialize, Deserialize)]
struct Counting {
    id: u64,
    said: Option<Counts>,
}

/// nix's activities as far as they matter. A program may start nix several times: the newest builds count. Those of
/// another machine's nix, which come below our own, do not.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Activities {
    builds: Option<Counting>,
    copies: Option<Counting>,
    evaluation: Option<u64>,
    /// Each running build and hook.
    running: HashMap<u64, Build>,
    /// Builds that are over, the newest last.
    ended: VecDeque<Build>,
    /// Failed builds that are over.
    failed: Vec<Build>,
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
            activity::BUILDS if start.is_own(self.builds.is_some()) => self.builds = counting,
            activity::COPY_PATHS if start.is_own(self.copies.is_some()) => self.copies = counting,
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
        if path.len() <= MAX_PATH && self.running.len() < MAX_NAMED {
            let build = Build {
                prefix: format!("{name}{behind}").into(),
                derivation: path.into(),
                lines: None,
                is_failed: false,
            };
            self.running.insert(start.id, build);
        }
    }

    /// Takes note of an activity that is over.
    pub(super) fn stop(&mut self, id: u64) -> Option<Meaning> {
        if let Some(build) = self.running.remove(&id) {
            self.end(build);
        }
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

    fn end(&mut self, build: Build) {
        if build.is_failed {
            self.keep_failed(build);
        } else if build.lines.is_some() {
            if self.ended.len() == MAX_ENDED {
                self.ended.pop_front();
            }
            self.ended.push_back(build);
        }
    }

    fn keep_failed(&mut self, build: Build) {
        if self.failed.len() < MAX_FAILED {
            self.failed.push(build);
        }
    }

    /// nix said that this derivation failed: the lines of its build are remembered.
    pub(super) fn note_failed(&mut self, derivation: &str) {
        let is_it = |build: &Build| *build.derivation == *derivation;
        if let Some(build) = self.running.values_mut().find(|build| is_it(build)) {
            build.is_failed = true;
        } else if let Some(at) = self.ended.iter().rposition(is_it)
            && let Some(build) = self.ended.remove(at)
        {
            self.keep_failed(build);
        }
    }

    /// The build of a derivation that failed, if its lines are remembered.
    pub(super) fn failed_build(&self, derivation: &str) -> Option<&Build> {
        let running = self.running.values().filter(|build| build.is_failed);
        let mut failed = self.failed.iter().chain(running);
        failed.find(|build| *build.derivation == *derivation)
    }

    /// Gives the lines the numbers that they got in the log.
    pub(super) fn renumber(&mut self, renumber: Renumber) {
        let builds = self.running.values_mut();
        let builds = builds.chain(&mut self.ended).chain(&mut self.failed);
        for (from, to) in builds.filter_map(|build| build.lines.as_mut()) {
            renumber.apply(from);
            renumber.apply(to);
        }
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

    /// Takes note of a log line of a build. Gives what stands before it; empty where the build is not known.
    pub(super) fn log_line(&mut self, id: u64, seq: Seq) -> &str {
        let Some(build) = self.running.get_mut(&id) else {
            return "";
        };
        build.lines = Some((build.lines.map_or(seq, |(from, _)| from), seq));
        &build.prefix
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
