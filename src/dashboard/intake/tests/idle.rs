//! Logs to which nothing is written for a while.

use super::*;
use crate::dashboard::intake::MAX_SPARE;
use std::time::Instant;

const NONE: [Value; 0] = [];

impl Connection {
    /// Does what is due when nothing has come for so long.
    fn wait_idle(&mut self, seconds: u64) {
        let later = Instant::now() + Duration::from_secs(seconds);
        self.runs.close_idle(&self.core, later);
    }

    /// Waits until this many lines of the run are acknowledged.
    async fn wait_for_ack(&mut self, run: &str, lines: u64) {
        let is_it = |message: &Value| message["run_id"] == run && message["seq"] == lines;
        while !self.wait_for_replies().await.iter().any(is_it) {}
    }

    fn is_open(&self, run: &str) -> bool {
        self.runs.open.contains_key(&run_id(run))
    }

    /// A run with three lines whose log is closed.
    async fn with_closed_log() -> Self {
        let mut agent = Self::new().await;
        agent.register(&json!([])).await;
        agent.lines(RUN, 0, 3).await;
        agent.wait_for_ack(RUN, 3).await;
        agent.wait_idle(30);
        assert!(agent.is_open(RUN), "it is needed again soon");
        agent.wait_idle(61);
        assert!(!agent.is_open(RUN));
        agent
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_idle_is_closed_and_goes_on_with_the_next_line() {
    let mut agent = Connection::with_closed_log().await;
    assert_eq!(agent.lines(RUN, 3, 2).await, NONE);
    agent.wait_for_ack(RUN, 5).await;
    agent.wait_idle(61);
    assert!(!agent.is_open(RUN));
    agent.status(RUN, "ok", Some(5)).await;
    agent.wait_for_end().await;
    assert_eq!(agent.log(RUN), (5, Some(Status::Ok)));
    assert_eq!(agent.stored(RUN).await, Status::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_log_stays_open_until_all_of_it_is_on_disk() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.core.syncer.finish(Duration::ZERO);
    agent.lines(RUN, 0, 3).await;
    for _ in 0..3 {
        agent.wait_idle(61);
        assert!(agent.is_open(RUN));
    }
    assert_eq!(agent.runs.closes_at(), None, "it waits for the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_to_which_nothing_was_written_yet_is_closed_once_its_header_is_on_disk() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    agent.status(RUN, "running", None).await;
    agent.wait_idle(61);
    assert!(agent.is_open(RUN));
    agent.runs.bell().notified().await;
    agent.wait_idle(61);
    assert!(!agent.is_open(RUN));
    agent.lines(RUN, 0, 1).await;
    assert_eq!(agent.log(RUN), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_gone_while_it_is_closed_is_asked_for_from_the_start() {
    let mut agent = Connection::with_closed_log().await;
    let (log, idx) = crate::runlog::paths(&agent.core.log_dir(&host("h1")), &run_id(RUN));
    std::fs::remove_file(log).unwrap();
    std::fs::remove_file(idx).unwrap();
    let asked = agent.lines(RUN, 3, 2).await;
    assert_eq!(asked, [json!({"type": "resume", "run_id": RUN, "seq": 0})]);
    agent.lines(RUN, 0, 5).await;
    agent.wait_for_ack(RUN, 5).await;
    assert_eq!(agent.log(RUN), (5, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_comes_back_goes_on_where_its_closed_log_ends_and_opens_none() {
    let mut agent = Connection::with_closed_log().await;
    let registered = agent.register(&offer(RUN, "running", 3)).await;
    assert_eq!(
        registered[0]["resume"],
        json!([{"run_id": RUN, "seq": 3}]),
        "{registered:?}"
    );
    assert!(!agent.is_open(RUN));
    let registered = agent.register(&json!([])).await;
    assert_eq!(registered[0]["resume"], json!([]));
    assert_eq!(agent.log(RUN), (3, Some(Status::Lost)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_a_host_that_is_away_are_closed() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    let ended = "2025-12-14T10-20-00-switch";
    agent.lines(ended, 0, 1).await;
    agent.lines(RUN, 0, 3).await;
    agent.status(ended, "ok", Some(1)).await;
    agent.runs.disconnected(&agent.core).await;
    let later = Instant::now() + Duration::from_secs(61);
    while !agent.runs.open.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        agent.runs.close_left_behind(&agent.core, later);
    }
    let offers = json!([offer(ended, "ok", 1)[0], offer(RUN, "running", 4)[0]]);
    let answer = agent.register(&offers).await;
    assert_eq!(answer[0]["resume"], json!([{"run_id": RUN, "seq": 3}]));
    assert!(answer.iter().any(is_final_ack), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_has_two_open_logs_whatever_the_others_have_and_more_only_for_a_moment() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    let others = Arc::clone(&agent.core.spare_logs);
    let others = others.acquire_many_owned(u32::try_from(MAX_SPARE).unwrap());
    let others = others.await.unwrap();
    let runs: Vec<String> = (2..6).map(|n| format!("{RUN}-{n}")).collect();
    for run in &runs {
        agent.lines(run, 0, 1).await;
    }
    let open = |agent: &Connection| runs.iter().filter(|run| agent.is_open(run)).count();
    assert_eq!(open(&agent), 2);
    drop(others);
    // The lines for which there was no room are asked for once there is.
    let mut asked = Vec::new();
    while asked.len() < 2 {
        let replies = agent.wait_for_replies().await;
        asked.extend(
            replies
                .into_iter()
                .filter(|reply| reply["type"] == "resume"),
        );
    }
    for run in &runs[2..] {
        agent.lines(run, 0, 1).await;
        agent.wait_for_ack(run, 1).await;
    }
    agent.wait_idle(2);
    assert_eq!(open(&agent), 2);
    for run in &runs {
        assert_eq!(agent.log(run).0, 1);
    }
    agent.wait_idle(61);
    let spare = agent.core.spare_logs.available_permits();
    assert_eq!((open(&agent), spare), (0, MAX_SPARE));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_an_agent_that_sends_no_line_again_stays_open() {
    let mut agent = Connection::new().await;
    agent.register(&json!([])).await;
    let line = json!({"type": "output", "host_id": "h1", "command": "switch", "line": "line 0", "is_error": false});
    agent.send(&line).await;
    agent.wait_for_replies().await;
    agent.wait_idle(3600);
    assert_eq!(agent.runs.open.len(), 1);
}
