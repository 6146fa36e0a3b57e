//! Brings database and files together: the truth is in the files.

use super::core::Core;
use super::state::{RunRecord, StateError};
use crate::protocol::{HostId, Run, RunId, Status};
use crate::runlog::{self, Footer, Header, LogError, LogReader, LogWriter};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::task::block_in_place;

/// Takes in the logs of all hosts there ever were, then shows `hosts`.
pub(super) async fn load(core: &Arc<Core>, hosts: BTreeSet<HostId>) -> Result<(), StateError> {
    for host_id in block_in_place(|| folders(&core.logs)) {
        import(core, &host_id).await?;
    }
    show(core, hosts).await
}

/// Shows `hosts` and no others: those that were not shown before with what is known of them and their runs.
pub(super) async fn show(core: &Arc<Core>, hosts: BTreeSet<HostId>) -> Result<(), StateError> {
    let is_new = |id: &HostId| hosts.contains(id) && !core.fleet.has(id);
    let mut remembered = core.state.hosts().await?;
    remembered.retain(|(id, _)| is_new(id));
    let mut runs = core.state.open_and_latest_runs().await?;
    runs.retain(|record| is_new(&record.run.host_id));
    let mut settled = Vec::new();
    for record in runs
        .iter_mut()
        .filter(|record| !record.run.status.is_final())
    {
        if block_in_place(|| catch_up(&core.log_dir(&record.run.host_id), record)) {
            settled.push(record.clone());
        }
    }
    let followers = core.state.settle(settled).await?;
    runs.extend(followers);
    let mut deployments = core.state.deployments().await?;
    deployments.retain(|record| is_new(&record.run.host_id));
    core.fleet.set_hosts(hosts);
    core.fleet.remember(remembered, runs, &deployments);
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

/// Takes the logs into the database that it does not know, and makes lost indexes anew.
async fn import(core: &Arc<Core>, host_id: &HostId) -> Result<(), StateError> {
    let dir = core.log_dir(host_id);
    let known = core.state.known_ids(host_id).await?;
    if let Err(error) = block_in_place(|| runlog::remove_unfinished_indexes(&dir)) {
        tracing::warn!(host = %host_id, %error, "a folder of logs was not tidied up");
    }
    let (new, mended) = block_in_place(|| look_through(&dir, host_id, &known));
    if !new.is_empty() {
        tracing::info!(host = %host_id, runs = new.len(), "took logs in that the database did not know");
    }
    core.state.import(new).await?;
    for run_id in mended {
        if let Some(mut record) = core.state.run(host_id, &run_id).await? {
            (record.run.errors, record.run.index_rebuilt) = (None, true);
            core.state.import(vec![record]).await?;
        }
    }
    Ok(())
}

/// The runs that `known` does not have, and those whose index had to be made anew.
fn look_through(
    dir: &Path,
    host_id: &HostId,
    known: &HashMap<String, bool>,
) -> (Vec<RunRecord>, Vec<RunId>) {
    let (mut new, mut mended) = (Vec::new(), Vec::new());
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    for run_id in names.filter_map(|name| RunId::new(name.strip_suffix(".log")?).ok()) {
        let (log, idx) = runlog::paths(dir, &run_id);
        let done = match known.get(run_id.as_str()) {
            None => read(dir, host_id, &run_id).map(|record| new.push(record)),
            // Retention was interrupted.
            Some(true) => {
                let _ = (fs::remove_file(log), fs::remove_file(idx));
                Ok(())
            }
            Some(false) if !idx.exists() => {
                LogWriter::open(dir, &run_id).map(|_| mended.push(run_id.clone()))
            }
            Some(false) => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(host = %host_id, run = %run_id, %error, "a log was passed over");
        }
    }
    (new, mended)
}

/// What a log says of its run. One that is whole is not gone through line by line.
fn read(dir: &Path, host_id: &HostId, run_id: &RunId) -> Result<RunRecord, LogError> {
    if let Ok(log) = LogReader::open(dir, run_id)
        && let Ok(Some(footer)) = log.footer()
    {
        let mut record = begun(run_id, host_id, log.header());
        record.run.index_rebuilt = log.index_rebuilt();
        complete(&mut record.run, &footer);
        return Ok(record);
    }
    let log = LogWriter::open(dir, run_id)?;
    let mut record = begun(run_id, host_id, log.header());
    goes_to(&mut record.run, &log);
    Ok(record)
}

fn begun(run_id: &RunId, host_id: &HostId, header: &Header) -> RunRecord {
    let mut run = Run::queued(run_id.clone(), host_id.clone(), header.command.clone());
    let meta = &header.meta;
    run.requested_by = meta.requested_by.clone();
    run.queued = meta.queued;
    run.started = Some(meta.started);
    run.generation_before = meta.generation_before;
    run.number = meta.number;
    run.then.clone_from(&meta.then);
    run.after.clone_from(&meta.after);
    RunRecord {
        nonce: meta.nonce.clone(),
        ..RunRecord::of(run)
    }
}

/// Running up to where the log goes, or over if it has a footer.
fn goes_to(run: &mut Run, log: &LogWriter) {
    run.status = Status::Running;
    run.lines = log.next_seq();
    run.errors = log.errors();
    run.index_rebuilt = log.index_rebuilt();
    if let Some(footer) = log.footer() {
        complete(run, footer);
    }
}

/// Over, as the footer says. A log whose index was made anew no longer tells which lines were errors.
fn complete(run: &mut Run, footer: &Footer) {
    footer.complete(run);
    if run.index_rebuilt {
        run.errors = None;
    }
}

/// Brings a run that the database holds for open up to its log; `true` if it is over.
fn catch_up(dir: &Path, record: &mut RunRecord) -> bool {
    let run = &mut record.run;
    let log = match LogWriter::open(dir, &run.run_id) {
        Ok(log) => log,
        Err(error) => {
            if !error.is_not_found() {
                tracing::warn!(host = %run.host_id, run = %run.run_id, %error, "a log cannot be read");
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
