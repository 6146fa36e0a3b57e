//! Activations: where their output goes, and who may end them.

use crate::common::chance::{Chance, kills};
use crate::common::texts;
use crate::{HOST, Scene};
use serde_json::{Value, json};
use std::time::Duration;

/// What the activation prints, with whether the log has it from standard error.
fn activated(scene: &Scene, run: &str) -> Vec<(String, bool)> {
    let wrote = scene.host.read("/var/toy/activated");
    let wrote: Vec<_> = wrote.lines().collect();
    let lines = scene.dashboard.lines(HOST, run);
    let lines = lines.into_iter().map(|line| (line.line, line.is_error));
    lines
        .filter(|(line, _)| wrote.contains(&line.as_str()))
        .map(|(line, is_error)| (line, is_error == Some(true)))
        .collect()
}

impl Scene {
    /// Kills whoever called the activation and hears it, and waits for longer than what holds the pipes of a program
    /// that ended is heard.
    fn orphan_activation(&self) {
        for program in ["nixos-rebuild", "systemd-run"] {
            self.host.run(&["pkill", "-KILL", "-x", program]);
        }
        std::thread::sleep(Duration::from_secs(12));
    }

    /// The run ended with the one who called the activation, which came to its own end; gives what that wrote.
    #[track_caller]
    fn outlived_its_caller(&self, ended: &Value) -> String {
        assert_eq!(
            [&ended["status"], &ended["exit_code"]],
            [&json!("error"), &json!(137)]
        );
        let wrote = self.host.read("/var/toy/activated");
        assert!(
            wrote.contains("restarting the following units"),
            "it died in the middle: {wrote}"
        );
        wrote
    }
}

#[test]
fn an_activation_whose_output_is_in_the_journal_alone_arrives_whole_although_its_supervisor_is_killed()
 {
    let Some(scene) = Scene::new("journal") else {
        return;
    };
    scene.host.write("/var/toy/form", "journal");
    scene.host.write("/var/toy/exit-code", "4");
    scene.hold("activation");
    let run = scene.switch();
    scene.await_activation(&run);
    scene.kill(&Scene::unit(&run));
    scene.kill("switchyard-agent.service");
    scene.release("activation");
    let ended = scene.whole(&run);
    assert_eq!(
        [
            &ended["status"],
            &ended["exit_code"],
            &ended["generation_after"]
        ],
        [&json!("error"), &json!(4), &json!(1)]
    );
    let message = ended["message"].as_str().unwrap();
    assert!(message.contains("toy.service"), "{message}");
    let activated = activated(&scene, &run);
    assert!(activated.len() > 200 && activated.iter().all(|(_, is_error)| !is_error));
}

#[test]
fn an_activation_that_restarts_and_rotates_the_journal_that_has_its_output_arrives_whole() {
    let Some(scene) = Scene::new("journald") else {
        return;
    };
    scene.host.write("/var/toy/form", "journal");
    scene.host.write(
        "/var/toy/in-activation",
        "for i in $(seq 1 300); do say \"before $i\"; done\n\
         systemctl restart systemd-journald.service\n\
         for i in $(seq 1 300); do say \"restarted $i\"; done\n\
         journalctl --rotate\n\
         for i in $(seq 1 300); do say \"rotated $i\"; done\n",
    );
    let run = scene.switch();
    scene.ends_well(&run);
    assert!(activated(&scene, &run).len() > 1000);
}

#[test]
fn an_activation_whose_output_comes_by_pipe_and_journal_is_in_the_log_once() {
    let Some(scene) = Scene::new("both") else {
        return;
    };
    scene.host.write("/var/toy/form", "both");
    let run = scene.switch();
    scene.ends_well(&run);
    assert!(activated(&scene, &run).len() > 200);
    let printed = scene.host.read("/var/toy/copies");
    assert!(
        printed.matches("switch-to-configuration[").count() > 200,
        "{printed}"
    );
    let lines = scene.dashboard.lines(HOST, &run);
    let copies: Vec<_> = texts(&lines)
        .into_iter()
        .filter(|line| line.contains("switch-to-configuration["))
        .map(str::to_owned)
        .collect();
    assert!(copies.is_empty(), "{copies:?}");
}

#[test]
fn a_forced_stop_ends_the_activation_itself_and_no_other_does() {
    let Some(scene) = Scene::new("forced") else {
        return;
    };
    scene.hold("activation");
    let run = scene.switch();
    scene.await_activation(&run);
    let stop = |force: bool| {
        let path = format!("/api/hosts/{HOST}/command");
        let body = json!({"command": "stop", "force": force});
        scene.dashboard.post(&path, &body).status
    };
    assert_eq!(stop(false), 409);
    let active = || {
        scene.host.try_run(&[
            "systemctl",
            "is-active",
            "nixos-rebuild-switch-to-configuration.service",
        ])
    };
    assert!(active().is_some());
    assert_eq!(stop(true), 202);
    let ended = scene.whole(&run);
    assert_eq!(ended["status"], "stopped", "{ended}");
    let message = ended["message"].as_str().unwrap();
    assert!(
        message.contains("in phase activation; the host may be left between two systems"),
        "{message}"
    );
    assert_eq!(active(), None, "the activation goes on");
    let wrote = scene.host.read("/var/toy/activated");
    assert!(!wrote.contains("restarting the following units"), "{wrote}");
}

#[test]
fn an_activation_goes_on_and_is_heard_to_its_end_when_nixos_rebuild_is_killed() {
    for form in ["pipe", "journal"] {
        let Some(scene) = Scene::new(&format!("orphan-{form}")) else {
            return;
        };
        scene.host.write("/var/toy/form", form);
        scene.hold("activation");
        let run = scene.switch();
        scene.await_activation(&run);
        scene.orphan_activation();
        assert_eq!(scene.dashboard.run(HOST, &run)["status"], "running");
        scene.release("activation");
        let ended = scene.whole(&run);
        let wrote = scene.outlived_its_caller(&ended);
        assert_eq!(activated(&scene, &run).len(), wrote.lines().count());
    }
}

#[test]
fn an_activation_that_has_said_nothing_when_nixos_rebuild_is_killed_is_heard_to_its_end() {
    let Some(scene) = Scene::new("orphan-silent") else {
        return;
    };
    scene.hold("beginning");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-beginning");
    scene.orphan_activation();
    scene.release("beginning");
    let ended = scene.whole(&run);
    scene.outlived_its_caller(&ended);
}

#[test]
fn no_line_of_an_activation_is_lost_or_doubled_however_often_its_supervisor_is_killed() {
    for form in ["pipe", "journal"] {
        let Some(scene) = Scene::new(&format!("kills-{form}")) else {
            return;
        };
        let mut chance = Chance::of(&format!("activation-{form}"));
        scene.host.write("/var/toy/form", form);
        scene.host.write(
            "/var/toy/in-activation",
            "i=0; while [ -e /var/toy/hold-kills ]; do i=$((i+1)); say \"more $i\"; sleep 0.01; done",
        );
        scene.hold("kills");
        let run = scene.switch();
        scene.host.await_file("/var/toy/is-activating");
        for _ in 0..kills() {
            chance.pause(Duration::from_millis(400));
            scene.kill(&Scene::unit(&run));
        }
        scene.release("kills");
        scene.ends_well(&run);
        assert!(activated(&scene, &run).len() > 300);
    }
}
