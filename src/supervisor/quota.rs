//! How much of the spool may wait for the dashboard.

use crate::protocol::Seq;
use crate::runlog::LogWriter;
use crate::spool::{self, RunDir};

/// Compares what is not acknowledged with the limit.
pub(super) struct Quota {
    rundir: RunDir,
    /// In bytes.
    limit: u64,
    /// What the dashboard had acknowledged when that was last looked up.
    acknowledged: Seq,
}

impl Quota {
    pub(super) fn new(rundir: &RunDir, limit: u64) -> Self {
        Self {
            rundir: rundir.clone(),
            limit,
            acknowledged: 0,
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether too much waits.
    pub(super) fn is_exceeded(&mut self, log: &LogWriter) -> bool {
        self.waits_more_than(self.limit, log)
    }

    /// Whether so little waits that it is worth going on.
    pub(super) fn has_room(&mut self, log: &LogWriter) -> bool {
        !self.waits_more_than(self.limit / 2, log)
    }

    fn waits_more_than(&mut self, limit: u64, log: &LogWriter) -> bool {
        let waits = |acknowledged| {
            log.bytes_from(acknowledged)
                .is_ok_and(|bytes| bytes > limit)
        };
        if !waits(self.acknowledged) {
            return false;
        }
        self.acknowledged = spool::acknowledged(&self.rundir);
        waits(self.acknowledged)
    }
}
