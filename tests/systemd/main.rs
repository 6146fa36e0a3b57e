//! Real hosts with real systemd and real nix: a switch that builds, activates and restarts its own agent, and
//! everything that may die meanwhile. What nix and the activation wrote is what the log holds, line for line.
#![cfg(test)]

mod activation;
mod cable;
#[path = "../common/mod.rs"]
mod common;
mod container;
mod enrolment;
mod environment;
mod furnish;
mod lost;
mod removed;
mod root;
mod same_host;
mod sandbox;
mod units;

use cable::Cable;
use common::{Dashboard, SOON, texts};
use container::{Container, HOST};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A host and its dashboard.
struct Scene {
    dashboard: Dashboard,
    host: Container,
}

impl Scene {
    fn new(name: &str) -> Option<Self> {
        let dashboard = Dashboard::start(&[HOST]);
        let address = format!("127.0.0.1:{}", dashboard.port);
        let host = Container::boot(name, &address, None)?;
        let scene = Self { dashboard, host };
        scene.await_online();
        Some(scene)
    }

    fn await_online(&self) {
        self.dashboard
            .wait_for_host(HOST, "online", |host| host["online"] == true);
    }

    fn hold(&self, what: &str) {
        self.host.write(&format!("/var/toy/hold-{what}"), "");
    }

    fn release(&self, what: &str) {
        let gate = self.host.path(&format!("/var/toy/hold-{what}"));
        std::fs::remove_file(gate).unwrap();
    }

    fn switch(&self) -> String {
        self.dashboard.command(HOST, "switch")
    }

    /// Waits until the run is in the midst of its activation, and the dashboard knows.
    fn await_activation(&self, run: &str) {
        self.host.await_file("/var/toy/is-activating");
        self.dashboard
            .wait_for_run(HOST, run, SOON, |run| run["phase"] == "activation");
    }

    fn unit(run: &str) -> String {
        format!("switchyard-run-{run}.service")
    }

    /// Kills the main process of a unit, and waits until another one is there.
    fn kill(&self, unit: &str) {
        let before = self.host.show(unit, "MainPID");
        self.host
            .run(&["systemctl", "kill", "--kill-whom=main", "-s", "KILL", unit]);
        common::wait_for("another process", SOON, || {
            let now = self.host.show(unit, "MainPID");
            (now != before && now != "0").then_some(())
        });
    }

    /// Waits for the end of the run and checks that its log is whole.
    #[track_caller]
    fn whole(&self, run: &str) -> Value {
        let done = |run: &Value| !["queued", "running"].contains(&run["status"].as_str().unwrap());
        let limit = Duration::from_secs(120);
        let ended = self.dashboard.wait_for_run(HOST, run, limit, done);
        let lines = self.dashboard.lines(HOST, run);
        let lines = texts(&lines);
        let told = format!("{ended}\n{}\n{}", lines.join("\n"), self.host.journal());
        let built: Vec<_> = lines
            .iter()
            .filter_map(|line| line.strip_prefix("toy-system> "))
            .collect();
        let wrote = self.host.read("/var/toy/built");
        assert_eq!(built, wrote.lines().collect::<Vec<_>>(), "{told}");
        let wrote = self.host.read("/var/toy/activated");
        let wrote: Vec<_> = wrote.lines().collect();
        // The two streams of the activation have no order between them.
        let activated = |is_stdout: bool| -> Vec<&&str> {
            let is_of_stream = |line: &&&str| line.starts_with("setting up") == is_stdout;
            wrote.iter().filter(is_of_stream).collect()
        };
        let told_of: Vec<_> = lines.iter().filter(|line| wrote.contains(line)).collect();
        for is_stdout in [false, true] {
            let of_stream = told_of.iter().copied();
            let of_stream = of_stream.filter(|line| line.starts_with("setting up") == is_stdout);
            assert_eq!(
                of_stream.collect::<Vec<_>>(),
                activated(is_stdout),
                "{told}"
            );
        }
        ended
    }

    #[track_caller]
    fn ends_well(&self, run: &str) {
        let ended = self.whole(run);
        let journal = self.host.journal();
        assert_eq!(ended["status"], "ok", "{ended}\n{journal}");
        assert_eq!(ended["exit_code"], 0);
        assert_eq!(ended["generation_after"], 1);
    }
}

