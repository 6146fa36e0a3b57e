//! Runs that memory ended, on a host whose kernel and systemd really end them, and runs that only look like it.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../systemd/furnish.rs"]
mod furnish;
mod machine;
#[path = "../systemd/root.rs"]
#[allow(dead_code, reason = "containers use the rest of it")]
mod root;
#[path = "../systemd/units.rs"]
#[allow(dead_code, reason = "containers use the rest of it")]
mod units;

use common::{Dashboard, measured};
use furnish::HOST;
use machine::{MEMORY_MIB, Machine};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Instant;

/// What an administrator may have set for the units of runs.
const DROP_IN: &str = "/run/systemd/system/switchyard-run-.service.d";

/// The commands of the host beside its usual ones, which are what its nixos-rebuild is asked for.
const COMMANDS: [&str; 10] = [
    "activation",
    "as-python",
    "code",
    "derivation",
    "evaluation",
    "fine",
    "signal",
    "stopped",
    "stranger",
    "survivor",
];

/// Commands that give the units of later runs these settings.
const SETTINGS: [(&str, &str); 5] = [
    ("usual", ""),
    ("limited", "MemoryMax=300M"),
    ("policy-stop", "OOMPolicy=stop"),
    ("policy-kill", "OOMPolicy=kill"),
    (
        "oomd",
        "MemoryHigh=200M\nManagedOOMMemoryPressure=kill\nManagedOOMMemoryPressureLimit=5%",
    ),
];

struct Scene {
    dashboard: Dashboard,
    machine: Machine,
}

impl Scene {
    fn new() -> Option<Self> {
        // The virtual machine does not call the dashboard `localhost`.
        let users = [("ada", "admin", Dashboard::password_hash("secret"))];
        let mut dashboard = Dashboard::start_in(Vec::new(), "127.0.0.1", &[HOST], "", &users);
        dashboard.log_in("ada", "secret");
        let begin = Instant::now();
        let machine = Machine::boot(dashboard.port, &commands())?;
        let mut scene = Self { dashboard, machine };
        scene.await_online();
        measured(&format!(
            "the machine is online after {:?}",
            begin.elapsed()
        ));
        Some(scene)
    }

    fn await_online(&mut self) {
        let dashboard = &self.dashboard;
        self.machine.wait_for("the host to be online", || {
            (dashboard.host(HOST)["online"] == true).then_some(())
        });
    }

    fn begin(&mut self, command: &str) -> String {
        // Where memory runs out an agent may hang until systemd starts it anew.
        self.await_online();
        self.dashboard.command(HOST, command)
    }

    fn end(&mut self, command: &str, run: &str) -> Value {
        let dashboard = &self.dashboard;
        let ended = self.machine.wait_for(command, || {
            let run = dashboard.run(HOST, run);
            let status = run["status"].as_str().unwrap();
            (!["queued", "running"].contains(&status)).then_some(run)
        });
        measured(&format!("{command}: {}", ended["message"]));
        ended
    }

    /// Runs a command to its end.
    fn run(&mut self, command: &str) -> Value {
        let run = self.begin(command);
        self.end(command, &run)
    }

    /// Has later runs be units with these settings.
    fn set(&mut self, settings: &str) {
        let ended = self.run(settings);
        assert_eq!(ended["status"], "ok", "{ended}");
    }

    /// Runs a command that memory ends; gives the run, and what it used, in MiB.
    #[track_caller]
    fn is_out_of_memory(&mut self, command: &str, doing: &str) -> (Value, u32) {
        let ended = self.run(command);
        assert_eq!(ended["status"], "error", "{ended}");
        let cause = &ended["cause"][0];
        assert_eq!(cause["kind"], "memory", "{ended}");
        let summary = cause["summary"].as_str().unwrap();
        let message = ended["message"].as_str().unwrap();
        assert_eq!(message.lines().next(), Some(summary), "{ended}");
        let amounts = summary
            .strip_prefix(&format!("Out of memory while {doing}: "))
            .unwrap_or_else(|| panic!("{ended}"));
        let host = mib(amounts, "the host has ");
        // The kernel keeps some of it for itself.
        assert!((MEMORY_MIB / 2..=MEMORY_MIB).contains(&host), "{ended}");
        let used = mib(amounts, "it used ");
        assert!(used <= host, "{ended}");
        (ended, used)
    }

    /// Runs a command that takes the memory of the whole host.
    #[track_caller]
    fn takes_all(&mut self, command: &str, doing: &str) -> Value {
        let (ended, used) = self.is_out_of_memory(command, doing);
        assert!(used > MEMORY_MIB / 2, "{ended}");
        ended
    }

