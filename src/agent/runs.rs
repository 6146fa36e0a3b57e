//! The owner of the agent's runs and of `STATE_DIR/runs`.
//!
//! Beside what [`spool`](crate::spool) describes, the folder of a run holds `acked`, once the dashboard has the
//! run as a whole.

use super::damaged::{self, put_aside};
use super::late::Late;
use super::launcher::Launcher;
use super::live::{Change, Live};
use super::requests::{self, Memory, Requests, is_damage};
use super::{Error, frames};
use crate::protocol::{
    CommandName, CommandRejected, HostId, OfferedRun, RunId, Seq, Status, StatusReport,
};
use crate::runlog::{self, LogError, LogReader};
use crate::spool::{self, RunDir, Spec, StopOrder};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// How many acknowledged spools are kept as the host's own copy.
const KEPT: usize = 20;

/// The agent's runs.
#[derive(Debug)]
pub(super) struct Runs {
    state_dir: PathBuf,
    host_id: HostId,
    launcher: Launcher,
    requests: Requests,
    live: Option<Live>,
    end: Arc<Notify>,
    /// Left by earlier agents without an end; each is live in its turn.
    unended: Vec<(RunDir, CommandName)>,
    /// Ended, and not yet acknowledged as final.
    held: BTreeSet<RunId>,
    /// Acknowledged as final.
    acked: BTreeSet<RunId>,
    /// Runs of which nothing can be read, until the dashboard has acknowledged that they are lost.
    lost: BTreeSet<RunId>,
    /// Taken by an earlier agent, not begun, and not to begin any more.
    late: BTreeMap<RunId, Late>,
}

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeginError {
    #[error("{0} is running")]
    Busy(CommandName),
    #[error("cannot write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BeginError {
    let path = path.to_owned();
    move |source| BeginError::Io { path, source }
}

