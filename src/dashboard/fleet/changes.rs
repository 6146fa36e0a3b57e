use crate::protocol::{HostId, RunId};
use std::collections::{BTreeMap, HashMap};

/// Something that browsers show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    versions: HashMap<Subject, u64>,
}

impl Changes {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn mark(&mut self, subject: Subject) {
        self.version += 1;
        if let Some(before) = self.versions.insert(subject.clone(), self.version) {
            self.by_version.remove(&before);
        }
        self.by_version.insert(self.version, subject);
    }

    pub(super) fn forget(&mut self, subject: &Subject) {
        if let Some(version) = self.versions.remove(subject) {
            self.by_version.remove(&version);
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

    #[test]
    fn what_changed_twice_stands_once_at_its_newest_change() {
        let host = |id: &str| Subject::Host(HostId::new(id).unwrap());
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
}
