//! The run that is going on: waits for its spool, for its end, and for the death of its supervisor.

use super::ending;
use super::launcher::{self, Supervisor};
use super::watch::Watch;
use crate::proctree;
use crate::protocol::{CommandName, Progress};
use crate::runlog::{LogError, LogReader};
use crate::spool::{self, RunDir};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How long a supervisor may take until the spool is there.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How often a run is looked at that gives no sign.
const TICK: Duration = Duration::from_secs(1);

/// The run that is going on.
#[derive(Debug)]
pub(super) struct Live {
    dir: RunDir,
    command: CommandName,
    supervisor: Supervisor,
    watch: Watch,
    ticks: Interval,
    reader: Option<LogReader>,
    start_by: Instant,
    dead_since: Option<Instant>,
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
}

impl Live {
    /// A run whose supervisor was started just now, or by an earlier agent. Needs a tokio runtime.
    pub(super) fn new(dir: RunDir, command: CommandName, supervisor: Supervisor) -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            watch: Watch::new(dir.path()),
            ticks,
            dir,
            command,
            supervisor,
            reader: None,
            start_by: Instant::now() + START_LIMIT,
            dead_since: None,
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
        if self.supervisor.is_alive() {
            if self.reader.is_none() && Instant::now() > self.start_by {
                self.supervisor.kill();
            }
            return Ok(Change::Wrote);
        }
        self.look_after_death()
    }

    /// The supervisor is dead, so the footer is there now or never comes.
    fn look_after_death(&mut self) -> Result<Change, LogError> {
        let since = match self.dead_since {
            Some(since) => since,
            None => {
                tracing::error!(run = %self.dir.run_id(), "the supervisor is gone and left no result");
                *self.dead_since.insert(Instant::now())
            }
        };
        let child = launcher::processes(&self.dir).and_then(|processes| processes.child);
        let left = proctree::of_run(self.dir.path(), child);
        if !left.is_empty() {
            let signal = if since.elapsed() < proctree::GRACE {
                Signal::SIGTERM
            } else {
                Signal::SIGKILL
            };
            left.iter().for_each(|process| process.signal(signal));
            return Ok(Change::Wrote);
        }
        ending::record(&self.dir)?;
        self.look_again = true;
        Ok(if self.is_started() {
            Change::Ended
        } else {
            Change::Wrote
        })
    }
}