impl Runs {
    /// Finds the runs of earlier agents in `state_dir`, and takes up the one that goes on. Needs a tokio
    /// runtime.
    pub(super) fn open(
        state_dir: &Path,
        host_id: &HostId,
        launcher: Launcher,
    ) -> Result<Self, Error> {
        let folder = state_dir.join("runs");
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::State { path, source }
        };
        let mut made = fs::DirBuilder::new();
        let made = made.recursive(true).mode(0o700).create(&folder);
        made.map_err(at(&folder))?;
        let memory = state_dir.join("requests.json");
        let mut runs = Self {
            state_dir: state_dir.to_owned(),
            host_id: host_id.clone(),
            launcher,
            requests: Requests::open(memory.clone()).map_err(at(&memory))?,
            live: None,
            end: Arc::default(),
            unended: Vec::new(),
            held: BTreeSet::new(),
            acked: BTreeSet::new(),
            lost: BTreeSet::new(),
            late: BTreeMap::new(),
        };
        damaged::remove_captures(&folder);
        for entry in fs::read_dir(&folder).map_err(at(&folder))?.flatten() {
            if let Some(dir) = RunDir::at(&entry.path()) {
                runs.find(dir);
            }
        }
        runs.unended.sort_by(|a, b| a.0.run_id().cmp(b.0.run_id()));
        runs.take_up();
        runs.prune();
        Ok(runs)
    }

    fn find(&mut self, dir: RunDir) {
        let run_id = dir.run_id().clone();
        if acked_marker(&dir).exists() {
            self.acked.insert(run_id);
            return;
        }
        let log = LogReader::open(dir.path(), &run_id);
        if matches!(log.as_ref().map(LogReader::footer), Ok(Ok(Some(_)))) {
            self.held.insert(run_id);
            return;
        }
        let command = match read_spec(&dir) {
            Ok(Some(spec)) => {
                self.remember(&spec);
                spec.command
            }
            Ok(None) if is_without_log(&dir) => return discard(&dir),
            spec => match log.or_else(|error| with_new_index(&dir, error)) {
                Ok(log) if matches!(log.footer(), Ok(Some(_))) => {
                    self.held.insert(run_id);
                    return;
                }
                Ok(log) => log.header().command.clone(),
                Err(log) => return self.give_up(&dir, spec.err().as_ref(), &log),
            },
        };
        tracing::info!(run = %run_id, %command, "unfinished run found");
        self.unended.push((dir, command));
    }

    /// Neither spec nor log of a run can be read. Where that is damage the run is lost and its folder is put aside, and
    /// else it is left as it is: what cannot be read now may be whole.
    fn give_up(&mut self, dir: &RunDir, spec: Option<&io::Error>, log: &LogError) {
        let run_id = dir.run_id();
        let is_log_damaged = if log.is_not_found() {
            is_without_log(dir)
        } else {
            log.is_gone() || log.is_corrupt()
        };
        if !is_log_damaged || spec.is_some_and(|error| !is_damage(error)) {
            let error = spec.map_or_else(|| log.to_string(), io::Error::to_string);
            return tracing::error!(run = %run_id, "this run cannot be read and is left unchanged: {error}");
        }
        let spec = spec.map_or_else(|| "the file is missing".to_owned(), io::Error::to_string);
        match put_aside(dir) {
            Ok(aside) => {
                tracing::error!(run = %run_id, spec, %log, "neither the spec nor the log of this run can be read: the run is lost, and its folder was renamed to {}; check that folder, then remove it", aside.display());
                self.lost.insert(run_id.clone());
            }
            Err(error) => {
                tracing::error!(run = %run_id, "this run cannot be read and is left unchanged: {error}");
            }
        }
    }

    /// Remembers a request that an agent took, and then died before it did.
    fn remember(&mut self, spec: &Spec) {
        let nonce = spec.nonce.as_deref().unwrap_or_default();
        if self.requests.look(&spec.run_id, nonce) == Memory::New
            && let Err(error) = self.requests.remember(&spec.run_id, nonce)
        {
            tracing::error!(run = %spec.run_id, "the request for this run cannot be stored: {error}");
        }
    }

    /// Takes up the newest run without an end, which may be alive. One that an agent took and did not begin
    /// any more begins after all, unless it is too late for that.
    fn take_up(&mut self) {
        while self.live.is_none()
            && let Some((dir, command)) = self.unended.pop()
        {
            // A log without its index is one, too: its supervisor makes the index anew.
            let has_begun = !is_without_log(&dir);
            let spec = read_spec(&dir).ok().flatten();
            if !has_begun && let Some(late) = spec.and_then(|spec| Late::look(&dir, &spec)) {
                tracing::warn!(run = %dir.run_id(), %command, "run not started: {late}");
                self.late.insert(dir.run_id().clone(), late);
                continue;
            }
            let supervisor = if has_begun || spool::is_other_boot(&dir) {
                self.launcher.find(&dir)
            } else {
                self.launcher.start_unless_started(&dir)
            };
            self.live = Some(Live::new(dir, command, self.launcher, supervisor));
        }
    }

    /// The run that goes on, if its spool is there.
    pub(super) fn going_on(&self) -> Option<&Live> {
        self.live.as_ref().filter(|live| live.is_started())
    }

    /// Notified whenever a run has ended; for one who waits.
    pub(super) fn end(&self) -> Arc<Notify> {
        Arc::clone(&self.end)
    }

    /// The command that keeps another from beginning.
    pub(super) fn busy_with(&self) -> Option<&CommandName> {
        self.live.as_ref().map(Live::command)
    }

    /// Waits until something happened to the run that goes on, for ever if there is none. Safe to cancel.
    pub(super) async fn changed(&mut self) -> (RunId, Change) {
        let Some(live) = &mut self.live else {
            return std::future::pending().await;
        };
        let change = live.changed().await;
        let run_id = live.dir().run_id().clone();
        match change {
            Change::Ended => self.ended(&run_id),
            Change::Unsettled => self.set_aside(),
            Change::Wrote | Change::Started => {}
        }
        (run_id, change)
    }

    /// Leaves the run that goes on as it is, because its end cannot be recorded: the next run may begin.
    fn set_aside(&mut self) {
        if let Some(live) = self.live.take() {
            let (dir, run_id) = (live.dir(), live.dir().run_id());
            self.lost.insert(run_id.clone());
            let path = dir.path().display();
            tracing::error!(run = %run_id, "the end of this run cannot be recorded, so it is left unchanged: check {path}, then remove it");
            self.take_up();
            self.end.notify_one();
        }
    }

    /// The runs of which the dashboard is to hear that they are lost.
    pub(super) fn all_lost(&self) -> impl Iterator<Item = &RunId> {
        self.lost.iter()
    }

    /// That nobody knows how a run ended, whose spool cannot be read.
    pub(super) fn lost(host_id: &HostId, run_id: &RunId) -> Option<Vec<u8>> {
        let command = CommandName::new(run_id.command()).ok()?;
        let message = "Result unknown: the supervisor died, and the host cannot record the end of the run; see the agent's journal";
        Some(frames::json(&StatusReport {
            host_id: host_id.clone(),
            run_id: Some(run_id.clone()),
            command,
            status: Status::Lost,
            exit_code: None,
            message: Some(message.to_owned()),
            cause: Vec::new(),
            lines: None,
            started: None,
            completed: None,
            duration_ms: None,
            generation: None,
            system: None,
            revision: None,
        }))
    }

    /// Why a run that an earlier agent took is not begun any more.
    pub(super) fn late(&self, run_id: &RunId) -> Option<Late> {
        self.late.get(run_id).copied()
    }

    /// What the dashboard is to hear of runs that are not begun any more.
    pub(super) fn rejections(&self) -> impl Iterator<Item = CommandRejected> {
        self.late.iter().map(|(run_id, late)| CommandRejected {
            host_id: self.host_id.clone(),
            run_id: run_id.clone(),
            reason: Some(late.to_string()),
            current_command: None,
        })
    }

    /// The run has its footer. Its supervisor, if it is still there, has nothing left to do but to exit.
    pub(super) fn ended(&mut self, run_id: &RunId) {
        if self
            .live
            .take_if(|live| live.dir().run_id() == run_id)
            .is_some()
        {
            self.held.insert(run_id.clone());
            self.take_up();
            self.end.notify_one();
        }
    }

    /// Every run that the dashboard has not acknowledged as final, the oldest first.
    pub(super) fn unacknowledged(&self) -> BTreeSet<RunId> {
        let going_on = self.going_on().map(|live| live.dir().run_id().clone());
        self.held.iter().cloned().chain(going_on).collect()
    }

    /// The same, as `register` offers them.
    pub(super) fn offered(&self) -> Vec<OfferedRun> {
        let offer = |run_id: RunId| {
            let report = self.logged(self.report(&run_id))?;
            let log = self.logged(self.open_log(&run_id))?;
            Some(OfferedRun {
                nonce: log.header().meta.nonce.clone(),
                command: report.command,
                started: report.started,
                lines: report.lines,
                status: report.status,
                run_id,
            })
        };
        self.unacknowledged()
            .into_iter()
            .filter_map(offer)
            .collect()
    }

    fn logged<T>(&self, result: Result<T, LogError>) -> Option<T> {
        result
            .map_err(|error| tracing::error!("a run cannot be reported to the dashboard: {error}"))
            .ok()
    }

    /// The folder of a run whose spool may still be here.
    pub(super) fn dir(&self, run_id: &RunId) -> RunDir {
        RunDir::new(&self.state_dir, run_id)
    }

    /// The spool of a run.
    pub(super) fn open_log(&self, run_id: &RunId) -> Result<LogReader, LogError> {
        LogReader::open(self.dir(run_id).path(), run_id)
    }

    /// Where a run stands, without the host's generation and revision.
    pub(super) fn report(&self, run_id: &RunId) -> Result<StatusReport, LogError> {
        let log = self.open_log(run_id)?;
        let lines = log.total()?;
        let footer = log.footer()?;
        let header = log.header();
        let result = footer.as_ref().map(|footer| &footer.result);
        Ok(StatusReport {
            host_id: self.host_id.clone(),
            run_id: Some(run_id.clone()),
            command: header.command.clone(),
            status: result.map_or(Status::Running, |result| result.status),
            exit_code: footer.as_ref().and_then(|footer| footer.exit_code),
            message: result.and_then(|result| result.message.clone()),
            cause: result.map_or_else(Vec::new, |result| result.cause.clone()),
            lines: Some(result.map_or(lines, |result| result.lines)),
            started: Some(header.meta.started),
            completed: result.map(|result| result.completed),
            duration_ms: result.and_then(|result| result.duration_ms),
            generation: result.and_then(|result| result.generation_after),
            system: result.and_then(|result| result.system_after.clone()),
            revision: result.and_then(|result| result.revision.clone()),
        })
    }

    /// That a run began, even if it is over already: its end is told behind its last line.
    pub(super) fn running(&self, run_id: &RunId) -> Result<StatusReport, LogError> {
        let header = self.open_log(run_id)?.header().clone();
        Ok(StatusReport {
            host_id: self.host_id.clone(),
            run_id: Some(run_id.clone()),
            command: header.command,
            status: Status::Running,
            exit_code: None,
            message: None,
            cause: Vec::new(),
            lines: None,
            started: Some(header.meta.started),
            completed: None,
            duration_ms: None,
            generation: header.meta.generation_before,
            system: None,
            revision: None,
        })
    }

    /// Whether the run was asked for and has no spool yet.
    pub(super) fn is_beginning(&self, run_id: &RunId) -> bool {
        let live = self.live.as_ref();
        live.is_some_and(|live| live.dir().run_id() == run_id && !live.is_started())
    }

    /// What is remembered of a request.
    pub(super) fn memory(&self, run_id: &RunId, nonce: &str) -> Memory {
        self.requests.look(run_id, nonce)
    }

    /// Begins a run: its folder and [`Spec`] are on disk before the supervisor starts. Where the supervisor
    /// cannot be started, the run ends with that as its result.
    pub(super) fn begin(&mut self, spec: &Spec) -> Result<(), BeginError> {
        if let Some(command) = self.busy_with() {
            return Err(BeginError::Busy(command.clone()));
        }
        let dir = self.dir(&spec.run_id);
        let nonce = spec.nonce.as_deref().unwrap_or_default();
        let memory = self.state_dir.join("requests.json");
        fs::create_dir(dir.path()).map_err(at(dir.path()))?;
        // Remembered last: an agent killed before that has taken nothing, or a run that the next one begins.
        let remembered = prepare(&dir, spec).and_then(|()| {
            let remembered = self.requests.remember(&spec.run_id, nonce);
            remembered.map_err(at(&memory))
        });
        if let Err(error) = remembered {
            discard(&dir);
            return Err(error);
        }
        // Nothing of it had begun: the dashboard asked for it again.
        self.lost.remove(&spec.run_id);
        for late in std::mem::take(&mut self.late).into_keys() {
            discard(&self.dir(&late));
        }
        let supervisor = self.launcher.start(&dir);
        let command = spec.command.clone();
        self.live = Some(Live::new(dir, command, self.launcher, supervisor));
        Ok(())
    }

    /// Asks the supervisor to end the run. In mid-activation it needs `force`.
    pub(super) fn stop(&mut self, run_id: &RunId, order: &StopOrder) {
        let Some(live) = self
            .live
            .as_mut()
            .filter(|live| live.dir().run_id() == run_id)
        else {
            return tracing::info!(run = %run_id, "nothing to stop: this run is not running");
        };
        let phase = live.progress().and_then(|progress| progress.phase());
        if !order.force && phase.is_some_and(|phase| phase.is_activating()) {
            return tracing::warn!(run = %run_id, "run not stopped: the host is activating, and the stop was not forced");
        }
        if let Err(error) = live.stop(order) {
            tracing::error!(run = %run_id, "cannot tell the supervisor of this run to stop: {error}");
        }
    }

    /// The dashboard has every line below `seq` on disk.
    pub(super) fn acknowledge_lines(&mut self, run_id: &RunId, seq: Seq) {
        let live = self.live.as_mut();
        if let Some(live) = live.filter(|live| live.dir().run_id() == run_id) {
            live.acknowledge(seq);
        }
    }

    /// How many bytes of spools wait for the dashboard. One counts until all of it is acknowledged.
    pub(super) fn waiting_bytes(&self) -> u64 {
        let size = |run_id: &RunId| {
            let (log, index) = runlog::paths(self.dir(run_id).path(), run_id);
            let sizes = [log, index].map(|path| fs::metadata(path).map_or(0, |file| file.len()));
            sizes.iter().sum::<u64>()
        };
        self.held.iter().map(size).sum()
    }

    /// The dashboard has the whole run on disk: it is no longer offered.
    pub(super) fn acknowledge(&mut self, run_id: &RunId) {
        self.lost.remove(run_id);
        if !self.held.contains(run_id) {
            return;
        }
        let marker = acked_marker(&self.dir(run_id));
        if let Err(error) = fs::write(&marker, "").and_then(|()| requests::sync(&marker)) {
            return tracing::error!("cannot write {}: {error}", marker.display());
        }
        self.held.remove(run_id);
        self.acked.insert(run_id.clone());
        self.prune();
    }

    /// Deletes the oldest acknowledged spools.
    fn prune(&mut self) {
        while self.acked.len() > KEPT {
            if let Some(oldest) = self.acked.pop_first() {
                discard(&self.dir(&oldest));
            }
        }
    }
}

