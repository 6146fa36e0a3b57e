//! Takes logs into the database that it does not know, many in one transaction, and notes which indexes are lost.

use super::core::Core;
use super::starting::Starting;
use super::state::{RunRecord, StateError};
use crate::protocol::{HostId, Run, RunId, Status};
use crate::runlog::{self, Footer, Header, LogError, LogReader, LogWriter};
use std::collections::HashMap;
use std::fs::{self, ReadDir};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Most runs in one transaction, and most logs that are looked at before others have a turn.
const BATCH: usize = 500;

/// Takes in the logs of these hosts. Ends early when the dashboard does: the next start goes on.
pub(super) async fn run(
    core: &Arc<Core>,
    host_ids: Vec<HostId>,
    starting: &Starting,
) -> Result<(), StateError> {
    starting.expect_hosts(host_ids.len());
    let mut found = Found::default();
    for host_id in host_ids {
        let known = core.state.known_ids(&host_id).await?;
        let mut scan = Scan::of(core.log_dir(&host_id), host_id, known);
        while !scan.is_over {
            if core.shutdown.is_triggered() {
                return Ok(());
            }
            let (new, seen) = (found.new.len(), scan.seen);
            let looked = spawn_blocking(move || {
                scan.look(&mut found);
                (scan, found)
            });
            (scan, found) = looked.await.map_err(|_| StateError::Closed)?;
            starting.logs_done(scan.seen - seen, found.new.len() - new);
            if found.len() >= BATCH {
                store(core, std::mem::take(&mut found)).await?;
            }
        }
        starting.host_done();
    }
    store(core, found).await?;
    let logs = starting.logs_new();
    if logs > 0 {
        tracing::info!(logs, "logs imported that were not in the database");
    }
    Ok(())
}

/// What was found and is yet to be stored.
#[derive(Debug, Default)]
struct Found {
    new: Vec<RunRecord>,
    /// Runs that are known and whose index is gone.
    without_index: Vec<(HostId, RunId)>,
}

impl Found {
    fn len(&self) -> usize {
        self.new.len() + self.without_index.len()
    }
}

/// Both share a transaction where the writer takes them up together.
async fn store(core: &Core, found: Found) -> Result<(), StateError> {
    if found.len() == 0 {
        return Ok(());
    }
    let (imported, noted) = tokio::join!(
        core.state.import(found.new),
        core.state.indexes_were_lost(found.without_index)
    );
    imported.and(noted)
}

/// The way through a host's folder.
#[derive(Debug)]
struct Scan {
    dir: PathBuf,
    host_id: HostId,
    known: HashMap<String, bool>,
    /// `None` before the first look.
    entries: Option<ReadDir>,
    is_over: bool,
    /// How many logs were looked at.
    seen: usize,
}

impl Scan {
    fn of(dir: PathBuf, host_id: HostId, known: HashMap<String, bool>) -> Self {
        Self {
            dir,
            host_id,
            known,
            entries: None,
            is_over: false,
            seen: 0,
        }
    }

    /// Looks at the next logs.
    fn look(&mut self, found: &mut Found) {
        if self.entries.is_none() {
            if let Err(error) = runlog::remove_unfinished_indexes(&self.dir) {
                tracing::warn!(host = %self.host_id, %error, "unfinished files in a folder of logs not removed");
            }
            self.entries = fs::read_dir(&self.dir).ok();
        }
        let until = self.seen + BATCH;
        while self.seen < until {
            let entry = self.entries.as_mut().and_then(Iterator::next);
            let Some(entry) = entry else {
                self.is_over = true;
                return;
            };
            let name = entry
                .ok()
                .and_then(|entry| entry.file_name().into_string().ok());
            let run_id = name.and_then(|name| RunId::new(name.strip_suffix(".log")?).ok());
            if let Some(run_id) = run_id {
                self.seen += 1;
                self.look_at(run_id, found);
            }
        }
    }

    fn look_at(&self, run_id: RunId, found: &mut Found) {
        let (log, idx) = runlog::paths(&self.dir, &run_id);
        match self.known.get(run_id.as_str()) {
            None => match read(&self.dir, &self.host_id, &run_id) {
                Ok(record) => found.new.push(record),
                Err(error) => {
                    tracing::warn!(host = %self.host_id, run = %run_id, %error, "log skipped: it cannot be read");
                }
            },
            // Retention was interrupted.
            Some(true) => {
                let _ = (fs::remove_file(log), fs::remove_file(idx));
            }
            // It is made anew for the first reader.
            Some(false) if !idx.exists() => {
                found.without_index.push((self.host_id.clone(), run_id));
            }
            Some(false) => {}
        }
    }
}

/// What a log says of its run. One that is whole is not gone through line by line, and gets no index before somebody
/// reads it.
pub(super) fn read(dir: &Path, host_id: &HostId, run_id: &RunId) -> Result<RunRecord, LogError> {
    if let Some(record) = read_ended(dir, host_id, run_id)? {
        return Ok(record);
    }
    let log = LogWriter::open(dir, run_id)?;
    let mut record = begun(run_id, host_id, log.header());
    goes_to(&mut record.run, &log);
    Ok(record)
}

/// What a log that is whole says of its run; `None` of one that goes on. It writes nothing.
pub(super) fn read_ended(
    dir: &Path,
    host_id: &HostId,
    run_id: &RunId,
) -> Result<Option<RunRecord>, LogError> {
    let ends = if runlog::paths(dir, run_id).1.exists() {
        let log = LogReader::open(dir, run_id).ok();
        log.and_then(|log| {
            let footer = log.footer().ok()??;
            Some((log.header().clone(), footer, log.index_rebuilt()))
        })
    } else {
        let ends = runlog::read_ends(dir, run_id)?;
        ends.map(|(header, footer)| (header, footer, true))
    };
    Ok(ends.map(|(header, footer, index_rebuilt)| {
        let mut record = begun(run_id, host_id, &header);
        record.run.index_rebuilt = index_rebuilt;
        complete(&mut record.run, &footer);
        record
    }))
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
pub(super) fn goes_to(run: &mut Run, log: &LogWriter) {
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
