//! The log of a run that is not acknowledged as final yet.

use super::host_runs::SHOW_EVERY;
use crate::dashboard::core::Core;
use crate::dashboard::fleet::Tail;
use crate::dashboard::health::Part;
use crate::dashboard::state::RunRecord;
use crate::dashboard::syncer::Syncing;
use crate::protocol::{Ack, RunId, Seq, StatusReport, Timestamp};
use crate::runlog::{ClosedLog, Header, LogError, LogWriter, RunMeta};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// How long until a log that could not be written is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(2);

/// The log of a run, open for appending.
#[derive(Debug)]
pub(super) struct OpenRun {
    pub(super) log: LogWriter,
    pub(super) tail: Arc<Tail>,
    syncing: Arc<Syncing>,
    acked: Seq,
    /// The line that was asked for again and has not come yet.
    pub(super) asked: Option<Seq>,
    /// After a failed write: drop what comes until then, and ask again.
    pub(super) stalled_until: Option<Instant>,
    /// Shown how many lines there are: when, and how many.
    pub(super) shown: (Instant, Seq),
    /// The final status, until its run can be ended.
    pub(super) result: Option<StatusReport>,
    /// The status that it was ended with.
    pub(super) ended: Option<StatusReport>,
    /// Whether the end is in the database.
    pub(super) persisted: bool,
    /// When its log was made, if this dashboard made it.
    pub(super) made: Option<Instant>,
    /// When it was opened or written last.
    pub(super) used: Instant,
    /// What was written was asked to be durable so that the log can be closed.
    pub(super) is_closing: bool,
    /// One of the logs beyond those that each host may have open.
    pub(super) spare: Option<OwnedSemaphorePermit>,
}

/// A run that goes on and whose log is closed, because nothing came for a while.
#[derive(Debug)]
pub(super) struct ClosedRun {
    log: ClosedLog,
    acked: Seq,
    made: Option<Instant>,
}

impl OpenRun {
    /// Opens the log of a run as it was left, or makes it.
    pub(super) fn open(
        dir: &Path,
        record: &RunRecord,
        tail: Arc<Tail>,
        bell: &Arc<Notify>,
    ) -> Result<Self, LogError> {
        let (log, is_new) = open_or_create(dir, &record.run.run_id, || header(record))?;
        let part = Part::Log(record.run.host_id.clone(), record.run.run_id.clone());
        let syncing = Syncing::new(log.sync_handle(), part, Arc::clone(bell));
        tail.advance(log.next_seq(), log.errors());
        // The first line may be shown at once. To wait from here on would show it just before the second of a
        // program that prints every second, which would then wait for its turn.
        let now = Instant::now();
        let shown = (now.checked_sub(SHOW_EVERY).unwrap_or(now), log.next_seq());
        Ok(Self {
            log,
            tail,
            syncing,
            acked: 0,
            asked: None,
            stalled_until: None,
            shown,
            result: None,
            ended: None,
            persisted: false,
            made: is_new.then_some(now),
            used: now,
            is_closing: false,
            spare: None,
        })
    }

    /// Stores what was pushed, and lets the browsers see it.
    pub(super) fn store(&mut self, core: &Core) {
        let written = match self.log.check_length() {
            Ok(()) => self.log.flush(),
            Err(error) => {
                self.log.rollback();
                self.syncing.give_up();
                Err(error)
            }
        };
        match written {
            Ok(()) => {
                (self.used, self.is_closing) = (Instant::now(), false);
                let stored = self.log.next_seq() - self.tail.lines().min(self.log.next_seq());
                core.counters
                    .lines_stored
                    .fetch_add(stored, Ordering::Relaxed);
                core.syncer.want(&self.syncing, self.log.next_seq());
                self.tail.advance(self.log.next_seq(), self.log.errors());
            }
            Err(error) => self.stall(core, &error),
        }
    }

    /// A write failed: what comes is dropped, unacknowledged, until it is asked for again.
    pub(super) fn stall(&mut self, core: &Core, error: &LogError) {
        core.health.fault(self.syncing.part(), &error.to_string());
        self.stalled_until = Some(Instant::now() + RETRY);
        self.asked = None;
    }

