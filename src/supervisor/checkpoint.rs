//! Where a run stands, as a supervisor that is started again needs it: this and the [capture](super::capture)
//! since then give back everything that the one before knew.

use super::memory::Kills;
use super::program::Finished;
use super::recorder::Decoding;
use crate::protocol::Seq;
use crate::spool::{self, RunDir};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// Where a run stands.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// When the run began, by the clock of this boot.
    pub(super) began: Clock,
    /// How the programs ended that have, in order.
    pub(super) finished: Vec<Finished>,
    /// The launch of the present program.
    pub(super) launch: u32,
    /// The number of the present program's first line.
    pub(super) from: Seq,
    /// The capture of what came since.
    pub(super) capture: u32,
    /// What was so on the host before.
    #[serde(default)]
    pub(super) before: Before,
    /// What the lines so far said.
    pub(super) decoding: Decoding,
}

/// What was so on a host before; `None` where it is not known.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Before {
    /// The units that had failed before the first program that may activate.
    pub(super) failed_units: Option<Vec<String>>,
    /// How many processes of the run's control group had been killed, because memory ran out, before the present
    /// program.
    #[serde(default)]
    pub(super) memory_kills: Option<Kills>,
    /// The files of the repository were not those of its commit when the present program began.
    pub(super) local_changes: Option<bool>,
}

impl Checkpoint {
    /// Replaces the one before.
    pub(super) fn store(&self, rundir: &RunDir) -> io::Result<()> {
        spool::write_json(&rundir.checkpoint(), self)
    }

    /// The last one of this run, if there is one.
    pub(super) fn load(rundir: &RunDir) -> io::Result<Option<Self>> {
        spool::read_json(&rundir.checkpoint())
    }
}

/// A moment of this boot, by the clock that nobody sets (`CLOCK_MONOTONIC`): the same in every process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Clock(Duration);

impl Clock {
    /// This moment.
    pub(super) fn now() -> Self {
        // Every Linux has this clock.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
        Self(now.unwrap_or_default())
    }

    /// How long after the boot it was.
    pub(super) fn since_boot(self) -> Duration {
        self.0
    }

    /// How long ago it was.
    pub(super) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}
