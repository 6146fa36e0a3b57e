//! Brings database and files together: the truth is in the files.

use super::core::Core;
use super::state::{RunRecord, StateError};
use crate::protocol::{HostId, Run, RunId, Status};
use crate::runlog::{Footer, LogReader, LogWriter};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Shows `hosts`, with what is known of them and their runs.
pub(super) async fn load(core: &Arc<Core>, hosts: BTreeSet<HostId>) -> Result<(), StateError> {
    for host_id in &hosts {
        import(core, host_id).await?;
    }
    core.fleet.set_hosts(hosts.clone());
    let mut runs = core.state.open_and_latest_runs().await?;
    let mut settled = Vec::new();
    for record in &mut runs {
        if matches!(record.run.status, Status::Queued | Status::Running) && catch_up(core, record) {
            settled.push(record.clone());
        }
    }
    core.state.import(settled).await?;
    let remembered = core.state.hosts().await?;
    core.fleet.remember(remembered, runs);
    Ok(())
}

/// Takes the logs into the database that it does not know.
async fn import(core: &Arc<Core>, host_id: &HostId) -> Result<(), StateError> {
    let dir = core.log_dir(host_id);
    let known = core.state.known_ids(host_id).await?;
    let Ok(entries) = std::fs::read_dir(&dir) else {
        return Ok(());
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ids = names.filter_map(|name| RunId::new(name.strip_suffix(".log")?).ok());
    let mut found = Vec::new();
    for run_id in ids.filter(|run_id| !known.contains(run_id.as_str())) {
        match LogWriter::open(&dir, &run_id) {
            Ok(log) => {
                let header = log.header();
                let mut run = Run::queued(run_id, host_id.clone(), header.command.clone());
                let mut record = RunRecord {
                    nonce: header.meta.nonce.clone(),
                    ..RunRecord::of(run.clone())
                };
                run.requested_by = header.meta.requested_by.clone();
                run.queued = header.meta.queued;
                run.generation_before = header.meta.generation_before;
                begun(&mut run, &log);
                record.run = run;
                found.push(record);
            }
            Err(error) => {
                tracing::warn!(host = %host_id, run = %run_id, %error, "a log was passed over");
            }
        }
    }
    if !found.is_empty() {
        tracing::info!(host = %host_id, runs = found.len(), "took logs in that the database did not know");
    }
    core.state.import(found).await
}

fn begun(run: &mut Run, log: &LogWriter) {
    run.status = Status::Running;
    run.started = Some(log.header().meta.started);
    run.lines = log.next_seq();
    run.errors = log.errors();
    run.index_rebuilt = log.index_rebuilt();
    if let Some(footer) = log.footer() {
        ended(run, footer);
    }
}

fn ended(run: &mut Run, footer: &Footer) {
    let result = footer.result.clone();
    run.status = result.status;
    run.completed = Some(result.completed);
    run.message = result.message;
    run.duration_ms = result.duration_ms;
    run.exit_code = footer.exit_code;
    run.lines = result.lines;
    run.errors = result.errors;
    run.progress = result.progress;
    run.generation_after = result.generation_after;
    run.revision = result.revision;
    run.phase = None;
}

/// Brings a run that the database holds for open up to its log; `true` if it is over.
fn catch_up(core: &Core, record: &mut RunRecord) -> bool {
    let run = &mut record.run;
    let Ok(log) = LogReader::open(&core.log_dir(&run.host_id), &run.run_id) else {
        return false;
    };
    run.status = Status::Running;
    run.started = Some(log.header().meta.started);
    run.lines = log.total().unwrap_or(run.lines);
    match log.footer() {
        Ok(Some(footer)) => {
            ended(run, &footer);
            true
        }
        _ => false,
    }
}
