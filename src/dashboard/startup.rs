//! Brings database and files together: the truth is in the files.

use super::core::Core;
use super::fleet::Remembered;
use super::import::{self, goes_to};
use super::mend;
use super::starting::{Phase, Starting};
use super::state::{RunRecord, StateError};
use crate::protocol::HostId;
use crate::runlog::LogWriter;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Takes in the logs of all hosts there ever were, then shows `hosts`.
pub(super) async fn load(
    core: &Arc<Core>,
    hosts: BTreeSet<HostId>,
    starting: &Starting,
) -> Result<(), StateError> {
    mend::at_start(core).await?;
    starting.enter(Phase::Logs);
    let logs = core.logs.clone();
    let folders = spawn_blocking(move || folders(&logs)).await;
    import::run(core, folders.unwrap_or_default(), starting).await?;
    starting.enter(Phase::Runs);
    show(core, || hosts).await
}

/// Shows the hosts that there are and no others: those that were not shown before with what is known of them and their
/// runs. They are asked for when it is this one's turn, so that the last word is the newest.
pub(super) async fn show(
    core: &Arc<Core>,
    hosts: impl FnOnce() -> BTreeSet<HostId>,
) -> Result<(), StateError> {
    let _turn = core.showing.lock().await;
    let hosts = hosts();
    let is_new = |id: &HostId| hosts.contains(id) && !core.fleet.has(id);
    let mut remembered = core.state.hosts().await?;
    remembered.retain(|(id, _)| is_new(id));
    let mut runs = core.state.open_and_latest_runs().await?;
    if mend::rows_met(core).await {
        // What stands in for a row would be stored in its place once its run is at hand.
        runs = core.state.open_and_latest_runs().await?;
    }
    runs.retain(|record| is_new(&record.run.host_id));
    let logs = core.logs.clone();
    let caught_up = spawn_blocking(move || catch_all_up(&logs, runs)).await;
    let (mut runs, settled) = caught_up.map_err(|_| StateError::Closed)?;
    let followers = core.state.settle(settled).await?;
    runs.extend(followers);
    let mut deployments = core.state.deployments().await?;
    deployments.retain(|record| is_new(&record.run.host_id));
    let known = Remembered {
        hosts: remembered,
        runs,
        deployments,
    };
    let dropped = core.fleet.show_only(hosts, known);
    core.save_dropped(dropped).await;
    Ok(())
}

/// Whether there is a folder of a host's logs.
pub(super) fn has_logs(logs: &Path) -> bool {
    !folders(logs).is_empty()
}

fn folders(logs: &Path) -> Vec<HostId> {
    let entries = fs::read_dir(logs).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| HostId::new(&name).ok()).collect()
}

/// Brings the open ones of these runs up to their logs; gives all, and those that are over.
fn catch_all_up(logs: &Path, mut runs: Vec<RunRecord>) -> (Vec<RunRecord>, Vec<RunRecord>) {
    let mut settled = Vec::new();
    for record in &mut runs {
        let dir = logs.join(record.run.host_id.as_str());
        if !record.run.status.is_final() && catch_up(&dir, record) {
            settled.push(record.clone());
        }
    }
    (runs, settled)
}

/// Brings a run that the database holds for open up to its log; `true` if it is over.
fn catch_up(dir: &Path, record: &mut RunRecord) -> bool {
    let run = &mut record.run;
    let log = match LogWriter::open(dir, &run.run_id) {
        Ok(log) => log,
        Err(error) => {
            if !error.is_not_found() {
                tracing::warn!(host = %run.host_id, run = %run.run_id, %error, "log cannot be read");
            }
            return false;
        }
    };
    run.started = Some(log.header().meta.started);
    run.generation_before = log.header().meta.generation_before;
    goes_to(run, &log);
    // A final status that is in the database is acknowledged without another look at the log.
    run.status.is_final() && log.sync_handle().sync().is_ok()
}

#[cfg(test)]
#[path = "startup_tests.rs"]
mod tests;
