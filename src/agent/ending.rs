//! Writes the end of a run that its supervisor did not write.

use super::launcher;
use crate::protocol::{Progress, Status, Timestamp};
use crate::runlog::{self, Header, LogError, LogReader, LogWriter, RunMeta, RunResult};
use crate::spool::{self, RunDir, Spec};
use std::fs;
use std::io;
use std::path::PathBuf;

/// Keeps the boot in which the run began.
fn boot_file(dir: &RunDir) -> PathBuf {
    dir.path().join("boot_id")
}

/// Notes in which boot the run begins.
pub(super) fn note_boot(dir: &RunDir) -> io::Result<()> {
    fs::write(boot_file(dir), boot_id().unwrap_or_default())
}

/// Whether the host has not restarted since the run began.
pub(super) fn is_of_this_boot(dir: &RunDir) -> bool {
    fs::read_to_string(boot_file(dir)).ok() == boot_id()
}

fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}

/// Ends the log of a run whose supervisor is gone: `lost` where the run had begun, `error` where it had not.
/// A footer that is there already stays.
pub(super) fn record(dir: &RunDir) -> Result<(), LogError> {
    let started = match LogReader::open(dir.path(), dir.run_id()) {
        Ok(_) => true,
        Err(error) if error.is_not_found() || matches!(error, LogError::NoHeader(_)) => false,
        Err(error) => return Err(error),
    };
    let mut log = if started {
        LogWriter::open(dir.path(), dir.run_id())?
    } else {
        create(dir)?
    };
    if log.footer().is_some() {
        return Ok(());
    }
    let (status, message) = if started {
        (Status::Lost, lost_because(dir))
    } else {
        (Status::Error, not_begun_because(dir))
    };
    tracing::error!(run = %dir.run_id(), "recorded as {status}: {message}");
    let progress: Option<Progress> = spool::read_json(&dir.progress()).ok().flatten();
    log.finish(
        None,
        RunResult {
            status,
            completed: Timestamp::now(),
            message: Some(message),
            lines: 0,
            errors: None,
            duration_ms: None,
            progress: progress.unwrap_or_default(),
            generation_after: None,
            revision: None,
        },
    )?;
    log.sync_handle().sync()
}

/// An empty log, in place of one whose header was never whole.
fn create(dir: &RunDir) -> Result<LogWriter, LogError> {
    let (log, index) = runlog::paths(dir.path(), dir.run_id());
    for path in [log, index] {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(LogError::Io {
                    what: "remove",
                    path,
                    source,
                });
            }
            _ => {}
        }
    }
    let path = dir.spec();
    let spec: Option<Spec> = spool::read_json(&path).map_err(|source| LogError::Io {
        what: "read",
        path: path.clone(),
        source,
    })?;
    let Some(spec) = spec else {
        return Err(LogError::Io {
            what: "read",
            path,
            source: io::ErrorKind::NotFound.into(),
        });
    };
    let meta = RunMeta {
        nonce: spec.nonce,
        requested_by: spec.requested_by,
        queued: Some(spec.queued),
        started: spec.queued,
        generation_before: spec.generation_before,
    };
    let header = Header {
        command: spec.command,
        host_id: spec.host_id,
        meta,
    };
    LogWriter::create(dir.path(), dir.run_id(), &header)
}

fn lost_because(dir: &RunDir) -> String {
    let then = fs::read_to_string(boot_file(dir)).unwrap_or_default();
    if !then.is_empty() && boot_id().is_some_and(|now| now != then) {
        return "The host restarted while the run was going on, and nobody saw its end.".to_owned();
    }
    with_last_words(
        "The process that supervised the run died, and nobody saw the end of the run.",
        dir,
    )
}

fn not_begun_because(dir: &RunDir) -> String {
    with_last_words("The run was not begun: its supervisor did not start.", dir)
}

fn with_last_words(text: &str, dir: &RunDir) -> String {
    match launcher::last_words(dir) {
        Some(words) => format!("{text} It said: {words}"),
        None => text.to_owned(),
    }
}
