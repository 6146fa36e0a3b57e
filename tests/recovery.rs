//! A run when something dies: the dashboard, the agent, or the whole host.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, Gate, SOON, texts};
use nix::sys::signal::Signal;
use serde_json::json;

/// A run in which 1,000 lines come before the gate is opened and 1,000 behind it.
struct TwoHalves {
    dashboard: Dashboard,
    agent: Agent,
    gate: Gate,
    run: String,
    _dir: tempfile::TempDir,
}

impl TwoHalves {
    fn begin() -> Self {
        let dashboard = Dashboard::start(&["h1"]);
        let dir = tempfile::tempdir().unwrap();
        let gate = Gate::closed(dir.path(), "gate");
        let script = format!("seq 1 1000; {}; seq 1001 2000; exit 4", gate.wait());
        let agent = Agent::start(&dashboard, "h1", &script);
        let run = dashboard.command("h1", "switch");
        dashboard.wait_for_run("h1", &run, SOON, |run| run["lines"] == 1000);
        Self {
            dashboard,
            agent,
            gate,
            run,
            _dir: dir,
        }
    }

    #[track_caller]
    fn assert_whole(&self) {
        let done = self.dashboard.wait_done("h1", &self.run);
        assert_eq!(
            [&done["status"], &done["exit_code"]],
            [&json!("error"), &json!(4)]
        );
        let want: Vec<String> = (1..=2000).map(|n| n.to_string()).collect();
        assert_eq!(texts(&self.dashboard.lines("h1", &self.run)), want);
        assert_eq!(self.dashboard.log("h1", &self.run).lines, want);
    }
}

#[test]
fn a_dashboard_that_was_killed_gets_every_line_when_it_is_back() {
    let mut halves = TwoHalves::begin();
    let said = halves.agent.process.said();
    let gate = &halves.gate;
    halves.dashboard.restart(Signal::SIGKILL, || gate.open());
    halves.agent.wait_for_reconnection(said);
    halves.assert_whole();
}

#[test]
fn an_agent_that_was_killed_finds_its_run_again() {
    let mut halves = TwoHalves::begin();
    halves.agent.restart(Signal::SIGKILL);
    halves
        .dashboard
        .wait_for_host("h1", "the run", |host| host["run"]["status"] == "running");
    halves.gate.open();
    halves.assert_whole();
}

#[test]
fn a_run_that_ends_while_the_agent_is_away_is_reported_afterwards() {
    let mut halves = TwoHalves::begin();
    halves.agent.process.end(Signal::SIGTERM);
    halves
        .dashboard
        .wait_for_host("h1", "its absence", |host| host["online"] == false);
    halves.gate.open();
    halves.agent.start_again();
    halves.assert_whole();
}

#[test]
fn a_run_whose_host_lost_power_is_lost_and_keeps_its_lines() {
    let mut halves = TwoHalves::begin();
    halves.agent.lose_power();
    halves.agent.start_again();
    let done = halves.dashboard.wait_done("h1", &halves.run);
    assert_eq!(
        [&done["status"], &done["exit_code"]],
        [&json!("lost"), &json!(null)]
    );
    let want: Vec<String> = (1..=1000).map(|n| n.to_string()).collect();
    assert_eq!(texts(&halves.dashboard.lines("h1", &halves.run)), want);
    let next = halves.dashboard.command("h1", "switch");
    halves.gate.open();
    assert_eq!(halves.dashboard.wait_done("h1", &next)["exit_code"], 4);
}

#[test]
fn services_end_in_order_on_sigterm_and_sigint() {
    let mut halves = TwoHalves::begin();
    assert_eq!(halves.agent.process.end(Signal::SIGTERM), Some(0));
    assert_eq!(halves.dashboard.process.end(Signal::SIGINT), Some(0));
}

#[test]
fn the_files_alone_give_a_finished_run_back() {
    let mut halves = TwoHalves::begin();
    halves.gate.open();
    halves.assert_whole();
    let before = halves.dashboard.run("h1", &halves.run);
    let data_dir = halves.dashboard.data_dir();
    halves.dashboard.restart(Signal::SIGTERM, || {
        for entry in std::fs::read_dir(&data_dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::remove_file(path).unwrap();
            }
        }
    });
    assert_eq!(halves.dashboard.run("h1", &halves.run), before);
    halves.assert_whole();
}

#[test]
fn an_agent_whose_program_was_removed_still_begins_runs() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Agent::start(&dashboard, "h1", "echo done");
    agent.process.end(Signal::SIGTERM);
    agent.start_again_from_a_removed_program();
    dashboard.wait_for_host("h1", "to be online", |host| host["online"] == true);
    let run = dashboard.command("h1", "switch");
    let done = dashboard.wait_done("h1", &run);
    assert_eq!(done["status"], "ok", "{done}");
    assert_eq!(texts(&dashboard.lines("h1", &run)), ["done"]);
}

