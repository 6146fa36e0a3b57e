//! `kill -9` of supervisors off systemd, at random moments.

use crate::common::chance::{Chance, kills};
use crate::common::{Agent, Dashboard, SOON, alive, texts, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

const HOSTS: [&str; 4] = ["h1", "h2", "h3", "h4"];

/// The longest life of a supervisor.
const LIFE: Duration = Duration::from_millis(400);

/// Says so if a child of an earlier run is alive, and writes the same lines to its output and to a file.
fn script(dir: &Path) -> String {
    format!(
        "cd '{}'; exec 2>/dev/null; read -r last <pid && read -r _ _ state _ <\"/proc/$last/stat\" && [ \"$state\" != Z ] && : >leftover; echo $$ >pid; exec 3>written; n=0; \
         while ! [ -e enough ]; do n=$((n+1)); echo \"line $n\" >&3; echo \"line $n\"; [ $((n % 100)) -ne 0 ] || sleep 0.01; done",
        dir.display()
    )
}

/// Kills the supervisor of a run after `life`.
fn kill_supervisor(agent: &Agent, run: &str, life: Duration) {
    let file = agent
        .dir()
        .join("state/runs")
        .join(run)
        .join("supervisor.json");
    let pid = wait_for("the supervisor", SOON, || {
        let json: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        json["supervisor"]["pid"].as_i64()
    });
    // Before its log is begun a run has not begun.
    let log = file.with_file_name(format!("{run}.log"));
    wait_for("its log", SOON, || {
        (fs::metadata(&log).ok()?.len() > 0).then_some(())
    });
    std::thread::sleep(life);
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
}

fn assert_lost(dashboard: &Dashboard, host: &str, run: &str, dir: &Path) {
    let done = dashboard.wait_done(host, run);
    assert_eq!(
        [&done["status"], &done["exit_code"]],
        [&json!("lost"), &Value::Null],
        "{done}"
    );
    let pid = fs::read_to_string(dir.join("pid")).unwrap_or_default();
    let left = pid.trim().parse().is_ok_and(alive);
    assert!(!left, "the child lives on");
    let written = fs::read_to_string(dir.join("written")).unwrap_or_default();
    let lines = dashboard.lines(host, run);
    let is_prefix = texts(&lines)
        .iter()
        .zip(written.lines())
        .all(|(line, written)| *line == written);
    assert!(
        is_prefix && lines.len() <= written.lines().count(),
        "{} lines",
        lines.len()
    );
    assert_eq!(dashboard.log(host, run).lines, texts(&lines));
}

#[test]
fn a_run_whose_supervisor_is_killed_off_systemd_is_lost_and_nothing_of_it_meets_the_next() {
    let mut chance = Chance::of("supervisor");
    let dashboard = Dashboard::start(&HOSTS);
    let one_host = |host: &str, mut chance: Chance| {
        let dir = tempfile::tempdir().unwrap();
        let agent = Agent::start(&dashboard, host, &script(dir.path()));
        for _ in 0..kills() / HOSTS.len() {
            let run = dashboard.command(host, "switch");
            kill_supervisor(&agent, &run, chance.below(LIFE));
            assert_lost(&dashboard, host, &run, dir.path());
        }
        fs::write(dir.path().join("enough"), "").unwrap();
        let run = dashboard.command(host, "switch");
        assert_eq!(dashboard.wait_done(host, &run)["status"], "ok");
        assert!(
            !dir.path().join("leftover").exists(),
            "a child of an earlier run lived on"
        );
    };
    std::thread::scope(|scope| {
        for host in HOSTS {
            let chance = chance.fork();
            scope.spawn(move || one_host(host, chance));
        }
    });
}
