//! The run that is going on: waits for its spool, for its end, and for the death of its supervisor.

use super::launcher::{Launcher, Supervisor};
use super::watch::Watch;
use crate::protocol::{CommandName, Phase, Progress, Seq};
use crate::runlog::{LogError, LogReader};
use crate::spool::{self, RunDir, StopOrder};
use std::io;
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How long a supervisor may take until the spool is there.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How often a run is looked at that gives no sign.
const TICK: Duration = Duration::from_secs(1);

/// How long a supervisor may take to obey an order to stop: it kills after 10 s and gives up 20 s later.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// Between two attempts to end the run of a supervisor that is gone.
const SETTLE_PAUSE: Duration = Duration::from_secs(5);

/// How often it is tried to end the run of a supervisor that is gone, before the next run may begin all the same.
const MAX_SETTLE_ATTEMPTS: u32 = 6;

/// The run that is going on.
#[derive(Debug)]
pub(super) struct Live {
    dir: RunDir,
    command: CommandName,
    launcher: Launcher,
    supervisor: Supervisor,
    watch: Watch,
    ticks: Interval,
    reader: Option<LogReader>,
    start_by: Instant,
    stop_by: Option<Instant>,
    /// What ends the run in place of a supervisor that is gone, and when it was started.
    settling: Option<(Option<Child>, Instant)>,
    settle_attempts: u32,
    /// The first line that the dashboard has not acknowledged, and what the supervisor was told of it.
    acknowledged: Seq,
    told: Seq,
    /// Something is still to be looked at without waiting for a change.
    look_again: bool,
}

/// What happened to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Something in its folder changed, or nothing did.
    Wrote,
    /// The spool is there.
    Started,
    /// The spool has its footer.
    Ended,
    /// Its supervisor is gone, and its end cannot be recorded, although that was tried often.
    Unsettled,
}

