use super::frame::Frame;
use super::messages::Subscribe;
use super::subscription::Subscription;
use crate::dashboard::core::Core;
use crate::dashboard::fleet::Tail;
use crate::dashboard::state::RunRecord;
use crate::dashboard::testing::{host, open, switch};
use crate::protocol::{MAX_FRAME_BYTES, MAX_LINE_BYTES, Run, RunId, Status, Timestamp};
use crate::runlog::{Batch, Header, LogWriter};
use proptest::prelude::*;
use serde_json::Value;
use std::sync::Arc;

/// A run that goes on.
struct Running {
    core: Arc<Core>,
    id: RunId,
    log: LogWriter,
    tail: Arc<Tail>,
}

impl Running {
    fn begin(core: &Arc<Core>, n: u32) -> Self {
        let started = Timestamp::from_millis(0);
        let id = RunId::compose(started, &switch(), n);
        let mut run = Run::queued(id.clone(), host("h1"), switch());
        run.status = Status::Running;
        let tail = core.fleet.add_run(RunRecord::of(run)).unwrap();
        let dir = core.log_dir(&host("h1"));
        std::fs::create_dir_all(&dir).unwrap();
        let header = Header::started_at(host("h1"), switch(), started);
        let log = LogWriter::create(&dir, &id, &header).unwrap();
        Self {
            core: Arc::clone(core),
            id,
            log,
            tail,
        }
    }

    fn print(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            self.log.push(&line, Timestamp::from_millis(0), Some(false));
        }
        self.log.flush().unwrap();
        self.tail.advance(self.log.next_seq(), self.log.errors());
    }

    fn end(&self) {
        self.core.fleet.update_run(&host("h1"), &self.id, |record| {
            record.run.status = Status::Ok;
        });
    }
}

fn wish(run_id: Option<RunId>, from: Option<i64>) -> Subscribe {
    Subscribe {
        sub: Some("s".into()),
        host_id: host("h1"),
        run_id,
        from,
    }
}

/// What the next frame holds, and whether there is more: of each line its run, number and text.
fn frame(core: &Core, subscription: &mut Subscription) -> (Vec<(String, u64, String)>, bool) {
    let (mut frame, mut batch) = (Frame::default(), Batch::default());
    let more = subscription.fill(core, &mut frame, &mut batch).unwrap();
    if frame.is_empty() {
        return (Vec::new(), more);
    }
    let text = frame.finish();
    assert!(text.len() <= MAX_FRAME_BYTES, "a frame of {}", text.len());
    let messages: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut lines = Vec::new();
    for message in &messages {
        let first = message["seq"].as_u64().unwrap();
        for (line, seq) in message["lines"].as_array().unwrap().iter().zip(first..) {
            let text = line["line"].as_str().unwrap().to_owned();
            lines.push((message["run_id"].as_str().unwrap().to_owned(), seq, text));
        }
    }
    (lines, more)
}

fn rest(core: &Core, subscription: &mut Subscription) -> Vec<(String, u64, String)> {
    let mut all = Vec::new();
    loop {
        let (lines, more) = frame(core, subscription);
        assert!(more || lines.len() < 100_000);
        let empty = lines.is_empty();
        all.extend(lines);
        if !more {
            return all;
        }
        assert!(!empty, "a frame that brings nothing on");
    }
}

