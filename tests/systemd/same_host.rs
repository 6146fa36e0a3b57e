//! The dashboard as a service of a host that it deploys, with the settings of the module.

use crate::common::{Client, Dashboard, SOON, sha256_hex, texts, wait_for};
use crate::container::{Container, HOST, free_port};
use crate::units;
use serde_json::{Value, json};
use std::time::Duration;

const DASHBOARD: &str = "switchyard-dashboard.service";
const AGENT: &str = "switchyard-agent.service";

/// Where the modules put the hashes of the tokens.
const AGENTS: &str = "/etc/switchyard/agents";

/// A command beside `switch`, for earlier runs.
const NOTE: &str = "[commands.note]\nsteps = [[\"/bin/sh\", \"-c\", \"seq 1 500; echo it went wrong >&2; exit 3\"]]\n";

/// A host with agent and dashboard.
pub(crate) struct House {
    pub(crate) host: Container,
    client: Client,
    address: String,
}

impl House {
    pub(crate) fn new(name: &str) -> Option<Self> {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let host = Container::boot(name, &address, None)?;
        let token = sha256_hex(&Dashboard::token(HOST));
        let agent = host.read("/etc/switchyard/agent.toml");
        for (path, text) in [
            (
                format!("/etc/systemd/system/{DASHBOARD}"),
                units::dashboard().as_str(),
            ),
            (AGENTS.to_owned(), &format!("{HOST} {token}\n")),
            (
                "/etc/switchyard/dashboard.toml".to_owned(),
                &format!(
                    "listen = \"{address}\"\ndata_dir = \"/var/lib/switchyard\"\n\
                     agents_file = \"{AGENTS}\"\n"
                ),
            ),
            (
                "/etc/switchyard/agent.toml".to_owned(),
                &format!("{agent}{NOTE}"),
            ),
        ] {
            host.write(&path, text);
        }
        let client = Client::of(port);
        let house = Self {
            host,
            client,
            address,
        };
        house.systemctl(&["daemon-reload"]);
        house.systemctl(&["start", DASHBOARD]);
        house.systemctl(&["restart", AGENT]);
        house.await_online();
        Some(house)
    }

    fn systemctl(&self, arguments: &[&str]) -> String {
        self.host.run(&[&["systemctl"], arguments].concat())
    }

    fn await_online(&self) {
        self.client
            .wait_for_host(HOST, "online", |host| host["online"] == true);
    }

    fn pid(&self, unit: &str) -> String {
        self.host.show(unit, "MainPID")
    }

    /// Waits until another process serves in the place of `before`.
    fn await_another(&self, unit: &str, before: &str) {
        wait_for("another process", SOON, || {
            let now = self.pid(unit);
            let is_active = self.host.show(unit, "ActiveState") == "active";
            (is_active && now != before && now != "0").then_some(())
        });
    }

    /// Waits until systemd shows this of a service.
    fn await_status(&self, unit: &str, status: &str) {
        wait_for(status, SOON, || {
            let shown = self.host.try_run(&["systemctl", "status", unit])?;
            shown.contains(&format!("Status: \"{status}")).then_some(())
        });
    }

    /// Some runs that are over.
    fn notes(&self) -> Vec<String> {
        let note = |_| {
            let run = self.client.command(HOST, "note");
            self.client.wait_done(HOST, &run);
            run
        };
        (0..3).map(note).collect()
    }

    /// All that the dashboard shows of them.
    fn earlier(&self, runs: &[String]) -> Vec<(Value, Vec<u8>)> {
        let of_run = |run: &String| {
            let json = self.client.run(HOST, run);
            (json, self.client.download(HOST, run, "json"))
        };
        runs.iter().map(of_run).collect()
    }

    /// Begins a switch and waits until it is in the midst of its build.
    fn build(&self) -> String {
        self.host.write("/var/toy/hold-build", "");
        let run = self.client.command(HOST, "switch");
        self.host.await_file("/var/toy/is-building");
        run
    }

    fn finish_build(&self) {
        std::fs::remove_file(self.host.path("/var/toy/hold-build")).unwrap();
    }

    /// Waits for the end: what nix and the activation wrote is what the log holds.
    #[track_caller]
    fn assert_whole(&self, run: &str) {
        let is_over = |run: &Value| run["status"] != "queued" && run["status"] != "running";
        let ended = self
            .client
            .wait_for_run(HOST, run, Duration::from_secs(120), is_over);
        let told = format!("{ended}\n{}", self.host.journal());
        assert_eq!(ended["status"], "ok", "{told}");
        assert_eq!(ended["exit_code"], 0);
        assert_eq!(ended["generation_after"], 1);
        let lines = self.client.lines(HOST, run);
        let built: Vec<_> = texts(&lines)
            .into_iter()
            .filter_map(|line| line.strip_prefix("toy-system> "))
            .collect();
        let wrote = self.host.read("/var/toy/built");
        assert_eq!(built, wrote.lines().collect::<Vec<_>>(), "{told}");
        let wrote = self.host.read("/var/toy/activated");
        // Standard output has no order with standard error.
        let wrote: Vec<_> = wrote.lines().filter(|line| !is_output(line)).collect();
        let activated: Vec<_> = texts(&lines)
            .into_iter()
            .filter(|line| wrote.contains(line))
            .collect();
        assert_eq!(activated, wrote, "{told}");
        assert!(texts(&lines).iter().any(|line| is_output(line)), "{told}");
    }
}

fn is_output(line: &str) -> bool {
    line.starts_with("setting up")
}

