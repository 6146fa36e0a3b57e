//! What a host still holds, compared with what is here.

use super::facts;
use super::host_runs::HostRuns;
use super::messages::begun_by_itself;
use super::{Violation, single};
use crate::dashboard::core::Core;
use crate::dashboard::health::Part;
use crate::dashboard::state::{Known, RunRecord};
use crate::protocol::{
    Ack, FEATURES, OfferedRun, PROTOCOL, Register, Registered, ResumeFrom, RunId, Status,
    StatusReport,
};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

const UNKNOWN: &str = "Result unknown: the host no longer has this run";
/// More runs than any host keeps; a longer list is malformed.
const MAX_OFFERED: usize = 10_000;
/// Most offered runs on which is decided before the host is listened to again.
const DECIDED_AT_ONCE: usize = 1_000;

impl HostRuns {
    /// Answers `register`: where to go on with each run, then which are settled, then what is to be begun or stopped.
    pub(crate) async fn register(
        &mut self,
        core: &Arc<Core>,
        mut register: Register,
    ) -> Result<(), Violation> {
        facts::shorten_register(&mut register);
        self.own(&register.host_id)?;
        if register.runs.len() > MAX_OFFERED {
            return Err(Violation::Malformed(format!(
                "{} runs in `register`; at most {MAX_OFFERED} are allowed",
                register.runs.len()
            )));
        }
        if register.protocol > PROTOCOL {
            tracing::warn!(host = %self.host_id, protocol = register.protocol, ours = PROTOCOL,
                "agent uses a newer version of the protocol: messages that this dashboard does not know are ignored; update the dashboard");
        }
        self.begin_connection(core);
        if core.fleet.register(&self.host_id, &register) {
            core.save_host(&self.host_id).await;
        }
        let mut offered: HashSet<_> = register.runs.iter().map(|run| run.run_id.clone()).collect();
        self.waiting = self.by_urgency(core, register.runs);
        let mut resume = Vec::new();
        let mut settled = Vec::new();
        for _ in 0..DECIDED_AT_ONCE {
            let Some((offer, decision)) = self.decide_next(core).await else {
                break;
            };
            match decision {
                Offer::Wanted(seq) => resume.push(ResumeFrom {
                    run_id: offer.run_id,
                    seq,
                }),
                Offer::Settled => settled.push(offer),
                Offer::Ending => {}
                Offer::Refused => {
                    offered.remove(&offer.run_id);
                }
            }
        }
        self.reply(&Registered {
            host_id: self.host_id.clone(),
            protocol: Some(register.protocol.min(PROTOCOL)),
            features: FEATURES.map(str::to_owned).to_vec(),
            resume,
        });
        for offer in settled {
            self.settle(offer);
        }
        for record in core.fleet.open_runs(&self.host_id) {
            let run_id = &record.run.run_id;
            match record.run.status {
                Status::Running if offered.contains(run_id) => self.stop(&record),
                // It may be that of another machine that is alive.
                Status::Running if core.fleet.is_withheld(&self.host_id) => {
                    self.doubtful.push(run_id.clone());
                }
                Status::Running => {
                    self.lose(core, run_id, UNKNOWN).await;
                }
                _ if offered.contains(run_id) => {}
                _ if record.stop.is_some() => self.cancel(core, &record).await,
                _ => self.begin(core, run_id).await,
            }
        }
        self.acknowledge(core).await;
        Ok(())
    }

    /// The runs that a host offers: first those that are held for going on here, then others that go on there.
    fn by_urgency(&self, core: &Core, mut offers: Vec<OfferedRun>) -> VecDeque<OfferedRun> {
        offers.sort_by_cached_key(|offer| {
            let is_open = core.fleet.is_open(&self.host_id, &offer.run_id);
            (!is_open, offer.status != Status::Running)
        });
        for offer in &mut offers {
            facts::shorten(&mut offer.nonce);
        }
        offers.into()
    }

    /// Decides on the next offered run, unless many wait for room, or it may be a new one and the host began many.
    /// Each counts as a message of the host.
    async fn decide_next(&mut self, core: &Arc<Core>) -> Option<(OfferedRun, Offer)> {
        if !self.may_decide() {
            return None;
        }
        let next = self.waiting.front()?;
        let is_at_hand = core.fleet.record(&self.host_id, &next.run_id).is_some();
        if !is_at_hand && !self.may_begin_own() {
            return None;
        }
        let offer = self.waiting.pop_front()?;
        self.allowance.spend(1);
        let decision = self.offered(core, &offer).await;
        Some((offer, decision))
    }

    /// Decides on offered runs that had to wait, as many as the host may ask for now.
    pub(super) async fn decide_waiting(&mut self, core: &Arc<Core>) {
        for _ in 0..DECIDED_AT_ONCE {
            if self.rests().is_some() {
                return;
            }
            let Some((offer, decision)) = self.decide_next(core).await else {
                return;
            };
            match decision {
                Offer::Wanted(seq) => self.ask_again(&offer.run_id, seq),
                Offer::Settled => self.settle(offer),
                Offer::Ending | Offer::Refused => {}
            }
        }
    }

    /// Tells the host that nothing more is wanted of a run.
    fn settle(&mut self, offer: OfferedRun) {
        self.reply(&Ack {
            run_id: offer.run_id,
            seq: offer.lines.unwrap_or(0),
            is_final: Some(true),
        });
    }

