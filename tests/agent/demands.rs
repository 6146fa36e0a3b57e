//! A dashboard in wrong hands that asks its agent for all it can.

use crate::starvation::Starvation;
use crate::support::{Agent, Connection, Fleet, PATIENCE, Sender, until};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Utf8Bytes;

const RUN: &str = "2025-12-14T10-30-00-switch";
const SECOND: &str = "2025-12-14T10-30-01-switch";
const THIRD: &str = "2025-12-14T10-30-02-switch";

/// For how long it asks, at least.
const ATTACK: Duration = Duration::from_secs(4);
/// So often it has asked for everything before it ends.
const MIN_ROUNDS: u64 = 20;
/// It has been refused more often, and has had more lines.
const MIN_REFUSALS: u64 = 400;
const MIN_LINES: u64 = 10;
/// How many of the last counts of the kernel are kept, one for each message with lines.
const MAX_COUNTS: usize = 200;
/// How late a line of the run may come, beyond what the machine itself makes it. Without optimisation the program takes
/// many times as long for everything.
const LATE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_500 } else { 300 });
const MAX_RESIDENT_KIB: u64 = 200 * 1024;

/// Everything that an agent can be asked for, as frames: what it does not have, what it has in the wrong places, and
/// commands and stops of long names.
fn demands() -> Vec<Utf8Bytes> {
    let id = |n: usize| format!("2024-12-14T10-30-00-switch-{}", n + 2);
    let long = "x".repeat(1_000);
    let messages: [&dyn Fn(usize) -> Value; 7] = [
        &|n| json!({"type": "stop", "run_id": id(n), "requested_by": long, "force": true}),
        &|n| json!({"type": "command", "run_id": id(n), "nonce": long, "command": "switch", "requested_by": long}),
        &|_| json!({"type": "command", "run_id": RUN, "nonce": "n", "command": "switch", "requested_by": long}),
        &|n| json!({"type": "resume", "run_id": id(n), "seq": u64::MAX}),
        &|_| json!({"type": "resume", "run_id": RUN, "seq": 0}),
        &|_| json!({"type": "resume", "run_id": RUN, "seq": u64::MAX}),
        &|_| json!({"type": "ack", "run_id": RUN, "seq": u64::MAX}),
    ];
    let frame = |message: &&dyn Fn(usize) -> Value| (0..400).map(message).collect();
    let mut frames: Vec<Value> = messages.iter().map(frame).collect();
    let resume: Vec<Value> = (0..10_000)
        .map(|n| json!({"run_id": id(n), "seq": 0}))
        .collect();
    frames.push(json!({"type": "registered", "host_id": "h1", "resume": resume}));
    frames
        .iter()
        .map(|frame| frame.to_string().into())
        .collect()
}

/// Asks for everything again and again, until that is over; counts how often.
fn ask(mut to: Sender, over: &Arc<AtomicBool>, rounds: &Arc<AtomicU64>) -> JoinHandle<Sender> {
    let (over, rounds) = (Arc::clone(over), Arc::clone(rounds));
    tokio::spawn(async move {
        let demands = demands();
        while !over.load(Ordering::Relaxed) {
            for demand in &demands {
                to.send_text(demand.clone()).await;
            }
            rounds.fetch_add(1, Ordering::Relaxed);
        }
        to
    })
}

/// For how long something happened that a line says when it happened, in nanoseconds since 1970.
fn since(line: &Value) -> Duration {
    let written = line["line"].as_str().unwrap().parse().unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    now.saturating_sub(Duration::from_nanos(written))
}

async fn until_end(connection: &mut Connection, run: &str, from: u64) -> (Vec<String>, Value) {
    let ended = timeout(PATIENCE, connection.until_end(run, from)).await;
    ended.expect("it did not end")
}

/// What an agent did so far.
struct Work {
    /// For how long it had a processor.
    busy: Duration,
    at: Instant,
}

impl Work {
    fn of(agent: &Agent) -> Self {
        let at = Instant::now();
        let stat = fs::read_to_string(format!("/proc/{}/stat", agent.0.id())).unwrap();
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        let numbers = after_name.split_whitespace().skip(11).take(2);
        let ticks: u32 = numbers.map(|ticks| ticks.parse::<u32>().unwrap()).sum();
        let busy = Duration::from_millis(10) * ticks;
        Self { busy, at }
    }
}

