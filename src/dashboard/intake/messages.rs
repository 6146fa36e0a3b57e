//! The messages of a registered agent, one by one.

use super::host_runs::HostRuns;
use super::{Violation, single};
use crate::dashboard::core::Core;
use crate::dashboard::state::RunRecord;
use crate::protocol::{
    CommandRejected, CommandRequest, Heartbeat, HostId, Output, OutputHead, ProgressReport,
    RawMessage, Run, RunId, Status, StatusReport, StopRequest, Timestamp, split,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// An append that takes longer waits for the disk.
const SLOW: Duration = Duration::from_millis(10);

impl HostRuns {
    /// Takes in a frame. What its messages ask for is in the replies.
    pub(crate) async fn frame(&mut self, core: &Arc<Core>, frame: &str) -> Result<(), Violation> {
        let messages = split(frame).map_err(|error| Violation::Malformed(error.to_string()))?;
        for message in messages {
            self.message(core, &message).await?;
        }
        Ok(())
    }

    async fn message(
        &mut self,
        core: &Arc<Core>,
        message: &RawMessage<'_>,
    ) -> Result<(), Violation> {
        match message.kind.as_ref() {
            "output" => {
                // The form with many lines first: that is the path of the lines.
                if let Ok(output) = serde_json::from_str::<Output<'_>>(message.json) {
                    self.own(&output.host_id)?;
                    return self.append(core, &output);
                }
                if serde_json::from_str::<OutputHead>(message.json)?
                    .run_id
                    .is_some()
                {
                    return Err(serde_json::from_str::<Output<'_>>(message.json)
                        .map_or_else(Violation::from, |_| unreadable()));
                }
                single::output(self, core, message.json).await
            }
            "heartbeat" => {
                let beat: Heartbeat = serde_json::from_str(message.json)?;
                self.own(&beat.host_id)?;
                if let Some(host) = core.fleet.heartbeat(&self.host_id, beat) {
                    let _ = core.noted(core.state.save_host(&self.host_id, &host).await);
                }
                Ok(())
            }
            "progress" => {
                let report: ProgressReport = serde_json::from_str(message.json)?;
                self.own(&report.host_id)?;
                core.fleet
                    .progress(&self.host_id, &report.run_id, report.progress);
                Ok(())
            }
            "status" => {
                let report: StatusReport = serde_json::from_str(message.json)?;
                self.own(&report.host_id)?;
                match report.run_id.clone() {
                    Some(run_id) => self.status(core, &run_id, report).await,
                    None => single::status(self, core, report).await,
                }
                Ok(())
            }
            "command_rejected" => {
                let rejected: CommandRejected = serde_json::from_str(message.json)?;
                self.own(&rejected.host_id)?;
                self.rejected(core, rejected).await;
                Ok(())
            }
            "register" => Err(Violation::Malformed("a second register".into())),
            _ => Ok(()),
        }
    }

    /// Stores lines. That takes microseconds, less than to hand the other tasks of this thread to another
    /// one; but where a log must be opened, or the disk is behind, they shall not wait for it.
    fn append(&mut self, core: &Core, output: &Output<'_>) -> Result<(), Violation> {
        let hand_over =
            core.disk_is_slow.load(Ordering::Relaxed) || !self.open.contains_key(&output.run_id);
        let began = Instant::now();
        let stored = if hand_over {
            tokio::task::block_in_place(|| self.output(core, output))
        } else {
            self.output(core, output)
        };
        core.disk_is_slow
            .store(began.elapsed() > SLOW, Ordering::Relaxed);
        stored
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
        if self
            .open
            .get(run_id)
            .is_some_and(|run| run.log.footer().is_some())
        {
            return;
        }
        if core.fleet.record(&self.host_id, run_id).is_none() {
            // Not at hand: only a run that begins may come out of nowhere.
            let stored = core.state.run(&self.host_id, run_id).await;
            if report.status.is_final() || !matches!(stored, Ok(None)) {
                tracing::warn!(host = %self.host_id, run = %run_id, status = %report.status, "news of a run that is over; ignored");
                return;
            }
            core.fleet.add_run(RunRecord::of(Run::queued(
                run_id.clone(),
                self.host_id.clone(),
                report.command.clone(),
            )));
        }
        self.begun(
            core,
            run_id,
            report.started,
            report
                .generation
                .filter(|_| report.status == Status::Running),
        )
        .await;
        if report.status.is_final()
            && let Some(run) = self.open.get_mut(run_id)
        {
            run.result = Some(report);
            tokio::task::block_in_place(|| self.end_if_whole(core, run_id));
            self.acknowledge(core).await;
        }
    }

    /// Shows a run as running and opens its log, unless that was done before.
    pub(super) async fn begun(
        &mut self,
        core: &Arc<Core>,
        run_id: &RunId,
        started: Option<Timestamp>,
        generation: Option<u64>,
    ) {
        if self.open.contains_key(run_id) {
            return;
        }
        let begun = core.fleet.update_run(&self.host_id, run_id, |record| {
            let run = &mut record.run;
            if run.status == Status::Lost {
                (run.completed, run.message, run.duration_ms) = (None, None, None);
            }
            run.status = Status::Running;
            run.started = started.or(run.started).or_else(|| Some(Timestamp::now()));
            run.generation_before = generation.or(run.generation_before);
            record.sent = true;
        });
        let Some(record) = begun else { return };
        tracing::info!(host = %self.host_id, run = %run_id, command = %record.run.command, "run goes on");
        tokio::task::block_in_place(|| self.opened(core, &record).is_some());
        let _ = core.persist(&self.host_id, run_id).await;
        self.stop(&record);
    }

    /// A command that the host did not begin.
    async fn rejected(&mut self, core: &Arc<Core>, rejected: CommandRejected) {
        let reason = rejected
            .reason
            .unwrap_or_else(|| "the host gave no reason".into());
        let message = match rejected.current_command {
            Some(current) => format!("rejected by the host: {reason} ({current} is running)"),
            None => format!("rejected by the host: {reason}"),
        };
        let mut changed = false;
        core.fleet
            .update_run(&self.host_id, &rejected.run_id, |record| {
                if record.run.status == Status::Queued {
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

    /// Sends the command of a run that is still wanted.
    pub(crate) async fn begin(&mut self, core: &Arc<Core>, run_id: &RunId) {
        let Some(record) = core.fleet.record(&self.host_id, run_id) else {
            return;
        };
        if record.run.status != Status::Queued {
            return;
        }
        let left = record
            .expires
            .map(|at| at.millis() - Timestamp::now().millis());
        if left.is_some_and(|left| left <= 0) || !core.fleet.mark_sent(&self.host_id, run_id) {
            return;
        }
        if !record.sent && core.persist(&self.host_id, run_id).await.is_err() {
            return;
        }
        self.reply(&CommandRequest {
            run_id: run_id.clone(),
            nonce: record.nonce.unwrap_or_default(),
            command: record.run.command,
            requested_by: record.run.requested_by,
            not_after: left.map(i64::unsigned_abs),
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

fn unreadable() -> Violation {
    Violation::Malformed("output".into())
}