/// Has the agent read its files again, which have it offer this command.
fn restart_agent(scene: &Scene, command: &str) {
    let unit = "switchyard-agent.service";
    scene.host.run(&["systemctl", "daemon-reload"]);
    scene.host.run(&["systemctl", "restart", unit]);
    scene
        .dashboard
        .wait_for_host(HOST, "the new command", |host| {
            let commands = host["commands"].as_array();
            host["online"] == true && commands.is_some_and(|all| all.contains(&json!(command)))
        });
}

#[test]
fn a_switch_that_restarts_its_own_agent_with_a_changed_unit_arrives_whole() {
    let Some(scene) = Scene::new("restart") else {
        return;
    };
    let unit = "switchyard-agent.service";
    let before = scene.host.show(unit, "MainPID");
    scene.host.write(
        "/var/toy/in-activation",
        "sed -i 's/^UMask/Environment=MARK=2\\nUMask/' /etc/systemd/system/switchyard-agent.service\n\
         systemctl daemon-reload\nsystemctl restart switchyard-agent.service\n",
    );
    let run = scene.switch();
    scene.ends_well(&run);
    assert_ne!(scene.host.show(unit, "MainPID"), before);
    assert!(scene.host.show(unit, "Environment").contains("MARK=2"));
}

#[test]
fn a_switch_that_upgrades_its_own_agent_arrives_whole() {
    let Some(scene) = Scene::new("upgrade") else {
        return;
    };
    scene.host.write(
        "/var/toy/in-activation",
        "cp /usr/local/bin/switchyard /usr/local/bin/switchyard-2\n\
         sed -i 's,bin/switchyard agent,bin/switchyard-2 agent,' /etc/systemd/system/switchyard-agent.service\n\
         systemctl daemon-reload\nsystemctl restart switchyard-agent.service\nrm /usr/local/bin/switchyard\n",
    );
    let run = scene.switch();
    scene.ends_well(&run);
    let started = scene.host.show("switchyard-agent.service", "ExecStart");
    assert!(started.contains("/usr/local/bin/switchyard-2"), "{started}");
}

#[test]
fn a_run_goes_on_when_agent_and_supervisor_are_killed_during_the_build() {
    let Some(scene) = Scene::new("killed-build") else {
        return;
    };
    scene.hold("build");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-building");
    scene.kill(&Scene::unit(&run));
    scene.kill("switchyard-agent.service");
    scene.kill(&Scene::unit(&run));
    scene.release("build");
    scene.ends_well(&run);
}

#[test]
fn an_activation_whose_supervisor_is_killed_ends_with_its_own_exit_code() {
    let Some(scene) = Scene::new("killed-activation") else {
        return;
    };
    scene.hold("activation");
    scene.host.write("/var/toy/exit-code", "4");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-activating");
    scene.kill(&Scene::unit(&run));
    scene.release("activation");
    let ended = scene.whole(&run);
    assert_eq!(
        [&ended["status"], &ended["exit_code"]],
        [&json!("error"), &json!(4)]
    );
    let message = ended["message"].as_str().unwrap();
    let words = "The system is switched, but these units failed: toy.service";
    assert!(message.starts_with(words), "{message}");
    assert_eq!(ended["generation_after"], 1);
}

#[test]
fn systemd_reloading_reexecuting_and_isolating_leaves_a_run_alone() {
    let Some(scene) = Scene::new("isolate") else {
        return;
    };
    scene.hold("build");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-building");
    let supervisor = scene.host.show(&Scene::unit(&run), "MainPID");
    for verb in [
        &["daemon-reload"][..],
        &["daemon-reexec"],
        &["isolate", "multi-user.target"],
    ] {
        scene.host.run(&[&["systemctl"], verb].concat());
    }
    scene
        .host
        .run(&["systemctl", "restart", "switchyard-agent.service"]);
    assert_eq!(scene.host.show(&Scene::unit(&run), "MainPID"), supervisor);
    scene.release("build");
    scene.ends_well(&run);
}