impl Live {
    /// A run whose supervisor was started just now, or by an earlier agent. Needs a tokio runtime.
    pub(super) fn new(
        dir: RunDir,
        command: CommandName,
        launcher: Launcher,
        supervisor: Supervisor,
    ) -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            watch: Watch::new(dir.path()),
            ticks,
            dir,
            command,
            launcher,
            supervisor,
            reader: None,
            start_by: Instant::now() + START_LIMIT,
            stop_by: None,
            settling: None,
            settle_attempts: 0,
            acknowledged: 0,
            told: 0,
            look_again: true,
        }
    }

    pub(super) fn dir(&self) -> &RunDir {
        &self.dir
    }

    pub(super) fn command(&self) -> &CommandName {
        &self.command
    }

    /// Whether the spool is there.
    pub(super) fn is_started(&self) -> bool {
        self.reader.is_some()
    }

    /// Gives the order to stop.
    pub(super) fn stop(&mut self, order: &StopOrder) -> io::Result<()> {
        spool::write_json(&self.dir.stop(), order)?;
        self.stop_by.get_or_insert(Instant::now() + STOP_LIMIT);
        Ok(())
    }

    /// The dashboard has every line below `seq`. The supervisor is told within a second.
    pub(super) fn acknowledge(&mut self, seq: Seq) {
        // No more than there is: what waits for the dashboard takes room on the disk, and has a limit.
        let lines = self.reader.as_ref().and_then(|log| log.total().ok());
        self.acknowledged = self.acknowledged.max(seq.min(lines.unwrap_or(0)));
    }

    fn tell_acknowledged(&mut self) {
        if self.acknowledged == self.told {
            return;
        }
        match spool::note_acknowledged(&self.dir, self.acknowledged) {
            Ok(()) => self.told = self.acknowledged,
            Err(error) => {
                tracing::warn!(run = %self.dir.run_id(), "the acknowledgement of the dashboard cannot be stored: {error}");
            }
        }
    }

    /// How far the supervisor says the run is.
    pub(super) fn progress(&self) -> Option<Progress> {
        spool::read_json(&self.dir.progress()).ok().flatten()
    }

    /// Waits until something happened. Safe to cancel.
    pub(super) async fn changed(&mut self) -> Change {
        let mut ticked = false;
        if !std::mem::take(&mut self.look_again) {
            tokio::select! {
                () = self.watch.changed() => {}
                _ = self.ticks.tick() => ticked = true,
            }
        }
        match self.look(ticked) {
            Ok(change) => {
                self.look_again = change == Change::Started;
                change
            }
            Err(error) => {
                tracing::error!(run = %self.dir.run_id(), "{error}");
                Change::Wrote
            }
        }
    }

    fn look(&mut self, ticked: bool) -> Result<Change, LogError> {
        if let Some(reader) = &self.reader {
            if reader.footer()?.is_some() {
                return Ok(Change::Ended);
            }
        } else if let Ok(reader) = LogReader::open(self.dir.path(), self.dir.run_id()) {
            self.reader = Some(reader);
            return Ok(Change::Started);
        }
        if !ticked {
            return Ok(Change::Wrote);
        }
        self.tell_acknowledged();
        if self.supervisor.is_alive(&self.dir) {
            if self.is_to_be_killed() {
                tracing::error!(run = %self.dir.run_id(), "the supervisor of this run hangs and is killed");
                self.supervisor.kill();
            }
            return Ok(Change::Wrote);
        }
        if self.settle() {
            return Ok(Change::Unsettled);
        }
        Ok(Change::Wrote)
    }

    fn is_to_be_killed(&mut self) -> bool {
        self.is_late() || self.ignores_stop()
    }

    /// Whether the supervisor takes too long to begin. Once it has started a program, what is in its way is not
    /// worth that program's end.
    fn is_late(&self) -> bool {
        let is_due = self.reader.is_none() && Instant::now() > self.start_by;
        is_due && !self.dir.program(1).exists()
    }

    /// Whether the supervisor neither obeyed nor refused an order to stop in time. A program that goes on because
    /// the host is activating is no fault of it.
    fn ignores_stop(&mut self) -> bool {
        if self.stop_by.is_none() {
            return false;
        }
        let order: Option<StopOrder> = spool::read_json(&self.dir.stop()).ok().flatten();
        let Some(order) = order else {
            // It took the order back.
            self.stop_by = None;
            return false;
        };
        let is_activating = || {
            let phase = self.progress().and_then(|progress| progress.phase());
            phase.is_some_and(Phase::is_activating)
        };
        if !order.force && is_activating() {
            return false;
        }
        self.stop_by.take_if(|by| *by < Instant::now()).is_some()
    }

    /// The supervisor is gone for good, so the footer is there now or another program must write it. Says whether that
    /// was tried in vain too often.
    fn settle(&mut self) -> bool {
        if let Some((child, since)) = &mut self.settling {
            let runs = child
                .as_mut()
                .is_some_and(|child| matches!(child.try_wait(), Ok(None)));
            if runs || since.elapsed() < SETTLE_PAUSE {
                return false;
            }
            if self.settle_attempts >= MAX_SETTLE_ATTEMPTS {
                return true;
            }
        } else {
            tracing::error!(run = %self.dir.run_id(), "the supervisor of this run died and left no result");
        }
        let child = self.launcher.settle(&self.dir, self.is_started());
        let child = child.map_err(|error| {
            tracing::error!(run = %self.dir.run_id(), "the end of this run cannot be recorded: {error}");
        });
        self.settling = Some((child.ok(), Instant::now()));
        self.settle_attempts += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{PhaseMark, RunId, Timestamp};
    use std::path::Path;

    /// A run that should have begun by now.
    fn overdue(state_dir: &Path) -> Live {
        let run_id = RunId::new("2025-12-14T10-30-00-switch").unwrap();
        let dir = RunDir::new(state_dir, &run_id);
        std::fs::create_dir_all(dir.path()).unwrap();
        let command = CommandName::new("switch").unwrap();
        let mut live = Live::new(dir, command, Launcher::Process, Supervisor::Gone);
        live.start_by = Instant::now();
        live
    }

    /// One that has begun, and should have ended by now.
    fn long_ordered(state_dir: &Path, force: bool) -> Live {
        let mut live = overdue(state_dir);
        std::fs::write(live.dir.program(1), "").unwrap();
        let order = StopOrder {
            requested_by: None,
            force,
        };
        live.stop(&order).unwrap();
        live.stop_by = Some(Instant::now());
        live
    }

    #[tokio::test]
    async fn a_supervisor_that_does_not_begin_is_killed_unless_it_has_started_a_program() {
        let folder = tempfile::tempdir().unwrap();
        let mut live = overdue(folder.path());
        assert!(live.is_to_be_killed());
        std::fs::write(live.dir.program(1), "").unwrap();
        assert!(!live.is_to_be_killed());
    }

    #[tokio::test]
    async fn a_supervisor_that_does_nothing_of_an_order_is_killed() {
        for force in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            assert!(long_ordered(folder.path(), force).is_to_be_killed());
        }
    }

    #[tokio::test]
    async fn a_supervisor_that_took_an_order_back_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut live = long_ordered(folder.path(), false);
        std::fs::remove_file(live.dir.stop()).unwrap();
        assert!(!live.is_to_be_killed());
        assert_eq!(live.stop_by, None);
    }

    #[tokio::test]
    async fn an_activation_that_began_in_the_moment_of_the_order_is_ended_by_force_alone() {
        for force in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut live = long_ordered(folder.path(), force);
            let progress = Progress {
                phases: vec![PhaseMark {
                    phase: Phase::Activation,
                    seq: 0,
                    started: Timestamp::now(),
                }],
                ..Progress::default()
            };
            spool::write_json(&live.dir.progress(), &progress).unwrap();
            assert_eq!(live.is_to_be_killed(), force);
        }
    }

    #[tokio::test]
    async fn a_run_whose_end_cannot_be_recorded_keeps_the_next_one_waiting_no_longer_than_a_while()
    {
        let folder = tempfile::tempdir().unwrap();
        let mut live = overdue(folder.path());
        let pause = Instant::now().checked_sub(SETTLE_PAUSE).unwrap();
        for attempt in 1..=MAX_SETTLE_ATTEMPTS {
            assert!(!live.settle(), "{attempt}");
            assert_eq!(live.settle_attempts, attempt);
            // As if the program that was to record it had ended some time ago.
            live.settling = Some((None, pause));
        }
        assert!(live.settle());
    }
}