    /// After a failed write, once its time has come: whether more can be stored now.
    pub(super) fn recovers(
        &mut self,
        core: &Core,
        dir: &Path,
        run_id: &RunId,
        now: Instant,
    ) -> bool {
        if self.stalled_until.is_none_or(|until| now < until) {
            return false;
        }
        let has_failed = self.syncing.has_failed();
        let tried = self.log.probe().and_then(|()| {
            if has_failed {
                return self.reopen(core, dir, run_id);
            }
            Ok(())
        });
        match tried {
            Ok(()) => {
                self.stalled_until = None;
                // Where it was the sync that failed, its next success ends the fault.
                if !has_failed {
                    core.health.well(self.syncing.part());
                }
                true
            }
            Err(error) => {
                self.stall(core, &error);
                false
            }
        }
    }

    /// A sync failed: from then on it counts as a failed write.
    pub(super) fn notice_failed_sync(&mut self) {
        if self.syncing.has_failed() && self.stalled_until.is_none() {
            self.stalled_until = Some(Instant::now() + RETRY);
            self.asked = None;
        }
    }

    /// Takes from the files what is still whole, and writes anew what may not have reached the disk. Where they are
    /// gone it begins anew: the host has every line until the end is acknowledged.
    fn reopen(&mut self, core: &Core, dir: &Path, run_id: &RunId) -> Result<(), LogError> {
        let durable = self.syncing.done().min(self.log.next_seq());
        let header = self.log.header().clone();
        (self.log, _) = open_or_create(dir, run_id, || header)?;
        let durable = durable.min(self.log.next_seq());
        self.log.write_again(durable)?;
        self.syncing = self.syncing.of(self.log.sync_handle());
        self.acked = self.acked.min(durable);
        self.tail.advance(self.log.next_seq(), self.log.errors());
        if self.log.footer().is_none() {
            self.result = self.result.take().or(self.ended.take());
            core.syncer.want(&self.syncing, self.log.next_seq());
        } else {
            self.sync_footer(core);
        }
        Ok(())
    }

    /// Whether the run is over and all of its log is on disk.
    pub(super) fn is_durable(&self) -> bool {
        self.log.footer().is_some() && self.syncing.done() > self.log.next_seq()
    }

    /// Whether the run is over, its end is not in the database, and no write or sync of its log has failed.
    pub(super) fn is_ended_unstored(&self) -> bool {
        let has_failed = self.syncing.has_failed() || self.stalled_until.is_some();
        self.log.footer().is_some() && !self.persisted && !has_failed
    }

    /// Goes on with the log of a run that goes on; whether its index was made anew.
    pub(super) fn go_on(&mut self, core: &Core) -> bool {
        self.revive(core);
        self.log.index_rebuilt()
    }

    /// Takes the end off again, of a run that was held for lost.
    fn revive(&mut self, core: &Core) {
        if self.log.footer().is_none() {
            return;
        }
        if let Err(error) = self.log.cut_footer() {
            return self.stall(core, &error);
        }
        // The mark of the footer is that of a line from now on.
        self.syncing = self.syncing.anew();
        (self.acked, self.result, self.persisted) = (0, None, false);
        self.ended = None;
    }

    /// Asks for everything up to and with the footer to be made durable.
    pub(super) fn sync_footer(&self, core: &Core) {
        core.syncer.want(&self.syncing, self.log.next_seq() + 1);
    }

    /// Whether nothing is to be done with the log until something comes.
    pub(super) fn is_idle(&self) -> bool {
        let is_running = self.log.footer().is_none() && self.result.is_none();
        let is_written = self.log.pending_bytes() == 0 && self.stalled_until.is_none();
        is_running && is_written && !self.syncing.has_failed()
    }

    /// Whether everything in the log is on disk, so that it can be closed.
    pub(super) fn is_settled(&self) -> bool {
        self.syncing.is_settled() && self.syncing.done() >= self.log.next_seq()
    }

