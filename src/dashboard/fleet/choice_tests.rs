//! What becomes of the machines of a host after an admin chose one of them.

use super::MachineKey;
use super::machines::{Arrival, Machines};
use crate::protocol::Register;
use serde_json::json;
use std::time::{Duration, Instant};

/// A host of which there were two, boots `1` and `2` of one machine id, and of which an admin chose `1`.
struct Host {
    machines: Machines,
    now: Instant,
}

fn register(machine: &str, boot: &str) -> Register {
    let register = json!({"protocol": 1, "host_id": "h1", "machine_id": machine, "boot_id": boot});
    serde_json::from_value(register).unwrap()
}

fn key(boot: &str) -> MachineKey {
    MachineKey::of(&register("m", boot)).unwrap()
}

impl Host {
    /// The chosen machine is connected.
    fn chosen() -> Self {
        let (machines, now) = (Machines::default(), Instant::now());
        let mut host = Self { machines, now };
        assert_eq!(host.replaced_by("1"), Arrival::Welcome);
        assert_eq!(host.replaced_by("2"), Arrival::Welcome);
        assert!(host.machines.answered(&key("1"), host.now), "a conflict");
        assert_eq!(host.machines.choose("1", None, host.now), Some(false));
        host.machines.left(host.now);
        assert_eq!(host.comes("1"), Arrival::Welcome);
        host
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// A boot of the machine id comes, and nobody is connected.
    fn comes(&mut self, boot: &str) -> Arrival {
        let register = register("m", boot);
        self.machines.arrive(&register, None, false, self.now)
    }

    /// A boot of the machine id comes, and another one is connected.
    fn replaced_by(&mut self, boot: &str) -> Arrival {
        let register = register("m", boot);
        self.machines.arrive(&register, None, true, self.now)
    }

    fn leaves(&mut self) {
        self.machines.left(self.now);
    }

    /// Whether commands go to the machine that is connected.
    fn is_commanded(&self) -> bool {
        !self
            .machines
            .is_withheld(self.now + Duration::from_secs(10))
    }
}

#[test]
fn the_chosen_machine_may_reboot_and_the_other_one_stays_out() {
    let mut host = Host::chosen();
    for boot in ["3", "4", "5"] {
        host.leaves();
        assert_eq!(host.after(20).comes("2"), Arrival::NotChosen);
        assert_eq!(host.after(20).comes(boot), Arrival::Welcome, "boot {boot}");
        assert_eq!(host.after(20).replaced_by("2"), Arrival::NotChosen);
        assert!(host.is_commanded());
    }
}

#[test]
fn a_chosen_machine_that_lost_its_power_is_let_in_when_its_connection_has_ended() {
    let mut host = Host::chosen();
    // Nobody has noticed yet that the connection of boot 1 is dead.
    assert_eq!(host.after(10).replaced_by("3"), Arrival::NotChosen);
    host.leaves();
    assert_eq!(host.after(60).comes("3"), Arrival::Welcome);
    assert!(host.is_commanded());
    assert_eq!(host.after(1).replaced_by("2"), Arrival::NotChosen);
}

#[test]
fn a_boot_that_came_while_the_chosen_machine_went_on_is_another_machine() {
    let mut host = Host::chosen();
    // The other one was rebooted.
    assert_eq!(host.after(10).replaced_by("3"), Arrival::NotChosen);
    let now = host.after(5).now;
    host.machines.heard(now);
    host.leaves();
    assert_eq!(host.after(30).comes("3"), Arrival::NotChosen);
    assert_eq!(host.after(1).comes("4"), Arrival::Welcome);
    assert_eq!(host.after(1).replaced_by("3"), Arrival::NotChosen);
}

#[test]
fn a_boot_that_comes_while_the_chosen_machine_is_there_after_a_reboot_is_a_conflict_if_both_live() {
    let mut host = Host::chosen();
    host.leaves();
    assert_eq!(host.after(20).comes("3"), Arrival::Welcome);
    assert_eq!(host.after(20).replaced_by("4"), Arrival::Welcome);
    assert!(host.machines.is_withheld(host.now), "until 3 has answered");
    assert!(host.machines.answered(&key("3"), host.now));
    assert!(!host.is_commanded());
}

#[test]
fn a_boot_that_the_admin_chose_and_that_comes_back_after_another_one_is_a_conflict() {
    let mut host = Host::chosen();
    host.leaves();
    // That of the other machine, while the network of the chosen one was down.
    assert_eq!(host.after(20).comes("3"), Arrival::Welcome);
    host.leaves();
    assert_eq!(host.after(20).comes("1"), Arrival::Conflict);
    assert!(!host.is_commanded());
}

#[test]
fn a_chosen_machine_that_is_gone_leaves_its_place_to_nobody_but_whom_an_admin_chooses() {
    let mut host = Host::chosen();
    host.leaves();
    assert_eq!(host.after(400).comes("2"), Arrival::Conflict);
    let now = host.after(400).now;
    assert!(!host.machines.settle(now), "although it is the only one");
    host.leaves();
    // Which of the two this is cannot be known.
    assert_eq!(host.after(20).comes("6"), Arrival::Welcome);
    let now = host.after(400).now;
    assert!(!host.machines.settle(now) && !host.is_commanded());
    host.leaves();
    assert_eq!(host.machines.choose("6", None, host.now), Some(false));
    assert_eq!(host.after(20).comes("6"), Arrival::Welcome);
    assert!(host.is_commanded());
    assert_eq!(host.after(20).replaced_by("2"), Arrival::NotChosen);
}

#[test]
fn a_conflict_ends_when_the_chosen_machine_is_back() {
    let mut host = Host::chosen();
    host.leaves();
    assert_eq!(host.after(400).comes("2"), Arrival::Conflict);
    assert_eq!(host.after(20).replaced_by("1"), Arrival::Welcome);
    assert!(!host.is_commanded());
    let now = host.after(1).now;
    assert!(host.machines.settle(now));
    assert!(host.is_commanded());
    assert_eq!(host.after(20).replaced_by("2"), Arrival::NotChosen);
}

#[test]
fn a_chosen_machine_that_is_set_up_anew_is_let_in_when_the_one_before_is_gone() {
    let mut host = Host::chosen();
    host.leaves();
    let anew = register("n", "3");
    let now = host.after(20).now;
    let arrival = host.machines.arrive(&anew, None, false, now);
    assert_eq!(
        arrival,
        Arrival::NotChosen,
        "it may be a clone that got another id"
    );
    let now = host.after(400).now;
    let arrival = host.machines.arrive(&anew, None, false, now);
    assert_eq!(arrival, Arrival::Welcome);
    assert_eq!(host.after(20).replaced_by("2"), Arrival::NotChosen);
    assert!(host.is_commanded());
}

#[test]
fn however_many_boots_are_turned_away_those_that_came_last_are_known() {
    let mut host = Host::chosen();
    for boot in 100..300 {
        assert_eq!(
            host.after(1).replaced_by(&boot.to_string()),
            Arrival::NotChosen
        );
        let now = host.now;
        host.machines.heard(now);
    }
    host.leaves();
    assert_eq!(host.after(1).comes("299"), Arrival::NotChosen);
    assert_eq!(host.after(1).comes("300"), Arrival::Welcome);
}
