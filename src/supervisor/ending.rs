//! The end of a child's whole tree: asked for first, then made.

use crate::proctree::{self, GRACE, ProcessId};
use crate::spool::RunDir;
use nix::sys::signal::Signal;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How often the tree is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long after SIGKILL a process that does not go, because it hangs in the kernel, is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// An end that has begun: SIGTERM was sent to every process of the run.
pub(super) struct Ending {
    /// Whether an activation may be killed.
    force: bool,
    /// Whether the run has begun one, which is in a unit of its own and ended with it.
    activates: bool,
    asked: HashSet<ProcessId>,
    since: Instant,
    /// When SIGKILL was first sent.
    killing_since: Option<Instant>,
    next_look: Instant,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Going,
    Gone,
    GivenUp,
}

impl Ending {
    /// Sends SIGTERM. What is forked off meanwhile gets it too; what is forked in answer to it, such as a
    /// program that cleans up, does not.
    pub(super) fn begin(
        rundir: &RunDir,
        child: Option<ProcessId>,
        force: bool,
        activates: bool,
    ) -> Self {
        let now = Instant::now();
        let mut ending = Self {
            force,
            activates,
            asked: HashSet::new(),
            since: now,
            killing_since: None,
            next_look: now,
            state: State::Going,
        };
        ending.ask(rundir, child);
        ending
    }

    /// Somebody insists; `activates` says whether the run has begun an activation by now.
    pub(super) fn force(&mut self, rundir: &RunDir, child: Option<ProcessId>, activates: bool) {
        if !self.force {
            self.force = true;
            self.activates |= activates;
            self.since = Instant::now();
            self.ask(rundir, child);
        }
    }

    fn ask(&mut self, rundir: &RunDir, child: Option<ProcessId>) {
        for _ in 0..2 {
            for process in self.left(rundir, child) {
                if self.asked.insert(process) {
                    process.signal(Signal::SIGTERM);
                }
            }
        }
    }

    /// The processes that are to end and have not.
    fn left(&self, rundir: &RunDir, child: Option<ProcessId>) -> Vec<ProcessId> {
        let mut left = proctree::of_supervisor(rundir.path(), child);
        if self.force && self.activates {
            left.extend(proctree::of_activation());
        }
        left
    }

    /// Looks whether the tree is gone, and after the grace kills what is left, except while activating
    /// without force. Gives the time after which to call again.
    pub(super) fn turn(
        &mut self,
        rundir: &RunDir,
        child: Option<ProcessId>,
        activating: bool,
    ) -> Duration {
        let wait = self.next_look.saturating_duration_since(Instant::now());
        if self.state != State::Going || !wait.is_zero() {
            return wait;
        }
        self.next_look = Instant::now() + INTERVAL;
        let left = self.left(rundir, child);
        if left.is_empty() {
            self.state = State::Gone;
        } else if self.since.elapsed() >= GRACE && (self.force || !activating) {
            for process in &left {
                process.signal(Signal::SIGKILL);
            }
            let since = *self.killing_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= PATIENCE {
                tracing::error!(?left, "processes do not end, even after SIGKILL");
                self.state = State::GivenUp;
            }
        }
        INTERVAL
    }

    /// Whether nothing is left, or what is left cannot be ended.
    pub(super) fn is_over(&self) -> bool {
        self.state != State::Going
    }

    /// Whether something is left that cannot be ended.
    pub(super) fn is_given_up(&self) -> bool {
        self.state == State::GivenUp
    }
}
