//! What the services may do, and what the runs may.

use crate::common::texts;
use crate::container::{Container, HOST};
use crate::same_host::House;
use crate::{Scene, restart_agent};
use serde_json::{Value, json};

const AGENT: &str = "switchyard-agent.service";
const DASHBOARD: &str = "switchyard-dashboard.service";

/// A command that tells what it may.
const LOOK: &str = r#"
grep -E '^(NoNewPrivs|Seccomp|CapBnd)' /proc/self/status
test -w /etc && test -w /usr && test -w /home && test -w /root && echo "writes everywhere"
"#;

/// The exposure that systemd reckons, from 0 to 10.
fn exposure(host: &Container, unit: &str) -> f64 {
    let said = host.run(&["systemd-analyze", "security", "--no-pager", unit]);
    let (_, level) = said.rsplit_once("Overall exposure level for ").unwrap();
    println!("{level}");
    let level = level.rsplit_once(": ").unwrap().1;
    level.split(' ').next().unwrap().parse().unwrap()
}

/// What the kernel says of a process.
fn status(host: &Container, pid: &str, key: &str) -> String {
    let status = host.run(&["cat", &format!("/proc/{pid}/status")]);
    let found = status.lines().find_map(|line| line.strip_prefix(key));
    found.unwrap().trim_matches([':', '\t']).to_owned()
}

#[test]
fn systemd_finds_little_that_the_services_could_still_do_without() {
    let Some(house) = House::new("exposure") else {
        return;
    };
    let [dashboard, agent] = [DASHBOARD, AGENT].map(|unit| exposure(&house.host, unit));
    assert!(dashboard <= 1.2, "dashboard: {dashboard}");
    assert!(agent <= 2.0, "agent: {agent}");
}

#[test]
fn secrets_and_state_of_both_services_are_for_root_and_themselves_alone() {
    let Some(house) = House::new("secrets") else {
        return;
    };
    let host = &house.host;
    for path in [
        "/run/credentials/switchyard-agent.service/token",
        "/var/lib/switchyard-agent/runs",
        "/var/lib/private/switchyard/switchyard.sqlite",
        "/var/lib/private/switchyard/logs",
    ] {
        host.run(&["test", "-r", path]);
        let of_nobody = host.try_run(&["runuser", "-u", "nobody", "--", "test", "-r", path]);
        assert_eq!(of_nobody, None, "{path} can be read by others");
    }
    for unit in [AGENT, DASHBOARD] {
        assert_eq!(host.show(unit, "LimitCORE"), "0", "{unit} may leave a core");
    }
}

#[test]
fn a_run_may_everything_although_its_agent_may_next_to_nothing() {
    let Some(scene) = Scene::new("unrestricted") else {
        return;
    };
    let host = &scene.host;
    let config = host.read("/etc/switchyard/agent.toml");
    let look = format!("[commands.look]\nsteps = [[\"/bin/sh\", \"-c\", '''{LOOK}''']]\n");
    host.write("/etc/switchyard/agent.toml", &format!("{config}{look}"));
    restart_agent(&scene, "look");

    let agent = host.show(AGENT, "MainPID");
    let of_agent = ["NoNewPrivs", "Seccomp", "CapBnd"].map(|key| status(host, &agent, key));
    assert_eq!(of_agent, ["1", "2", "0000000000000000"]);

    let run = scene.dashboard.command(HOST, "look");
    let ended = scene.dashboard.wait_done(HOST, &run);
    let lines = scene.dashboard.lines(HOST, &run);
    let all = status(host, "1", "CapBnd");
    // A container's own first process is under a filter, too.
    let seccomp = status(host, "1", "Seccomp");
    for line in [
        "NoNewPrivs:\t0",
        &format!("Seccomp:\t{seccomp}"),
        &format!("CapBnd:\t{all}"),
        "writes everywhere",
    ] {
        assert!(texts(&lines).contains(&line), "{line:?}: {ended} {lines:?}");
    }
}

#[test]
fn an_agent_in_its_sandbox_knows_its_host() {
    let Some(scene) = Scene::new("facts") else {
        return;
    };
    let run = scene.switch();
    scene.ends_well(&run);
    let host = scene
        .dashboard
        .wait_for_host(HOST, "its generation and metrics", |host| {
            let is_measured = |metric| host["metrics"][metric].is_number();
            host["generation"] == 1 && ["cpu", "ram", "load"].into_iter().all(is_measured)
        });
    assert_eq!(host["hostname"], HOST);
    assert!(
        host["kernel"].is_string() && host["boot_id"].is_string(),
        "{host}"
    );
}

#[test]
fn a_host_tells_how_many_commits_its_system_lacks() {
    let Some(scene) = Scene::new("behind") else {
        return;
    };
    let commit = || {
        let script = "cd /etc/nixos && git init -q && git add . && \
            git -c user.name=n -c user.email=e commit -q --allow-empty -m m && git rev-parse HEAD";
        scene.host.run(&["sh", "-c", script])
    };
    let built = commit();
    let is_behind = |what: &str, commits: Value, revision: &str| {
        scene.dashboard.wait_for_host(HOST, what, |host| {
            host["behind"] == commits && host["revision"] == revision.trim()
        })
    };
    is_behind("what was built elsewhere", Value::Null, &built);
    let run = scene.switch();
    scene.ends_well(&run);
    is_behind("nothing lacks", json!(0), &built);
    commit();
    is_behind("two more commits", json!(2), &commit());
}
