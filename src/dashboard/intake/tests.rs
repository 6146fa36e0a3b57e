mod idle;
mod storage;

use super::HostRuns;
use crate::dashboard::core::Core;
use crate::dashboard::fleet::Errand;
use crate::dashboard::state::StopWish;
use crate::dashboard::testing::{ask, host, open, parsed, run_id};
use crate::protocol::{Register, RunId, Status, Timestamp};
use crate::runlog::{Batch, LogReader};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const RUN: &str = "2025-12-14T10-30-00-switch";

/// The dashboard's side of the connection of `h1`.
struct Connection {
    core: Arc<Core>,
    runs: HostRuns,
    dir: TempDir,
}

impl Connection {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let runs = HostRuns::new(host("h1"), core.log_dir(&host("h1")));
        Self { core, runs, dir }
    }

    /// What `register` is answered with by a host that holds these runs.
    async fn register(&mut self, runs: &Value) -> Vec<Value> {
        let register = json!({"type": "register", "protocol": 1, "host_id": "h1", "runs": runs});
        let register: Register = serde_json::from_value(register).unwrap();
        self.runs.register(&self.core, register).await.unwrap();
        self.replies()
    }

    fn replies(&mut self) -> Vec<Value> {
        parsed(&self.runs.take_replies())
    }

    async fn send(&mut self, message: &Value) -> Vec<Value> {
        let frame = message.to_string();
        self.runs.frame(&self.core, &frame).await.unwrap();
        self.replies()
    }

    async fn lines(&mut self, run: &str, seq: u64, count: u64) -> Vec<Value> {
        let at = "2025-12-14T10:30:01.000Z";
        let lines: Vec<_> = (seq..seq + count)
            .map(|n| json!({"line": format!("line {n}"), "timestamp": at, "is_error": false}))
            .collect();
        self.send(&json!({"type": "output", "host_id": "h1", "run_id": run, "command": "switch", "seq": seq, "lines": lines}))
            .await
    }

    async fn status(&mut self, run: &str, status: &str, lines: Option<u64>) -> Vec<Value> {
        self.send(&json!({"type": "status", "host_id": "h1", "run_id": run, "command": "switch", "status": status, "lines": lines}))
            .await
    }

    /// Goes on, as the connection would, until it answers.
    async fn wait_for_replies(&mut self) -> Vec<Value> {
        let bell = self.runs.bell();
        for _ in 0..100 {
            let turn = self.runs.next_turn().map(tokio::time::Instant::from_std);
            tokio::select! {
                () = bell.notified() => {}
                () = tokio::time::sleep_until(turn.unwrap_or_else(tokio::time::Instant::now)), if turn.is_some() => {
                    self.runs.turn(&self.core).await;
                }
                () = tokio::time::sleep(Duration::from_secs(10)) => panic!("nothing to wait for"),
            }
            self.runs.acknowledge(&self.core).await;
            let replies = self.replies();
            if !replies.is_empty() {
                return replies;
            }
        }
        panic!("no answer")
    }

    async fn wait_for_end(&mut self) {
        while !self.wait_for_replies().await.iter().any(is_final_ack) {}
    }

    fn shown(&self, run: &str) -> Status {
        let record = self.core.fleet.record(&host("h1"), &run_id(run));
        record.unwrap().run.status
    }

    async fn stored(&self, run: &str) -> Status {
        let stored = self.core.state.run(&host("h1"), &run_id(run)).await;
        stored.unwrap().unwrap().run.status
    }

    fn log(&self, run: &str) -> (u64, Option<Status>) {
        let reader = LogReader::open(&self.core.log_dir(&host("h1")), &run_id(run)).unwrap();
        let mut batch = Batch::default();
        reader.read(0, 100_000, 1 << 30, &mut batch).unwrap();
        for line in batch.iter() {
            assert_eq!(line.line, format!("line {}", line.seq));
        }
        let footer = reader.footer().unwrap();
        (
            batch.len() as u64,
            footer.map(|footer| footer.result.status),
        )
    }
}

fn is_final_ack(message: &Value) -> bool {
    message["type"] == "ack" && message["final"] == true
}

fn types(messages: &[Value]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message["type"].as_str().unwrap())
        .collect()
}

