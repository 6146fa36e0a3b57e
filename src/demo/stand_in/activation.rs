//! What `switch-to-configuration` prints.

use super::dice::Dice;
use super::{Event, Stream};

/// A unit that fails now and then.
const UNLUCKY: &str = "backup.service";

/// The events of an activation, and how it ends.
pub(super) struct Activation {
    pub(super) events: Vec<Event>,
    pub(super) code: u8,
}

/// Puts events one after the other.
struct Writer<'d> {
    now: u64,
    dice: &'d mut Dice,
    events: Vec<Event>,
}

impl Writer<'_> {
    fn say(&mut self, line: &str) {
        let event = Event::line(self.now, Stream::Err, line);
        self.events.push(event);
    }

    fn wait(&mut self, low: u64, high: u64) {
        self.now += self.dice.between(low, high);
    }

    fn finish(&mut self, system: &str) {
        let mut done = Event::line(self.now, Stream::Err, "Done. The new configuration is ");
        done.text.pop();
        self.events.push(done);
        self.events.push(Event::line(self.now, Stream::Out, system));
    }
}

/// What follows the build of `system`: nothing for `build`, the boot loader alone for `boot`.
pub(super) fn events(action: &str, system: &str, failed_unit: bool, dice: &mut Dice) -> Activation {
    let mut writer = Writer {
        now: 300,
        dice,
        events: Vec::new(),
    };
    if matches!(action, "switch" | "boot" | "rollback") {
        writer.say("updating GRUB 2 menu...");
        writer.wait(700, 1_400);
    }
    let activates = matches!(action, "switch" | "test" | "rollback");
    if activates {
        activate(&mut writer, failed_unit);
    }
    let code = if activates && failed_unit { 4 } else { 0 };
    if code == 0 {
        writer.wait(80, 200);
        writer.finish(system);
    }
    Activation {
        events: writer.events,
        code,
    }
}

fn activate(writer: &mut Writer<'_>, failed_unit: bool) {
    writer.say("stopping the following units: nginx.service, prometheus-node-exporter.service");
    writer.wait(500, 1_100);
    writer.say("NOT restarting the following changed units: systemd-logind.service");
    writer.say("activating the configuration...");
    writer.wait(200, 500);
    writer.say("setting up /etc...");
    writer.wait(900, 1_800);
    writer.say("reloading user units for admin...");
    writer.wait(200, 400);
    writer.say("restarting sysinit-reactivation.target");
    writer.wait(200, 500);
    writer.say("reloading the following units: dbus-broker.service, firewall.service");
    writer.wait(200, 500);
    writer.say("restarting the following units: backup.service, sshd.service");
    writer.wait(500, 1_000);
    writer.say("starting the following units: nginx.service, prometheus-node-exporter.service");
    writer.wait(600, 1_200);
    if failed_unit {
        writer.say(&format!("Failed to start {UNLUCKY}"));
        writer.wait(200, 300);
    }
    writer.say("the following new units were started: sysinit-reactivation.target, systemd-tmpfiles-resetup.service");
    if failed_unit {
        writer.say(&format!("warning: the following units failed: {UNLUCKY}"));
        writer.wait(100, 200);
        for line in [
            "× backup.service - Backup to the other site",
            "     Loaded: loaded (/etc/systemd/system/backup.service; enabled; preset: ignored)",
            "     Active: failed (Result: exit-code)",
            "    Process: 48213 ExecStart=/run/current-system/sw/bin/backup-agent (code=exited, status=1/FAILURE)",
            "",
            "backup-agent[48213]: cannot reach offsite.example.org:443: connection timed out",
            "systemd[1]: backup.service: Main process exited, code=exited, status=1/FAILURE",
            "systemd[1]: Failed to start backup.service - Backup to the other site.",
        ] {
            writer.say(line);
        }
    }
}