    /// Decides about one run and opens its log if it goes on.
    async fn offered(&mut self, core: &Arc<Core>, offer: &OfferedRun) -> Offer {
        let run_id = &offer.run_id;
        let known = match core.fleet.record(&self.host_id, run_id) {
            Some(record) => Ok(Known::Run(Box::new(record))),
            None => core.state.known_run(&self.host_id, run_id).await,
        };
        let record = match known {
            Ok(Known::Run(record)) => *record,
            Ok(Known::Removed) => return Offer::Settled,
            Ok(Known::Nothing) => {
                self.own_runs.spend(1);
                let mut record = begun_by_itself(core, &self.host_id, run_id, &offer.command);
                record.run.started = offer.started;
                record.nonce = offer.nonce.clone();
                record
            }
            Err(_) => return Offer::Refused,
        };
        if record.nonce.is_some() && offer.nonce.is_some() && record.nonce != offer.nonce {
            tracing::warn!(host = %self.host_id, run = %run_id, "run ignored: the dashboard has another run with this id");
            return Offer::Refused;
        }
        let status = record.run.status;
        if status.is_final() && status != Status::Lost {
            // While its log is open its end is not on disk: the acknowledgement follows.
            return if self.open.contains_key(run_id) {
                Offer::Ending
            } else {
                Offer::Settled
            };
        }
        if core.fleet.record(&self.host_id, run_id).is_none() {
            core.fleet.add_run(record.clone());
        }
        self.reopened(core, &record, offer).await
    }

    async fn reopened(
        &mut self,
        core: &Arc<Core>,
        record: &RunRecord,
        offer: &OfferedRun,
    ) -> Offer {
        let run_id = &offer.run_id;
        if record.run.status == Status::Lost
            && offer.status == Status::Lost
            && offer.lines.is_none_or(|lines| lines <= record.run.lines)
        {
            return Offer::Settled;
        }
        if record.run.status == Status::Running
            && let Some(seq) = self.closed_at(run_id)
        {
            return Offer::Wanted(seq);
        }
        self.begun(core, run_id, offer.started, None).await;
        let Some(run) = self.open.get_mut(run_id) else {
            // No room, or the disk is full: from the start, or wherever it stands once there is room.
            return Offer::Wanted(record.run.lines);
        };
        run.result = None;
        Offer::Wanted(run.log.next_seq())
    }

    /// Ends a run whose end nobody saw.
    pub(super) async fn lose(&mut self, core: &Arc<Core>, run_id: &RunId, why: &str) {
        let Some(record) = core.fleet.record(&self.host_id, run_id) else {
            return;
        };
        let report = StatusReport {
            host_id: self.host_id.clone(),
            run_id: Some(run_id.clone()),
            command: record.run.command.clone(),
            status: Status::Lost,
            exit_code: None,
            message: Some(why.to_owned()),
            cause: Vec::new(),
            lines: None,
            started: None,
            completed: None,
            duration_ms: None,
            generation: None,
            system: None,
            revision: None,
        };
        let ending = || {
            if self.opened(core, &record).is_none() {
                return Ok(());
            }
            self.end(core, run_id, &report)?;
            // Nobody waits for its acknowledgement.
            let open = self.open.remove(run_id);
            open.map_or(Ok(()), |open| open.log.sync_handle().sync())
        };
        if let Err(error) = core.writes.block(ending).await {
            let part = Part::Log(self.host_id.clone(), run_id.clone());
            core.health.fault(&part, &error.to_string());
        }
        core.fleet.durable(&self.host_id, run_id);
        let _ = core.persist(&self.host_id, run_id).await;
    }

    /// Ends the runs that the host does not know, once it is clear that no other machine has them.
    pub(super) async fn lose_doubtful(&mut self, core: &Arc<Core>) {
        if core.fleet.is_withheld(&self.host_id) {
            return;
        }
        for run_id in std::mem::take(&mut self.doubtful) {
            let record = core.fleet.record(&self.host_id, &run_id);
            if record.is_some_and(|record| record.run.status == Status::Running) {
                self.lose(core, &run_id, UNKNOWN).await;
            }
        }
    }

    /// Ends a run that was to be stopped before its host, which does not have it, answered.
    async fn cancel(&mut self, core: &Arc<Core>, record: &RunRecord) {
        // It may be about to begin.
        self.stop(record);
        core.fleet.cancel(&self.host_id, &record.run.run_id);
        let _ = core.persist(&self.host_id, &record.run.run_id).await;
    }

    /// The connection is over.
    pub(crate) async fn disconnected(&mut self, core: &Arc<Core>) {
        self.waiting = VecDeque::new();
        self.unread = None;
        single::abandon(
            self,
            core,
            "Result unknown: the connection ended before the host reported the result",
        )
        .await;
        self.store_ends(core).await;
    }

    /// Stores the ends whose logs are not known to be durable yet: the host may not come back for long, and what is
    /// to follow them must not wait for that.
    async fn store_ends(&mut self, core: &Arc<Core>) {
        let ended = self.open.iter().filter(|(_, run)| run.is_ended_unstored());
        let ended: Vec<RunId> = ended.map(|(run_id, _)| run_id.clone()).collect();
        for run_id in ended {
            let Some(run) = self.open.get_mut(&run_id) else {
                continue;
            };
            let handle = run.log.sync_handle();
            let sync = || handle.sync().and_then(|()| handle.check_in_place());
            if let Err(error) = core.writes.block(sync).await {
                let part = Part::Log(self.host_id.clone(), run_id.clone());
                core.health.fault(&part, &error.to_string());
                continue;
            }
            core.fleet.durable(&self.host_id, &run_id);
            run.persisted = core.persist(&self.host_id, &run_id).await.is_ok();
        }
    }
}

enum Offer {
    /// From this line on.
    Wanted(u64),
    /// Over; the acknowledgement comes once that is on disk.
    Ending,
    /// Whole, and on disk, or no longer kept.
    Settled,
    /// Neither to be had nor to be thrown away.
    Refused,
}
