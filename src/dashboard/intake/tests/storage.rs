//! What happens when a log cannot be written, or was damaged.

use super::*;
use std::path::Path;

fn block(dir: &Path) {
    std::fs::remove_dir_all(dir).ok();
    std::fs::write(dir, "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_log_cannot_be_made_is_asked_for_once_it_can() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    let dir = agent.core.log_dir(&host("h1"));
    block(&dir);
    agent.status(RUN, "running", None).await;
    assert_eq!(agent.lines(RUN, 0, 3).await, [] as [Value; 0]);
    assert_eq!(agent.status(RUN, "ok", Some(3)).await, [] as [Value; 0]);
    assert!(agent.core.health.reason().is_some());
    std::fs::remove_file(&dir).unwrap();
    let asked = agent.wait_for_replies().await;
    assert_eq!(asked, [json!({"type": "resume", "run_id": RUN, "seq": 0})]);
    agent.lines(RUN, 0, 3).await;
    agent.status(RUN, "ok", Some(3)).await;
    agent.wait_for_end().await;
    assert_eq!(agent.log(RUN), (3, Some(Status::Ok)));
    agent.core.probe().await;
    assert_eq!(agent.core.health.reason(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_drops_lines_and_asks_once_when_there_is_room() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.lines(RUN, 0, 2).await;
    agent.wait_for_replies().await;
    let (path, _) = crate::runlog::paths(&agent.core.log_dir(&host("h1")), &run_id(RUN));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let log = &mut agent.runs.open.get_mut(&run_id(RUN)).unwrap().log;
    log.replace_log_file_for_test(full.unwrap());
    assert_eq!(agent.lines(RUN, 2, 2).await, [] as [Value; 0]);
    assert_eq!(agent.status(RUN, "ok", Some(6)).await, [] as [Value; 0]);
    assert!(agent.core.health.reason().unwrap().contains("No space"));
    for _ in 0..2 {
        let turn = agent.runs.next_turn().unwrap();
        tokio::time::sleep_until(turn.into()).await;
        agent.runs.turn(&agent.core).await;
        assert_eq!(agent.replies(), [] as [Value; 0], "the disk is still full");
    }
    let room = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    let log = &mut agent.runs.open.get_mut(&run_id(RUN)).unwrap().log;
    log.replace_log_file_for_test(room.unwrap());
    let asked = agent.wait_for_replies().await;
    assert_eq!(asked, [json!({"type": "resume", "run_id": RUN, "seq": 2})]);
    assert_eq!(
        agent.lines(RUN, 4, 2).await,
        [] as [Value; 0],
        "asked for already"
    );
    agent.lines(RUN, 2, 4).await;
    assert_eq!(agent.log(RUN), (6, Some(Status::Ok)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_index_was_lost_says_so() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.lines(RUN, 0, 3).await;
    let (_, idx) = crate::runlog::paths(&agent.core.log_dir(&host("h1")), &run_id(RUN));
    std::fs::remove_file(idx).unwrap();
    agent.runs = HostRuns::new(host("h1"), agent.core.log_dir(&host("h1")));
    agent.register(&offer(RUN, "running", 3)).await;
    let run = agent
        .core
        .fleet
        .record(&host("h1"), &run_id(RUN))
        .unwrap()
        .run;
    assert_eq!((run.lines, run.errors, run.index_rebuilt), (3, None, true));
}
