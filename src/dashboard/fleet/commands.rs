//! What people ask for: which commands a host takes, and what stopping means at the moment.

use super::{Errand, Fleet};
use crate::dashboard::state::{RunRecord, StopWish};
use crate::protocol::{CommandName, HostId, RunId, Status, Timestamp};

/// Why a command is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("unknown host \"{0}\"")]
    NoHost(HostId),
    #[error(
        "{host_id} is busy: {command} is {status}{}",
        why.as_ref().map_or_else(String::new, |why| format!("; {why}"))
    )]
    Busy {
        host_id: HostId,
        command: CommandName,
        status: Status,
        /// Why it still waits, where that is not for its host.
        why: Option<String>,
    },
    #[error("{0} is busy: another command was asked for at the same moment")]
    Reserved(HostId),
    #[error("{host_id} does not offer {command}; it offers {offers}")]
    NotOffered {
        host_id: HostId,
        command: CommandName,
        offers: String,
    },
    #[error(
        "two machines use the token of {0}, so no command is sent to either: stop the agent of one, give it a token of its own, or choose one of them"
    )]
    Conflict(HostId),
    #[error("nothing to stop on {0}: no run is running or queued")]
    NothingToStop(HostId),
    #[error(
        "{0} is activating; stopping it now would leave it half switched. Wait until it is done, or force it: with Stop on the page of {0}, or `\"force\": true` in the API"
    )]
    Activating(HostId),
}

/// What a wish to stop came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StopEffect {
    /// The host had not heard of the run, and will not.
    Cancelled,
    /// The host was told, or will be as soon as it is in contact.
    Asked,
}

impl Fleet {
    /// Keeps the place for a run of the first of these commands until [`add_run`](Self::add_run) or
    /// [`release`](Self::release). The host must offer them all.
    pub(crate) fn reserve(
        &self,
        host_id: &HostId,
        commands: &[&CommandName],
    ) -> Result<(), Refusal> {
        let mut inner = self.lock();
        let host = inner
            .hosts
            .get_mut(host_id)
            .ok_or_else(|| Refusal::NoHost(host_id.clone()))?;
        if let Some(offered) = &host.stored.facts.commands
            && let Some(command) = commands.iter().find(|command| !offered.contains(command))
        {
            let offers: Vec<_> = offered.iter().map(CommandName::as_str).collect();
            let offers = offers.join(", ");
            return Err(Refusal::NotOffered {
                host_id: host_id.clone(),
                command: (*command).clone(),
                offers,
            });
        }
        if let Some(entry) = host.current() {
            let run = &entry.record.run;
            let why = run.message.clone();
            return Err(Refusal::Busy {
                host_id: host_id.clone(),
                command: run.command.clone(),
                status: run.status,
                why: why.filter(|_| run.status == Status::Queued),
            });
        }
        if host.machines.is_in_conflict() {
            return Err(Refusal::Conflict(host_id.clone()));
        }
        if std::mem::replace(&mut host.reserved, true) {
            return Err(Refusal::Reserved(host_id.clone()));
        }
        Ok(())
    }

    /// Gives up a place that was reserved.
    pub(crate) fn release(&self, host_id: &HostId) {
        if let Some(host) = self.lock().hosts.get_mut(host_id) {
            host.reserved = false;
        }
    }

    /// Hands an errand to the connection of a host, if there is one and it has room.
    pub(crate) fn send(&self, host_id: &HostId, errand: Errand) {
        let inner = self.lock();
        if let Some((_, inbox)) = inner.hosts.get(host_id).and_then(|host| host.link.as_ref()) {
            inbox.send(errand);
        }
    }

    /// Notes that a run is to end; a run its host has not heard of ends at once.
    pub(crate) fn stop(
        &self,
        host_id: &HostId,
        wish: StopWish,
    ) -> Result<(RunRecord, StopEffect), Refusal> {
        let run_id = {
            let mut inner = self.lock();
            let host = inner
                .hosts
                .get_mut(host_id)
                .ok_or_else(|| Refusal::NoHost(host_id.clone()))?;
            let Some(current) = host.current() else {
                let record = host.drop_follower(host_id)?;
                return Ok((record, StopEffect::Cancelled));
            };
            let run = &current.record.run;
            if run.phase.is_some_and(|phase| phase.is_activating()) && !wish.force {
                return Err(Refusal::Activating(host_id.clone()));
            }
            run.run_id.clone()
        };
        let mut effect = StopEffect::Asked;
        let record = self.update_run(host_id, &run_id, |record| {
            let force = wish.force || record.stop.as_ref().is_some_and(|before| before.force);
            record.stop = Some(StopWish { force, ..wish });
            record.follow_up = None;
            if record.run.status == Status::Queued && !record.sent {
                cancel(record);
                effect = StopEffect::Cancelled;
            }
        });
        let record = record.ok_or_else(|| Refusal::NothingToStop(host_id.clone()))?;
        if effect == StopEffect::Asked {
            self.send(host_id, Errand::Stop(run_id));
        }
        Ok((record, effect))
    }

    /// Ends a queued run that was to be stopped.
    pub(crate) fn cancel(&self, host_id: &HostId, run_id: &RunId) {
        self.update_run(host_id, run_id, |record| {
            if record.run.status == Status::Queued {
                cancel(record);
            }
        });
    }

    /// Notes whether a host may know of a run from now on. `false` when the run is no longer to be sent.
    pub(crate) fn mark_sent(&self, host_id: &HostId, run_id: &RunId, sent: bool) -> bool {
        let mut inner = self.lock();
        let entry = inner
            .hosts
            .get_mut(host_id)
            .and_then(|host| host.entry_mut(run_id));
        match entry {
            Some(entry) if entry.record.run.status == Status::Queued => {
                entry.record.sent = sent;
                true
            }
            _ => false,
        }
    }
}

fn cancel(record: &mut RunRecord) {
    let by = record
        .stop
        .take()
        .map_or_else(String::new, |wish| format!(" by {}", wish.requested_by));
    record.run.status = Status::Stopped;
    record.run.message = Some(format!("Canceled{by} before it started"));
    record.run.completed = Some(Timestamp::now());
}
