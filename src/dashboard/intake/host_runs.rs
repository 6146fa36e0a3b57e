//! The open logs of one host. Its lock is held by the one connection that may append to them.

use super::Violation;
use super::open_run::{ClosedRun, OpenRun, RETRY};
use super::unread::Unread;
use crate::dashboard::allowance::Allowance;
use crate::dashboard::core::Core;
use crate::dashboard::health::Part;
use crate::dashboard::state::RunRecord;
use crate::protocol::{
    HostId, MAX_LINE_BYTES, OfferedRun, Output, Resume, RunId, Seq, Status, StatusReport,
    Timestamp, TimestampFormatter, WireLine,
};
use crate::runlog::{LogError, RunResult};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout_at;

/// How often browsers hear how many lines a run has.
pub(super) const SHOW_EVERY: Duration = Duration::from_secs(1);

/// How many messages other than lines one host may send: an honest one sends a progress ten times a second.
const MESSAGES_AT_ONCE: u32 = 2_000;
const MESSAGES_A_SECOND: u32 = 50;
/// What a run that the host begins by itself counts for; it makes files.
pub(super) const A_RUN: u32 = 20;
/// How many runs one host may begin by itself at once, and then in which time each: an empty one takes twenty times as
/// much disk as it takes bytes to begin it.
const OWN_RUNS_AT_ONCE: u32 = 1_000;
const OWN_RUN_INTERVAL: Duration = Duration::from_secs(10);
/// Most runs of one host that go on, unless it offers more when it connects.
pub(super) const MAX_GOING_ON: usize = 256;
/// Most runs that are wanted and for whose logs there is no room, before it is decided on more that are offered.
const MAX_NO_ROOM: usize = 512;
/// How long lines wait until there is room for their log; then they are dropped, and asked for again later.
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);

/// How much of one run waits in memory while more frames are there to be read.
const MAX_PENDING_BYTES: usize = 1 << 18;

/// The runs of one host that are not acknowledged as final.
#[derive(Debug)]
pub(crate) struct HostRuns {
    pub(super) host_id: HostId,
    pub(super) dir: PathBuf,
    pub(super) open: HashMap<RunId, OpenRun>,
    /// Of runs that go on and of which nothing came for a while.
    pub(super) closed: HashMap<RunId, ClosedRun>,
    /// Offered when the host connected, and not yet decided on, because many came before them.
    pub(super) waiting: VecDeque<OfferedRun>,
    /// Running runs whose logs could not be opened: what comes of them is dropped until then, and asked for again.
    unopened: HashMap<RunId, Instant>,
    /// Running runs for whose logs there is no room: what comes of them is dropped until then, and asked for again.
    no_room: BTreeSet<RunId>,
    /// All logs beyond those that each host may have open are taken: when to try again.
    pub(super) no_spare_until: Option<Instant>,
    /// A command that could not be sent, because it could not be stored that it was.
    pub(super) unsent: Option<(Instant, RunId)>,
    /// Running runs that the machine that is connected does not know, while another one may have them.
    pub(super) doubtful: Vec<RunId>,
    /// The run of an agent that names none.
    pub(super) single: Option<RunId>,
    /// Messages for the agent, in order.
    pub(super) replies: Vec<String>,
    /// Rings when more became durable.
    pub(super) bell: Arc<Notify>,
    /// What came in one frame and was not taken in yet.
    pub(super) unread: Option<Unread>,
    /// Of everything but lines, over all connections of the host.
    pub(super) allowance: Allowance,
    /// Of runs that the host begins by itself.
    pub(super) own_runs: Allowance,
    /// The next offered run is a new one, and one too many: when it is decided on.
    own_run_at: Option<Instant>,
}

impl HostRuns {
    pub(crate) fn new(host_id: HostId, dir: PathBuf) -> Self {
        let (open, closed, waiting, unopened) = Default::default();
        let (no_room, no_spare_until) = Default::default();
        let (unsent, doubtful, single, replies, bell, unread) = Default::default();
        Self {
            host_id,
            dir,
            open,
            closed,
            waiting,
            unopened,
            no_room,
            no_spare_until,
            unsent,
            doubtful,
            single,
            replies,
            bell,
            unread,
            allowance: Allowance::new(MESSAGES_AT_ONCE, MESSAGES_A_SECOND),
            own_runs: Allowance::one_every(OWN_RUN_INTERVAL, OWN_RUNS_AT_ONCE),
            own_run_at: None,
        }
    }

    /// When the host's next frame may be read; none where at once.
    pub(super) fn rests(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.allowance.wait(now).max(self.own_runs.wait(now))
    }

    /// Whether the host may begin one more run by itself; if not, offered ones wait.
    pub(super) fn may_begin_own(&mut self) -> bool {
        self.own_run_at = self.own_runs.ready_at(1, Instant::now());
        self.own_run_at.is_none()
    }

