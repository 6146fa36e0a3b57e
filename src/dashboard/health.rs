//! Whether the dashboard can store what it is sent: each thing that cannot be stored, until that very thing can.

use crate::protocol::{HostId, RunId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most faults that are held; further ones are neither held nor told until there is room.
const MAX_FAULTS: usize = 1_000;
/// How long after its last failure a log counts as one that nobody tries again. A trial of its folder then ends the
/// fault.
const UNTRIED: Duration = Duration::from_secs(10);
/// How often a fault that changes its reason is told in the journal.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// What cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The database.
    Database,
    /// The audit log.
    Audit,
    /// The log of a run.
    Log(HostId, RunId),
}

/// Shared by all that store, and by `/health`.
#[derive(Debug, Default)]
pub(crate) struct Health {
    faults: Mutex<BTreeMap<Part, Fault>>,
    /// What keeps nothing from being stored, and is to be looked at.
    warnings: Mutex<BTreeMap<Topic, (String, WarningEnds)>>,
}

/// What a warning is about; there is one of each at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// A database that was set aside, or was missing.
    Database,
    /// Rows of the database that cannot be read.
    Rows,
    /// Records that are not in the audit log.
    Audit,
}

/// Until when there is a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WarningEnds {
    /// Until the dashboard ends.
    WithProcess,
    /// Until somebody looked.
    WhenLooked,
}

#[derive(Debug)]
struct Fault {
    reason: String,
    told: Instant,
    /// When it was met last.
    met: Instant,
}

impl Health {
    /// A part could not be stored, for this reason.
    pub(crate) fn fault(&self, part: &Part, reason: &str) {
        let now = Instant::now();
        let mut faults = self.lock();
        let has_room = faults.len() < MAX_FAULTS || !matches!(part, Part::Log(..));
        let is_told = match faults.get_mut(part) {
            Some(fault) => {
                let is_other = fault.reason != reason;
                let is_told = is_other && now >= fault.told + TELL_INTERVAL;
                if is_told {
                    fault.told = now;
                }
                (fault.met, fault.reason) = (now, reason.to_owned());
                is_told
            }
            None if has_room => {
                let fault = Fault {
                    reason: reason.to_owned(),
                    told: now,
                    met: now,
                };
                faults.insert(part.clone(), fault);
                true
            }
            None => false,
        };
        drop(faults);
        if is_told {
            match part {
                Part::Database | Part::Audit => tracing::error!(%reason, "cannot store"),
                Part::Log(host, run) => {
                    tracing::error!(%host, %run, %reason, "cannot store");
                }
            }
        }
    }

    /// A part can be stored again.
    pub(crate) fn well(&self, part: &Part) {
        let ended = self.lock().remove(part);
        if ended.is_some() {
            match part {
                Part::Database | Part::Audit => tracing::info!(?part, "storing again"),
                Part::Log(host, run) => tracing::info!(%host, %run, "storing again"),
            }
        }
    }

    /// A part was tried for itself and still cannot be stored.
    pub(crate) fn tried(&self, part: &Part) {
        if let Some(fault) = self.lock().get_mut(part) {
            fault.met = Instant::now();
        }
    }

    /// Hosts with logs that could not be stored and were not tried again for a while: with their runs.
    pub(crate) fn untried(&self, now: Instant) -> BTreeMap<HostId, Vec<RunId>> {
        let mut untried: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (part, fault) in self.lock().iter() {
            if let Part::Log(host, run) = part
                && now >= fault.met + UNTRIED
            {
                untried.entry(host.clone()).or_default().push(run.clone());
            }
        }
        untried
    }

    /// Whether this part cannot be stored.
    pub(crate) fn has(&self, part: &Part) -> bool {
        self.lock().contains_key(part)
    }

    /// Why it cannot store; `None` while it can.
    pub(crate) fn reason(&self) -> Option<String> {
        let faults = self.lock();
        let first = &faults.values().next()?.reason;
        Some(match faults.len() {
            1 => first.clone(),
            count => format!("{first}; and {} more, see the journal", count - 1),
        })
    }

    /// Warns of something, in place of what was said of it before.
    pub(crate) fn warn(&self, topic: Topic, text: String, ends: WarningEnds) {
        self.lock_warnings().insert(topic, (text, ends));
    }

    /// Ends a warning.
    pub(crate) fn end_warning(&self, topic: Topic) {
        self.lock_warnings().remove(&topic);
    }

    /// Whether there is a warning of this that ends when somebody looked.
    pub(crate) fn warning_ends_when_looked(&self, topic: Topic) -> bool {
        let warnings = self.lock_warnings();
        matches!(warnings.get(&topic), Some((_, WarningEnds::WhenLooked)))
    }

    /// What is to be looked at.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warnings = self.lock_warnings();
        warnings.values().map(|(text, _)| text.clone()).collect()
    }

    fn lock_warnings(&self) -> MutexGuard<'_, BTreeMap<Topic, (String, WarningEnds)>> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Part, Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::{host, run_id};

    #[test]
    fn a_fault_ends_with_its_own_success_and_no_other() {
        let health = Health::default();
        let log = |name| Part::Log(host(name), run_id("2025-12-14T10-30-00-switch"));
        health.fault(&log("h1"), "one");
        health.fault(&Part::Database, "two");
        health.fault(&log("h2"), "three");
        assert_eq!(health.reason().unwrap(), "two; and 2 more, see the journal");
        health.well(&Part::Database);
        health.well(&log("h2"));
        health.well(&log("h3"));
        assert_eq!(health.reason().unwrap(), "one");
        health.well(&log("h1"));
        assert_eq!(health.reason(), None);
    }

    #[test]
    fn a_log_that_nobody_tries_again_is_looked_at_after_a_while() {
        let health = Health::default();
        let run = run_id("2025-12-14T10-30-00-switch");
        health.fault(&Part::Log(host("h1"), run.clone()), "full");
        let now = Instant::now();
        assert!(health.untried(now).is_empty());
        let untried = health.untried(now + 2 * UNTRIED);
        assert_eq!(
            untried.into_iter().collect::<Vec<_>>(),
            [(host("h1"), vec![run])]
        );
    }

    #[test]
    fn a_log_whose_folder_was_tried_waits_again_so_that_others_have_their_turn() {
        let health = Health::default();
        let log = |name| Part::Log(host(name), run_id("2025-12-14T10-30-00-switch"));
        health.fault(&log("h1"), "full");
        health.fault(&log("h2"), "full");
        let now = Instant::now();
        while Instant::now() == now {}
        health.tried(&log("h1"));
        health.tried(&log("h3"));
        let untried = health.untried(now + UNTRIED);
        assert_eq!(untried.into_keys().collect::<Vec<_>>(), [host("h2")]);
        assert_eq!(health.lock().len(), 2, "what is no fault becomes none");
    }

    #[test]
    fn so_many_faults_are_held_and_no_more() {
        let health = Health::default();
        let run = run_id("2025-12-14T10-30-00-switch");
        for n in 0..2 * MAX_FAULTS {
            health.fault(&Part::Log(host(&format!("h{n}")), run.clone()), "full");
        }
        assert_eq!(health.lock().len(), MAX_FAULTS);
    }
}
