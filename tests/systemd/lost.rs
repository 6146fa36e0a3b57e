//! Runs whose end nobody saw, because everything that would have seen it was killed.

use crate::Scene;
use crate::common::{SOON, texts, wait_for};
use crate::container::HOST;
use serde_json::Value;

const ACTIVATION: &str = "nixos-rebuild-switch-to-configuration.service";

impl Scene {
    /// Begins a switch, and waits until the lines of half its build, which are 200, have arrived.
    fn half_built(&self) -> String {
        self.hold("build");
        let run = self.switch();
        self.host.await_file("/var/toy/is-building");
        wait_for("half the build", SOON, || {
            let lines = self.dashboard.lines(HOST, &run);
            lines
                .iter()
                .any(|line| line.line == "toy-system> before 200")
                .then_some(())
        });
        run
    }

    fn kill_all(&self, unit: &str) {
        self.host
            .run(&["systemctl", "kill", "--kill-whom=all", "-s", "KILL", unit]);
    }

    /// Waits for the end of a run that is lost in the midst of its build; gives its message.
    #[track_caller]
    fn is_lost(&self, run: &str) -> String {
        let ended = self.dashboard.wait_done(HOST, run);
        let told = format!("{ended}\n{}", self.host.journal());
        assert_eq!(ended["status"], "lost", "{told}");
        assert_eq!(ended["exit_code"], Value::Null);
        let lines = self.dashboard.lines(HOST, run);
        let built: Vec<_> = texts(&lines)
            .into_iter()
            .filter_map(|line| line.strip_prefix("toy-system> "))
            .collect();
        let wrote = self.host.read("/var/toy/built");
        assert_eq!(built, wrote.lines().collect::<Vec<_>>(), "{told}");
        ended["message"].as_str().unwrap().to_owned()
    }

    /// Another switch, from the beginning to its good end.
    fn next_works(&self) {
        for file in ["built", "activated"] {
            self.host.write(&format!("/var/toy/{file}"), "");
        }
        self.host.write("/etc/nixos/salt", "2");
        let run = self.switch();
        let ended = self.whole(&run);
        assert_eq!(ended["status"], "ok", "{ended}");
    }
}

#[test]
fn a_run_of_which_everything_is_killed_during_the_build_is_lost_as_systemd_says_and_the_next_works()
{
    let Some(scene) = Scene::new("killed-all") else {
        return;
    };
    let run = scene.half_built();
    scene.kill_all(&Scene::unit(&run));
    let message = scene.is_lost(&run);
    assert_eq!(
        message,
        "Result of nixos-rebuild unknown; its supervisor was killed by signal KILL"
    );
    scene.release("build");
    scene.next_works();
}

#[test]
fn how_a_run_was_lost_is_in_the_journal_where_it_could_not_be_written_down() {
    let Some(scene) = Scene::new("killed-journal") else {
        return;
    };
    let run = scene.half_built();
    let noted = format!("/var/lib/switchyard-agent/runs/{run}/unit-end.json");
    // What is in its place cannot be replaced.
    std::fs::create_dir_all(scene.host.path(&noted).join("in-the-way")).unwrap();
    scene.kill_all(&Scene::unit(&run));
    let message = scene.is_lost(&run);
    assert_eq!(
        message,
        "Result of nixos-rebuild unknown; its supervisor was killed by signal 9"
    );
    scene.release("build");
    scene.next_works();
}