    pub(super) fn reply(&mut self, message: &impl Serialize) {
        self.replies.extend(serde_json::to_string(message));
    }

    pub(super) fn ask_again(&mut self, run_id: &RunId, seq: Seq) {
        self.reply(&Resume {
            run_id: run_id.clone(),
            seq,
        });
    }

    /// The open log of a run, opened or made now if need be. `None` when it cannot be, or the run is over.
    pub(super) fn opened(&mut self, core: &Core, record: &RunRecord) -> Option<&mut OpenRun> {
        let run_id = &record.run.run_id;
        if !self.open.contains_key(run_id) {
            let tail = core.fleet.follow_run(&self.host_id, run_id)?.tail;
            let part = Part::Log(self.host_id.clone(), run_id.clone());
            let opened = match self.closed.get(run_id) {
                Some(closed) => closed.open(&self.dir, record, tail, &self.bell),
                None => OpenRun::open(&self.dir, record, tail, &self.bell),
            };
            match opened {
                Ok(open) => {
                    core.health.well(&part);
                    if open.made.is_some() {
                        core.counters.logs_made.fetch_add(1, Ordering::Relaxed);
                    }
                    self.closed.remove(run_id);
                    self.open.insert(run_id.clone(), open);
                }
                Err(error) => {
                    core.health.fault(&part, &error.to_string());
                    self.unopened.insert(run_id.clone(), Instant::now() + RETRY);
                    return None;
                }
            }
            self.unopened.remove(run_id);
            self.no_room.remove(run_id);
        }
        self.open.get_mut(run_id)
    }

    /// Whether it may be decided on one more run that was offered.
    pub(super) fn may_decide(&self) -> bool {
        self.no_room.len() < MAX_NO_ROOM
    }

    /// Waits until there is room for one more log, where that can be soon: logs of runs that are over are closed when
    /// they are durable.
    pub(super) async fn make_room(&mut self, core: &Arc<Core>) {
        let (bell, deadline) = (self.bell(), tokio::time::Instant::now() + ROOM_TIMEOUT);
        let is_over = |run: &OpenRun| run.log.footer().is_some();
        while !self.has_room() && self.open.values().any(is_over) {
            if timeout_at(deadline, bell.notified()).await.is_err() {
                return;
            }
            self.acknowledge(core).await;
        }
    }

    /// Whether the log of a run is open and not ended.
    pub(super) fn takes_lines(&self, run_id: &RunId) -> bool {
        let run = self.open.get(run_id);
        run.is_some_and(|run| run.log.footer().is_none())
    }

    /// Whether the log of a run waits to be opened, and cannot be now.
    pub(super) fn is_unopened(&self, run_id: &RunId) -> bool {
        self.unopened.contains_key(run_id) || (self.waits_for_room(run_id) && !self.has_room())
    }

    /// Whether logs wait until there is room for them.
    pub(super) fn waits_for_any_room(&self) -> bool {
        !self.no_room.is_empty()
    }

    /// Has a log opened once there is room for it.
    pub(super) fn wait_for_room(&mut self, run_id: &RunId) {
        self.no_room.insert(run_id.clone());
    }

    /// Whether there was no room for the log of a run.
    pub(super) fn waits_for_room(&self, run_id: &RunId) -> bool {
        self.no_room.contains(run_id)
    }

    /// For a new connection: what an earlier one was to be told is void, and what it asked for, too.
    pub(super) fn begin_connection(&mut self, core: &Core) {
        self.replies.clear();
        self.waiting.clear();
        self.unopened.clear();
        self.no_room.clear();
        self.no_spare_until = None;
        self.own_run_at = None;
        self.unsent = None;
        self.doubtful.clear();
        self.unread = None;
        let (fleet, host_id) = (&core.fleet, &self.host_id);
        self.open.retain(|run_id, run| {
            run.asked = None;
            run.notice_failed_sync();
            // A host that was gone for a while has new tails.
            let followed = fleet.follow_run(host_id, run_id);
            followed.map(|followed| run.tail = followed.tail).is_some()
        });
        self.closed
            .retain(|run_id, _| fleet.follow_run(host_id, run_id).is_some());
    }

