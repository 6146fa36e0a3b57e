//! The messages of a registered agent, one by one.

use super::facts;
use super::host_runs::{A_RUN, HostRuns, MAX_GOING_ON};
use super::open_run::RETRY;
use super::unread::Unread;
use super::{LONG_MESSAGE_BYTES, Violation, aside, parsed, single, weight};
use crate::dashboard::core::Core;
use crate::dashboard::fleet::Errand;
use crate::dashboard::state::{Known, RunRecord};
use crate::dashboard::websocket::Utf8Bytes;
use crate::protocol::{
    Ack, AgentMessage, CommandName, CommandRejected, CommandRequest, Heartbeat, HostId, Output,
    OutputHead, ProgressReport, Run, RunId, Status, StatusReport, StopRequest, Timestamp,
};
use serde::de::IgnoredAny;
use std::sync::Arc;
use std::time::Instant;

/// How many messages of a frame are taken in before others have their turn.
const MESSAGES_AT_A_TIME: usize = 32;
/// What lines of a run that takes none count for: the database is asked about it.
const A_STRAY: u32 = 5;
/// What is kept of what a host says to a user, in bytes,
const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// and of the phases of a run.
const MAX_PHASES: usize = 1_000;

impl HostRuns {
    /// Takes in a frame. What its messages ask for is in the replies.
    #[cfg(test)]
    pub(crate) async fn frame(&mut self, core: &Arc<Core>, frame: &str) -> Result<(), Violation> {
        let taken = self.take_in(core, &frame.into()).await;
        self.store(core).await;
        taken
    }

    /// Stores the lines of the frames that were taken in.
    pub(super) async fn store(&mut self, core: &Arc<Core>) {
        if self.has_pending() {
            core.writes.run(|| self.store_all(core)).await;
        }
    }

    /// Takes in a frame; its lines are in memory until [`store`](Self::store). Of a frame with more messages than the
    /// host may send now some stay [unread](Self::has_unread).
    pub(super) async fn take_in(
        &mut self,
        core: &Arc<Core>,
        frame: &Utf8Bytes,
    ) -> Result<(), Violation> {
        let unread = Unread::of(frame)?;
        if unread.is_empty() {
            // A frame without messages is none that is free.
            self.allowance.spend(weight(frame));
        }
        self.unread = Some(unread);
        self.read_on(core).await
    }