#[test]
fn a_dashboard_that_its_own_hosts_switch_restarts_has_that_run_whole_and_the_earlier_ones_as_they_were()
 {
    let Some(house) = House::new("own-switch") else {
        return;
    };
    let notes = house.notes();
    let before = house.earlier(&notes);
    assert_eq!(
        [
            &before[0].0["status"],
            &before[0].0["lines"],
            &before[0].0["message"]
        ],
        [&json!("error"), &json!(501), &json!("it went wrong")]
    );
    house.host.write(
        "/var/toy/in-activation",
        "sed -i 's/^UMask/Environment=MARK=2\\nUMask/' /etc/systemd/system/switchyard-*.service\n\
         systemctl daemon-reload\nsystemctl restart switchyard-agent.service switchyard-dashboard.service\n\
         touch /var/toy/restarted\n",
    );
    let pids = [AGENT, DASHBOARD].map(|unit| house.pid(unit));
    let run = house.client.command(HOST, "switch");
    house.host.await_file("/var/toy/restarted");
    house.assert_whole(&run);
    for (unit, before) in [AGENT, DASHBOARD].into_iter().zip(pids) {
        assert_ne!(house.pid(unit), before);
        assert!(house.host.show(unit, "Environment").contains("MARK=2"));
    }
    assert!(
        house.earlier(&notes) == before,
        "an earlier run is no longer as it was"
    );
}

#[test]
fn services_that_are_restarted_or_killed_during_a_build_lose_nothing() {
    let Some(house) = House::new("restarts") else {
        return;
    };
    let notes = house.notes();
    let earlier = house.earlier(&notes);
    let run = house.build();
    house.systemctl(&["restart", AGENT, DASHBOARD]);
    house.systemctl(&["restart", DASHBOARD]);
    house.systemctl(&["restart", AGENT]);
    let before = house.pid(DASHBOARD);
    house.systemctl(&["kill", "-s", "KILL", DASHBOARD]);
    house.await_another(DASHBOARD, &before);
    house.await_online();
    assert_eq!(house.client.run(HOST, &run)["status"], "running");
    house.finish_build();
    house.assert_whole(&run);
    assert!(house.earlier(&notes) == earlier, "an earlier run is lost");
}

#[test]
fn a_dashboard_that_hangs_is_started_anew_by_its_watchdog_and_loses_nothing() {
    let Some(house) = House::new("dashboard-hangs") else {
        return;
    };
    let unit = format!("/etc/systemd/system/{DASHBOARD}");
    let text = units::dashboard().replace("WatchdogSec=30", "WatchdogSec=5");
    house.host.write(&unit, &text);
    house.systemctl(&["daemon-reload"]);
    house.systemctl(&["restart", DASHBOARD]);
    house.await_online();
    let run = house.build();
    let before = house.pid(DASHBOARD);
    house.host.run(&["kill", "-STOP", &before]);
    house.finish_build();
    house.await_another(DASHBOARD, &before);
    house.assert_whole(&run);
    let said = ["journalctl", "--no-pager", "-u", DASHBOARD];
    let said = house.host.run(&said);
    assert!(said.contains("Watchdog timeout"), "{said}");
}

#[test]
fn many_logs_share_a_sync_in_the_sandbox_of_the_service() {
    let Some(house) = House::new("shared-sync") else {
        return;
    };
    // The root of a container is an overlay, whose syncs are not trusted.
    let state = "/var/lib/private/switchyard";
    house.systemctl(&["stop", DASHBOARD]);
    house.host.run(&["mount", "-t", "tmpfs", "tmpfs", state]);
    house.systemctl(&["start", DASHBOARD]);
    wait_for("one sync for many logs", SOON, || {
        let journal = ["journalctl", "--no-pager", "-u", DASHBOARD];
        let said = house.host.try_run(&journal)?;
        said.contains("many logs are synced by one sync")
            .then_some(())
    });
}

#[test]
fn systemctl_status_says_who_is_connected() {
    let Some(house) = House::new("status") else {
        return;
    };
    let url = format!("ws://{}", house.address);
    house.await_status(DASHBOARD, "1 of 1 hosts online");
    house.await_status(AGENT, &format!("connected to {url}"));
    house.systemctl(&["stop", AGENT]);
    house.await_status(DASHBOARD, "0 of 1 hosts online");
    house.systemctl(&["start", AGENT]);
    house.await_status(DASHBOARD, "1 of 1 hosts online");
    house.systemctl(&["stop", DASHBOARD]);
    house.await_status(AGENT, &format!("not connected to {url}: "));
    house.systemctl(&["start", DASHBOARD]);
    house.await_status(AGENT, &format!("connected to {url}"));
}

#[test]
fn a_host_whose_token_is_withdrawn_is_shut_out_by_a_reload_and_nobody_else_notices() {
    let Some(house) = House::new("reload") else {
        return;
    };
    let agents = house.host.read(AGENTS);
    let before = house.pid(DASHBOARD);
    let reload = |text: &str| {
        house.host.write(AGENTS, text);
        house.systemctl(&["reload", DASHBOARD]);
    };
    reload(&format!("h2 {}\n", sha256_hex("another")));
    let answer = house.client.get(&format!("/api/hosts/{HOST}"));
    assert_eq!(answer.status, 404, "the reload ended before it was done");
    house.await_status(AGENT, "not connected");
    reload(&agents);
    house.systemctl(&["restart", AGENT]);
    house.await_online();
    assert_eq!(house.pid(DASHBOARD), before);
    // One that the dashboard never reported as done would be a failure.
    assert_eq!(house.host.show(DASHBOARD, "ReloadResult"), "success");
}
