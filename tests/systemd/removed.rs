//! An agent that is no longer in its host's configuration.

use crate::common::{SOON, wait_for};
use crate::container::Container;
use crate::{HOST, Scene};
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::Duration;

const UNIT: &str = "switchyard-agent.service";

/// What a switch to a system without an agent does: `X-StopOnRemoval` has it stop nothing.
const REMOVE: &str = "rm /etc/systemd/system/multi-user.target.wants/switchyard-agent.service \
    /etc/systemd/system/switchyard-agent.service\nsystemctl daemon-reload\n";

/// How long an agent may take to notice, where no run ends: it looks every 30 s.
const NOTICED: Duration = Duration::from_secs(60);

/// How long a run may take to end, on a busy machine.
const ENDED: Duration = Duration::from_secs(120);

fn await_left(host: &Container, limit: Duration) {
    let state = wait_for("the agent to leave", limit, || {
        let state = host.show(UNIT, "ActiveState");
        ["inactive", "failed"]
            .contains(&state.as_str())
            .then_some(state)
    });
    assert_eq!(state, "inactive", "{}", host.journal());
    let agents = host.try_run(&["pgrep", "-f", "switchyard agent"]);
    assert_eq!(agents, None, "it was started again");
}

#[test]
fn an_agent_that_a_switch_removes_finishes_that_run_tells_the_dashboard_and_leaves() {
    let Some(mut scene) = Scene::new("removed") else {
        return;
    };
    scene.hold("removal");
    let script = format!(
        "{REMOVE}touch /var/toy/is-removed\nwhile [ -e /var/toy/hold-removal ]; do sleep 0.05; done\n"
    );
    scene.host.write("/var/toy/in-activation", &script);
    let before = scene.host.show(UNIT, "MainPID");
    let run = scene.switch();
    scene.host.await_file("/var/toy/is-removed");
    assert_eq!(scene.host.show(UNIT, "LoadState"), "not-found");
    // The watchdog goes on, and would end an agent to which systemd does not listen any more.
    let heard = scene.host.show(UNIT, "WatchdogTimestampMonotonic");
    wait_for("systemd to hear the agent", SOON, || {
        let now = scene.host.show(UNIT, "WatchdogTimestampMonotonic");
        (now != heard).then_some(())
    });
    let host = &scene.host;
    let spool = format!("/var/lib/switchyard-agent/runs/{run}/{run}.log");
    let gate = host.path("/var/toy/hold-removal");
    scene.dashboard.restart(Signal::SIGKILL, || {
        std::fs::remove_file(&gate).unwrap();
        wait_for("the end of the run", ENDED, || {
            host.read(&spool).contains("\n# Completed: ").then_some(())
        });
        // There is nobody to tell yet.
        assert_eq!(host.show(UNIT, "MainPID"), before);
    });
    scene.ends_well(&run);
    await_left(&scene.host, SOON);
}

#[test]
fn an_agent_that_somebody_else_removes_leaves_and_commands_wait_for_its_return() {
    let Some(scene) = Scene::new("removed-by-hand") else {
        return;
    };
    scene.host.run(&["/bin/sh", "-c", REMOVE]);
    await_left(&scene.host, NOTICED);
    scene
        .dashboard
        .wait_for_host(HOST, "offline", |host| host["online"] == false);
    let body = json!({"command": "switch"});
    let answer = scene
        .dashboard
        .post(&format!("/api/hosts/{HOST}/command"), &body);
    assert_eq!(answer.status, 202);
}