fn line() -> impl Strategy<Value = (char, usize)> {
    let text = prop_oneof![Just('a'), Just('\u{1}'), Just('"'), Just('ä')];
    let length = prop_oneof![4 => 0..200usize, 1 => 0..MAX_LINE_BYTES / 2];
    (text, length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn whatever_the_batches_no_line_is_skipped_or_repeated(
        batches in prop::collection::vec(prop::collection::vec(line(), 0..60), 1..6), look_between: bool) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let core = open(dir.path()).await;
            let mut run = Running::begin(&core, 1);
            let mut subscription = Subscription::new(&core, &Arc::default(), wish(None, None)).await.unwrap();
            let (mut want, mut got) = (Vec::new(), Vec::new());
            for batch in &batches {
                let lines: Vec<_> = batch.iter().map(|(c, n)| c.to_string().repeat(*n)).collect();
                run.print(lines.clone());
                want.extend(lines);
                if look_between {
                    got.extend(frame(&core, &mut subscription).0);
                }
            }
            got.extend(rest(&core, &mut subscription));
            let seqs: Vec<_> = got.iter().map(|(_, seq, _)| *seq).collect();
            assert_eq!(seqs, (0..want.len() as u64).collect::<Vec<_>>());
            assert!(got.iter().map(|(_, _, text)| text).eq(&want));
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_lines_with_the_longest_escapes_fit_into_frames() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let mut run = Running::begin(&core, 1);
    run.print((0..20).map(|_| "\u{1}".repeat(MAX_LINE_BYTES)));
    let mut subscription = Subscription::new(&core, &Arc::default(), wish(None, None))
        .await
        .unwrap();
    assert_eq!(rest(&core, &mut subscription).len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lines_by_the_hundred_thousand_fit_into_frames() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let mut run = Running::begin(&core, 1);
    run.print((0..100_000).map(|_| String::new()));
    let mut subscription = Subscription::new(&core, &Arc::default(), wish(None, None))
        .await
        .unwrap();
    assert_eq!(rest(&core, &mut subscription).len(), 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_counts_from_either_end_and_later_runs_begin_at_0() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let mut first = Running::begin(&core, 1);
    first.print((0..10).map(|n| n.to_string()));
    for (from, place) in [
        (None, 0),
        (Some(4), 4),
        (Some(-3), 7),
        (Some(-30), 0),
        (Some(i64::MIN), 0),
    ] {
        let subscription = Subscription::new(&core, &Arc::default(), wish(None, from))
            .await
            .unwrap();
        assert_eq!(
            subscription.place(),
            (Some(&first.id), place, 10),
            "{from:?}"
        );
    }
    let mut subscription = Subscription::new(&core, &Arc::default(), wish(None, Some(-3)))
        .await
        .unwrap();
    first.print(["10".to_owned()]);
    first.end();
    let mut second = Running::begin(&core, 2);
    second.print(["0".to_owned()]);
    let got = rest(&core, &mut subscription);
    let seqs: Vec<_> = got
        .iter()
        .map(|(_, seq, text)| (*seq, text.as_str()))
        .collect();
    assert_eq!(seqs, [(7, "7"), (8, "8"), (9, "9"), (10, "10"), (0, "0")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_went_out_of_sight_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let mut first = Running::begin(&core, 1);
    let mut subscription = Subscription::new(&core, &Arc::default(), wish(None, None))
        .await
        .unwrap();
    first.print(["0".to_owned(), "1".to_owned()]);
    first.end();
    for n in 2..9 {
        Running::begin(&core, n).end();
    }
    for (host_id, run_id) in core.fleet.unstored() {
        core.persist(&host_id, &run_id).await.unwrap();
    }
    assert!(core.fleet.record(&host("h1"), &first.id).is_none());
    assert_eq!(rest(&core, &mut subscription).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_browser_is_jumped_ahead_only_beyond_ten_thousand_lines() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let mut run = Running::begin(&core, 1);
    let mut subscription = Subscription::new(&core, &Arc::default(), wish(None, None))
        .await
        .unwrap();
    run.print((0..10_000).map(|n| n.to_string()));
    subscription.jump(&core);
    assert_eq!(subscription.place().1, 0);
    run.print(["10000".to_owned()]);
    subscription.jump(&core);
    assert_eq!(rest(&core, &mut subscription)[0].1, 9_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_long_only_where_it_may_be_and_misses_no_line_else() {
    const LINE_BYTES: usize = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let mut run = Running::begin(&core, 1);
    run.print((0..1_000).map(|_| "x".repeat(LINE_BYTES)));
    for is_long in [false, true] {
        let share = Arc::default();
        let subscription = Subscription::new(&core, &share, wish(None, None));
        let mut subscription = subscription.await.unwrap();
        let (mut frames, mut next, mut batch) = (0, 0, Batch::default());
        loop {
            let mut frame = Frame::default();
            frame.set_long(is_long);
            let more = subscription.fill(&core, &mut frame, &mut batch).unwrap();
            let text = frame.finish();
            let most = if is_long { 1_024 } else { 64 } * 1024 + 2 * LINE_BYTES;
            assert!(text.len() < most, "{}", text.len());
            for message in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
                assert_eq!(message["seq"], next);
                next += message["lines"].as_array().unwrap().len();
            }
            frames += 1;
            if !more {
                break;
            }
        }
        assert_eq!(next, 1_000);
        assert!(if is_long { frames < 4 } else { frames > 10 }, "{frames}");
    }
}

#[tokio::test]
async fn long_news_in_a_short_frame_leave_room_for_lines() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let mut run = Running::begin(&core, 1);
    run.print(["a line".to_owned()]);
    let share = Arc::default();
    let subscription = Subscription::new(&core, &share, wish(None, None));
    let mut subscription = subscription.await.unwrap();
    let mut frame = Frame::default();
    let detail = "x".repeat(100 * 1024);
    frame.push(&crate::dashboard::live::ToBrowser::Error {
        sub: None,
        detail: &detail,
    });
    assert!(!frame.has_room_for_lines());
    frame.begin_lines();
    let more = subscription.fill(&core, &mut frame, &mut Batch::default());
    assert!(!more.unwrap());
    assert!(frame.finish().contains("a line"));
}

#[test]
fn hosts_are_taken_as_they_are_written_and_all_of_them_come() {
    let fleet = crate::dashboard::fleet::Fleet::default();
    let names: Vec<_> = (0..3_000).map(|n| host(&format!("h{n:05}"))).collect();
    fleet.set_hosts(names.clone());
    let taken = std::cell::Cell::new(0);
    let views = names.iter().filter_map(|id| fleet.host(id));
    let mut hosts = views.inspect(|_| taken.set(taken.get() + 1)).peekable();
    let (mut told, mut frames) = (Vec::new(), 0);
    loop {
        let mut frame = Frame::default();
        frame.push_hosts(&mut hosts);
        let text = frame.finish();
        assert!(text.len() <= MAX_FRAME_BYTES);
        let messages: Vec<Value> = serde_json::from_str(&text).unwrap();
        let ids = messages[0]["hosts"].as_array().unwrap().iter();
        told.extend(ids.map(|host| host["id"].as_str().unwrap().to_owned()));
        assert!(
            taken.get() <= told.len() + 1,
            "more are in memory than were written"
        );
        frames += 1;
        if messages[0]["more"] == false {
            break;
        }
    }
    assert!(frames > 2, "{frames} frames");
    assert!(told.iter().eq(names.iter().map(|name| name.as_str())));
}