#[test]
fn a_run_outlives_a_dashboard_that_is_away_for_a_minute() {
    let Some(mut scene) = Scene::new("away") else {
        return;
    };
    scene.hold("build");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-building");
    let host = &scene.host;
    scene
        .dashboard
        .restart(nix::sys::signal::Signal::SIGKILL, || {
            std::fs::remove_file(host.path("/var/toy/hold-build")).unwrap();
            host.await_file("/var/toy/is-activating");
            std::thread::sleep(Duration::from_secs(60));
        });
    scene.ends_well(&run);
}

#[test]
fn a_run_in_which_the_host_loses_power_is_lost_and_says_so_and_the_next_one_works() {
    let Some(mut scene) = Scene::new("power") else {
        return;
    };
    scene.hold("activation");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-activating");
    scene.host.lose_power();
    let ended = scene.dashboard.wait_done(HOST, &run);
    assert_eq!(ended["status"], "lost", "{ended}");
    let message = ended["message"].as_str().unwrap();
    assert!(message.contains("host restarted"), "{message}");
    scene.await_online();
    scene.release("activation");
    for file in ["built", "activated"] {
        scene.host.write(&format!("/var/toy/{file}"), "");
    }
    scene.host.write("/etc/nixos/salt", "2");
    let run = scene.switch();
    let ended = scene.whole(&run);
    assert_eq!(ended["status"], "ok", "{ended}");
}

#[test]
fn a_run_ends_in_order_when_the_host_is_restarted_and_says_why() {
    let Some(mut scene) = Scene::new("reboot") else {
        return;
    };
    scene.hold("build");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-building");
    scene.host.reboot();
    let ended = scene.whole(&run);
    assert_eq!(ended["status"], "stopped", "{ended}");
    let message = ended["message"].as_str().unwrap();
    assert!(message.contains("the host is shutting down"), "{message}");
}

#[test]
fn a_run_outlives_a_pulled_cable_of_90_seconds() {
    let Some(cable) = Cable::plugged() else {
        return;
    };
    let users = [("ada", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_in(Vec::new(), "0.0.0.0", &[HOST], "", &users);
    dashboard.log_in("ada", "secret");
    let address = format!("{}:{}", cable::ADDRESS, dashboard.port);
    let Some(host) = Container::boot("cable", &address, Some(Cable::namespace())) else {
        return;
    };
    let scene = Scene { dashboard, host };
    scene.await_online();
    scene.hold("build");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-building");
    cable.pull();
    let pulled = Instant::now();
    scene.release("build");
    scene.host.await_file("/var/toy/is-activating");
    let host = scene
        .dashboard
        .wait_for_host(HOST, "offline", |host| host["online"] == false);
    assert_eq!(host["run"]["status"], "running", "only the contact is lost");
    std::thread::sleep(Duration::from_secs(90).saturating_sub(pulled.elapsed()));
    cable.plug_in();
    scene.ends_well(&run);
}

#[test]
fn an_agent_that_hangs_is_started_anew_and_its_run_goes_on() {
    let Some(scene) = Scene::new("watchdog") else {
        return;
    };
    let unit = "switchyard-agent.service";
    common::wait_for("the agent's word that it is connected", SOON, || {
        let status = scene.host.show(unit, "StatusText");
        status.contains("connected to ws://").then_some(())
    });
    scene.host.run(&[
        "sed",
        "-i",
        "s/^WatchdogSec=.*/WatchdogSec=2/",
        "/etc/systemd/system/switchyard-agent.service",
    ]);
    scene.host.run(&["systemctl", "daemon-reload"]);
    scene.host.run(&["systemctl", "restart", unit]);
    scene.await_online();
    scene.hold("build");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-building");
    let before = scene.host.show(unit, "MainPID");
    scene.host.run(&["kill", "-STOP", &before]);
    common::wait_for("another agent", SOON, || {
        let now = scene.host.show(unit, "MainPID");
        (now != before && now != "0").then_some(())
    });
    scene.release("build");
    scene.ends_well(&run);
    let entries = scene
        .host
        .run(&["journalctl", "-o", "json", "--no-pager", "-u", unit]);
    let said_of_run = entries.lines().any(|entry| {
        let entry: Value = serde_json::from_str(entry).unwrap();
        entry["SWITCHYARD_RUN"] == run.as_str() && entry["SWITCHYARD_HOST"] == HOST
    });
    assert!(said_of_run, "{entries}");
}
