//! The machines that come with one host's token. A machine that is rebooted or set up anew takes the place of the
//! one before it, which never comes back. Where it does, or still answers, two are alive: a clone.

use super::choice::{Choice, Verdict, Whereabouts};
use super::machine_key::MachineKey;
use crate::protocol::{Register, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a machine must not have been heard of to count as gone. A living one comes back within about a minute.
const GONE_AFTER: Duration = Duration::from_secs(300);
/// How long a machine that took the place of one that was connected gets no command: the other may still answer.
const PROBATION: Duration = Duration::from_secs(5);
/// The most machines remembered of one host.
const MAX_MACHINES: usize = 8;

/// A machine, as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    #[serde(flatten)]
    key: MachineKey,
    hostname: Option<String>,
    address: Option<IpAddr>,
    agent_version: Option<String>,
    last_seen: Timestamp,
    connected: bool,
    /// Of a machine from before a restart, when that was: it may come back as any other.
    #[serde(skip, default = "Instant::now")]
    heard: Instant,
}

/// Two or more living machines with one token.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Conflict {
    since: Timestamp,
    machines: Vec<Machine>,
}

/// What a machine that comes is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Welcome,
    /// Welcome, and another one is alive, which was not known before.
    Conflict,
    /// An admin chose another machine, which is alive.
    NotChosen,
}

/// The machines of one host, the one that came last at the end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Machines {
    seen: Vec<Machine>,
    conflict: Option<Timestamp>,
    #[serde(skip)]
    probation: Option<Instant>,
    choice: Option<Choice>,
    /// Conflict or choice changed since they were stored.
    #[serde(skip)]
    is_unsaved: bool,
}

impl Machines {
    /// What the database is to remember.
    pub(super) fn stored(&self) -> Option<Value> {
        let is_known = !self.seen.is_empty() || self.choice.is_some();
        is_known.then(|| serde_json::to_value(self).ok()).flatten()
    }

    /// As the database has them. None is connected, and each has as long as any to come back.
    pub(super) fn restored(stored: Value) -> Result<Self, serde_json::Error> {
        let mut machines: Self = serde_json::from_value(stored)?;
        for machine in &mut machines.seen {
            machine.connected = false;
        }
        Ok(machines)
    }

