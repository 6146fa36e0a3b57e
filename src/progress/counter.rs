//! Counts from nix's plain text, where there is no internal-json.

use super::Counts;
use super::plain::Sign;
use crate::protocol::Phase;
use serde::{Deserialize, Serialize};

/// How much nix announced, and how much of it has begun.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Tally {
    announced: Option<u64>,
    begun: u64,
}

impl Tally {
    fn begin(&mut self) {
        self.begun = self.begun.saturating_add(1);
    }

    /// Plain text says when a thing begins, never when it ends: all but the newest are taken for done, and
    /// that one, too, once something else follows.
    fn counts(self, over: bool) -> Option<Counts> {
        let expected = self.announced?;
        let done = self.begun.saturating_sub(u64::from(!over)).min(expected);
        Some(Counts {
            done: Some(done),
            expected: Some(expected),
            ..Counts::default()
        })
    }
}

/// Counts what nix announces and begins.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Counter {
    builds: Tally,
    copies: Tally,
    /// A build failed: what follows no longer says that the one before it is done.
    failed: bool,
}

impl Counter {
    /// Takes note of a line's meaning.
    pub(super) fn see(&mut self, sign: Sign) {
        let announce = |announced| Tally {
            announced,
            begun: 0,
        };
        match sign {
            Sign::Evaluating => *self = Self::default(),
            Sign::WillBuild(count) => self.builds = announce(count),
            Sign::WillFetch(count) => self.copies = announce(count),
            Sign::Building if !self.failed => self.builds.begin(),
            Sign::Copying if !self.failed => self.copies.begin(),
            _ => {}
        }
    }

    /// Takes note of an error: counting ends.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// The counts to show in `phase`, if nix announced any.
    pub(super) fn counts(&self, phase: Option<Phase>, last: Sign) -> Option<Counts> {
        match phase? {
            Phase::Download => self.copies.counts(false),
            _ => {
                let over = matches!(last, Sign::Activating | Sign::Switching | Sign::Done);
                self.builds.counts(over && !self.failed)
            }
        }
    }
}
