use crate::support::{Fleet, appears, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::fs;
use switchyard::proctree::ProcessId;

const RUN: &str = "2025-12-14T10-30-00-switch";

fn pid_in(fleet: &Fleet, pointer: &str) -> i32 {
    pid_of(fleet, RUN, pointer)
}

fn pid_of(fleet: &Fleet, run: &str, pointer: &str) -> i32 {
    let text = fs::read_to_string(fleet.rundir(run).join("supervisor.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    i32::try_from(value.pointer(pointer).unwrap().as_i64().unwrap()).unwrap()
}

#[tokio::test]
async fn a_second_agent_on_a_state_folder_ends_with_1_and_says_who_has_it() {
    let fleet = Fleet::new().await;
    let first = fleet.agent("true", "");
    let (_connection, _) = fleet.register().await;
    let mut second = fleet.agent("true", "");
    let is_over = || second.0.try_wait().unwrap().is_some();
    until("the end of the second", is_over).await;
    assert_eq!(second.0.wait().unwrap().code(), Some(1));
    let log = fleet.log();
    let who = format!("in use by another agent, process {}", first.0.id());
    assert!(log.contains(&who), "{log}");
    let state = fleet.path("state").display().to_string();
    assert!(log.contains(&state), "{log}");
    first.kill();
    let _third = fleet.agent("true", "");
    fleet.register().await;
}

#[tokio::test]
async fn a_run_outlives_its_agent_and_arrives_whole() {
    let fleet = Fleet::new().await;
    let script = "echo one; while ! [ -e $TEST_FOLDER/go ]; do sleep 0.02; done; echo two";
    let agent = fleet.agent(script, "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.expect("output").await;
    agent.kill();
    drop(connection);

    let _agent = fleet.agent(script, "");
    let (mut connection, register) = fleet.register().await;
    assert_eq!(
        (
            &register["runs"][0]["run_id"],
            &register["runs"][0]["status"]
        ),
        (&json!(RUN), &json!("running"))
    );
    connection.expect("output").await;
    connection
        .command("2025-12-14T10-31-00-switch", "n", "switch")
        .await;
    assert_eq!(
        connection.expect("command_rejected").await["current_command"],
        "switch"
    );
    fs::write(fleet.path("go"), "").unwrap();
    let (lines, status) = connection.until_end(RUN, 1).await;
    assert_eq!(
        (lines, &status["status"]),
        (vec!["two".to_owned()], &json!("ok"))
    );
}

#[tokio::test]
async fn a_run_that_ended_without_an_agent_is_offered_with_its_result() {
    let fleet = Fleet::new().await;
    let script = "while ! [ -e $TEST_FOLDER/go ]; do sleep 0.02; done; echo two; exit 4";
    let agent = fleet.agent(script, "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.expect("status").await;
    agent.kill();
    fs::write(fleet.path("go"), "").unwrap();
    let log = fleet.rundir(RUN).join(format!("{RUN}.log"));
    until("the end of the run", || {
        fs::read_to_string(&log).unwrap().contains("# Result:")
    })
    .await;
    let _agent = fleet.agent(script, "");
    let (mut connection, register) = fleet.register().await;
    assert_eq!(register["runs"][0]["status"], "error");
    let (lines, status) = connection.until_end(RUN, 0).await;
    assert_eq!(
        (lines, &status["exit_code"]),
        (vec!["two".to_owned()], &json!(4))
    );
}

#[tokio::test]
async fn a_run_whose_supervisor_was_killed_is_lost_and_nothing_of_it_is_left() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent(
        "echo one; trap '' HUP; sleep 300 & echo $! >$TEST_FOLDER/pid; wait",
        "",
    );
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.expect("output").await;
    appears(&fleet.path("pid")).await;
    kill(
        Pid::from_raw(pid_in(&fleet, "/supervisor/pid")),
        Signal::SIGKILL,
    )
    .unwrap();
    let (_, status) = connection.until_end(RUN, 1).await;
    assert_eq!(status["status"], "lost");
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("Result unknown: "),
        "{status}"
    );
    let left = fs::read_to_string(fleet.path("pid")).unwrap();
    let left = ProcessId::of(left.trim().parse().unwrap());
    assert!(!left.is_some_and(ProcessId::is_alive), "left behind");
}

#[tokio::test]
async fn a_run_of_an_earlier_boot_is_lost_because_the_host_restarted() {
    let fleet = Fleet::new().await;
    let agent = fleet.agent("echo one; exec sleep 300", "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.expect("output").await;
    agent.kill();
    for process in ["/child/pid", "/supervisor/pid"] {
        kill(Pid::from_raw(pid_in(&fleet, process)), Signal::SIGKILL).unwrap();
    }
    fs::write(fleet.rundir(RUN).join("boot_id"), "an earlier one").unwrap();
    let log = fleet.rundir(RUN).join(format!("{RUN}.log"));
    // The supervisor may have written a footer between the two deaths.
    let text = fs::read_to_string(&log).unwrap();
    if let Some((before, _)) = text.split_once("\n# Completed") {
        fs::write(&log, before).unwrap();
    }
    let _agent = fleet.agent("true", "");
    let (mut connection, _) = fleet.register().await;
    let (lines, status) = connection.until_end(RUN, 0).await;
    assert_eq!(
        (lines, &status["status"]),
        (vec!["one".to_owned()], &json!("lost"))
    );
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("host restarted"),
        "{status}"
    );
}

#[tokio::test]
async fn a_request_is_remembered_by_an_agent_that_was_killed() {
    let fleet = Fleet::new().await;
    let agent = fleet.agent("echo $$", "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.until_end(RUN, 0).await;
    connection
        .send(json!({"type": "ack", "run_id": RUN, "seq": 1, "final": true}))
        .await;
    appears(&fleet.rundir(RUN).join("acked")).await;
    agent.kill();
    drop(connection);

    let _agent = fleet.agent("echo $$", "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    let again = connection.expect("status").await;
    assert_eq!(
        (&again["status"], &again["lines"]),
        (&json!("ok"), &json!(1))
    );
    connection.command(RUN, "other", "switch").await;
    assert_eq!(connection.expect("command_rejected").await["run_id"], RUN);
}

#[tokio::test]
async fn a_run_of_which_nothing_can_be_read_is_lost_and_put_aside_with_one_message() {
    let fleet = Fleet::new().await;
    let agent = fleet.agent("echo one", "");
    let (mut connection, _) = fleet.register().await;
    let (no_log, bad_log, good_log, other) = (
        RUN,
        "2025-12-14T10-31-00-switch",
        "2025-12-14T10-32-00-switch",
        "2025-12-14T10-33-00-switch",
    );
    for run in [no_log, bad_log, good_log, other] {
        connection.command(run, "n", "switch").await;
        connection.until_end(run, 0).await;
        let supervisor = ProcessId::of(pid_of(&fleet, run, "/supervisor/pid"));
        until("the end of its supervisor", || {
            !supervisor.is_some_and(ProcessId::is_alive)
        })
        .await;
    }
    agent.kill();
    drop(connection);
    for (run, spec) in [
        (no_log, "{\"run_id\":"),
        (bad_log, "\0\0\0"),
        (good_log, ""),
    ] {
        fs::write(fleet.rundir(run).join("spec.json"), spec).unwrap();
    }
    let damaged_spec = fs::read(fleet.rundir(no_log).join("spec.json")).unwrap();
    let file = |run: &str, ending: &str| fleet.rundir(run).join(format!("{run}.{ending}"));
    fs::remove_file(file(no_log, "log")).unwrap();
    fs::remove_file(file(no_log, "idx")).unwrap();
    fs::write(file(bad_log, "log"), "no log").unwrap();
    // As a supervisor that was killed leaves it.
    let written = "capture-1.bytes";
    fs::write(fleet.rundir(bad_log).join(written), "password=hunter2").unwrap();
    fs::remove_file(file(good_log, "idx")).unwrap();

    let agent = fleet.agent("echo one", "");
    let (mut connection, register) = fleet.register().await;
    let offered: Vec<_> = register["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["run_id"].as_str().unwrap())
        .collect();
    assert_eq!(offered, [good_log, other], "a lost index is no damage");
    let mut lost = Vec::new();
    while lost.len() < 2 {
        let status = connection.expect("status").await;
        if status["status"] == "lost" {
            lost.push(status["run_id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(lost, [no_log, bad_log]);
    for run in [no_log, bad_log] {
        assert!(!fleet.rundir(run).exists(), "{run}");
        let aside = fleet.rundir(&format!("{run}.damaged"));
        assert!(aside.join("spec.json").exists(), "{run}");
        assert!(!aside.join(written).exists(), "{run}: with its secrets");
        assert_eq!(fleet.log().matches("the run is lost").count(), 2);
    }
    let kept = fleet.rundir(&format!("{no_log}.damaged")).join("spec.json");
    assert_eq!(fs::read(kept).unwrap(), damaged_spec);
    // The dashboard knows, and so does the next agent: nothing is said of it again.
    for run in [no_log, bad_log] {
        connection
            .send(json!({"type": "ack", "run_id": run, "seq": 0, "final": true}))
            .await;
    }
    connection
        .command("2025-12-14T10-34-00-switch", "n", "switch")
        .await;
    connection.until_end("2025-12-14T10-34-00-switch", 0).await;
    agent.kill();
    drop(connection);
    let _agent = fleet.agent("echo one", "");
    fleet.register().await;
    assert_eq!(fleet.log().matches("the run is lost").count(), 2);
}

#[tokio::test]
async fn a_run_that_an_agent_took_and_did_not_begin_before_it_died_is_begun_by_the_next() {
    let fleet = Fleet::new().await;
    let gate = fleet.path("gate");
    fs::write(&gate, "").unwrap();
    let script = format!(
        "until [ -e {} ]; do sleep 0.01; done; echo one",
        gate.display()
    );
    let agent = fleet.agent(&script, "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.until_end(RUN, 0).await;
    let supervisor = ProcessId::of(pid_in(&fleet, "/supervisor/pid"));
    agent.kill();
    drop(connection);
    until("the end of its supervisor", || {
        !supervisor.is_some_and(ProcessId::is_alive)
    })
    .await;
    // As it was before the supervisor started: nothing but the request.
    for entry in fs::read_dir(fleet.rundir(RUN)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name != "spec.json" && name != "boot_id" {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    fs::remove_file(fleet.path("state/requests.json")).unwrap();
    fs::remove_file(&gate).unwrap();
    let spec = fs::read_to_string(fleet.rundir(RUN).join("spec.json")).unwrap();
    let spec: serde_json::Value = serde_json::from_str(&spec).unwrap();
    let limit = std::time::Duration::from_secs(60);
    let latest = switchyard::spool::begin_by(Some(limit)).unwrap();
    assert!(spec["begin_by"].as_u64().unwrap() <= latest, "{spec}");

    let _agent = fleet.agent(&script, "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    loop {
        let message = connection.next().await;
        assert_ne!(message["type"], "command_rejected", "{message}");
        if message["status"] == "running" {
            break;
        }
    }
    fs::write(&gate, "").unwrap();
    let (lines, status) = connection.until_end(RUN, 0).await;
    assert_eq!(
        (lines, &status["status"]),
        (vec!["one".to_owned()], &json!("ok"))
    );
}