    /// Whether a frame has messages that were not taken in yet. No other is to be taken in before.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// Takes in the next messages of a frame, as many as the host may send now.
    pub(super) async fn read_on(&mut self, core: &Arc<Core>) -> Result<(), Violation> {
        let Some(mut unread) = self.unread.take() else {
            return Ok(());
        };
        let (mut read, mut bytes) = (0, 0);
        while let Some((kind, json)) = unread.next() {
            self.message(core, kind, json).await?;
            read += 1;
            bytes += json.len();
            if unread.is_empty() {
                break;
            }
            if self.rests().is_some() {
                self.unread = Some(unread);
                break;
            }
            if read % MESSAGES_AT_A_TIME == 0 || bytes > LONG_MESSAGE_BYTES {
                bytes = 0;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn message(
        &mut self,
        core: &Arc<Core>,
        kind: Option<AgentMessage>,
        json: &str,
    ) -> Result<(), Violation> {
        if kind != Some(AgentMessage::Output) {
            self.allowance.spend(weight(json));
        }
        match kind {
            Some(AgentMessage::Output) => {
                // The form with many lines first: that is the path of the lines.
                if let Ok(output) = aside(json, serde_json::from_str::<Output<'_>>) {
                    self.own(&output.host_id)?;
                    if !self.takes_lines(&output.run_id) {
                        let is_known = self.is_unopened(&output.run_id);
                        self.allowance.spend(if is_known { 1 } else { A_STRAY });
                        self.take_up(core, &output.run_id, &output.command, None)
                            .await;
                    }
                    return core.writes.run(|| self.output(core, &output)).await;
                }
                // A line is free here, too, unless it is long: what a build prints must not wait.
                self.allowance.spend(weight(json) - 1);
                if parsed::<OutputHead>(json)?.run_id.is_some() {
                    return Err(
                        parsed::<Output<'_>>(json).map_or_else(Violation::from, |_| unreadable())
                    );
                }
                single::output(self, core, json).await
            }
            Some(AgentMessage::Heartbeat) => {
                let mut beat: Heartbeat = parsed(json)?;
                facts::shorten(&mut beat.system);
                facts::shorten(&mut beat.revision);
                facts::shorten_systems(&mut beat.systems);
                self.own(&beat.host_id)?;
                if core.fleet.heartbeat(&self.host_id, beat) {
                    core.save_host(&self.host_id).await;
                }
                Ok(())
            }
            Some(AgentMessage::Progress) => {
                let mut report: ProgressReport = parsed(json)?;
                self.own(&report.host_id)?;
                report.progress.phases.truncate(MAX_PHASES);
                core.fleet
                    .progress(&self.host_id, &report.run_id, report.progress);
                Ok(())
            }
            Some(AgentMessage::Status) => {
                let mut report: StatusReport = parsed(json)?;
                self.own(&report.host_id)?;
                report.message = report.message.map(shortened);
                facts::shorten(&mut report.revision);
                facts::shorten(&mut report.system);
                facts::shorten_causes(&mut report.cause);
                match report.run_id.clone() {
                    Some(run_id) => self.status(core, &run_id, report).await,
                    None => single::status(self, core, report).await,
                }
                Ok(())
            }
            Some(AgentMessage::CommandRejected) => {
                let rejected: CommandRejected = parsed(json)?;
                self.own(&rejected.host_id)?;
                self.rejected(core, rejected).await;
                Ok(())
            }
            Some(AgentMessage::Register) => Err(Violation::Malformed(
                "a second `register` in one connection".into(),
            )),
            None => {
                parsed::<IgnoredAny>(json)?;
                Ok(())
            }
        }
    }

    pub(super) fn own(&self, host_id: &HostId) -> Result<(), Violation> {
        if *host_id == self.host_id {
            Ok(())
        } else {
            Err(Violation::OtherHost(host_id.to_string()))
        }
    }

    /// A run began, or ended.
    pub(super) async fn status(&mut self, core: &Arc<Core>, run_id: &RunId, report: StatusReport) {
        let ended = self.open.get(run_id).and_then(|run| run.log.footer());
        if ended.is_some_and(|footer| {
            footer.result.status != Status::Lost || report.status == Status::Lost
        }) {
            return;
        }
        let wanted = self
            .take_up(core, run_id, &report.command, Some(&report))
            .await;
        if !wanted && report.status.is_final() && !self.open.contains_key(run_id) {
            self.reply(&Ack {
                run_id: run_id.clone(),
                seq: report.lines.unwrap_or(0),
                is_final: Some(true),
            });
        }
        if wanted
            && report.status.is_final()
            && let Some(run) = self.open.get_mut(run_id)
        {
            let learned =
                core.fleet
                    .learned(&self.host_id, report.generation, report.revision.as_ref());
            if learned {
                core.save_host(&self.host_id).await;
            }
            run.result = Some(report);
            let ending = || self.end_if_whole(core, run_id);
            core.writes.run(ending).await;
            self.acknowledge(core).await;
        }
    }

    /// Goes on with a run of which news come: one that was sent, one that was held for lost, or one that nobody
    /// here knew. `false` when nothing more is wanted of it.
    async fn take_up(
        &mut self,
        core: &Arc<Core>,
        run_id: &RunId,
        command: &CommandName,
        report: Option<&StatusReport>,
    ) -> bool {
        if self.waits_for_room(run_id) {
            self.make_room(core).await;
        }
        if self.is_unopened(run_id) {
            return true;
        }
        let record = core.fleet.record(&self.host_id, run_id);
        if let Some(record) = &record
            && record.run.status == Status::Running
            && self.closed_at(run_id).is_some()
        {
            self.open_again(core, record).await;
            return true;
        }
        if record.is_none() {
            let known = core.state.known_run(&self.host_id, run_id).await;
            if self.open.len().max(core.fleet.open_count(&self.host_id)) >= MAX_GOING_ON {
                tracing::warn!(host = %self.host_id, run = %run_id, "run ignored: too many runs at once");
                return false;
            }
            self.allowance.spend(A_RUN);
            let record = match known {
                Ok(Known::Run(record)) if record.run.status == Status::Lost => *record,
                Ok(Known::Nothing) => {
                    self.own_runs.spend(1);
                    begun_by_itself(core, &self.host_id, run_id, command)
                }
                Ok(Known::Run(_) | Known::Removed) => return false,
                Err(_) => return true,
            };
            core.fleet.add_run(record);
        }
        let started = report.and_then(|report| report.started);
        let running = report.filter(|report| report.status == Status::Running);
        let generation = running.and_then(|report| report.generation);
        match self.begun(core, run_id, started, generation).await {
            Some(record) => self.stop(&record),
            None => return self.takes_lines(run_id),
        }
        true
    }

    /// Shows a run as running and opens its log, unless that was done before. Gives the run if it was not.
    pub(super) async fn begun(
        &mut self,
        core: &Arc<Core>,
        run_id: &RunId,
        started: Option<Timestamp>,
        generation: Option<u64>,
    ) -> Option<RunRecord> {
        if self.takes_lines(run_id) {
            return None;
        }
        // What was asked for here has its place, whatever else the host brings.
        let mut was_asked_for = false;
        let record = core.fleet.update_run(&self.host_id, run_id, |record| {
            let run = &mut record.run;
            was_asked_for = run.status == Status::Queued;
            if run.status == Status::Lost {
                (run.completed, run.message, run.duration_ms) = (None, None, None);
            }
            run.status = Status::Running;
            run.expires = None;
            run.started = started.or(run.started).or_else(|| Some(Timestamp::now()));
            run.generation_before = generation.or(run.generation_before);
            record.sent = true;
        })?;
        tracing::info!(host = %self.host_id, run = %run_id, command = %record.run.command, "run started or resumed");
        if !was_asked_for {
            self.make_room(core).await;
        }
        let opening = || {
            let open = if was_asked_for {
                self.opened(core, &record)
            } else {
                self.opened_with_room(core, &record)
            };
            open.is_some_and(|open| open.go_on(core))
        };
        if core.writes.block(opening).await {
            self.show_rebuilt(core, run_id);
        }
        let _ = core.persist(&self.host_id, run_id).await;
        Some(record)
    }

    /// Shows that it is not known which lines of a run were errors.
    pub(super) fn show_rebuilt(&self, core: &Core, run_id: &RunId) {
        core.fleet.update_run(&self.host_id, run_id, |record| {
            record.run.index_rebuilt = true;
        });
    }

    /// A command that the host did not begin.
    async fn rejected(&mut self, core: &Arc<Core>, rejected: CommandRejected) {
        let reason = rejected
            .reason
            .map(shortened)
            .unwrap_or_else(|| "the host gave no reason".into());
        let message = match rejected.current_command {
            Some(current) => format!("rejected by the host: {reason} ({current} is running)"),
            None => format!("rejected by the host: {reason}"),
        };
        let mut changed = false;
        core.fleet
            .update_run(&self.host_id, &rejected.run_id, |record| {
                if record.run.status == Status::Queued {
                    tracing::warn!(host = %record.run.host_id, run = %record.run.run_id, command = %record.run.command, "{message}");
                    record.run.status = Status::Rejected;
                    record.run.message = Some(message);
                    record.run.completed = Some(Timestamp::now());
                    changed = true;
                }
            });
        if changed {
            let _ = core.persist(&self.host_id, &rejected.run_id).await;
        }
    }

    /// Does what people asked for.
    pub(crate) async fn errand(&mut self, core: &Arc<Core>, errand: Errand) {
        let (Errand::Begin(run_id) | Errand::Stop(run_id)) = &errand;
        let Some(record) = core.fleet.record(&self.host_id, run_id) else {
            return;
        };
        match errand {
            // What was asked for while the host registered may have been sent then.
            Errand::Begin(run_id) if !record.sent => self.begin(core, &run_id).await,
            Errand::Begin(_) => {}
            Errand::Stop(_) => self.stop(&record),
        }
    }

    /// Sends the command of a run that is still wanted.
    pub(crate) async fn begin(&mut self, core: &Arc<Core>, run_id: &RunId) {
        let Some(record) = core.fleet.record(&self.host_id, run_id) else {
            return;
        };
        if record.run.status != Status::Queued {
            return;
        }
        if core.fleet.is_withheld(&self.host_id) {
            self.unsent = Some((Instant::now() + RETRY, run_id.clone()));
            return;
        }
        // It may have expired; once the clock is right it is sent or expires.
        if !core.clock.is_believed() && core.fleet.expires_by_clock(&self.host_id, run_id) {
            self.unsent = Some((Instant::now() + RETRY, run_id.clone()));
            return;
        }
        let left = core.fleet.time_left(&self.host_id, run_id);
        if left.is_some_and(|left| left.is_zero())
            || !core.fleet.mark_sent(&self.host_id, run_id, true)
        {
            return;
        }
        // Stored first: what the host may know of is not cancelled behind its back.
        if !record.sent && core.persist(&self.host_id, run_id).await.is_err() {
            core.fleet.mark_sent(&self.host_id, run_id, false);
            self.unsent = Some((Instant::now() + RETRY, run_id.clone()));
            return;
        }
        self.reply(&CommandRequest {
            run_id: run_id.clone(),
            nonce: record.nonce.unwrap_or_default(),
            command: record.run.command,
            requested_by: record.run.requested_by,
            not_after: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        });
    }

    /// Passes on that a run is to end, if somebody wishes so.
    pub(crate) fn stop(&mut self, record: &RunRecord) {
        if let Some(wish) = &record.stop {
            let (run_id, requested_by) =
                (record.run.run_id.clone(), Some(wish.requested_by.clone()));
            self.reply(&StopRequest {
                run_id,
                requested_by,
                force: Some(wish.force),
            });
        }
    }
}

/// A run that began without anybody here asking for it.
pub(super) fn begun_by_itself(
    core: &Core,
    host_id: &HostId,
    run_id: &RunId,
    command: &CommandName,
) -> RunRecord {
    let mut run = Run::queued(run_id.clone(), host_id.clone(), command.clone());
    run.status = Status::Running;
    run.number = core.state.next_number();
    RunRecord::of(run)
}

fn shortened(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
    message
}

fn unreadable() -> Violation {
    Violation::Malformed("output".into())
}
