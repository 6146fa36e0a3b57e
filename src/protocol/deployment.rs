//! Runs that change which system a host runs or boots.

use super::{CommandName, Run, RunId, Status, Timestamp};
use serde::{Deserialize, Serialize};

/// What a host was last given: the end of the last run that activated a system or set the boot default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The run.
    pub run_id: RunId,
    /// Its command.
    pub command: CommandName,
    /// How it ended.
    pub status: Status,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// The system profile's generation after it.
    pub generation: Option<u64>,
    /// The configuration's revision after it.
    pub revision: Option<String>,
    /// The store path of the system after it: the one of the next boot for `boot`, else the running one.
    pub system: Option<String>,
}

impl Deployment {
    /// The deployment that a run was. `None` for other commands, and for runs that go on or never began.
    pub fn of(run: &Run) -> Option<Self> {
        let is_one = run.command.deploys() && run.status.is_final() && run.started.is_some();
        is_one.then(|| Self {
            run_id: run.run_id.clone(),
            command: run.command.clone(),
            status: run.status,
            completed: run.completed,
            generation: run.generation_after,
            revision: run.revision.clone(),
            system: run.system_after.clone(),
        })
    }
}
