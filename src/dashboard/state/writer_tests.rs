use super::super::{Known, Lane, State, StateError, StoredHost};
use super::*;
use crate::dashboard::testing::{host, run_id};
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::pin::pin;
use tokio::task::unconstrained;

fn open(dir: &std::path::Path) -> State {
    State::open(&dir.join("db")).unwrap()
}

/// Keeps the writer busy until the sender is dropped.
async fn hold(state: &State) -> std::sync::mpsc::SyncSender<()> {
    let (free, freed) = std::sync::mpsc::sync_channel::<()>(1);
    let (begun, begins) = oneshot::channel();
    let holder = state.clone();
    tokio::spawn(async move {
        holder
            .call(move |_| {
                let _ = begun.send(());
                let _ = freed.recv();
                Ok(())
            })
            .await
    });
    begins.await.unwrap();
    free
}

fn commits(state: &State) -> u64 {
    state.write_counters().commits.load(Ordering::Relaxed)
}

fn put(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    let put = "INSERT INTO hosts VALUES (?1, '{}')";
    connection.execute(put, [id]).map(drop)
}

async fn names(state: &State) -> Vec<String> {
    let hosts = state.hosts().await.unwrap();
    hosts.into_iter().map(|(id, _)| id.to_string()).collect()
}

#[tokio::test]
async fn all_that_wait_share_one_commit_and_are_answered_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let held = hold(&state).await;
    let before = commits(&state);
    let ids: Vec<_> = (0..200).map(|n| host(&format!("h{n}"))).collect();
    let mut all =
        pin!(unconstrained(join_all(ids.iter().map(|id| {
            state.save_host(id, || Some(StoredHost::default()))
        }))));
    assert!(all.as_mut().now_or_never().is_none(), "answered before");
    drop(held);
    assert!(all.await.iter().all(Result::is_ok));
    assert_eq!(commits(&state) - before, 1);
    assert_eq!(names(&state).await.len(), 200);
}

#[tokio::test]
async fn more_than_fit_wait_in_order_and_none_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let ids: Vec<_> = (0..2_000).map(|n| host(&format!("h{n}"))).collect();
    let saved = join_all(
        ids.iter()
            .map(|id| state.save_host(id, || Some(StoredHost::default()))),
    )
    .await;
    assert!(saved.iter().all(Result::is_ok));
    assert_eq!(names(&state).await.len(), 2_000);
}

#[tokio::test]
async fn a_job_that_fails_takes_nobody_with_it_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let held = hold(&state).await;
    let jobs = join_all((0..9).map(|n| {
        state.call(move |connection| {
            put(connection, &format!("h{n}"))?;
            // The second one of that name is refused.
            if n == 4 {
                put(connection, "h0")
            } else {
                Ok(())
            }
        })
    }));
    let mut jobs = pin!(jobs);
    assert!(jobs.as_mut().now_or_never().is_none());
    drop(held);
    for (n, answer) in jobs.await.into_iter().enumerate() {
        assert_eq!(answer.is_ok(), n != 4, "{n}");
    }
    assert_eq!(names(&state).await.len(), 8);
}

#[tokio::test]
async fn when_sqlite_undoes_the_transaction_those_before_are_told_and_those_behind_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let held = hold(&state).await;
    let jobs = join_all((0..5).map(|n| {
        state.call(move |connection| {
            if n == 2 {
                connection.execute("ROLLBACK", [])?;
            }
            put(connection, &format!("h{n}"))
        })
    }));
    let mut jobs = pin!(jobs);
    assert!(jobs.as_mut().now_or_never().is_none());
    drop(held);
    let answers = jobs.await;
    let well: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(well, [false, false, false, true, true]);
    let mut stored = names(&state).await;
    stored.retain(|name| name != "h2");
    assert_eq!(stored, ["h3", "h4"]);
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_all_of_its_batch_and_the_next_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let tables = "CREATE TABLE p(id PRIMARY KEY);
                  CREATE TABLE c(id REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED);";
    state.call(|c| c.execute_batch(tables)).await.unwrap();
    let held = hold(&state).await;
    let jobs = join_all((0..3).map(|n| {
        state.call(move |connection| {
            put(connection, &format!("h{n}"))?;
            connection.execute("INSERT INTO c VALUES (1)", []).map(drop)
        })
    }));
    let mut jobs = pin!(jobs);
    assert!(jobs.as_mut().now_or_never().is_none());
    drop(held);
    assert!(jobs.await.iter().all(Result::is_err));
    assert!(names(&state).await.is_empty());
    state
        .call(|connection| put(connection, "h9"))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_people_ask_for_comes_before_hosts_that_register_and_reads_wait_for_neither() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let held = hold(&state).await;
    let turns = Arc::new(AtomicU64::new(0));
    let turn = |lane| {
        let turns = Arc::clone(&turns);
        state.write(lane, move |_| Ok(turns.fetch_add(1, Ordering::Relaxed)))
    };
    let mut hosts = pin!(unconstrained(join_all((0..300).map(|_| turn(Lane::Host)))));
    let mut run = pin!(unconstrained(turn(Lane::Run)));
    let mut command = pin!(unconstrained(turn(Lane::Request)));
    assert!(hosts.as_mut().now_or_never().is_none());
    assert!(run.as_mut().now_or_never().is_none());
    assert!(command.as_mut().now_or_never().is_none());
    let (h1, id) = (host("h1"), run_id("2025-12-14T10-30-00-switch"));
    assert_eq!(state.runs(&h1, None, 10).await.unwrap(), []);
    assert_eq!(state.known_run(&h1, &id).await.unwrap(), Known::Nothing);
    drop(held);
    assert_eq!((command.await.unwrap(), run.await.unwrap()), (0, 1));
    hosts.await;
}

#[tokio::test]
async fn a_job_whose_asker_is_gone_is_done_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let held = hold(&state).await;
    let asked = state
        .call(|connection| put(connection, "h1"))
        .now_or_never();
    assert!(asked.is_none());
    drop(held);
    state.call(|_| Ok(())).await.unwrap();
    assert_eq!(names(&state).await, ["h1"]);
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(dir.path());
    let written = state.read(|connection| put(connection, "h1")).await;
    assert!(matches!(written, Err(StateError::Sqlite { .. })));
}