    /// Lines of a run that goes on: those already there are skipped, a gap is asked for.
    pub(super) fn output(&mut self, core: &Core, output: &Output<'_>) -> Result<(), Violation> {
        let malformed = |index: usize| {
            let line = output.seq.saturating_add(index as u64);
            Violation::Malformed(format!("line {line} of {}", output.run_id))
        };
        if let Some(index) = output.lines.iter().position(|line| !is_line(&line.line)) {
            return Err(malformed(index));
        }
        let Some(run) = self.open.get_mut(&output.run_id) else {
            return Ok(());
        };
        if run.stalled_until.is_some() || run.log.footer().is_some() {
            return Ok(());
        }
        let next = run.log.next_seq();
        if output.seq > next {
            if run.asked.replace(next) != Some(next) {
                self.ask_again(&output.run_id, next);
            }
            return Ok(());
        }
        run.asked = None;
        let mut times = TimestampFormatter::default();
        let known = usize::try_from(next - output.seq).unwrap_or(usize::MAX);
        // All of them first: what earlier frames brought is in memory, too, and is not taken back with these.
        let new = output.lines.get(known..).unwrap_or_default();
        let is_time = |line: &WireLine<'_>| times.parse(&line.timestamp).is_some();
        if let Some(index) = new.iter().map(is_time).position(|is_time| !is_time) {
            return Err(malformed(known + index));
        }
        for line in new {
            if let Some(at) = times.parse(&line.timestamp) {
                run.log.push(&line.line, at, line.is_error);
            }
        }
        if run.result.is_some() || run.log.pending_bytes() >= MAX_PENDING_BYTES {
            run.store(core);
        }
        self.end_if_whole(core, &output.run_id);
        Ok(())
    }

    /// Stores the lines that frames brought.
    pub(super) fn store_all(&mut self, core: &Core) {
        let pending = self.open.values_mut();
        for run in pending.filter(|run| run.log.pending_bytes() > 0) {
            run.store(core);
        }
    }

    /// Whether lines wait to be stored.
    pub(super) fn has_pending(&self) -> bool {
        self.open.values().any(|run| run.log.pending_bytes() > 0)
    }

    /// Ends a run whose final status has come, once all its lines have.
    pub(super) fn end_if_whole(&mut self, core: &Core, run_id: &RunId) {
        let Some(run) = self.open.get_mut(run_id) else {
            return;
        };
        let Some(report) = &run.result else { return };
        let have = run.log.next_seq();
        if run.stalled_until.is_some() {
            return;
        }
        if report.status != Status::Lost && report.lines.is_some_and(|lines| lines > have) {
            if run.asked.replace(have) != Some(have) {
                self.ask_again(run_id, have);
            }
            return;
        }
        let report = report.clone();
        if run.log.pending_bytes() > 0 {
            run.store(core);
            if run.stalled_until.is_some() {
                return;
            }
        }
        if let Err(error) = self.end(core, run_id, &report)
            && let Some(run) = self.open.get_mut(run_id)
        {
            run.stall(core, &error);
        }
    }

    /// Writes the footer and shows the run as over.
    pub(super) fn end(
        &mut self,
        core: &Core,
        run_id: &RunId,
        report: &StatusReport,
    ) -> Result<(), LogError> {
        let Some(run) = self.open.get_mut(run_id) else {
            return Ok(());
        };
        let Some(record) = core.fleet.record(&self.host_id, run_id) else {
            return Ok(());
        };
        let completed = report.completed.unwrap_or_else(Timestamp::now);
        // Where the host does not say how long it took: by its own clock, or from here, but never by two clocks.
        let by_host = report.started.zip(report.completed);
        let by_host = by_host.map(|(from, to)| (to.millis() - from.millis()).max(0).unsigned_abs());
        let from_here = run.made.map(|made| made.elapsed().as_millis() as u64);
        // Of a run whose end nobody saw, nobody knows it.
        let so_far = by_host
            .or(from_here)
            .filter(|_| report.status != Status::Lost);
        let result = RunResult {
            status: report.status,
            completed,
            message: report.message.clone(),
            cause: report.cause.clone(),
            lines: 0,
            errors: None,
            duration_ms: report.duration_ms.or(so_far),
            progress: record.run.progress,
            generation_after: report.generation,
            system_after: report.system.clone(),
            revision: report.revision.clone(),
        };
        if run.log.footer().is_none() {
            run.log.finish(report.exit_code, result)?;
        }
        let footer = run.log.footer().cloned();
        run.sync_footer(core);
        run.result = None;
        run.ended = Some(report.clone());
        if self.single.as_ref() == Some(run_id) {
            self.single = None;
        }
        tracing::info!(host = %self.host_id, run = %run_id, command = %report.command, status = %report.status, exit_code = ?report.exit_code, "run ended");
        core.fleet.end_run(&self.host_id, run_id, |record| {
            if let Some(footer) = &footer {
                footer.complete(&mut record.run);
            }
            record.stop = None;
        });
        Ok(())
    }

