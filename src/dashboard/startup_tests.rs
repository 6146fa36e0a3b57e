use super::*;
use crate::dashboard::fleet::Arrival;
use crate::dashboard::intake::HostRuns;
use crate::dashboard::testing::{ask, host, open, parsed, run_id, switch};
use crate::protocol::Timestamp;
use crate::protocol::{Run, Status};
use crate::runlog::{self, Header, LogReader};
use crate::runlog::{RunMeta, RunResult};
use serde_json::json;
use std::sync::Mutex;

const RUN: &str = "2025-12-14T10-30-00-switch";

/// A log of three lines as another process left it.
fn log(dir: &Path, id: &str, end: Option<Status>) -> LogWriter {
    let dir = dir.join("logs/h1");
    fs::create_dir_all(&dir).unwrap();
    let header = Header {
        command: switch(),
        host_id: host("h1"),
        meta: RunMeta {
            nonce: Some("n".into()),
            requested_by: Some("alice".into()),
            queued: None,
            started: Timestamp::from_millis(1_765_708_200_123),
            generation_before: Some(41),
            number: 0,
            then: None,
            after: None,
        },
    };
    let mut log = LogWriter::create(&dir, &run_id(id), &header).unwrap();
    for line in ["a", "b", "c"] {
        log.push(line, Timestamp::from_millis(1_765_708_201_000), Some(true));
    }
    log.flush().unwrap();
    if let Some(status) = end {
        let result = RunResult {
            message: Some("m".into()),
            duration_ms: Some(1),
            generation_after: Some(42),
            revision: Some("r".into()),
            ..RunResult::ended_at(status, Timestamp::from_millis(1_765_708_202_000))
        };
        log.finish(Some(0), result).unwrap();
    }
    log
}

async fn run(core: &Core, id: &str) -> Run {
    let stored = core.state.run(&host("h1"), &run_id(id)).await;
    stored.unwrap().unwrap().run
}

