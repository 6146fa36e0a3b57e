use crate::support::Fleet;
use serde_json::{Value, json};

const RUN: &str = "2025-12-14T10-30-00-switch";
const SECOND: &str = "2025-12-14T10-30-01-switch";

/// Waits for a file that the test makes, and then ends.
const WAIT: &str = "echo begun; while ! [ -e $TEST_FOLDER/go ]; do sleep 0.02; done; echo done";

fn go(fleet: &Fleet) {
    std::fs::write(fleet.path("go"), "").unwrap();
}

fn ack(run_id: &str, seq: u64) -> Value {
    json!({"type": "ack", "run_id": run_id, "seq": seq, "final": true})
}

#[tokio::test]
async fn a_run_is_running_then_its_lines_come_then_its_end() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("echo out; echo err >&2; printf 'last\\037'; exit 3", "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    let running = connection.expect("status").await;
    assert_eq!(
        (&running["status"], &running["run_id"]),
        (&json!("running"), &json!(RUN))
    );
    assert!(running["started"].is_string());
    let (mut lines, status) = connection.until_end(RUN, 0).await;
    lines.sort();
    assert_eq!(lines, ["err", "last\u{1f}", "out"]);
    assert_eq!(
        (&status["status"], &status["exit_code"]),
        (&json!("error"), &json!(3))
    );
    assert!(
        status["message"].as_str().unwrap().contains("err"),
        "{status}"
    );
    assert!(status["duration_ms"].is_number() && status["completed"].is_string());
}

