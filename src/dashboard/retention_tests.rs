//! What goes, and what stays.

use super::*;
use crate::dashboard::intake::HostRuns;
use crate::dashboard::state::RunRecord;
use crate::dashboard::testing::{host, open, parsed, switch};
use crate::protocol::{Run, Status};
use serde_json::json;
use std::os::unix::fs::MetadataExt;

async fn retain(core: &Arc<Core>, limits: Retention) {
    let started = Instant::now();
    let mut retaining = Retaining::new(limits, started);
    retaining.turn(core, started + QUIET_AFTER_START).await;
}

fn days(days: u64, max_bytes: u64) -> Retention {
    Retention { days, max_bytes }
}

/// What each run of these tests takes on disk: a block of its log, and its row.
const A_RUN: u64 = 4_096 + ROW_BYTES;

/// Ended runs of `h1` asked for so many days ago, each with a log that takes one block.
async fn ended(core: &Arc<Core>, days: &[i64]) -> Vec<RunId> {
    ended_of(core, "h1", days).await
}

async fn ended_of(core: &Arc<Core>, id: &str, days: &[i64]) -> Vec<RunId> {
    let dir = core.log_dir(&host(id));
    std::fs::create_dir_all(&dir).unwrap();
    let mut ids = Vec::new();
    for age in days {
        let at = Timestamp::from_millis(Timestamp::now().millis() - age * DAY_MS);
        let (of, id) = (host(id), RunId::compose(at, &switch(), 1));
        let mut run = Run::queued(id.clone(), of.clone(), switch());
        (run.status, run.queued) = (Status::Ok, Some(at));
        let record = RunRecord::of(run);
        core.state.import(vec![record.clone()]).await.unwrap();
        core.fleet.add_run(record);
        std::fs::write(runlog::paths(&dir, &id).0, [0; 4_096]).unwrap();
        ids.push(id);
    }
    ids
}

async fn left(core: &Arc<Core>) -> Vec<RunId> {
    left_of(core, "h1").await
}