    /// Stores the ends that are not in the database yet, and gathers the acknowledgements that are due.
    pub(crate) async fn acknowledge(&mut self, core: &Arc<Core>) {
        let ended: Vec<_> = self
            .open
            .iter()
            .filter(|(_, run)| run.is_durable() && !run.persisted)
            .map(|(id, _)| id.clone())
            .collect();
        for run_id in ended {
            core.fleet.durable(&self.host_id, &run_id);
            let stored = core.persist(&self.host_id, &run_id).await;
            if let (Ok(()), Some(run)) = (stored, self.open.get_mut(&run_id)) {
                run.persisted = true;
            }
        }
        self.open.values_mut().for_each(OpenRun::notice_failed_sync);
        let acks: Vec<_> = self
            .open
            .iter_mut()
            .filter_map(|(run_id, run)| run.ack(run_id))
            .collect();
        for ack in acks {
            if ack.is_final == Some(true) {
                self.open.remove(&ack.run_id);
            }
            self.reply(&ack);
        }
    }

    /// Does what has become due: counts to show, logs to try again.
    pub(crate) async fn turn(&mut self, core: &Arc<Core>) {
        let now = Instant::now();
        if let Some((_, run_id)) = self.unsent.take_if(|(at, _)| now >= *at) {
            self.begin(core, &run_id).await;
        }
        if !self.doubtful.is_empty() {
            self.lose_doubtful(core).await;
        }
        for (run_id, run) in &mut self.open {
            if run.shown.1 != run.tail.lines() && now >= run.shown.0 + SHOW_EVERY {
                run.shown = (now, run.tail.lines());
                core.fleet.show_lines(&self.host_id, run_id);
            }
        }
        let stalled = self.open.values().filter_map(|run| run.stalled_until);
        let mut failed = stalled.chain(self.unopened.values().copied());
        let opens = self.opens_at(now).is_some_and(|at| now >= at);
        if opens || failed.any(|until| now >= until) {
            self.try_spare_again(now);
            core.writes.block(|| self.retry(core, now)).await;
        }
        if self.closes_at().is_some_and(|at| now >= at) {
            core.writes.run(|| self.close_idle(core, now)).await;
        }
        self.decide_waiting(core).await;
    }

    fn retry(&mut self, core: &Core, now: Instant) {
        let mut ready: Vec<RunId> = Vec::new();
        for (run_id, run) in &mut self.open {
            if run.recovers(core, &self.dir, run_id, now) {
                ready.push(run_id.clone());
            }
        }
        let unopened = self.unopened.extract_if(|_, at| now >= *at);
        let mut closed: Vec<_> = unopened.map(|(id, _)| id).collect();
        let room = (0..self.room()).map_while(|_| self.no_room.pop_first());
        closed.extend(room);
        for run_id in closed {
            let record = core.fleet.record(&self.host_id, &run_id);
            let running = record.filter(|record| record.run.status == Status::Running);
            if running.is_some_and(|record| self.opened_with_room(core, &record).is_some()) {
                ready.push(run_id);
            }
        }
        for run_id in ready {
            self.end_if_whole(core, &run_id);
            if let Some(run) = self.open.get_mut(&run_id)
                && run.log.footer().is_none()
                && run.stalled_until.is_none()
                && run.asked.is_none()
            {
                let next = run.log.next_seq();
                run.asked = Some(next);
                self.ask_again(&run_id, next);
            }
        }
    }

    /// When [`turn`](Self::turn) is due.
    pub(crate) fn next_turn(&mut self) -> Option<Instant> {
        let opens = self.opens_at(Instant::now());
        let decides = !self.waiting.is_empty() && self.may_decide();
        let decides = decides.then(|| self.rests().max(self.own_run_at));
        let decides = decides.map(|at| at.unwrap_or_else(Instant::now));
        let due = |run: &OpenRun| {
            let show = (run.shown.1 != run.tail.lines()).then(|| run.shown.0 + SHOW_EVERY);
            let unsaved = (run.is_durable() && !run.persisted).then(|| Instant::now() + SHOW_EVERY);
            [show, unsaved, run.stalled_until]
                .into_iter()
                .flatten()
                .min()
        };
        let open = self.open.values().filter_map(due);
        let unopened = self.unopened.values().copied();
        let unsent = self.unsent.as_ref().map(|(at, _)| *at);
        let doubtful = (!self.doubtful.is_empty()).then(|| Instant::now() + RETRY);
        open.chain(unopened)
            .chain(unsent)
            .chain(doubtful)
            .chain(opens)
            .chain(decides)
            .chain(self.closes_at())
            .min()
    }

    /// The messages for the agent.
    pub(crate) fn take_replies(&mut self) -> Vec<String> {
        std::mem::take(&mut self.replies)
    }

    /// Rings when [`acknowledge`](Self::acknowledge) has something to do.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }
}

/// Whether a text can stand as one line in a log.
pub(super) fn is_line(text: &str) -> bool {
    text.len() <= MAX_LINE_BYTES && memchr::memchr(b'\n', text.as_bytes()).is_none()
}
