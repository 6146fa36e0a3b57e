use super::super::Known;
use super::*;
use crate::dashboard::testing::{host, run_id, switch};

/// SQL of records that cannot be read.
const DAMAGES: [&str; 8] = [
    "''",
    "'no json'",
    "'null'",
    "substr(record, 1, length(record) / 2)",
    "replace(record, '\"status\":\"ok\"', '\"status\":\"splendid\"')",
    "replace(record, '\"lines\":', '\"lines\":-')",
    "CAST(x'ff00fe' AS TEXT)",
    "replace(record, '-switch\"', '-pull\"')",
];

/// A state with three ended runs of `h1`, the middle one with a damaged row.
async fn damaged(dir: &std::path::Path, damage: &'static str) -> (State, Vec<RunId>) {
    let state = State::open(&dir.join("x.sqlite")).unwrap();
    let mut ids = Vec::new();
    for second in 1..=3 {
        let at = Timestamp::from_millis(second * 1_000);
        let mut run = Run::queued(RunId::compose(at, &switch(), 1), host("h1"), switch());
        (run.status, run.number) = (Status::Ok, second.unsigned_abs());
        (run.queued, run.started, run.lines) = (Some(at), Some(at), 7);
        ids.push(run.run_id.clone());
        state.import(vec![RunRecord::of(run)]).await.unwrap();
    }
    let middle = ids[1].to_string();
    let changed = state
        .call(move |connection| {
            let damage = format!("UPDATE runs SET record = {damage} WHERE run_id = ?1");
            connection.execute(&damage, [middle])
        })
        .await;
    assert_eq!(changed.unwrap(), 1);
    (state, ids)
}

fn statuses(records: &[RunRecord]) -> Vec<(RunId, Status)> {
    let of = |record: &RunRecord| (record.run.run_id.clone(), record.run.status);
    records.iter().map(of).collect()
}

#[tokio::test]
async fn a_run_whose_row_cannot_be_read_is_in_every_list_as_lost() {
    for damage in DAMAGES {
        let dir = tempfile::tempdir().unwrap();
        let (state, ids) = damaged(dir.path(), damage).await;
        let h1 = host("h1");
        let [first, middle, last] = [0, 1, 2].map(|n| {
            let status = if n == 1 { Status::Lost } else { Status::Ok };
            (ids[n].clone(), status)
        });
        let all = state.runs(&h1, None, 10).await.unwrap();
        let expected = [last.clone(), middle.clone(), first.clone()];
        assert_eq!(statuses(&all), expected, "{damage}");
        assert_eq!((all[1].run.number, &all[1].run.command), (2, &switch()));
        let message = all[1].run.message.as_deref();
        assert!(message.unwrap().contains("cannot be read"), "{message:?}");
        let newer = state.newer_runs(&h1, &ids[0], 10).await.unwrap();
        assert_eq!(statuses(&newer), [middle.clone(), last.clone()], "{damage}");
        let one = state.run(&h1, &ids[1]).await.unwrap().unwrap();
        assert_eq!(one.run.status, Status::Lost, "{damage}");
        let known = state.known_run(&h1, &ids[1]).await.unwrap();
        assert!(matches!(known, Known::Run(_)), "{damage}: {known:?}");
        let met: Vec<_> = state.take_unread_runs();
        assert_eq!(met.len(), 1, "{damage}: it is told once");
        assert_eq!(met[0].run_id, ids[1]);
        // The newest row of a host, which a start shows.
        state
            .remove_runs(vec![(h1.clone(), ids[2].clone())])
            .await
            .unwrap();
        let latest = state.open_and_latest_runs().await.unwrap();
        assert_eq!(statuses(&latest), std::slice::from_ref(&middle), "{damage}");
        let deployed = state.deployments().await.unwrap();
        assert_eq!(statuses(&deployed), [middle], "{damage}");
        let known = state.known_ids(&h1).await.unwrap();
        assert_eq!(known.len(), 3, "{damage}");
    }
}

#[tokio::test]
async fn a_look_through_all_rows_finds_those_that_cannot_be_read_and_they_can_be_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (state, ids) = damaged(dir.path(), DAMAGES[6]).await;
    let rows = PAGE_ROWS + 10;
    state
        .call(move |connection| {
            let mut add = connection.prepare(
                "INSERT INTO runs(host_id, run_id, at, open, record) VALUES ('h2', ?1, 0, 0, 'x')",
            )?;
            for n in 1..=rows {
                add.execute([format!("2025-12-14T10-30-00-switch-{n}")])?;
            }
            let nameless = "INSERT INTO runs(host_id, run_id, at, open, record)
                VALUES (CAST(x'ff' AS TEXT), 'a', 0, 0, 'x'), ('h3', CAST(x'fe' AS TEXT), 0, 0, 'x')";
            connection.execute(nameless, [])
        })
        .await
        .unwrap();
    let mut search = UnreadSearch::default();
    let mut turns = 0;
    while !search.is_over {
        search = state.look_for_unread_runs(search).await.unwrap();
        turns += 1;
    }
    assert_eq!((search.found.len(), turns), (rows + 1, 2));
    assert_eq!(search.nameless, 2);
    assert_eq!(search.found[0].run_id, ids[1]);
    let known = state.known_ids(&host("h3")).await.unwrap();
    assert_eq!(known.len(), 1, "a name that is no text is no error");

    let mut records: Vec<_> = search
        .found
        .iter()
        .filter_map(|run| run.stand_in(", as a test says"))
        .collect();
    assert_eq!(records.len(), rows + 1);
    // A row that can be read is left alone.
    let mut good = records[0].clone();
    good.run.run_id = ids[0].clone();
    records.push(good);
    state.mend_runs(records).await.unwrap();
    let again = state.look_for_unread_runs(UnreadSearch::default()).await;
    assert_eq!(again.unwrap().found, []);
    let first = state.run(&host("h1"), &ids[0]).await.unwrap().unwrap();
    assert_eq!(first.run.status, Status::Ok);
    let (h2, ninth) = (host("h2"), run_id("2025-12-14T10-30-00-switch-9"));
    let mended = state.run(&h2, &ninth).await.unwrap().unwrap();
    assert!(mended.run.message.unwrap().ends_with("as a test says"));
}

#[tokio::test]
async fn that_an_index_was_lost_puts_no_stand_in_in_the_place_of_a_row_that_cannot_be_read() {
    for damage in DAMAGES {
        let dir = tempfile::tempdir().unwrap();
        let (state, ids) = damaged(dir.path(), damage).await;
        let lost = ids.iter().map(|id| (host("h1"), id.clone())).collect();
        state.indexes_were_lost(lost).await.unwrap();
        let met = state.take_unread_runs();
        assert_eq!(met.len(), 1, "{damage}: it waits to be made anew");
        // As its log tells of it.
        let mut run = Run::queued(ids[1].clone(), host("h1"), switch());
        (run.status, run.lines, run.index_rebuilt) = (Status::Ok, 7, true);
        state.mend_runs(vec![RunRecord::of(run)]).await.unwrap();
        let all = state.runs(&host("h1"), None, 10).await.unwrap();
        for record in &all {
            let run = &record.run;
            let now = (run.status, run.lines, run.index_rebuilt);
            assert_eq!(now, (Status::Ok, 7, true), "{damage}: {}", run.run_id);
        }
        assert_eq!(all.len(), ids.len());
    }
}
