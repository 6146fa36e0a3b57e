//! Two hosts and a dashboard in three network namespaces, with links that go away.

use crate::child::{Child, Pace};
use crate::common::chance::Chance;
use crate::common::{Agent, Dashboard, SOON, skip, wait_for};
use nix::sched::{CloneFlags, setns};
use serde_json::json;
use std::fs::{self, File};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Where `ip netns` keeps them.
const NAMESPACES: &str = "/run/netns";
const PREFIX: &str = "switchyard-faults-";
/// How long the link flaps, and how many lines come meanwhile.
const FLAPPING: Duration = Duration::from_secs(120);
const LINES: u64 = 100_000;

fn ip(arguments: &[&str]) -> bool {
    let output = Command::new("ip").args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// The namespaces of `dashboard`, `h1` and `h2`, and a link from the first to each of the others.
struct Network(String);

impl Network {
    /// `None` with a word where there can be none. What an earlier test left behind goes.
    fn new(name: &str) -> Option<Self> {
        remove_leftovers();
        let network = Self(format!("{PREFIX}{}-{name}", std::process::id()));
        let [dashboard, h1, h2] = ["dashboard", "h1", "h2"].map(|part| network.part(part));
        if !ip(&["netns", "add", &dashboard]) {
            skip("network namespaces need root and iproute2");
            return None;
        }
        for (n, (host, space)) in [("h1", &h1), ("h2", &h2)].into_iter().enumerate() {
            assert!(ip(&["netns", "add", space]));
            let link = [
                "-n", &dashboard, "link", "add", host, "type", "veth", "peer", "name", "wire",
                "netns", space,
            ];
            assert!(ip(&link));
            assert!(ip(&[
                "-n",
                &dashboard,
                "address",
                "add",
                &format!("10.77.{n}.1/24"),
                "dev",
                host
            ]));
            assert!(ip(&[
                "-n",
                space,
                "address",
                "add",
                &format!("10.77.{n}.2/24"),
                "dev",
                "wire"
            ]));
            assert!(ip(&["-n", &dashboard, "link", "set", host, "up"]));
            assert!(ip(&["-n", space, "link", "set", "wire", "up"]));
            assert!(ip(&["-n", space, "link", "set", "lo", "up"]));
        }
        assert!(ip(&["-n", &dashboard, "link", "set", "lo", "up"]));
        Some(network)
    }

    fn part(&self, part: &str) -> String {
        format!("{}-{part}", self.0)
    }

    /// Moves this thread, and what it starts from now on, into a namespace.
    fn enter(&self, part: &str) {
        let space = File::open(format!("{NAMESPACES}/{}", self.part(part))).unwrap();
        setns(space, CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// Takes the link of a host down, or up again.
    fn link(&self, host: &str, state: &str) {
        assert!(ip(&[
            "-n",
            &self.part("dashboard"),
            "link",
            "set",
            host,
            state
        ]));
    }

    /// The agent of a host, in its namespace.
    fn agent(&self, dashboard: &Dashboard, host: &str, n: u8, script: &str) -> Agent {
        let config = json!({
            "dashboard": format!("ws://10.77.{n}.1:{}", dashboard.port),
            "allow_plaintext": true,
            "commands": {"switch": {"steps": [["/bin/sh", "-c", script]]}},
        });
        thread::scope(|scope| {
            let launched = scope.spawn(|| {
                self.enter(host);
                Agent::launch(dashboard.port, host, &config)
            });
            let mut agent = launched.join().unwrap();
            agent.wait_for_reconnection(0);
            agent
        })
    }

    /// The dashboard, in whose namespace this thread is from now on.
    fn dashboard(&self) -> Dashboard {
        self.enter("dashboard");
        let users = [("ada", "admin", Dashboard::password_hash("secret"))];
        let mut dashboard = Dashboard::start_in(Vec::new(), "0.0.0.0", &["h1", "h2"], "", &users);
        dashboard.log_in("ada", "secret");
        dashboard
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for part in ["dashboard", "h1", "h2"] {
            ip(&["netns", "delete", &self.part(part)]);
        }
    }
}

/// Removes the namespaces of test programs that are no more.
fn remove_leftovers() {
    let entries = fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let pid = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !fs::exists(format!("/proc/{pid}")).unwrap()) {
            ip(&["netns", "delete", &name]);
        }
    }
}

#[test]
fn nothing_is_lost_over_a_link_that_flaps_for_two_minutes_and_the_other_host_is_undisturbed() {
    let mut chance = Chance::of("flapping");
    let Some(network) = Network::new("flap") else {
        return;
    };
    let dashboard = network.dashboard();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("written");
    let bursts = FLAPPING.as_secs() - 10;
    let script = format!(
        "exec 3>'{}'; n=0; while [ $n -lt {LINES} ]; do n=$((n+1)); echo \"line $n\" >&3; echo \"line $n\"; \
         [ $((n % {})) -ne 0 ] || sleep 1; done; exit 4",
        file.display(),
        LINES / bursts
    );
    let steady = Child::new(dir.path(), "steady", Pace::Slow, 3);
    let _flapping = network.agent(&dashboard, "h1", 0, &script);
    let other = network.agent(&dashboard, "h2", 1, &steady.script);
    let steady_run = dashboard.command("h2", "switch");
    let run = dashboard.command("h1", "switch");
    let end = Instant::now() + FLAPPING;
    let mut seen = 0;
    while Instant::now() < end {
        network.link("h1", "down");
        chance.pause(Duration::from_secs(4));
        network.link("h1", "up");
        chance.pause(Duration::from_secs(6));
        dashboard.wait_for_run("h2", &steady_run, Duration::from_secs(5), |run| {
            run["lines"].as_u64() > Some(seen)
        });
        seen = dashboard.run("h2", &steady_run)["lines"].as_u64().unwrap();
    }
    let done = wait_for("the end of the run", 2 * SOON, || {
        let run = dashboard.run("h1", &run);
        (run["status"] != "running").then_some(run)
    });
    assert_eq!(
        [&done["status"], &done["exit_code"]],
        [&json!("error"), &json!(4)]
    );
    let want: Vec<String> = (1..=LINES).map(|n| format!("line {n}")).collect();
    assert!(fs::read_to_string(&file).unwrap().lines().eq(&want));
    assert!(
        crate::common::texts(&dashboard.lines("h1", &run)) == want,
        "over HTTP"
    );
    assert!(dashboard.log("h1", &run).lines == want, "on disk");
    steady.gate.open();
    steady.assert_whole(&dashboard, "h2", &steady_run, 3);
    assert_eq!(other.process.times_said("connected to"), 1);
}

#[test]
fn a_link_that_is_down_for_longer_than_the_ping_limit_is_lost_contact_and_no_failure() {
    let Some(network) = Network::new("down") else {
        return;
    };
    let dashboard = network.dashboard();
    let dir = tempfile::tempdir().unwrap();
    let child = Child::new(dir.path(), "child", Pace::Fast, 4);
    let mut agent = network.agent(&dashboard, "h1", 0, &child.script);
    let run = dashboard.command("h1", "switch");
    dashboard.wait_for_run("h1", &run, SOON, |run| run["lines"].as_u64() > Some(1_000));
    network.link("h1", "down");
    let down = Instant::now();
    let said = agent.process.said();
    wait_for("the host to be offline", Duration::from_secs(32), || {
        (dashboard.host("h1")["online"] == false).then_some(())
    });
    assert!(
        down.elapsed() > Duration::from_secs(25),
        "{:?}",
        down.elapsed()
    );
    let host = dashboard.host("h1");
    assert_eq!(
        [&host["run"]["run_id"], &host["run"]["status"]],
        [&json!(run), &json!("running")]
    );
    agent
        .process
        .wait_to_say("the dashboard was silent for 30 s", said);
    thread::sleep(Duration::from_secs(40).saturating_sub(down.elapsed()));
    assert_eq!(dashboard.run("h1", &run)["status"], "running");
    network.link("h1", "up");
    agent.wait_for_reconnection(said);
    dashboard.wait_for_host("h1", "it to be back", |host| host["online"] == true);
    child.gate.open();
    child.assert_whole(&dashboard, "h1", &run, 4);
}