/// A line is timed from when its child writes it to when the dashboard has it. What others than the agent and the
/// supervisor took of the machine meanwhile is taken off, see [`Starvation`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dashboard_that_asks_for_all_it_can_leaves_its_agent_able_to_run() {
    let fleet = Fleet::new().await;
    let script = "[ -e \"$TEST_FOLDER/goes-on\" ] || echo out\n\
                  while [ -e \"$TEST_FOLDER/goes-on\" ]; do date +%s%N; sleep 0.05; done";
    let agent = fleet.agent(script, "");
    let (mut connection, _) = fleet.register().await;
    connection.command(RUN, "n", "switch").await;
    connection.until_end(RUN, 0).await;
    let before = agent.resident_kib();
    agent.forget_peak();

    // A run goes on while it asks.
    fs::write(fleet.path("goes-on"), "").unwrap();
    connection.command(SECOND, "n", "switch").await;
    let is_line = |message: &Value| message["type"] == "output" && message["run_id"] == SECOND;
    let first = connection.expect("output").await;
    assert!(is_line(&first));
    let (over, rounds) = (Arc::default(), Arc::default());
    let asking = ask(connection.lend_sender(), &over, &rounds);
    let (began, work) = (Instant::now(), Work::of(&agent));
    let mut lines = first["lines"].as_array().unwrap().len() as u64;
    let (mut answers, mut slowest) = (0, Duration::ZERO);
    let mut ours = Some(Duration::ZERO);
    let processes = agent.with_supervisor();
    let mut counts = VecDeque::from_iter(Starvation::of(&processes));
    while began.elapsed() < ATTACK
        || rounds.load(Ordering::Relaxed) < MIN_ROUNDS
        || answers <= MIN_REFUSALS
        || lines <= MIN_LINES
    {
        assert!(began.elapsed() < 2 * PATIENCE, "{rounds:?} rounds");
        let message = connection.next().await;
        answers += u64::from(message["type"] == "command_rejected");
        if !is_line(&message) {
            continue;
        }
        let now = Starvation::of(&processes);
        assert_eq!(message["seq"], lines, "a hole or a repetition");
        for line in message["lines"].as_array().unwrap() {
            let took = since(line);
            lines += 1;
            slowest = slowest.max(took);
            // Since the line was written; several may have waited together.
            let before = counts.iter().rfind(|counts| counts.at.elapsed() >= took);
            let before = before.or_else(|| counts.front());
            let lost = now.as_ref().zip(before);
            let lost = lost.map(|(now, before)| now.since(before));
            ours = ours
                .zip(lost)
                .map(|(ours, lost)| ours.max(took.saturating_sub(lost)));
        }
        counts.extend(now);
        if counts.len() > MAX_COUNTS {
            counts.pop_front();
        }
    }
    let (lasted, worked) = (began.elapsed(), Work::of(&agent));
    let processors = (worked.busy - work.busy).as_secs_f64() / (worked.at - work.at).as_secs_f64();
    over.store(true, Ordering::Relaxed);
    fs::remove_file(fleet.path("goes-on")).unwrap();
    let (_, status) = until_end(&mut connection, SECOND, lines).await;
    assert_eq!(status["status"], "ok");
    connection.take_back(asking.await.unwrap());

    // It is still able to run.
    connection.command(THIRD, "n", "switch").await;
    let (third, status) = until_end(&mut connection, THIRD, 0).await;
    assert_eq!((third.len(), &status["status"]), (1, &json!("ok")));
    let journal = fleet.log().lines().count();
    let grown = agent.resident_kib().saturating_sub(before);
    let (peak, rounds) = (agent.peak_kib(), rounds.load(Ordering::Relaxed));
    crate::measured(&format!(
        "asked for everything {rounds} times in {lasted:?}: {answers} refusals, {lines} lines, the slowest after {slowest:?}, {ours:?} of it ours; {processors:.2} processors, {grown} KiB more, {peak} KiB at the peak, {journal} lines in the journal"
    ));
    assert!(
        ours.is_none_or(|ours| ours < LATE),
        "{ours:?} of {slowest:?}"
    );
    // One thread asks nothing of the processor on which the run goes on.
    assert!(processors < 1.2, "{processors:.2} processors");
    assert!(journal < 1_500, "{journal} lines in its journal");
    let files = || fs::read_dir(format!("/proc/{}/fd", agent.0.id())).unwrap();
    until("few open files", || files().count() < 64).await;
    assert!(grown < 40_000, "{grown} KiB");
    assert!(peak < MAX_RESIDENT_KIB, "{peak} KiB");
    let runs = fs::read_dir(fleet.path("state/runs")).unwrap();
    assert_eq!(runs.count(), 3, "nothing of the others is on the disk");
}