#[tokio::test]
async fn heartbeats_go_on_and_name_the_run() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent(WAIT, "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.expect("output").await;
    connection.expect("heartbeat").await;
    let heartbeat = connection.expect("heartbeat").await;
    assert_eq!(
        (&heartbeat["pending_command"], &heartbeat["run_id"]),
        (&json!("switch"), &json!(RUN))
    );
    go(&fleet);
    connection.until_end(RUN, 1).await;
    let heartbeat = connection.expect("heartbeat").await;
    assert_eq!(
        (&heartbeat["pending_command"], &heartbeat["run_id"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn one_run_at_a_time_and_no_request_runs_twice() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent(WAIT, "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.expect("output").await;
    connection.command(SECOND, "m", "rollback").await;
    let rejected = connection.expect("command_rejected").await;
    assert_eq!(
        (&rejected["run_id"], &rejected["current_command"]),
        (&json!(SECOND), &json!("switch"))
    );
    connection.command(RUN, "other", "switch").await;
    let rejected = connection.expect("command_rejected").await;
    assert_eq!(rejected["run_id"], RUN);
    connection.command(RUN, "n", "switch").await;
    assert_eq!(connection.expect("status").await["status"], "running");
    go(&fleet);
    connection.until_end(RUN, 1).await;
    connection.command(RUN, "n", "switch").await;
    let again = connection.expect("status").await;
    assert_eq!(
        (&again["status"], &again["lines"]),
        (&json!("ok"), &json!(2))
    );
}

#[tokio::test]
async fn stop_ends_the_run_and_the_next_may_begin() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent(WAIT, "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.expect("output").await;
    connection
        .send(json!({"type": "stop", "run_id": RUN, "requested_by": "alice"}))
        .await;
    let (_, status) = connection.until_end(RUN, 1).await;
    assert_eq!(
        (&status["status"], &status["exit_code"]),
        (&json!("stopped"), &Value::Null)
    );
    go(&fleet);
    connection.command(SECOND, "n", "switch").await;
    let (lines, status) = connection.until_end(SECOND, 0).await;
    assert_eq!((lines.len(), &status["status"]), (2, &json!("ok")));
}

#[tokio::test]
async fn an_activation_goes_on_until_a_stop_is_forced() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent(
        "echo 'activating the configuration...' >&2; exec sleep 300",
        "",
    );
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    loop {
        let progress = connection.expect("progress").await;
        let phases = progress["phases"].as_array().unwrap();
        if phases
            .last()
            .is_some_and(|last| last["phase"] == "activation")
        {
            break;
        }
    }
    let mut stop = json!({"type": "stop", "run_id": RUN, "requested_by": "alice"});
    connection.send(stop.clone()).await;
    crate::support::until("the stop is refused", || {
        fleet
            .log()
            .contains("the host is activating, and the stop was not forced")
    })
    .await;
    for _ in 0..2 {
        let heartbeat = connection.expect("heartbeat").await;
        assert_eq!(heartbeat["run_id"], RUN, "it goes on");
    }
    stop["force"] = json!(true);
    connection.send(stop).await;
    assert_eq!(connection.expect("status").await["status"], "stopped");
}

#[tokio::test]
async fn what_cannot_begin_is_rejected_with_the_reason() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("true", "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "pull").await;
    let rejected = connection.expect("command_rejected").await;
    assert!(rejected["reason"].as_str().unwrap().contains("set `url`"));
    connection.send(json!({"type": "command", "run_id": RUN, "nonce": "n", "command": "switch", "not_after": 0})).await;
    let rejected = connection.expect("command_rejected").await;
    assert!(rejected["reason"].as_str().unwrap().contains("had expired"));
    assert!(!fleet.rundir(RUN).exists());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_result() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("true", "[commands.own]\nsteps = [[\"/nowhere/program\"]]");
    let (mut connection, _) = fleet.register().await;
    connection
        .command("2025-12-14T10-30-00-own", "n", "own")
        .await;
    let (_, status) = connection.until_end("2025-12-14T10-30-00-own", 0).await;
    assert_eq!(
        (&status["status"], &status["exit_code"]),
        (&json!("error"), &json!(127))
    );
}

#[tokio::test]
async fn a_hundred_thousand_lines_come_once_and_in_order_and_again_when_asked_for() {
    const LINES: u64 = 100_000;
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("seq 0 99999", "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    let (lines, status) = connection.until_end(RUN, 0).await;
    assert!((0..LINES).map(|n| n.to_string()).eq(lines));
    assert_eq!(status["status"], "ok");
    connection
        .send(json!({"type": "resume", "run_id": RUN, "seq": 99_000}))
        .await;
    let (lines, status) = connection.until_end(RUN, 99_000).await;
    assert!((99_000..LINES).map(|n| n.to_string()).eq(lines));
    assert_eq!(status["status"], "ok");
}

#[tokio::test]
async fn a_run_is_offered_until_it_is_acknowledged_and_its_spool_stays() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("echo one; echo two", "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.until_end(RUN, 0).await;
    drop(connection);

    let mut connection = fleet.accept().await;
    let register = connection.next().await;
    let offered = &register["runs"][0];
    assert_eq!(offered["run_id"], RUN);
    assert_eq!(
        (&offered["nonce"], &offered["command"]),
        (&json!("n"), &json!("switch"))
    );
    assert_eq!(
        (&offered["lines"], &offered["status"]),
        (&json!(2), &json!("ok"))
    );
    let resume = json!([{"run_id": RUN, "seq": 1}]);
    connection
        .send(json!({"type": "registered", "host_id": "h1", "resume": resume}))
        .await;
    let (lines, _) = connection.until_end(RUN, 1).await;
    assert_eq!(lines, ["two"]);
    connection.send(ack(RUN, 2)).await;
    crate::support::appears(&fleet.rundir(RUN).join("acked")).await;
    drop(connection);

    let (_connection, register) = fleet.register().await;
    assert_eq!(register["runs"], json!([]));
    assert!(fleet.rundir(RUN).join(format!("{RUN}.log")).exists());
}

#[tokio::test]
async fn the_newest_twenty_acknowledged_spools_are_kept() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent("true", "");
    let (mut connection, _) = fleet.register().await;
    let run = |n: u64| format!("2025-12-14T10-30-{n:02}-switch");
    for n in 0..22 {
        connection.command(&run(n), "n", "switch").await;
        connection.until_end(&run(n), 0).await;
        connection.send(ack(&run(n), 0)).await;
    }
    let kept = || {
        (0..22)
            .filter(|n| fleet.rundir(&run(*n)).exists())
            .collect::<Vec<_>>()
    };
    crate::support::until("two spools are deleted", || kept().len() == 20).await;
    assert_eq!(kept(), (2..22).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_dashboard_that_reads_nothing_slows_no_run_and_fills_no_memory() {
    const LINES: u64 = 300_000;
    let fleet = Fleet::new().await;
    let agent = fleet.agent("seq 0 299999", "");
    let (mut connection, _) = fleet.register().await;
    connection.expect("heartbeat").await;
    let before = agent.resident_kib();
    connection.command(RUN, "n", "switch").await;
    let log = fleet.rundir(RUN).join(format!("{RUN}.log"));
    let result = b"\n# Result:";
    crate::support::until("the run ends", || {
        let text = std::fs::read(&log).unwrap_or_default();
        text[text.len().saturating_sub(4096)..]
            .windows(result.len())
            .any(|part| part == result)
    })
    .await;
    let grown = agent.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "the agent grew by {grown} KiB");
    let (lines, status) = connection.until_end(RUN, 0).await;
    assert!((0..LINES).map(|n| n.to_string()).eq(lines));
    assert_eq!(status["status"], "ok");
}

#[tokio::test]
async fn a_dashboard_that_names_somebody_at_length_disables_no_agent() {
    let fleet = Fleet::new().await;
    let _agent = fleet.agent(WAIT, "");
    let (mut connection, _) = fleet.register().await;
    let long = "ä".repeat(150_000);
    let mut command = json!({"type": "command", "run_id": RUN, "nonce": long, "command": "switch",
        "requested_by": long, "not_after": 60_000});
    connection.send(command.clone()).await;
    let rejected = connection.expect("command_rejected").await;
    assert_eq!(rejected["run_id"], RUN);
    command["nonce"] = "n".into();
    connection.send(command).await;
    connection.expect("output").await;
    connection
        .send(json!({"type": "stop", "run_id": RUN, "requested_by": long, "force": true}))
        .await;
    let (_, status) = connection.until_end(RUN, 1).await;
    assert_eq!(status["status"], "stopped");
    let text = std::fs::metadata(fleet.rundir(RUN).join(format!("{RUN}.log"))).unwrap();
    assert!(text.len() < 10_000, "{}", text.len());
    // The next one runs.
    go(&fleet);
    connection.command(SECOND, "m", "switch").await;
    let (_, status) = connection.until_end(SECOND, 0).await;
    assert_eq!(status["status"], "ok");
}