    /// Whether no machine has come.
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Whether they are to be stored, which is from now on somebody's work.
    pub(super) fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.is_unsaved)
    }

    /// They could not be stored.
    pub(super) fn not_saved(&mut self) {
        self.is_unsaved = true;
    }

    /// A machine registers; `replaces` says that the place was taken until now.
    pub(super) fn arrive(
        &mut self,
        register: &Register,
        address: Option<IpAddr>,
        replaces: bool,
        now: Instant,
    ) -> Arrival {
        let Some(key) = MachineKey::of(register) else {
            return Arrival::Welcome;
        };
        let before = self.choice.clone();
        let verdict = self.judge(&key, now);
        self.is_unsaved |= self.choice != before;
        if verdict == Some(Verdict::TurnedAway) {
            return Arrival::NotChosen;
        }
        let last = self.seen.last();
        let is_other = last.is_some_and(|last| !last.key.is(&key));
        let last_is_alive = last.is_some_and(|last| last.is_alive(now));
        let came_back = self.seen.iter().any(|machine| machine.key.is(&key));
        self.seen.retain(|machine| !machine.key.is(&key));
        for machine in &mut self.seen {
            machine.connected = false;
        }
        // Nearly always it is the only one.
        self.seen.reserve_exact(1);
        self.seen.push(Machine {
            key,
            hostname: register.facts.hostname.clone(),
            address,
            agent_version: register.facts.agent_version.clone(),
            last_seen: Timestamp::now(),
            connected: true,
            heard: now,
        });
        if self.seen.len() > MAX_MACHINES {
            self.seen.remove(0);
        }
        if is_other && replaces {
            self.probation = Some(now + PROBATION);
        }
        let is_back = is_other && came_back && last_is_alive && self.choice.is_none();
        let is_contested = verdict == Some(Verdict::Contested);
        if (is_back || is_contested) && self.begin_conflict() {
            return Arrival::Conflict;
        }
        Arrival::Welcome
    }

    /// What an admin's choice says of a machine that comes, if there is one.
    fn judge(&mut self, key: &MachineKey, now: Instant) -> Option<Verdict> {
        let choice = self.choice.as_mut()?;
        let of = |key: &MachineKey| self.seen.iter().find(|machine| machine.key.is(key));
        let whereabouts = match of(choice.key()) {
            Some(chosen) if chosen.connected => Whereabouts::Connected,
            Some(chosen) if chosen.is_alive(now) => Whereabouts::Away,
            _ => Whereabouts::Gone,
        };
        let verdict = choice.judge(key, of(key).is_some(), whereabouts);
        if verdict == Verdict::Void {
            self.choice = None;
        }
        Some(verdict)
    }

    /// `true` if there was none.
    fn begin_conflict(&mut self) -> bool {
        let is_new = self.conflict.is_none();
        self.is_unsaved |= is_new;
        self.conflict.get_or_insert_with(Timestamp::now);
        is_new
    }

    /// The machine that is connected was heard.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(last) = self.seen.last_mut() {
            (last.heard, last.last_seen) = (now, Timestamp::now());
            // The end of the connection before may have been noticed after this one came.
            last.connected = true;
            if let Some(choice) = &mut self.choice
                && choice.key().is(&last.key)
            {
                self.is_unsaved |= choice.heard();
            }
        }
    }

    /// The machine that was connected is no more; it was heard last at `heard`, in whatever way.
    pub(super) fn left(&mut self, heard: Instant) {
        if let Some(last) = self.seen.last_mut() {
            last.connected = false;
            last.heard = last.heard.max(heard);
        }
    }

    /// A machine whose place another one took answered after that. `true` if that shows a conflict that was not known.
    pub(super) fn answered(&mut self, key: &MachineKey, now: Instant) -> bool {
        let is_other = self.seen.last().is_some_and(|last| !last.key.is(key));
        let mut seen = self.seen.iter_mut();
        match seen.find(|machine| machine.key.is(key)) {
            Some(machine) if is_other => {
                (machine.heard, machine.last_seen) = (now, Timestamp::now());
                self.choice.is_none() && self.begin_conflict()
            }
            _ => false,
        }
    }

    /// Whether there is a conflict.
    pub(super) fn is_in_conflict(&self) -> bool {
        self.conflict.is_some()
    }

    /// Whether no command may go to the machine that is connected.
    pub(super) fn is_withheld(&self, now: Instant) -> bool {
        self.is_in_conflict() || self.probation.is_some_and(|until| now < until)
    }

    /// Ends a conflict of which all but one machine are gone, or in which the chosen machine is back; `true` if it did.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        if !self.is_in_conflict() {
            return false;
        }
        if let Some(choice) = &self.choice {
            // The others were not to be this host, however alone they are.
            let mut seen = self.seen.iter();
            if !seen.any(|machine| machine.connected && machine.key.is(choice.key())) {
                return false;
            }
        } else {
            let alive = self.seen.iter().filter(|machine| machine.is_alive(now));
            if alive.count() > 1 {
                return false;
            }
            self.seen.retain(|machine| machine.is_alive(now));
        }
        self.conflict = None;
        self.is_unsaved = true;
        true
    }

    /// Ends a conflict in favour of the machine with this boot id, or of one of two agents on it; the others are
    /// turned away while it is alive, and it has as long as any to come back. Says whether it is the one that is
    /// connected. `None` if there is no such conflict or machine, or two agents are meant.
    pub(super) fn choose(
        &mut self,
        boot_id: &str,
        installation_id: Option<&str>,
        now: Instant,
    ) -> Option<bool> {
        self.conflict?;
        let seen = self.seen.iter_mut();
        let mut named = seen.filter(|machine| machine.key.is_named(boot_id, installation_id));
        let chosen = named.next()?;
        if named.next().is_some() {
            return None;
        }
        chosen.heard = now;
        let (key, is_connected) = (chosen.key.clone(), chosen.connected);
        let before = self.choice.take();
        let before = before.iter().flat_map(Choice::others).cloned();
        let seen = self.seen.iter().map(|machine| machine.key.clone());
        self.choice = Some(Choice::new(key, before.chain(seen)));
        self.conflict = None;
        self.is_unsaved = true;
        Some(is_connected)
    }

    pub(super) fn conflict(&self) -> Option<Conflict> {
        Some(Conflict {
            since: self.conflict?,
            machines: self.seen.clone(),
        })
    }
}