async fn left_of(core: &Arc<Core>, id: &str) -> Vec<RunId> {
    let runs = core.state.runs(&host(id), None, 100).await.unwrap();
    let runs: Vec<_> = runs.into_iter().map(|record| record.run.run_id).collect();
    let files = std::fs::read_dir(core.log_dir(&host(id))).unwrap();
    assert_eq!(files.count(), runs.len());
    runs
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_removes_the_oldest_and_their_hosts_are_told_that_they_are_settled() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let ids = ended(&core, &[9, 5, 3, 1]).await;
    retain(&core, days(0, 0)).await;
    assert_eq!(left(&core).await.len(), 4);
    retain(&core, days(7, 0)).await;
    assert_eq!(
        left(&core).await,
        [&ids[3], &ids[2], &ids[1]].map(Clone::clone)
    );
    retain(&core, days(0, A_RUN * 3 / 2)).await;
    assert_eq!(left(&core).await, [ids[3].clone()]);

    let mut runs = HostRuns::new(host("h1"), core.log_dir(&host("h1")));
    let offer = json!([{"run_id": ids[0], "command": "switch", "status": "ok", "lines": 7}]);
    let register = json!({"protocol": 1, "host_id": "h1", "runs": offer});
    let register = serde_json::from_value(register).unwrap();
    runs.register(&core, register).await.unwrap();
    let answers = parsed(&runs.take_replies());
    assert_eq!(answers[0]["resume"], json!([]));
    assert_eq!(answers[1]["final"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_that_takes_most_pushes_out_its_own_history_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let quiet = ended_of(&core, "h2", &[300, 200]).await;
    let many: Vec<i64> = (1..=20).rev().collect();
    let loud = ended_of(&core, "h1", &many).await;
    retain(&core, days(0, 10 * A_RUN)).await;
    assert_eq!(left_of(&core, "h2").await.len(), quiet.len());
    let kept: Vec<_> = loud.iter().rev().take(8).cloned().collect();
    assert_eq!(left(&core).await, kept, "its newest");
    // Of two that take as much, each gives as much.
    retain(&core, days(0, 2 * A_RUN)).await;
    assert_eq!(left(&core).await, kept[..1]);
    assert_eq!(left_of(&core, "h2").await, quiet[1..]);
}

/// As many whole blocks of a log as so many of these runs take, in bytes.
fn log_of(runs: u64) -> usize {
    let bytes = runs * A_RUN - ROW_BYTES;
    usize::try_from(bytes - bytes % 4_096).unwrap()
}

/// Makes a run of `h1` that goes on and takes as much as so many others.
async fn going_on(core: &Arc<Core>, others: u64) -> RunId {
    let id = RunId::compose(Timestamp::from_millis(0), &switch(), 1);
    let mut run = Run::queued(id.clone(), host("h1"), switch());
    run.status = Status::Running;
    let record = RunRecord::of(run);
    core.state.import(vec![record]).await.unwrap();
    let dir = core.log_dir(&host("h1"));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(runlog::paths(&dir, &id).0, vec![0; log_of(others)]).unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_stays_and_takes_at_most_half_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let quiet = ended_of(&core, "h2", &[8, 7, 6, 5, 4, 3, 2, 1]).await;
    let long = going_on(&core, 3).await;
    retain(&core, days(0, 9 * A_RUN)).await;
    assert_eq!(
        left_of(&core, "h2").await.len(),
        6,
        "there is room for both"
    );
    going_on(&core, 50).await;
    retain(&core, days(0, 9 * A_RUN)).await;
    assert_eq!(left(&core).await, [long]);
    let kept: Vec<_> = quiet.iter().rev().take(4).cloned().collect();
    assert_eq!(left_of(&core, "h2").await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_hosts_that_give_nothing_however_many_the_others_lose_no_more_than_half() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let quiet = ended_of(&core, "h2", &[8, 7, 6, 5, 4, 3, 2, 1]).await;
    going_on(&core, 50).await;
    let newest = ended_of(&core, "h3", &[1]).await;
    let (log, _) = runlog::paths(&core.log_dir(&host("h3")), &newest[0]);
    std::fs::write(log, vec![0; log_of(20)]).unwrap();
    retain(&core, days(0, 9 * A_RUN)).await;
    assert_eq!(left_of(&core, "h3").await, newest);
    let kept: Vec<_> = quiet.iter().rev().take(4).cloned().collect();
    assert_eq!(left_of(&core, "h2").await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_runs_that_give_nothing_keep_no_others_from_giving() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let left_behind = vec![0; 4 * A_RUN as usize];
    for n in 0..RUNS_AT_A_TIME + 10 {
        let dir = core.log_dir(&host(&format!("n{n}")));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("left-behind"), &left_behind).unwrap();
    }
    ended(&core, &[5, 4, 3, 2, 1]).await;
    assert!(
        !by_size(&core, 5 * A_RUN).await,
        "it is looked again at once"
    );
    assert_eq!(left(&core).await.len(), 2, "half of it is for them");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_began_goes_with_the_runs_of_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let ids = ended(&core, &[4, 3, 2, 1]).await;
    for (id, status) in [(&ids[0], Status::Expired), (&ids[3], Status::Rejected)] {
        let mut record = core.state.run(&host("h1"), id).await.unwrap().unwrap();
        record.run.status = status;
        core.state.import(vec![record]).await.unwrap();
        std::fs::remove_file(runlog::paths(&core.log_dir(&host("h1")), id).0).unwrap();
    }
    retain(&core, days(0, A_RUN)).await;
    let runs = core.state.runs(&host("h1"), None, 100).await.unwrap();
    let runs: Vec<_> = runs.into_iter().map(|record| record.run.run_id).collect();
    assert_eq!(
        runs,
        [ids[3].clone(), ids[2].clone()],
        "the newest with a log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_again_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let ids = ended(&core, &[2, 1]).await;
    let mut record = core.state.run(&host("h1"), &ids[0]).await.unwrap().unwrap();
    record.run.status = Status::Running;
    core.state.import(vec![record]).await.unwrap();
    assert!(remove(&core, &[(host("h1"), ids[0].clone())]).await);
    assert_eq!(left(&core).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_run_of_a_host_stays_however_much_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let ids = ended(&core, &[3, 2, 1]).await;
    retain(&core, days(0, 1)).await;
    assert_eq!(left(&core).await, ids[2..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn much_that_comes_is_looked_at_before_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let mut retaining = Retaining::new(days(0, 16_384), Instant::now());
    let now = Instant::now();
    retaining.turn(&core, now).await;
    ended(&core, &[5, 4, 3, 2, 1]).await;
    core.counters
        .bytes_received
        .fetch_add(1_023, Ordering::Relaxed);
    retaining.turn(&core, now).await;
    assert_eq!(left(&core).await.len(), 5);
    core.counters.bytes_received.fetch_add(1, Ordering::Relaxed);
    retaining.turn(&core, now).await;
    assert_eq!(left(&core).await.len(), 3);
}

/// What is left of `h1` on disk, and how many files that is.
fn on_disk_of_h1(core: &Arc<Core>) -> (u64, usize) {
    let files: Vec<_> = entries(&core.log_dir(&host("h1"))).collect();
    let blocks = files.iter().map(|file| file.metadata().unwrap().blocks());
    (512 * blocks.sum::<u64>(), files.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_counts_for_is_what_it_takes_on_disk() {
    const RUNS: i64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let days_ago: Vec<i64> = (1..=RUNS).rev().collect();
    for id in ended(&core, &days_ago).await {
        let (log, idx) = runlog::paths(&core.log_dir(&host("h1")), &id);
        std::fs::write(log, [0; 300]).unwrap();
        std::fs::write(idx, [0; 40]).unwrap();
    }
    let (before, _) = on_disk_of_h1(&core);
    let most = 20 * EMPTY_RUN_BYTES;
    assert!(before > most, "{before} bytes: blocks of 4 KiB");
    retain(&core, days(0, most)).await;
    let (after, files) = on_disk_of_h1(&core);
    assert!(after <= most, "{after} bytes on disk, {most} may be taken");
    assert_eq!(files, 2 * 20, "and no more than that goes");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_new_logs_are_looked_at_before_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    // A sixteenth of it is ten empty runs.
    let mut retaining = Retaining::new(days(0, 160 * EMPTY_RUN_BYTES), Instant::now());
    let now = Instant::now();
    retaining.turn(&core, now).await;
    ended(&core, &(1..=400).rev().collect::<Vec<_>>()).await;
    core.counters.logs_made.fetch_add(9, Ordering::Relaxed);
    retaining.turn(&core, now).await;
    assert_eq!(on_disk_of_h1(&core).1, 400);
    core.counters.logs_made.fetch_add(1, Ordering::Relaxed);
    retaining.turn(&core, now).await;
    assert!(on_disk_of_h1(&core).1 < 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_by_age_just_after_the_start_nor_by_a_clock_that_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let ids = ended(&core, &[900, 500, 400]).await;
    let started = Instant::now();
    let mut retaining = Retaining::new(days(90, 0), started);
    retaining.turn(&core, started).await;
    assert_eq!(left(&core).await.len(), 3, "just after the start");
    let now = Timestamp::now();
    core.clock.doubt_for_test(now);
    retain(&core, days(90, 0)).await;
    assert_eq!(left(&core).await.len(), 3, "by a clock that is wrong");
    core.clock.believe_for_test();
    retain(&core, days(90, 0)).await;
    assert_eq!(left(&core).await, [ids[2].clone()], "once it is right");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_asked_for_while_the_clock_was_years_behind_is_as_old_as_its_number_says() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let ids = ended(&core, &[400, 3, 2_000, 1]).await;
    for (number, id) in (1..).zip(&ids) {
        let mut record = core.state.run(&host("h1"), id).await.unwrap().unwrap();
        record.run.number = number;
        core.state.import(vec![record]).await.unwrap();
    }
    retain(&core, days(90, 0)).await;
    let left = left(&core).await;
    assert!(!left.contains(&ids[0]), "400 days");
    assert!(ids[1..].iter().all(|id| left.contains(id)), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_log_of_each_host_outlives_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let first = ended(&core, &[500, 400]).await;
    let other = ended_of(&core, "h2", &[300, 200]).await;
    // It never began, so it is no log that somebody could read.
    let mut record = core
        .state
        .run(&host("h1"), &first[0])
        .await
        .unwrap()
        .unwrap();
    let at = Timestamp::from_millis(Timestamp::now().millis() - 350 * DAY_MS);
    record.run.run_id = RunId::compose(at, &switch(), 1);
    (record.run.status, record.run.queued) = (Status::Expired, Some(at));
    core.state.import(vec![record]).await.unwrap();
    retain(&core, days(90, 0)).await;
    let runs = core.state.runs(&host("h1"), None, 100).await.unwrap();
    assert!(runs.iter().any(|record| record.run.run_id == first[1]));
    assert!(runs.iter().all(|record| record.run.run_id != first[0]));
    assert_eq!(left_of(&core, "h2").await, [other[1].clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_log_stays_however_many_commands_came_after_it_that_never_began() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let ids = ended(&core, &[5, 4]).await;
    let never_began = (1..=2_500).map(|n| {
        let at = Timestamp::from_millis(Timestamp::now().millis() - 3 * DAY_MS + n);
        let mut run = Run::queued(
            RunId::compose(at, &switch(), u32::try_from(n).unwrap()),
            host("h1"),
            switch(),
        );
        (run.status, run.queued) = (Status::Expired, Some(at));
        RunRecord::of(run)
    });
    core.state.import(never_began.collect()).await.unwrap();
    let has_log = |id| runlog::paths(&core.log_dir(&host("h1")), id).0.exists();
    retain(&core, days(0, 1)).await;
    assert!(!has_log(&ids[0]) && has_log(&ids[1]), "by size");
    retain(&core, days(1, 0)).await;
    assert!(has_log(&ids[1]), "by age");
}