    /// Runs a command that fails for another reason, of which this is a part of the first line.
    #[track_caller]
    fn fails_otherwise(&mut self, command: &str, why: &str) -> Value {
        let ended = self.run(command);
        assert_eq!(ended["status"], "error", "{ended}");
        assert_ne!(ended["cause"][0]["kind"], "memory", "{ended}");
        let message = ended["message"].as_str().unwrap();
        assert!(message.lines().next().unwrap().contains(why), "{ended}");
        ended
    }
}

/// The number of MiB behind these words.
#[track_caller]
fn mib(amounts: &str, words: &str) -> u32 {
    let number = amounts
        .split(", ")
        .find_map(|part| part.strip_prefix(words)?.strip_suffix(" MiB"));
    number
        .unwrap_or_else(|| panic!("{amounts}"))
        .parse()
        .unwrap()
}

/// They are part of the agent's configuration.
fn commands() -> String {
    let mut commands = String::new();
    let mut command = |name: &str, step: &Value| {
        writeln!(commands, "[commands.{name}]\nsteps = [{step}]").unwrap();
    };
    for how in COMMANDS {
        command(how, &json!(["nixos-rebuild", how]));
    }
    for (name, settings) in SETTINGS {
        let script = format!(
            "mkdir -p {DROP_IN} && printf '[Service]\n%s\n' '{settings}' > {DROP_IN}/memory.conf && systemctl daemon-reload"
        );
        command(name, &json!(["/bin/sh", "-c", script]));
    }
    commands
}

#[test]
fn a_run_that_memory_ended_says_so_with_amounts_and_what_only_looks_like_it_does_not() {
    let Some(mut scene) = Scene::new() else {
        return;
    };
    what_the_kernel_kills_is_told(&mut scene);
    what_others_end_is_not_taken_for_it(&mut scene);
    what_systemd_ends_for_memory_is_told(&mut scene);
    scene.set("usual");
    let ended = scene.run("fine");
    assert_eq!(ended["status"], "ok", "{ended}");
}

fn what_the_kernel_kills_is_told(scene: &mut Scene) {
    let ended = scene.takes_all("evaluation", "evaluating");
    assert_eq!(ended["exit_code"], 137, "{ended}");
    let ended = scene.takes_all("as-python", "evaluating");
    assert_eq!(ended["exit_code"], 1, "{ended}");
    let ended = scene.takes_all("derivation", "building");
    assert_eq!(ended["cause"][1]["kind"], "derivation", "{ended}");
    let ended = scene.takes_all("activation", "activating");
    let message = ended["message"].as_str().unwrap();
    let words = "The host may be left between two systems";
    assert!(message.contains(words), "{message}");
}

fn what_others_end_is_not_taken_for_it(scene: &mut Scene) {
    // Somebody who kills by hand, a program with that exit code, and one that the kernel kills in another unit.
    for command in ["signal", "code", "stranger"] {
        let ended = scene.fails_otherwise(command, "exit code 137");
        assert_eq!(ended["exit_code"], 137, "{ended}");
        assert_eq!(ended["cause"].as_array().map(Vec::len), Some(1), "{ended}");
    }
    // The step got over a kill of the kernel, and failed later.
    let ended = scene.fails_otherwise("survivor", "does not provide attribute");
    assert_eq!(ended["cause"][1]["kind"], "memory", "{ended}");
    // It got over one, and was then stopped.
    let ended = scene.run("stopped");
    assert_eq!(ended["status"], "stopped", "{ended}");
}

fn what_systemd_ends_for_memory_is_told(scene: &mut Scene) {
    scene.set("limited");
    let (ended, used) = scene.is_out_of_memory("evaluation", "evaluating");
    let summary = ended["cause"][0]["summary"].as_str().unwrap();
    assert_eq!(mib(summary, "it may use "), 300, "{ended}");
    assert!((200..=300).contains(&used), "{ended}");
    // The whole unit is ended, by systemd with SIGTERM, or by the kernel, and the supervisor with it.
    for policy in ["policy-stop", "policy-kill"] {
        scene.set(policy);
        let ended = scene.takes_all("evaluation", "evaluating");
        let message = ended["message"].as_str().unwrap();
        assert!(message.contains("OOMPolicy="), "{policy}: {ended}");
        assert_eq!(ended["exit_code"], Value::Null, "{policy}: {ended}");
    }
    scene.set("oomd");
    let (ended, _) = scene.is_out_of_memory("evaluation", "evaluating");
    let message = ended["message"].as_str().unwrap();
    assert!(message.contains("systemd-oomd killed the run"), "{ended}");
}