impl Machine {
    fn is_alive(&self, now: Instant) -> bool {
        self.connected || now.saturating_duration_since(self.heard) < GONE_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn register(machine: &str, boot: Option<&str>) -> Register {
        let register =
            json!({"protocol": 1, "host_id": "h1", "machine_id": machine, "boot_id": boot});
        serde_json::from_value(register).unwrap()
    }

    struct Clock(Instant);

    impl Clock {
        fn after(&mut self, seconds: u64) -> Instant {
            self.0 += Duration::from_secs(seconds);
            self.0
        }
    }

    #[test]
    fn a_reboot_a_reinstallation_and_agents_without_ids_are_no_conflict() {
        let (mut machines, mut clock) = (Machines::default(), Clock(Instant::now()));
        let comers = [
            register("a", Some("1")),
            register("a", Some("2")),
            register("b", Some("3")),
            register("a", None),
            register("b", Some("3")),
            register("c", Some("4")),
        ];
        for comer in &comers {
            for replaces in [false, true] {
                let arrival = machines.arrive(comer, None, replaces, clock.after(1));
                assert_eq!(arrival, Arrival::Welcome, "{comer:?}");
            }
        }
        assert!(!machines.is_in_conflict());
        assert!(!machines.is_withheld(clock.after(10)));
    }

    #[test]
    fn a_machine_that_comes_back_after_another_one_is_a_clone_until_one_of_them_is_gone() {
        let (mut machines, mut clock) = (Machines::default(), Clock(Instant::now()));
        let (one, other) = (register("a", Some("1")), register("a", Some("2")));
        machines.arrive(&one, None, false, clock.after(0));
        assert_eq!(
            machines.arrive(&other, None, false, clock.after(60)),
            Arrival::Welcome
        );
        assert_eq!(
            machines.arrive(&one, None, true, clock.after(60)),
            Arrival::Conflict
        );
        assert_eq!(
            machines.arrive(&other, None, true, clock.after(60)),
            Arrival::Welcome
        );
        assert!(machines.is_withheld(clock.after(200)) && !machines.settle(clock.after(0)));
        machines.heard(clock.after(0));
        assert!(machines.settle(clock.after(200)));
        assert!(!machines.is_withheld(clock.after(0)));
        assert_eq!(
            machines.arrive(&other, None, true, clock.after(1)),
            Arrival::Welcome
        );
    }

    #[test]
    fn a_machine_that_took_a_place_waits_whether_the_other_one_answers() {
        let (mut machines, mut clock) = (Machines::default(), Clock(Instant::now()));
        let (one, other) = (register("a", Some("1")), register("b", Some("2")));
        machines.arrive(&one, None, false, clock.after(0));
        machines.arrive(&other, None, true, clock.after(1));
        assert!(machines.is_withheld(clock.after(1)) && !machines.is_in_conflict());
        assert!(machines.answered(&MachineKey::of(&one).unwrap(), clock.after(1)));
        assert!(
            !machines.answered(&MachineKey::of(&one).unwrap(), clock.after(1)),
            "known by now"
        );
        assert!(!machines.answered(&MachineKey::of(&other).unwrap(), clock.after(1)));
        assert!(machines.is_in_conflict());
    }

    #[test]
    fn the_one_that_was_chosen_keeps_the_others_out_while_it_is_alive() {
        let (mut machines, mut clock) = (Machines::default(), Clock(Instant::now()));
        let (one, other) = (register("a", Some("1")), register("a", Some("2")));
        assert_eq!(machines.choose("1", None, clock.after(0)), None);
        machines.arrive(&one, None, false, clock.after(0));
        machines.arrive(&other, None, true, clock.after(1));
        machines.answered(&MachineKey::of(&one).unwrap(), clock.after(1));
        assert_eq!(machines.choose("3", None, clock.after(0)), None);
        assert_eq!(machines.choose("1", None, clock.after(0)), Some(false));
        assert_eq!(
            machines.arrive(&one, None, false, clock.after(1)),
            Arrival::Welcome
        );
        assert_eq!(
            machines.arrive(&other, None, true, clock.after(1)),
            Arrival::NotChosen
        );
        assert!(!machines.is_in_conflict());
        machines.left(clock.after(0));
        // When it is gone, it is not for the dashboard to say that the other one is this host.
        assert_eq!(
            machines.arrive(&other, None, true, clock.after(400)),
            Arrival::Conflict
        );
        assert!(machines.is_withheld(clock.after(10)));
    }
}