#[test]
fn a_second_dashboard_on_the_same_data_is_refused() {
    let dashboard = Dashboard::start(&["h1"]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_switchyard"))
        .args(["dashboard", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dashboard.data_dir())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is in use by another dashboard"), "{said}");
    assert_eq!(dashboard.get("/health").status, 200);
}

#[test]
fn the_oldest_runs_go_when_logs_take_too_much_and_their_absence_is_explained() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let _agent = Agent::start(&dashboard, "h1", "seq 1 1000");
    let runs: Vec<String> = (0..3)
        .map(|_| {
            let run = dashboard.command("h1", "switch");
            dashboard.wait_done("h1", &run);
            run
        })
        .collect();
    let logs = dashboard.data_dir().join("logs/h1");
    let size = |kind: &str| {
        let file = logs.join(format!("{}.{kind}", runs[2]));
        std::fs::metadata(file)
            .unwrap()
            .len()
            .next_multiple_of(4096)
    };
    let room_for_two = (size("log") + size("idx")) * 5 / 2;
    let config = dashboard.data_dir().with_file_name("dashboard.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let retention = format!("{text}[retention]\nmax_bytes = {room_for_two}\n");
    dashboard.restart(Signal::SIGTERM, || {
        std::fs::write(&config, retention).unwrap();
    });
    common::wait_for("the oldest to go", SOON, || {
        let left = ["log", "idx"].map(|kind| logs.join(format!("{}.{kind}", runs[0])).exists());
        (left == [false; 2]).then_some(())
    });
    let answer = common::wait_for("the oldest to be unknown", SOON, || {
        let answer = dashboard.get(&format!("/api/hosts/h1/runs/{}", runs[0]));
        (answer.status == 404).then_some(answer)
    });
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("retention"), "{detail}");
    assert_eq!(dashboard.lines("h1", &runs[1]).len(), 1000);
    assert_eq!(dashboard.lines("h1", &runs[2]).len(), 1000);
}

#[test]
fn a_lost_index_is_made_anew_with_and_without_the_database() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let agent = Agent::start(&dashboard, "h1", "seq 1 1000");
    let run = dashboard.command("h1", "switch");
    dashboard.wait_done("h1", &run);
    drop(agent);
    let data = dashboard.data_dir();
    for lost in ["nothing", "switchyard.sqlite"] {
        dashboard.restart(Signal::SIGTERM, || {
            std::fs::remove_file(data.join(format!("logs/h1/{run}.idx"))).unwrap();
            let _ = std::fs::remove_file(data.join(lost));
        });
        let found = dashboard.run("h1", &run);
        assert_eq!(
            [&found["index_rebuilt"], &found["errors"], &found["lines"]],
            [&json!(true), &json!(null), &json!(1000)]
        );
        assert_eq!(dashboard.lines("h1", &run).len(), 1000);
    }
}

#[test]
fn a_dashboard_whose_log_lost_its_tail_or_its_index_has_the_rest_sent_again() {
    type Tear = fn(log: &std::path::Path, index: &std::path::Path);
    let half_a_line: Tear = |log, index| {
        let mut torn = std::fs::read(log).unwrap();
        torn.truncate(torn.len() - 700);
        std::fs::write(log, torn).unwrap();
        let mut torn = std::fs::read(index).unwrap();
        torn.truncate(torn.len() - 7);
        std::fs::write(index, torn).unwrap();
    };
    let zeroes: Tear = |log, index| {
        for file in [log, index] {
            let mut torn = std::fs::read(file).unwrap();
            let begin = torn.len() - 900;
            torn[begin..].fill(0);
            torn.extend([0; 4096]);
            std::fs::write(file, torn).unwrap();
        }
    };
    let no_index: Tear = |_, index| std::fs::remove_file(index).unwrap();
    for tear in [half_a_line, zeroes, no_index] {
        let mut halves = TwoHalves::begin();
        let said = halves.agent.process.said();
        let (gate, run) = (&halves.gate, &halves.run);
        let logs = halves.dashboard.data_dir().join("logs/h1");
        halves.dashboard.restart(Signal::SIGKILL, || {
            gate.open();
            let file = |kind: &str| logs.join(format!("{run}.{kind}"));
            tear(&file("log"), &file("idx"));
        });
        halves.agent.wait_for_reconnection(said);
        halves.assert_whole();
    }
}