    /// Asks once for everything to be made durable, so that the log can be closed.
    pub(super) fn prepare_to_close(&mut self, core: &Core) {
        if !std::mem::replace(&mut self.is_closing, true) {
            core.syncer.want(&self.syncing, self.log.next_seq());
        }
    }

    /// Closes the files.
    ///
    /// # Errors
    /// When the file system does not tell how they are.
    pub(super) fn close(self) -> Result<ClosedRun, LogError> {
        Ok(ClosedRun {
            log: self.log.close()?,
            acked: self.acked,
            made: self.made,
        })
    }

    /// The acknowledgement that is due, if one is.
    pub(super) fn ack(&mut self, run_id: &RunId) -> Option<Ack> {
        let (done, lines) = (self.syncing.done(), self.log.next_seq());
        if self.log.footer().is_some() {
            let is_final = done > lines && self.persisted;
            return is_final.then(|| Ack {
                run_id: run_id.clone(),
                seq: lines,
                is_final: Some(true),
            });
        }
        (done > self.acked).then(|| {
            self.acked = done;
            Ack {
                run_id: run_id.clone(),
                seq: done,
                is_final: None,
            }
        })
    }
}

impl ClosedRun {
    /// Opens the log again; like one that was never open where somebody did something to its files.
    pub(super) fn open(
        &self,
        dir: &Path,
        record: &RunRecord,
        tail: Arc<Tail>,
        bell: &Arc<Notify>,
    ) -> Result<OpenRun, LogError> {
        let log = match self.log.open() {
            Ok(log) => log,
            Err(error @ LogError::Displaced(_)) => {
                tracing::warn!(host = %record.run.host_id, run = %record.run.run_id, %error, "log opened again from its file");
                return OpenRun::open(dir, record, tail, bell);
            }
            Err(error) => return Err(error),
        };
        let part = Part::Log(record.run.host_id.clone(), record.run.run_id.clone());
        let (handle, bell) = (log.sync_handle(), Arc::clone(bell));
        let now = Instant::now();
        Ok(OpenRun {
            syncing: Syncing::durable_to(log.next_seq(), handle, part, bell),
            acked: self.acked,
            asked: None,
            stalled_until: None,
            shown: (now.checked_sub(SHOW_EVERY).unwrap_or(now), log.next_seq()),
            result: None,
            ended: None,
            persisted: false,
            made: self.made,
            used: now,
            is_closing: false,
            spare: None,
            tail,
            log,
        })
    }

    /// The number the next line gets.
    pub(super) fn next_seq(&self) -> Seq {
        self.log.next_seq()
    }
}

/// Opens a log as it was left, or makes it; `true` where it was made.
fn open_or_create(
    dir: &Path,
    run_id: &RunId,
    header: impl FnOnce() -> Header,
) -> Result<(LogWriter, bool), LogError> {
    let wrong = |what, path: &Path| {
        let path = path.to_owned();
        move |source| LogError::Io { what, path, source }
    };
    match LogWriter::open(dir, run_id) {
        Ok(log) => return Ok((log, false)),
        Err(error) if error.is_not_found() => {
            std::fs::create_dir_all(dir).map_err(wrong("create", dir))?;
        }
        // Power went before the header was on disk: nothing was acknowledged, so nothing is lost.
        Err(LogError::NoHeader(path)) => {
            let aside = path.with_extension("log.broken");
            std::fs::rename(&path, &aside).map_err(wrong("move", &path))?;
        }
        Err(error) => return Err(error),
    }
    Ok((LogWriter::create(dir, run_id, &header())?, true))
}

fn header(record: &RunRecord) -> Header {
    let run = &record.run;
    let meta = RunMeta {
        nonce: record.nonce.clone(),
        requested_by: run.requested_by.clone(),
        queued: run.queued,
        started: run.started.unwrap_or_else(Timestamp::now),
        generation_before: run.generation_before,
        number: run.number,
        then: run.then.clone(),
        after: run.after.clone(),
    };
    Header {
        command: run.command.clone(),
        host_id: run.host_id.clone(),
        meta,
    }
}
