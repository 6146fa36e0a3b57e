//! The machines that come with one host's token. A machine that is rebooted or set up anew takes the place of the
//! one before it, which never comes back. Where it does, or still answers, two are alive: a clone.

use crate::protocol::{Register, Timestamp};
use serde::Serialize;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a machine must not have been heard of to count as gone. A living one comes back within about a minute.
const GONE_AFTER: Duration = Duration::from_secs(300);
/// How long a machine that took the place of one that was connected gets no command: the other may still answer.
const PROBATION: Duration = Duration::from_secs(5);
/// The most machines remembered of one host.
const MAX_MACHINES: usize = 8;

/// What no two living machines have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MachineKey {
    /// Of the installation; hashed by the agent, as it is confidential.
    machine_id: Option<String>,
    /// Of the boot.
    boot_id: String,
}

impl MachineKey {
    /// The key of a machine; none of agents that do not say their boot id.
    pub(crate) fn of(register: &Register) -> Option<Self> {
        Some(Self {
            machine_id: register.machine_id.clone(),
            boot_id: register.facts.boot_id.clone()?,
        })
    }
}

/// A machine, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    #[serde(flatten)]
    key: MachineKey,
    hostname: Option<String>,
    address: Option<IpAddr>,
    agent_version: Option<String>,
    last_seen: Timestamp,
    connected: bool,
    #[serde(skip)]
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
#[derive(Debug, Default)]
pub(super) struct Machines {
    seen: Vec<Machine>,
    conflict: Option<Timestamp>,
    probation: Option<Instant>,
    chosen: Option<MachineKey>,
}

impl Machines {
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
        if self.is_kept_out(&key, now) {
            return Arrival::NotChosen;
        }
        let last = self.seen.last();
        let is_other = last.is_some_and(|last| last.key != key);
        let last_is_alive = last.is_some_and(|last| last.is_alive(now));
        let came_back = self.seen.iter().any(|machine| machine.key == key);
        self.seen.retain(|machine| machine.key != key);
        for machine in &mut self.seen {
            machine.connected = false;
        }
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
        if !is_other {
            return Arrival::Welcome;
        }
        if replaces {
            self.probation = Some(now + PROBATION);
        }
        if came_back && last_is_alive && self.chosen.is_none() && self.begin_conflict() {
            return Arrival::Conflict;
        }
        Arrival::Welcome
    }

    /// Whether an admin chose another machine than this one, and it is alive.
    fn is_kept_out(&mut self, key: &MachineKey, now: Instant) -> bool {
        let Some(chosen) = &self.chosen else {
            return false;
        };
        let mut seen = self.seen.iter();
        let is_alive = seen.any(|machine| machine.key == *chosen && machine.is_alive(now));
        if !is_alive {
            self.chosen = None;
        }
        is_alive && self.chosen.as_ref() != Some(key)
    }

    /// `true` if there was none.
    fn begin_conflict(&mut self) -> bool {
        let is_new = self.conflict.is_none();
        self.conflict.get_or_insert_with(Timestamp::now);
        is_new
    }

    /// The machine that is connected was heard.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(last) = self.seen.last_mut() {
            (last.heard, last.last_seen) = (now, Timestamp::now());
        }
    }

    /// The machine that was connected is no more.
    pub(super) fn left(&mut self) {
        if let Some(last) = self.seen.last_mut() {
            last.connected = false;
        }
    }

    /// A machine whose place another one took answered after that. `true` if that shows a conflict that was not known.
    pub(super) fn answered(&mut self, key: &MachineKey, now: Instant) -> bool {
        let is_other = self.seen.last().is_some_and(|last| last.key != *key);
        let mut seen = self.seen.iter_mut();
        match seen.find(|machine| machine.key == *key) {
            Some(machine) if is_other => {
                (machine.heard, machine.last_seen) = (now, Timestamp::now());
                self.chosen.is_none() && self.begin_conflict()
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

    /// Ends a conflict of which all but one machine are gone; `true` if it did.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        let alive = self.seen.iter().filter(|machine| machine.is_alive(now));
        if !self.is_in_conflict() || alive.count() > 1 {
            return false;
        }
        self.seen.retain(|machine| machine.is_alive(now));
        self.conflict = None;
        true
    }

    /// Ends a conflict in favour of the machine with this boot id; the others are turned away while it is alive.
    /// Says whether it is the one that is connected. `None` if there is no such conflict or machine.
    pub(super) fn choose(&mut self, boot_id: &str) -> Option<bool> {
        self.conflict?;
        let mut seen = self.seen.iter();
        let chosen = seen.find(|machine| machine.key.boot_id == boot_id)?;
        self.chosen = Some(chosen.key.clone());
        self.conflict = None;
        Some(chosen.connected)
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
        assert_eq!(machines.choose("1"), None);
        machines.arrive(&one, None, false, clock.after(0));
        machines.arrive(&other, None, true, clock.after(1));
        machines.answered(&MachineKey::of(&one).unwrap(), clock.after(1));
        assert_eq!(machines.choose("3"), None);
        assert_eq!(machines.choose("1"), Some(false));
        assert_eq!(
            machines.arrive(&one, None, false, clock.after(1)),
            Arrival::Welcome
        );
        assert_eq!(
            machines.arrive(&other, None, true, clock.after(1)),
            Arrival::NotChosen
        );
        assert!(!machines.is_in_conflict());
        machines.left();
        machines
            .seen
            .iter_mut()
            .for_each(|machine| machine.connected = false);
        assert_eq!(
            machines.arrive(&other, None, true, clock.after(400)),
            Arrival::Welcome
        );
    }
}