/// What a run was to do; that of another run is damage.
fn read_spec(dir: &RunDir) -> io::Result<Option<Spec>> {
    let spec: Option<Spec> = spool::read_json(&dir.spec())?;
    match spec {
        Some(spec) if spec.run_id != *dir.run_id() => {
            let what = format!("it is the spec of {}", spec.run_id);
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
        spec => Ok(spec),
    }
}

/// Opens a log that cannot be, because its index is gone and nobody writes it; else gives the error.
fn with_new_index(dir: &RunDir, error: LogError) -> Result<LogReader, LogError> {
    if !error.is_not_found() || is_without_log(dir) {
        return Err(error);
    }
    let Ok(_lock) = damaged::lock(dir) else {
        return Err(error);
    };
    runlog::rebuild_index(dir.path(), dir.run_id())?;
    LogReader::open(dir.path(), dir.run_id())
}

/// Whether there certainly is no log of a run.
fn is_without_log(dir: &RunDir) -> bool {
    let (log, _) = runlog::paths(dir.path(), dir.run_id());
    let found = fs::symlink_metadata(log);
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn acked_marker(dir: &RunDir) -> PathBuf {
    dir.path().join("acked")
}

fn prepare(dir: &RunDir, spec: &Spec) -> Result<(), BeginError> {
    spool::note_boot(dir).map_err(at(dir.path()))?;
    let path = dir.spec();
    spool::write_json(&path, spec).map_err(at(&path))?;
    requests::sync(&path).map_err(at(&path))
}

fn discard(dir: &RunDir) {
    if let Err(error) = fs::remove_dir_all(dir.path())
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!("cannot remove {}: {error}", dir.path().display());
    }
}