fn offer(run: &str, status: &str, lines: u64) -> Value {
    json!([{"run_id": run, "command": "switch", "status": status, "lines": lines}])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_end_is_not_on_disk_is_not_acknowledged_and_not_in_the_database() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.status(RUN, "running", None).await;
    agent.core.syncer.finish(Duration::from_secs(5));
    agent.lines(RUN, 0, 3).await;
    agent.status(RUN, "ok", Some(3)).await;
    agent.runs.acknowledge(&agent.core).await;
    assert_eq!(agent.shown(RUN), Status::Ok);
    assert_eq!(agent.stored(RUN).await, Status::Running);
    let answers = agent.register(&offer(RUN, "ok", 3)).await;
    assert_eq!(types(&answers), ["registered"]);
    assert_eq!(answers[0]["resume"], json!([]));
    assert_eq!(agent.status(RUN, "ok", Some(3)).await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_run_is_acknowledged_once_it_is_in_file_and_database() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.status(RUN, "running", None).await;
    agent.lines(RUN, 0, 3).await;
    agent.status(RUN, "ok", Some(3)).await;
    agent.wait_for_end().await;
    assert_eq!(agent.stored(RUN).await, Status::Ok);
    assert_eq!(agent.log(RUN), (3, Some(Status::Ok)));
    let answers = agent.register(&offer(RUN, "ok", 3)).await;
    assert_eq!(types(&answers), ["registered", "ack"]);
    let again = agent.status(RUN, "ok", Some(3)).await;
    assert!(is_final_ack(&again[0]), "who asks again is told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_before_registered_and_nothing_left_over_from_before() {
    let mut agent = Connection::new().await;
    let run = ask(&agent.core).await;
    let begun = agent.register(&json!([])).await;
    assert_eq!(types(&begun), ["registered", "command"]);
    agent.status(run.as_str(), "running", None).await;
    let wish = StopWish {
        requested_by: "bob".into(),
        force: false,
        at: Timestamp::now(),
    };
    agent.core.stop(&host("h1"), wish).await.unwrap();
    let gap = json!({"type": "output", "host_id": "h1", "run_id": run, "command": "switch", "seq": 9, "lines": []});
    agent
        .runs
        .frame(&agent.core, &gap.to_string())
        .await
        .unwrap();
    let again = agent.register(&offer(run.as_str(), "running", 0)).await;
    assert_eq!(types(&again), ["registered", "stop"]);

    let core = open(agent.dir.path()).await;
    agent.runs = HostRuns::new(host("h1"), core.log_dir(&host("h1")));
    agent.core = core;
    let restarted = agent.register(&offer(run.as_str(), "running", 0)).await;
    assert_eq!(types(&restarted), ["registered", "stop"]);
    assert_eq!(restarted[1]["requested_by"], "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_not_sent_twice_on_one_connection() {
    let mut agent = Connection::new().await;
    let run = ask(&agent.core).await;
    agent.register(&json!([])).await;
    agent.runs.errand(&agent.core, Errand::Begin(run)).await;
    assert_eq!(agent.replies(), [] as [Value; 0]);
    let again = agent.register(&json!([])).await;
    assert_eq!(types(&again), ["registered", "command"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_sent_and_then_stopped_does_not_begin_when_its_host_is_back() {
    let mut agent = Connection::new().await;
    let run = ask(&agent.core).await;
    agent.register(&json!([])).await;
    let wish = StopWish {
        requested_by: "bob".into(),
        force: false,
        at: Timestamp::now(),
    };
    agent.core.stop(&host("h1"), wish).await.unwrap();
    assert_eq!(
        agent.shown(run.as_str()),
        Status::Queued,
        "it may have begun"
    );
    let back = agent.register(&json!([])).await;
    assert_eq!(types(&back), ["registered", "stop"]);
    assert_eq!(agent.stored(run.as_str()).await, Status::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_come_before_running_are_kept() {
    let mut agent = Connection::new().await;
    let run = ask(&agent.core).await;
    agent.register(&json!([])).await;
    agent.lines(run.as_str(), 0, 2).await;
    agent.status(run.as_str(), "running", None).await;
    agent.status(run.as_str(), "running", None).await;
    agent.lines(run.as_str(), 2, 2).await;
    agent.status(run.as_str(), "ok", None).await;
    assert_eq!(agent.log(run.as_str()), (4, Some(Status::Ok)));
    agent.lines("2025-12-14T10-30-00-switch-2", 0, 2).await;
    assert_eq!(agent.log("2025-12-14T10-30-00-switch-2"), (2, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_run_goes_on_when_lines_or_the_true_end_come_after_all() {
    for registers in [false, true] {
        let mut agent = Connection::new().await;
        agent.register(&json!([])).await;
        agent.lines(RUN, 0, 2).await;
        agent.register(&json!([])).await;
        assert_eq!(agent.log(RUN), (2, Some(Status::Lost)));
        assert_eq!(agent.stored(RUN).await, Status::Lost);
        if registers {
            let back = agent.register(&offer(RUN, "ok", 4)).await;
            assert_eq!(back[0]["resume"], json!([{"run_id": RUN, "seq": 2}]));
        }
        agent.lines(RUN, 2, 2).await;
        assert_eq!(agent.log(RUN), (4, None));
        agent.status(RUN, "ok", Some(4)).await;
        agent.wait_for_end().await;
        assert_eq!(agent.log(RUN), (4, Some(Status::Ok)));
        assert_eq!(agent.stored(RUN).await, Status::Ok);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_end_no_line_is_acknowledged_before_it_is_there() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.lines(RUN, 0, 2).await;
    agent.status(RUN, "lost", None).await;
    agent.core.syncer.finish(Duration::from_secs(5));
    agent.lines(RUN, 2, 1).await;
    agent.runs.acknowledge(&agent.core).await;
    assert_eq!(
        agent.replies(),
        [] as [Value; 0],
        "nothing was synced since"
    );
    assert_eq!(agent.log(RUN), (3, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_same_id_and_another_nonce_is_not_ours() {
    let mut agent = Connection::new().await;
    let run = ask(&agent.core).await;
    agent.register(&json!([])).await;
    agent.status(run.as_str(), "running", None).await;
    let mut other = offer(run.as_str(), "running", 7);
    other[0]["nonce"] = "another".into();
    let answers = agent.register(&other).await;
    assert_eq!(answers[0]["resume"], json!([]));
    assert_eq!(agent.stored(run.as_str()).await, Status::Lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_only_with_all_its_lines() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.lines(RUN, 0, 2).await;
    let asked = agent.status(RUN, "ok", Some(5)).await;
    assert_eq!(asked, [json!({"type": "resume", "run_id": RUN, "seq": 2})]);
    assert_eq!(agent.shown(RUN), Status::Running);
    agent.lines(RUN, 4, 1).await;
    agent.lines(RUN, 1, 4).await;
    assert_eq!(agent.log(RUN), (5, Some(Status::Ok)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_run_brings_its_host_up_to_date() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.lines(RUN, 0, 1).await;
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "ok", "generation": 42, "revision": "abc"})).await;
    let shown = agent.core.fleet.host(&host("h1")).unwrap();
    let shown = serde_json::to_value(shown).unwrap();
    assert_eq!(
        [&shown["generation"], &shown["revision"]],
        [&json!(42), &json!("abc")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_malformed_whatever_its_type() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    for bad in [r#"{"type":"news" and more"#, r#"{"type":"news"}}"#] {
        assert!(agent.runs.frame(&agent.core, bad).await.is_err(), "{bad}");
    }
    assert!(
        agent
            .send(&json!({"type": "news", "x": [1]}))
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_frame_may_mix_runs_and_kinds() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    let other = "2025-12-14T10-30-00-switch-2";
    let line = |run: &str, n: u64| {
        json!({"type": "output", "host_id": "h1", "run_id": run, "command": "switch", "seq": n,
        "lines": [{"line": format!("line {n}"), "timestamp": "2025-12-14T10:30:01Z", "is_error": null}]})
    };
    agent
        .send(&json!([line(RUN, 0), line(other, 0), line(RUN, 1), {"type": "heartbeat", "host_id": "h1"}, line(other, 1)]))
        .await;
    assert_eq!([agent.log(RUN), agent.log(other)], [(2, None), (2, None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_of_hundreds_of_runs_is_answered_whole() {
    let mut agent = Connection::new().await;
    let ids: Vec<RunId> = (2..300).map(|n| run_id(&format!("{RUN}-{n}"))).collect();
    let offers: Vec<_> = ids
        .iter()
        .map(|id| json!({"run_id": id, "command": "switch", "status": "ok", "lines": 1}))
        .collect();
    let answers = agent.register(&json!(offers)).await;
    assert_eq!(answers[0]["resume"].as_array().unwrap().len(), ids.len());
    for id in &ids {
        agent.lines(id.as_str(), 0, 1).await;
        agent.status(id.as_str(), "ok", Some(1)).await;
    }
    while !agent.core.fleet.open_runs(&host("h1")).is_empty() || !agent.runs.open.is_empty() {
        agent.wait_for_replies().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_that_end_at_once_are_all_stored_as_they_ended() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    let runs: Vec<_> = (1..=12)
        .map(|n| format!("2025-12-14T10-30-{n:02}-switch"))
        .collect();
    let mut acknowledged = 0;
    for run in &runs {
        agent.lines(run, 0, 1).await;
        let replies = agent.status(run, "error", Some(1)).await;
        acknowledged += replies.iter().filter(|reply| is_final_ack(reply)).count();
    }
    while acknowledged < runs.len() {
        let replies = agent.wait_for_replies().await;
        acknowledged += replies.iter().filter(|reply| is_final_ack(reply)).count();
    }
    for run in &runs {
        assert_eq!(agent.stored(run).await, Status::Error, "{run}");
    }
    let at_hand = |run: &&String| agent.core.fleet.record(&host("h1"), &run_id(run)).is_some();
    assert_eq!(runs.iter().filter(at_hand).count(), 4, "the rest is let go");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_end_is_stored_before_its_log_is_durable() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    for n in 1.. {
        let run = &format!("2025-12-14T10-30-00-switch-{n}");
        agent.lines(run, 0, 1).await;
        let replies = agent.status(run, "ok", Some(1)).await;
        assert_eq!(agent.shown(run), Status::Ok);
        agent.core.persist(&host("h1"), &run_id(run)).await.unwrap();
        let is_durable = replies.iter().any(is_final_ack);
        let stored = agent.stored(run).await;
        assert_eq!(stored == Status::Ok, is_durable, "{stored}");
        if !is_durable {
            agent.wait_for_end().await;
            assert_eq!(agent.stored(run).await, Status::Ok);
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_message_costs_is_charged_before_the_next_one_of_its_frame_is_looked_at() {
    const MESSAGES: usize = 100;
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.runs.allowance.spend(1_900);
    // Each begins another command than the one before, and so makes a run.
    let line = |n: usize| {
        let command = ["switch", "pull"][n % 2];
        json!({"type": "output", "host_id": "h1", "command": command, "line": "x", "is_error": false})
    };
    let began = std::time::Instant::now();
    agent
        .send(&(0..MESSAGES).map(line).collect::<Value>())
        .await;
    let runs = agent.core.state.runs(&host("h1"), None, 1_000).await;
    let (made, took) = (runs.unwrap().len(), began.elapsed().as_secs_f64());
    assert!(agent.runs.has_unread());
    // Of the 100 that were left, and 50 a second, each takes 21; and the last one may take more than there is.
    let may = (100.0 + 50.0 * took) / 21.0 + 2.0;
    assert!(made as f64 <= may && made >= 4, "{made} runs in {took} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_dear_to_read_are_charged_by_their_bytes() {
    // As much as a frame may have, and an unknown field or phase for each two bytes of it.
    let list = format!("[{}0]", "0,".repeat(500_000));
    let named = |kind: &str, more: &str| {
        format!(r#"{{"type":"{kind}","host_id":"h1","run_id":"{RUN}",{more}}}"#)
    };
    let frames = [
        named("heartbeat", &format!(r#""x":{list}"#)),
        named("progress", &format!(r#""phases":{list}"#)),
        named(
            "status",
            &format!(r#""command":"switch","status":"running","cause":{list}"#),
        ),
        named("command_rejected", &format!(r#""x":{list}"#)),
        named("new", &format!(r#""x":{list}"#)),
        format!("[{}]", " ".repeat(1_000_000)),
    ];
    for frame in frames {
        let mut agent = Connection::new().await;
        agent.register(&json!([])).await;
        let began = std::time::Instant::now();
        agent.runs.allowance.spent(began);
        agent.runs.allowance.spend(1_000);
        let _ = agent.runs.frame(&agent.core, &frame).await;
        let spent = agent.runs.allowance.spent(std::time::Instant::now());
        // Meanwhile 50 a second are given back.
        let given_back = 50.0 * began.elapsed().as_secs_f64();
        assert!(
            spent + given_back > 1_000.0 + 200.0,
            "{spent}: {}",
            &frame[..60]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_real_agent_are_charged_one_by_one() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    let mark = json!({"phase": "building", "seq": 1, "started": "2025-12-14T10:30:01.000Z"});
    let progress =
        json!({"type": "progress", "host_id": "h1", "run_id": RUN, "phases": vec![mark; 30]});
    let beat = json!({"type": "heartbeat", "host_id": "h1", "system": "x".repeat(1_000)});
    agent.runs.allowance.spend(1_800);
    agent
        .send(&Value::Array(
            [vec![progress; 100], vec![beat; 99]].concat(),
        ))
        .await;
    assert!(!agent.runs.has_unread() && agent.runs.rests().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_come_one_by_one_are_free() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    let line = |n: usize| json!({"type": "output", "host_id": "h1", "command": "switch", "line": format!("line {n}"), "is_error": false});
    for n in 0..10 {
        let lines: Value = (n * 500..(n + 1) * 500).map(line).collect();
        agent.send(&lines).await;
        assert!(
            !agent.runs.has_unread() && agent.runs.rests().is_none(),
            "{n}"
        );
    }
}

/// How many more runs a host may begin by itself since then, at most.
fn own_runs_since(began: std::time::Instant) -> usize {
    1 + (began.elapsed().as_secs_f64() / 10.0).ceil() as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_begins_runs_without_end_is_slowed_down() {
    let mut agent = Connection::new().await;
    let began = std::time::Instant::now();
    agent.register(&json!([])).await;
    agent.runs.own_runs.spend(990);
    let begin = |n: usize| json!({"type": "status", "host_id": "h1", "run_id": format!("{RUN}-{}", n + 2), "command": "switch", "status": "running"});
    agent.send(&(0..60).map(begin).collect::<Value>()).await;
    assert!(agent.runs.has_unread() && agent.runs.rests().is_some());
    let made = agent.core.state.runs(&host("h1"), None, 1_000).await;
    let (made, may) = (made.unwrap().len(), 10 + own_runs_since(began));
    assert!((10..=may).contains(&made), "{made} runs");
    assert_eq!(
        agent
            .core
            .counters
            .logs_made
            .load(std::sync::atomic::Ordering::Relaxed),
        made as u64
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_runs_that_a_host_began_by_itself_each_is_taken_in_its_time_and_what_is_known_before()
 {
    const OFFERED: usize = 20;
    let mut agent = Connection::new().await;
    let began = std::time::Instant::now();
    agent.register(&json!([])).await;
    agent.status(RUN, "running", None).await;
    agent.runs.own_runs.spend(998);
    let offer = |id: String| json!({"run_id": id, "command": "switch", "status": "running"});
    let mut offers: Vec<Value> = (0..OFFERED)
        .map(|n| offer(format!("{RUN}-{}", n + 2)))
        .collect();
    offers.push(offer(RUN.into()));
    let registered = agent.register(&Value::Array(offers)).await;
    let resume = registered[0]["resume"].as_array().unwrap().clone();
    assert_eq!(resume[0]["run_id"], RUN);
    let may = 2 + own_runs_since(began);
    assert!((2..=may).contains(&resume.len()), "{resume:?}");
    let due = agent.runs.next_turn().unwrap();
    agent.runs.own_runs.give_back(OFFERED as u32);
    agent.runs.turn(&agent.core).await;
    let asked = agent.replies();
    assert_eq!(asked.len() + resume.len(), OFFERED + 1, "{asked:?}");
    assert!(
        due > began + Duration::from_secs(5),
        "it asks again and again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_frame_with_more_messages_than_a_host_may_send_at_once_none_is_lost() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.runs.allowance.spend(1_995);
    let mut frame = vec![json!({"type": "new"}); 10];
    let status = |status: &str, lines: Option<u64>| json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": status, "lines": lines});
    frame.push(status("running", None));
    let at = "2025-12-14T10:30:01.000Z";
    for n in 0..3 {
        let line = json!({"line": format!("line {n}"), "timestamp": at, "is_error": false});
        frame.push(json!({"type": "output", "host_id": "h1", "run_id": RUN, "command": "switch", "seq": n, "lines": [line]}));
    }
    frame.push(status("ok", Some(3)));
    agent.send(&Value::Array(frame)).await;
    let mut waits = 0;
    while agent.runs.has_unread() {
        if let Some(rest) = agent.runs.rests() {
            tokio::time::sleep_until(rest.into()).await;
            waits += 1;
        }
        agent.runs.read_on(&agent.core).await.unwrap();
        agent.runs.store(&agent.core).await;
    }
    assert!(waits > 0);
    agent.runs.acknowledge(&agent.core).await;
    if !agent.replies().iter().any(is_final_ack) {
        agent.wait_for_end().await;
    }
    assert_eq!(agent.log(RUN), (3, Some(Status::Ok)));
}