fn shown(core: &Core, id: &str) -> Run {
    let record = core.fleet.record(&host("h1"), &run_id(id));
    record.unwrap().run
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_the_files_give_the_runs_back() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), RUN, Some(Status::Ok));
    let torn = "2025-12-14T10-30-00-switch-2";
    log(dir.path(), torn, None);
    let path = dir.path().join(format!("logs/h1/{torn}.log"));
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 3);
    fs::write(path, bytes).unwrap();
    let core = open(dir.path()).await;

    let ok = run(&core, RUN).await;
    assert_eq!((ok.status, ok.lines, ok.errors), (Status::Ok, 3, Some(3)));
    assert_eq!(
        (ok.exit_code, ok.generation_before, ok.generation_after),
        (Some(0), Some(41), Some(42))
    );
    assert_eq!(ok.requested_by.as_deref(), Some("alice"));
    let torn = run(&core, torn).await;
    assert_eq!((torn.status, torn.lines), (Status::Running, 2));
    assert!(core.fleet.is_open(&host("h1"), &torn.run_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_index_is_made_anew_also_of_a_run_that_is_over() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), RUN, Some(Status::Ok));
    drop(open(dir.path()).await);
    fs::remove_file(dir.path().join(format!("logs/h1/{RUN}.idx"))).unwrap();
    let core = open(dir.path()).await;
    let run = run(&core, RUN).await;
    assert_eq!(
        (run.status, run.lines, run.errors, run.index_rebuilt),
        (Status::Ok, 3, None, true)
    );
    let opened = core.open_log(&host("h1"), &run_id(RUN)).await;
    let reader = opened.unwrap().unwrap();
    assert_eq!(reader.total().unwrap(), 3);
    assert_eq!(reader.footer().unwrap().unwrap().result.status, Status::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_logs_are_taken_in_and_many_lost_indexes_noted_with_few_commits() {
    const LOGS: usize = 1_200;
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), RUN, Some(Status::Ok));
    let folder = dir.path().join("logs/h1");
    let paths = |n: usize| runlog::paths(&folder, &run_id(&format!("{RUN}-{n}")));
    let (first, first_index) = runlog::paths(&folder, &run_id(RUN));
    for n in 2..=LOGS {
        fs::copy(&first, paths(n).0).unwrap();
        fs::copy(&first_index, paths(n).1).unwrap();
    }
    let commits = |core: &Core| {
        let counters = core.state.write_counters();
        counters.commits.load(std::sync::atomic::Ordering::Relaxed)
    };
    let count = async |core: &Core, is_rebuilt: bool| {
        let runs = core.state.runs(&host("h1"), None, 2 * LOGS).await.unwrap();
        let runs = runs.iter().filter(|record| {
            let errors = if is_rebuilt { None } else { Some(3) };
            let run = &record.run;
            (run.status, run.lines, run.errors) == (Status::Ok, 3, errors)
                && run.index_rebuilt == is_rebuilt
        });
        runs.count()
    };
    let core = open(dir.path()).await;
    assert_eq!(count(&core, false).await, LOGS);
    assert!(commits(&core) <= 10, "{} for new logs", commits(&core));

    for n in 2..=LOGS {
        fs::remove_file(paths(n).1).unwrap();
    }
    let core = open(dir.path()).await;
    assert_eq!(count(&core, true).await, LOGS - 1);
    assert!(commits(&core) <= 10, "{} for indexes", commits(&core));
    assert!(!paths(2).1.exists(), "it is made for the first reader");

    // Without the database either.
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("logs")).unwrap();
    fs::rename(&folder, other.path().join("logs/h1")).unwrap();
    let core = open(other.path()).await;
    assert_eq!(count(&core, true).await, LOGS - 1);
    assert!(commits(&core) <= 10, "{} for both", commits(&core));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_database_holds_for_running_ends_as_its_footer_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = log(dir.path(), RUN, None);
    drop(open(dir.path()).await);
    let result = RunResult::ended_at(Status::Error, Timestamp::from_millis(0));
    writer.finish(Some(3), result).unwrap();
    let core = open(dir.path()).await;
    assert_eq!(run(&core, RUN).await.exit_code, Some(3));
    assert_eq!(shown(&core, RUN).status, Status::Error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_run_shows_no_line_that_was_torn() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), RUN, None);
    drop(open(dir.path()).await);
    let path = dir.path().join(format!("logs/h1/{RUN}.log"));
    let bytes = fs::read(&path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    let core = open(dir.path()).await;
    assert_eq!(shown(&core, RUN).lines, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_are_named_at_the_same_time_are_all_shown() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let named: Arc<Mutex<BTreeSet<HostId>>> = Arc::default();
    let (core, all) = (&core, 0..40);
    let naming = all.clone().map(|n| {
        let (core, named) = (Arc::clone(core), Arc::clone(&named));
        tokio::spawn(async move {
            named.lock().unwrap().insert(host(&format!("n{n}")));
            show(&core, || named.lock().unwrap().clone()).await
        })
    });
    for one in naming.collect::<Vec<_>>() {
        one.await.unwrap().unwrap();
    }
    for n in all {
        assert!(core.fleet.has(&host(&format!("n{n}"))), "n{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_comes_back_finds_its_queued_run() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let run = ask(&core).await;
    show(&core, || [host("h2")].into()).await.unwrap();
    assert!(!core.fleet.has(&host("h1")));
    show(&core, || [host("h1"), host("h2")].into())
        .await
        .unwrap();
    assert_eq!(shown(&core, run.as_str()).status, Status::Queued);

    let mut runs = HostRuns::new(host("h1"), core.log_dir(&host("h1")));
    let register = json!({"protocol": 1, "host_id": "h1"});
    let register = serde_json::from_value(register).unwrap();
    runs.register(&core, register).await.unwrap();
    assert_eq!(parsed(&runs.take_replies())[1]["run_id"], run.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployment_outlives_its_run() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), RUN, Some(Status::Ok));
    let core = open(dir.path()).await;
    let register = json!({"protocol": 1, "host_id": "h1"});
    let register = serde_json::from_value(register).unwrap();
    // What is known of the host is stored when it registers.
    HostRuns::new(host("h1"), core.log_dir(&host("h1")))
        .register(&core, register)
        .await
        .unwrap();
    core.state
        .remove_runs(vec![(host("h1"), run_id(RUN))])
        .await
        .unwrap();
    let core = open(dir.path()).await;
    let shown = serde_json::to_value(core.fleet.host(&host("h1"))).unwrap();
    assert_eq!(
        [
            &shown["deployment"]["run_id"],
            &shown["deployment"]["generation"]
        ],
        [&json!(RUN), &json!(42)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_left_behind_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), RUN, Some(Status::Ok));
    let core = open(dir.path()).await;
    core.state
        .remove_runs(vec![(host("h1"), run_id(RUN))])
        .await
        .unwrap();
    let core = open(dir.path()).await;
    assert!(
        core.state
            .run(&host("h1"), &run_id(RUN))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(fs::read_dir(dir.path().join("logs/h1")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_a_killed_program_left_unfinished_is_removed_and_one_that_is_being_made_stays()
 {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), RUN, Some(Status::Ok));
    let at = |name: &str| dir.path().join("logs/h1").join(name);
    let (left, of_nothing, made) = (
        at(&format!("{RUN}.idx.new")),
        at("2024-01-01T00-00-00-pull.idx.new"),
        at(&format!("{RUN}-2.idx.new")),
    );
    for path in [&left, &of_nothing, &made] {
        fs::write(path, "half an index").unwrap();
    }
    let maker = fs::File::open(&made).unwrap();
    maker.lock().unwrap();
    let core = open(dir.path()).await;
    assert_eq!(run(&core, RUN).await.lines, 3);
    let are_there = [&left, &of_nothing, &made].map(|path| path.exists());
    assert_eq!(are_there, [false, false, true]);
    // What was left keeps no index from being made.
    drop(maker);
    fs::write(&left, "x".repeat(1 << 16)).unwrap();
    runlog::rebuild_index(&dir.path().join("logs/h1"), &run_id(RUN)).unwrap();
    let reader = LogReader::open(&dir.path().join("logs/h1"), &run_id(RUN)).unwrap();
    assert!(reader.index_rebuilt() && reader.footer().unwrap().is_some());
    assert!(!left.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_row_cannot_be_read_is_known_by_its_log_again() {
    let dir = tempfile::tempdir().unwrap();
    let [ended, without_index, going_on, no_log, bad_log] = [
        RUN.to_owned(),
        format!("{RUN}-2"),
        format!("{RUN}-3"),
        format!("{RUN}-4"),
        format!("{RUN}-5"),
    ];
    for (id, end) in [
        (&ended, Some(Status::Ok)),
        (&without_index, Some(Status::Error)),
        (&going_on, None),
        (&no_log, Some(Status::Ok)),
        (&bad_log, Some(Status::Ok)),
    ] {
        log(dir.path(), id, end);
    }
    let before = {
        let core = open(dir.path()).await;
        let all = "UPDATE runs SET record = 'no json', number = 7 WHERE open = 0";
        let ended_before = run(&core, &ended).await;
        let bad = core
            .state
            .call(move |connection| connection.execute(all, []));
        assert_eq!(bad.await.unwrap(), 4);
        let open = "UPDATE runs SET record = CAST(x'ff' AS TEXT) WHERE open = 1";
        let bad = core
            .state
            .call(move |connection| connection.execute(open, []));
        assert_eq!(bad.await.unwrap(), 1);
        ended_before
    };
    let at = |name: String| dir.path().join("logs/h1").join(name);
    fs::remove_file(at(format!("{without_index}.idx"))).unwrap();
    fs::remove_file(at(format!("{no_log}.idx"))).unwrap();
    fs::remove_file(at(format!("{no_log}.log"))).unwrap();
    fs::write(at(format!("{bad_log}.log")), "no log").unwrap();

    let core = open(dir.path()).await;
    let now = run(&core, &ended).await;
    let expected = Run {
        number: 7,
        ..before
    };
    assert_eq!(now, expected);
    let now = run(&core, &without_index).await;
    assert_eq!((now.status, now.index_rebuilt), (Status::Error, true));
    assert_eq!(run(&core, &going_on).await.lines, 3);
    assert!(core.fleet.is_open(&host("h1"), &run_id(&going_on)));
    for (id, why) in [(&no_log, "no log"), (&bad_log, "its log")] {
        let now = run(&core, id).await;
        let message = now.message.unwrap();
        assert_eq!(now.status, Status::Lost);
        assert!(message.contains(why), "{message}");
    }
    let warned = core.health.warnings().join(" ");
    for part in [
        "runs that were rebuilt from their logs: 3",
        "runs without a readable log, now shown as lost: 2",
    ] {
        assert!(warned.contains(part), "{warned}");
    }
    assert!(!warned.contains("h1") && !warned.contains(RUN), "{warned}");
    let core = open(dir.path()).await;
    assert_eq!(core.health.warnings(), [] as [&str; 0], "all were mended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_damaged_while_the_dashboard_runs_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), RUN, Some(Status::Ok));
    let core = open(dir.path()).await;
    let at_hand = ask(&core).await;
    let before = [run(&core, RUN).await, shown(&core, at_hand.as_str())];
    let bad = core.state.call(|connection| {
        connection.execute("UPDATE runs SET record = replace(record, 'h1', '')", [])
    });
    assert_eq!(bad.await.unwrap(), 2);
    let statuses = async || {
        let runs = core.state.runs(&host("h1"), None, 9).await.unwrap();
        let mut runs: Vec<_> = runs.into_iter().map(|record| record.run).collect();
        runs.sort_by_key(|run| run.number);
        runs
    };
    let lost = statuses().await;
    assert!(
        lost.iter().all(|run| run.status == Status::Lost),
        "{lost:?}"
    );
    assert_eq!(lost.len(), 2);
    mend::rows_met(&core).await;
    assert_eq!(statuses().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_chose_for_a_host_holds_after_it_was_taken_out_and_named_again() {
    let dir = tempfile::tempdir().unwrap();
    let core = open(dir.path()).await;
    let register = |boot: &str| -> crate::protocol::Register {
        let register = json!({"protocol": 1, "host_id": "h1", "hostname": boot, "machine_id": "m", "boot_id": boot});
        serde_json::from_value(register).unwrap()
    };
    let arrive = |boot: &str| core.fleet.arrive(&host("h1"), &register(boot), None);
    core.fleet.register(&host("h1"), &register("one"));
    for boot in ["one", "other", "one"] {
        arrive(boot);
    }
    assert!(core.fleet.choose_machine(&host("h1"), "one", None));
    for _ in 0..2 {
        assert_eq!(arrive("other"), Arrival::NotChosen);
        show(&core, BTreeSet::new).await.unwrap();
        assert!(!core.fleet.has(&host("h1")));
        show(&core, || [host("h1")].into()).await.unwrap();
        let facts = core.fleet.stored_host(&host("h1")).unwrap().facts;
        assert_eq!(facts.hostname.as_deref(), Some("one"));
    }
    assert_eq!(arrive("other"), Arrival::NotChosen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_row_goes_bad_while_its_host_is_taken_out_is_known_by_its_log() {
    let dir = tempfile::tempdir().unwrap();
    log(dir.path(), RUN, Some(Status::Ok));
    let core = open(dir.path()).await;
    let before = run(&core, RUN).await;
    show(&core, BTreeSet::new).await.unwrap();
    let damage = "UPDATE runs SET record = 'no json'";
    let bad = core
        .state
        .call(move |connection| connection.execute(damage, []));
    assert_eq!(bad.await.unwrap(), 1);
    show(&core, || [host("h1")].into()).await.unwrap();
    assert_eq!(shown(&core, RUN), before);
    mend::rows_met(&core).await;
    assert_eq!(run(&core, RUN).await, before);
}
