//! Runs that an agent took, did not begin before it ended, and that are not to begin any more.
//!
//! They never started, so they have no log: the dashboard hears that they are rejected. Their folders stay until the
//! dashboard asks for another run, which it does only once it knows how they ended.

use crate::proctree;
use crate::protocol::Timestamp;
use crate::spool::{self, DEFAULT_BEGIN_LIMIT, RunDir, START_GRACE, Spec};

/// Why such a run is not begun after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Late {
    #[error(
        "the agent stopped before the run started, and came back after the command had expired; nothing was done, send the command again"
    )]
    TimeIsOver,
    #[error("the host restarted before the run started; nothing was done, send the command again")]
    HostRestarted,
}

impl Late {
    /// Whether a run without a log is not to begin. What may have begun is not judged here.
    pub(super) fn look(dir: &RunDir, spec: &Spec) -> Option<Self> {
        if spool::is_other_boot(dir) {
            // A loss of power may have taken the log of one that had a supervisor, but not the file of that.
            return (!dir.supervisor().exists()).then_some(Self::HostRestarted);
        }
        let is_over = match spec.begin_by {
            // Until then a supervisor may begin it that systemd was asked for in time.
            Some(begin_by) => spool::is_past(begin_by, START_GRACE),
            None => !is_young(spec.queued, Timestamp::now()),
        };
        // A supervisor that is there has begun, or looks at the time itself.
        (is_over && proctree::supervising(dir.path()).is_none()).then_some(Self::TimeIsOver)
    }
}

/// Whether a request of an agent that wrote no limit down is young, as far as the clock can be believed.
fn is_young(taken: Timestamp, now: Timestamp) -> bool {
    u128::try_from(now.millis() - taken.millis())
        .is_ok_and(|age| age < DEFAULT_BEGIN_LIMIT.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_limit_is_young_for_an_hour_and_none_of_the_future_is() {
        let now = Timestamp::now();
        let taken = |seconds: i64| Timestamp::from_millis(now.millis() - seconds * 1000);
        assert!(is_young(taken(0), now) && is_young(taken(3599), now));
        assert!(!is_young(taken(3600), now) && !is_young(taken(-1), now));
    }
}