#[test]
fn an_activation_whose_supervisor_never_comes_back_ends_by_itself() {
    let Some(scene) = Scene::new("for-good") else {
        return;
    };
    scene.hold("activation");
    scene
        .host
        .write("/var/toy/in-activation", "touch /var/toy/came-through\n");
    let run = scene.switch();
    let unit = Scene::unit(&run);
    scene.await_activation(&run);
    let override_folder = format!("/run/systemd/system/{unit}.d");
    let never_again = format!(
        "mkdir -p {override_folder} && printf '[Service]\\nRestart=no\\n' > {override_folder}/no.conf && systemctl daemon-reload"
    );
    scene.host.run(&["/bin/sh", "-c", &never_again]);
    scene
        .host
        .run(&["systemctl", "kill", "--kill-whom=main", "-s", "KILL", &unit]);
    wait_for("the agent to notice", SOON, || {
        let said = ["journalctl", "--no-pager", "-u", "switchyard-agent.service"];
        let said = scene.host.run(&said);
        said.contains("the supervisor of this run died and left no result")
            .then_some(())
    });
    assert_eq!(scene.host.show(ACTIVATION, "ActiveState"), "active");
    assert_eq!(scene.dashboard.run(HOST, &run)["status"], "running");
    // What will end the run is no part of the agent, and goes on without it.
    let ending = format!("switchyard-settle-{run}.service");
    wait_for("what ends the run", SOON, || {
        (scene.host.show(&ending, "ActiveState") == "activating").then_some(())
    });
    let ends_it = scene.host.show(&ending, "MainPID");
    scene.kill("switchyard-agent.service");
    assert_eq!(scene.host.show(&ending, "MainPID"), ends_it);
    scene.release("activation");
    scene.host.await_file("/var/toy/came-through");
    let ended = scene.dashboard.wait_done(HOST, &run);
    assert_eq!(ended["status"], "lost", "{ended}");
    let message = ended["message"].as_str().unwrap();
    assert!(
        message.starts_with("Result unknown: its supervisor was killed by signal KILL")
            && message.contains("its last program ended with exit code 0"),
        "{message}"
    );
    let activated = scene.host.read("/var/toy/activated");
    assert!(
        activated.ends_with("restarting the following units: switchyard-agent.service\n"),
        "{activated}"
    );
    assert_eq!(ended["generation_after"], 1);
    std::fs::remove_file(scene.host.path("/var/toy/in-activation")).unwrap();
    // systemd has one of that name at a time. In a container with cgroups of the old kind it may not hear that this
    // one is empty; a reload has it look.
    wait_for("the activation's unit to be forgotten", SOON, || {
        let state = ["LoadState", "SubState"].map(|key| scene.host.show(ACTIVATION, key));
        println!("{state:?}");
        if state[0] == "not-found" {
            return Some(());
        }
        scene.host.run(&["systemctl", "daemon-reload"]);
        None
    });
    scene.next_works();
}

#[test]
fn a_supervisor_that_is_killed_after_it_stored_the_result_does_not_come_back_for_ever() {
    let Some(scene) = Scene::new("behind-the-end") else {
        return;
    };
    let run = scene.switch();
    scene.ends_well(&run);
    // As it is started again: there is a result, and nothing is left to do.
    let unit = "again.service";
    let rundir = format!("/var/lib/switchyard-agent/runs/{run}");
    let start = format!(
        "systemd-run --quiet --service-type=notify -p Restart=on-abnormal -p RestartSec=100ms \
         -p StartLimitIntervalSec=0 -p FileDescriptorStoreMax=8 -p RemainAfterExit=no --unit={unit} \
         /usr/local/bin/switchyard supervise {rundir}"
    );
    scene.host.run(&["/bin/sh", "-c", &start]);
    wait_for("its end", SOON, || {
        (scene.host.show(unit, "ActiveState") == "inactive").then_some(())
    });
    assert_eq!(scene.host.show(unit, "NRestarts"), "0");
    assert_eq!(scene.host.show(unit, "Result"), "success");
}

#[test]
fn an_activation_in_which_the_host_is_restarted_is_lost_although_systemd_calls_that_a_success() {
    let Some(mut scene) = Scene::new("reboot-activation") else {
        return;
    };
    scene.hold("activation");
    let run = scene.switch();
    scene.await_activation(&run);
    scene.host.reboot();
    let ended = scene.dashboard.wait_done(HOST, &run);
    assert_eq!(ended["status"], "lost", "{ended}");
    assert_eq!(ended["exit_code"], Value::Null);
    let message = ended["message"].as_str().unwrap();
    let words = "The host shut down during the activation";
    assert!(message.starts_with(words), "{message}");
}
