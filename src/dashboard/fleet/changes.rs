use crate::protocol::{HostId, RunId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// How far a subject may run ahead of its pace: a few changes in a row are told at once.
const BURST: Duration = Duration::from_secs(4);

/// How many subjects that waited are told at once.
const MAX_DUE: usize = 256;

/// Something that browsers show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    Host(HostId),
    Run(HostId, RunId),
}

/// Which subjects changed, in order; each stands once, at its newest change. So a slow browser costs no
/// memory: it asks for what changed since it last asked, and gets the present state of that.
#[derive(Debug, Default)]
pub(super) struct Changes {
    version: u64,
    by_version: BTreeMap<u64, Subject>,
    told: HashMap<Subject, Told>,
    /// Subjects that changed faster than they may be told, by the time at which they may.
    waiting: BTreeSet<(Instant, Subject)>,
}

/// When a subject was told.
#[derive(Debug)]
struct Told {
    /// The version of its newest change.
    version: u64,
    /// What was told of it is paid for at this time.
    paid: Option<Instant>,
    /// When it is told next, if it waits for that.
    waits: Option<Instant>,
}

impl Changes {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Tells a change at once, however often there are some.
    pub(super) fn mark(&mut self, subject: Subject) {
        self.version += 1;
        let told = self.told.entry(subject.clone()).or_insert(Told {
            version: 0,
            paid: None,
            waits: None,
        });
        if let Some(due) = told.waits.take() {
            self.waiting.remove(&(due, subject.clone()));
        }
        let before = std::mem::replace(&mut told.version, self.version);
        self.by_version.remove(&before);
        self.by_version.insert(self.version, subject);
    }

    /// Whether a change may be told now. If not, it waits: [`due`](Self::due) gives it when it may.
    pub(super) fn may_tell(&mut self, subject: &Subject, now: Instant) -> bool {
        let Some(told) = self.told.get_mut(subject) else {
            return true;
        };
        let due = told.paid.and_then(|paid| paid.checked_sub(BURST));
        let Some(due) = due.filter(|due| *due > now) else {
            return true;
        };
        if told.waits.is_none() {
            told.waits = Some(due);
            self.waiting.insert((due, subject.clone()));
        }
        false
    }

    /// Tells a change that may be told, which uses up so much of the time of its subject.
    pub(super) fn tell(&mut self, subject: &Subject, now: Instant, pause: Duration) {
        self.mark(subject.clone());
        if let Some(told) = self.told.get_mut(subject) {
            told.paid = Some(told.paid.map_or(now, |paid| paid.max(now)) + pause);
        }
    }

    /// Some of the subjects that waited and may be told now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Subject> {
        let mut due = Vec::new();
        while due.len() < MAX_DUE && self.waiting.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, subject)) = self.waiting.pop_first() else {
                break;
            };
            if let Some(told) = self.told.get_mut(&subject) {
                told.waits = None;
            }
            due.push(subject);
        }
        due
    }

    pub(super) fn forget(&mut self, subject: &Subject) {
        if let Some(told) = self.told.remove(subject) {
            self.by_version.remove(&told.version);
            if let Some(due) = told.waits {
                self.waiting.remove(&(due, subject.clone()));
            }
        }
    }

    /// At most `limit` subjects that changed after `since`, oldest first, and the version reached with them.
    pub(super) fn since(&self, since: u64, limit: usize) -> (Vec<&Subject>, u64) {
        let mut reached = since;
        let subjects = self.by_version.range(since + 1..).take(limit);
        let subjects = subjects.map(|(version, subject)| {
            reached = *version;
            subject
        });
        (subjects.collect(), reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn host(id: &str) -> Subject {
        Subject::Host(HostId::new(id).unwrap())
    }

    #[test]
    fn what_changed_twice_stands_once_at_its_newest_change() {
        let mut changes = Changes::default();
        for id in ["a", "b", "a", "c"] {
            changes.mark(host(id));
        }
        assert_eq!(
            changes.since(0, 10),
            (vec![&host("b"), &host("a"), &host("c")], 4)
        );
        assert_eq!(changes.since(0, 1), (vec![&host("b")], 2));
        assert_eq!(changes.since(2, 10), (vec![&host("a"), &host("c")], 4));
        changes.forget(&host("a"));
        assert_eq!(changes.since(0, 10).0, [&host("b"), &host("c")]);
        assert_eq!(changes.since(4, 10), (vec![], 4));
    }

    /// How often a subject is told in ten seconds in which it changes every 50 ms.
    fn told(changes: &mut Changes, began: Instant, pause: Duration) -> usize {
        let mut told = 0;
        for n in 0..200 {
            let now = began + Duration::from_millis(n * 50);
            let is_due = !changes.due(now).is_empty();
            if changes.may_tell(&host("a"), now) {
                changes.tell(&host("a"), now, pause);
                told += 1;
            }
            assert!(!is_due || told > 0);
        }
        told
    }

    #[test]
    fn a_subject_that_changes_all_the_time_is_told_at_its_pace_after_a_few_at_once() {
        let began = Instant::now();
        let often = told(&mut Changes::default(), began, SECOND);
        assert!((13..=16).contains(&often), "{often}");
        assert_eq!(told(&mut Changes::default(), began, 60 * SECOND), 1);
    }

    #[test]
    fn what_waits_is_told_once_and_no_longer_when_it_was_told_or_forgotten_meanwhile() {
        let began = Instant::now();
        let mut changes = Changes::default();
        let wait = |changes: &mut Changes| {
            changes.tell(&host("a"), began, 60 * SECOND);
            assert!(!changes.may_tell(&host("a"), began));
            assert!(!changes.may_tell(&host("a"), began));
        };
        wait(&mut changes);
        assert_eq!(changes.due(began), []);
        let later = began + 60 * SECOND;
        assert_eq!(changes.due(later), [host("a")]);
        assert_eq!(changes.due(later), []);
        assert!(!changes.may_tell(&host("a"), began));
        changes.mark(host("a"));
        assert_eq!(changes.due(later), []);
        assert!(!changes.may_tell(&host("a"), began));
        changes.forget(&host("a"));
        assert_eq!(changes.due(later), []);
        assert!(changes.may_tell(&host("a"), began));
    }
}
