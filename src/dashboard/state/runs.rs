use super::hosts::{self, StoredHost};
use super::run_rows::{self, COLUMNS, UnreadRuns};
use super::{Lane, State, StateError};
use crate::protocol::{Deployment, HostId, Run, RunId, Status, Timestamp};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A run, and what only the dashboard needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    #[serde(flatten)]
    pub(crate) run: Run,
    /// With which it was asked for; unknown of runs that an agent began by itself.
    pub(crate) nonce: Option<String>,
    /// Whether the host may know of it.
    pub(crate) sent: bool,
    /// That somebody asked for its end.
    pub(crate) stop: Option<StopWish>,
    /// What starting the run's `then` takes, while that may still come to be. Gone once it was started, or the run
    /// ended in any other way than `ok`, or somebody asked for its end.
    #[serde(default)]
    pub(crate) follow_up: Option<FollowUp>,
}

/// What the run that follows another one is stored with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FollowUp {
    pub(crate) nonce: String,
    /// How long it waits for its host, in milliseconds from when it is started.
    pub(crate) expires_ms: i64,
}

/// What is stored of a run at once.
#[derive(Debug)]
pub(crate) struct ToStore {
    pub(crate) record: RunRecord,
    /// Its host, where the run is its deployment.
    pub(crate) host: Option<StoredHost>,
}

/// What the database says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// There is such a run.
    Run(Box<RunRecord>),
    /// There was one, which retention took.
    Removed,
    /// There never was one.
    Nothing,
}

const REMOVED: &str = "SELECT 1 FROM removed WHERE host_id = ?1 AND run_id = ?2";

/// Somebody asked for the end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StopWish {
    pub(crate) requested_by: String,
    pub(crate) force: bool,
    #[serde(default = "Timestamp::now")]
    pub(crate) at: Timestamp,
}

impl RunRecord {
    /// A run that nobody here asked for.
    pub(crate) fn of(run: Run) -> Self {
        Self {
            run,
            nonce: None,
            sent: true,
            stop: None,
            follow_up: None,
        }
    }

    /// Since when its host is to end it, while it has not ended.
    pub(crate) fn stop_requested(&self) -> Option<Timestamp> {
        let stop = self.stop.as_ref();
        stop.filter(|_| !self.run.status.is_final())
            .map(|wish| wish.at)
    }

    /// Drops the wish to stop a run that activates by now: its host refuses it without force.
    pub(crate) fn drop_refused_stop(&mut self) {
        let is_activating = self.run.phase.is_some_and(|phase| phase.is_activating());
        self.stop.take_if(|wish| is_activating && !wish.force);
    }

    /// Drops the follow-up of a run that ended in any other way than `ok`.
    pub(crate) fn settle_follow_up(&mut self) {
        let status = self.run.status;
        if status.is_final() && status != Status::Ok {
            self.follow_up = None;
        }
    }

    /// Whether the run ended well and its `then` is to be started.
    pub(crate) fn is_followed(&self) -> bool {
        self.run.status == Status::Ok && self.follow_up.is_some()
    }

    /// The run to start after this one, whose id is yet to be found. From then on it is no longer to be started.
    fn take_follower(&mut self, number: impl FnOnce() -> u64) -> Option<Self> {
        self.settle_follow_up();
        if !self.is_followed() {
            return None;
        }
        let FollowUp { nonce, expires_ms } = self.follow_up.take()?;
        let command = self.run.then.clone()?;
        let now = Timestamp::now();
        let run_id = RunId::compose(now, &command, 1);
        let mut run = Run::queued(run_id, self.run.host_id.clone(), command);
        run.number = number();
        run.after = Some(self.run.run_id.clone());
        run.requested_by.clone_from(&self.run.requested_by);
        run.queued = Some(now);
        let expires = now.millis().saturating_add(expires_ms);
        run.expires = Some(Timestamp::from_millis(expires));
        Some(Self {
            nonce: Some(nonce),
            sent: false,
            ..Self::of(run)
        })
    }

    fn at(&self) -> i64 {
        self.run
            .queued
            .or(self.run.started)
            .map_or(0, Timestamp::millis)
    }

    /// The run's place among all runs: greater for a newer one.
    pub(crate) fn rank(&self) -> (u64, i64, RunId) {
        (self.run.number, self.at(), self.run.run_id.clone())
    }
}

pub(super) fn write(connection: &Connection, record: &RunRecord) -> rusqlite::Result<()> {
    let run = &record.run;
    let open = matches!(run.status, Status::Queued | Status::Running);
    let json = serde_json::to_string(record).unwrap_or_default();
    let mut save = connection.prepare_cached(
        "INSERT INTO runs(host_id, run_id, at, open, record, number, deployed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT(host_id, run_id) DO UPDATE SET at = excluded.at, open = excluded.open,
             record = excluded.record, number = excluded.number, deployed = excluded.deployed",
    )?;
    save.execute(params![
        run.host_id.as_str(),
        run.run_id.as_str(),
        record.at(),
        open,
        json,
        run.number.cast_signed(),
        Deployment::of(run).is_some()
    ])
    .map(drop)
}

/// Gives a run the first id that is free in its second.
fn find_id(connection: &Connection, record: &mut RunRecord) -> rusqlite::Result<()> {
    let when = record.run.queued.unwrap_or_else(Timestamp::now);
    let mut attempt = 1;
    loop {
        record.run.run_id = RunId::compose(when, &record.run.command, attempt);
        let id = (record.run.host_id.as_str(), record.run.run_id.as_str());
        let taken = "SELECT 1 FROM runs WHERE host_id = ?1 AND run_id = ?2
                     UNION ALL SELECT 1 FROM removed WHERE host_id = ?1 AND run_id = ?2";
        if !connection.prepare_cached(taken)?.exists(id)? {
            return Ok(());
        }
        attempt += 1;
    }
}

/// Stores a run, and with its end the run that follows it: the database alone says whether that was done before, so
/// it is done once. Gives the run that follows.
fn write_with_follower(
    connection: &Connection,
    record: &mut RunRecord,
    numbers: &AtomicU64,
    unread: &UnreadRuns,
) -> rusqlite::Result<Option<RunRecord>> {
    let run = &record.run;
    let is_pending = record.is_followed()
        && run_rows::one(
            connection,
            run.host_id.as_str(),
            run.run_id.as_str(),
            unread,
        )?
        .is_some_and(|before| before.follow_up.is_some());
    let follower = record.take_follower(|| numbers.fetch_add(1, Ordering::Relaxed) + 1);
    let mut follower = follower.filter(|_| is_pending);
    write(connection, record)?;
    if let Some(follower) = &mut follower {
        find_id(connection, follower)?;
        write(connection, follower)?;
    }
    Ok(follower)
}

impl State {
    /// Gives each run the first id that is free in its second, and stores them all in one transaction.
    pub(crate) async fn add_runs(
        &self,
        mut records: Vec<RunRecord>,
    ) -> Result<Vec<RunRecord>, StateError> {
        self.call(move |connection| {
            for record in &mut records {
                find_id(connection, record)?;
                write(connection, record)?;
            }
            Ok(records)
        })
        .await
    }

    /// Stores what `latest` gives at the moment of writing, so that no older state can overtake a newer one.
    /// Gives what came with it, and the run that follows it where this is its end.
    pub(crate) async fn save_run<T: Send + 'static>(
        &self,
        lane: Lane,
        latest: impl FnOnce() -> Option<(ToStore, T)> + Send + 'static,
    ) -> Result<Option<(T, Option<RunRecord>)>, StateError> {
        let (numbers, unread) = (Arc::clone(&self.numbers), Arc::clone(&self.unread_runs));
        self.write(lane, move |connection| {
            let Some((ToStore { mut record, host }, with)) = latest() else {
                return Ok(None);
            };
            let follower = write_with_follower(connection, &mut record, &numbers, &unread)?;
            if let Some(host) = host {
                hosts::write(connection, &record.run.host_id, &host)?;
            }
            Ok(Some((with, follower)))
        })
        .await
    }

    /// Stores the ends of runs that ended while the dashboard was away, with the runs that follow them; gives those.
    pub(crate) async fn settle(
        &self,
        mut records: Vec<RunRecord>,
    ) -> Result<Vec<RunRecord>, StateError> {
        let (numbers, unread) = (Arc::clone(&self.numbers), Arc::clone(&self.unread_runs));
        self.call(move |connection| {
            let mut followers = Vec::new();
            for record in &mut records {
                followers.extend(write_with_follower(connection, record, &numbers, &unread)?);
            }
            Ok(followers)
        })
        .await
    }

    /// Stores runs that were found as files.
    pub(crate) async fn import(&self, records: Vec<RunRecord>) -> Result<(), StateError> {
        if records.is_empty() {
            return Ok(());
        }
        if let Some(highest) = records.iter().map(|record| record.run.number).max() {
            self.numbers.fetch_max(highest, Ordering::Relaxed);
        }
        self.call(move |connection| {
            records
                .iter()
                .try_for_each(|record| write(connection, record))
        })
        .await
    }

    /// Notes of runs that are over that their indexes are gone: which of their lines were errors is not known any
    /// more.
    pub(crate) async fn indexes_were_lost(
        &self,
        runs: Vec<(HostId, RunId)>,
    ) -> Result<(), StateError> {
        if runs.is_empty() {
            return Ok(());
        }
        let unread = Arc::clone(&self.unread_runs);
        self.call(move |connection| {
            for (host_id, run_id) in &runs {
                let record = run_rows::to_change(connection, host_id, run_id, &unread)?;
                let is_news =
                    |record: &RunRecord| record.run.status.is_final() && !record.run.index_rebuilt;
                if let Some(mut record) = record.filter(is_news) {
                    (record.run.errors, record.run.index_rebuilt) = (None, true);
                    write(connection, &record)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// One run.
    pub(crate) async fn run(
        &self,
        host_id: &HostId,
        run_id: &RunId,
    ) -> Result<Option<RunRecord>, StateError> {
        let (host, run) = (host_id.to_string(), run_id.to_string());
        let unread = Arc::clone(&self.unread_runs);
        self.read(move |connection| run_rows::one(connection, &host, &run, &unread))
            .await
    }

    /// At most `limit` runs of a host, newest first, older than `before`.
    pub(crate) async fn runs(
        &self,
        host_id: &HostId,
        before: Option<&RunId>,
        limit: usize,
    ) -> Result<Vec<RunRecord>, StateError> {
        let (host, before) = (host_id.to_string(), before.map(RunId::to_string));
        let unread = Arc::clone(&self.unread_runs);
        self.read(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM runs WHERE host_id = ?1 AND (?2 IS NULL OR
                     (number, at, run_id) <
                     (SELECT number, at, run_id FROM runs WHERE host_id = ?1 AND run_id = ?2))
                 ORDER BY number DESC, at DESC, run_id DESC LIMIT ?3"
            );
            let mut some = connection.prepare_cached(&query)?;
            run_rows::records(&mut some, params![host, before, limit as i64], &unread)
        })
        .await
    }

    /// The ids of at most `limit` runs of a host, newest first, older than `before`.
    pub(crate) async fn ids_before(
        &self,
        host_id: &HostId,
        before: Option<&RunId>,
        limit: usize,
    ) -> Result<Vec<RunId>, StateError> {
        let (host, before) = (host_id.to_string(), before.map(RunId::to_string));
        self.read(move |connection| {
            let mut some = connection.prepare_cached(
                "SELECT run_id FROM runs WHERE host_id = ?1 AND (?2 IS NULL OR
                     (number, at, run_id) <
                     (SELECT number, at, run_id FROM runs WHERE host_id = ?1 AND run_id = ?2))
                 ORDER BY number DESC, at DESC, run_id DESC LIMIT ?3",
            )?;
            let rows = some.query_map(params![host, before, limit as i64], |row| {
                row.get::<_, String>(0)
            })?;
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(rows.iter().filter_map(|run| RunId::new(run).ok()).collect())
        })
        .await
    }

    /// Of every host the runs that are not over, and the newest one.
    pub(crate) async fn open_and_latest_runs(&self) -> Result<Vec<RunRecord>, StateError> {
        let unread = Arc::clone(&self.unread_runs);
        self.read(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM runs WHERE open = 1 UNION
                 SELECT {COLUMNS} FROM runs WHERE (host_id, run_id) IN
                     (SELECT host_id, (SELECT run_id FROM runs WHERE host_id = h.host_id
                                       ORDER BY number DESC, at DESC, run_id DESC LIMIT 1)
                      FROM (SELECT DISTINCT host_id FROM runs) h)"
            );
            let mut some = connection.prepare_cached(&query)?;
            let mut records = run_rows::records(&mut some, [], &unread)?;
            records.sort_by_key(RunRecord::rank);
            Ok(records)
        })
        .await
    }

    /// Of every host the newest run that activated a system or set the boot default.
    pub(crate) async fn deployments(&self) -> Result<Vec<RunRecord>, StateError> {
        let unread = Arc::clone(&self.unread_runs);
        self.read(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM runs WHERE (host_id, run_id) IN
                     (SELECT host_id, (SELECT run_id FROM runs WHERE host_id = h.host_id AND deployed = 1
                                       ORDER BY number DESC, at DESC, run_id DESC LIMIT 1)
                      FROM (SELECT DISTINCT host_id FROM runs WHERE deployed = 1) h)"
            );
            let mut some = connection.prepare_cached(&query)?;
            run_rows::records(&mut some, [], &unread)
        })
        .await
    }

    /// The number of the next run: higher than that of every run before.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The ids of all runs of a host that are known, or (`true`) were removed.
    pub(crate) async fn known_ids(
        &self,
        host_id: &HostId,
    ) -> Result<HashMap<String, bool>, StateError> {
        let host = host_id.to_string();
        self.read(move |connection| {
            let all = "SELECT run_id, 0 FROM runs WHERE host_id = ?1 UNION ALL SELECT run_id, 1 FROM removed WHERE host_id = ?1";
            let mut all = connection.prepare_cached(all)?;
            // An id that is no text is that of no log.
            all.query_map([host], |row| Ok((row.get(0).unwrap_or_default(), row.get(1)?)))?.collect()
        })
        .await
    }

    /// Ended runs of all hosts that were asked for before this, oldest first, without the newest run of each host
    /// and without the first `skip`. One that was asked for after a run that is not so old is none of them, whatever
    /// the clock said then.
    pub(crate) async fn ended_before(
        &self,
        before: Timestamp,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<(HostId, RunId)>, StateError> {
        self.read(move |connection| {
            let mut some = connection.prepare_cached(
                "SELECT host_id, run_id FROM runs r WHERE open = 0 AND at < ?1 AND EXISTS
                     (SELECT 1 FROM runs n WHERE n.host_id = r.host_id AND (n.number, n.at, n.run_id) > (r.number, r.at, r.run_id))
                     AND (r.number = 0 OR r.number < (SELECT coalesce(min(number), 9223372036854775807) FROM runs
                         WHERE number > 0 AND at BETWEEN ?1 AND ?4))
                 ORDER BY at, run_id LIMIT ?2 OFFSET ?3",
            )?;
            let now = Timestamp::now().millis();
            let bounds = params![before.millis(), limit as i64, skip as i64, now];
            let rows = some.query_map(bounds, |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let ids = |(host, run): (String, String)| {
                Some((HostId::new(&host).ok()?, RunId::new(&run).ok()?))
            };
            Ok(rows.into_iter().filter_map(ids).collect())
        })
        .await
    }

    /// Ended runs of a host, oldest first.
    pub(crate) async fn ended_of(
        &self,
        host_id: &HostId,
        limit: usize,
    ) -> Result<Vec<RunId>, StateError> {
        let host = host_id.to_string();
        self.read(move |connection| {
            let mut some = connection.prepare_cached(
                "SELECT run_id FROM runs WHERE host_id = ?1 AND open = 0 ORDER BY number, at, run_id LIMIT ?2",
            )?;
            let rows = some.query_map(params![host, limit as i64], |row| row.get::<_, String>(0))?;
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(rows.iter().filter_map(|run| RunId::new(run).ok()).collect())
        })
        .await
    }

    /// Forgets those of these runs that are over, but for the fact that there were some; gives which. All go in one
    /// transaction.
    pub(crate) async fn remove_runs(
        &self,
        runs: Vec<(HostId, RunId)>,
    ) -> Result<Vec<(HostId, RunId)>, StateError> {
        self.call(move |connection| {
            let mut delete = connection.prepare_cached(
                "DELETE FROM runs WHERE host_id = ?1 AND run_id = ?2 AND open = 0",
            )?;
            let mut note =
                connection.prepare_cached("INSERT OR IGNORE INTO removed VALUES (?1, ?2)")?;
            let mut removed = Vec::with_capacity(runs.len());
            for (host_id, run_id) in runs {
                let id = (host_id.as_str(), run_id.as_str());
                if delete.execute(id)? > 0 {
                    note.execute(id)?;
                    removed.push((host_id, run_id));
                }
            }
            Ok(removed)
        })
        .await
    }

    /// What is known of a run that an agent speaks of.
    pub(crate) async fn known_run(
        &self,
        host_id: &HostId,
        run_id: &RunId,
    ) -> Result<Known, StateError> {
        let id = (host_id.to_string(), run_id.to_string());
        let unread = Arc::clone(&self.unread_runs);
        self.read_for_agent(move |connection| {
            if let Some(record) = run_rows::one(connection, &id.0, &id.1, &unread)? {
                return Ok(Known::Run(Box::new(record)));
            }
            let is_removed = connection.prepare_cached(REMOVED)?.exists((&id.0, &id.1))?;
            Ok(if is_removed {
                Known::Removed
            } else {
                Known::Nothing
            })
        })
        .await
    }

    /// Whether retention took this run.
    pub(crate) async fn was_removed(
        &self,
        host_id: &HostId,
        run_id: &RunId,
    ) -> Result<bool, StateError> {
        let id = (host_id.to_string(), run_id.to_string());
        self.read(move |connection| connection.prepare_cached(REMOVED)?.exists(id))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::{host, run_id, switch};

    fn record(at: i64) -> RunRecord {
        let at = Timestamp::from_millis(at);
        let mut run = Run::queued(RunId::compose(at, &switch(), 1), host("h1"), switch());
        run.queued = Some(at);
        RunRecord::of(run)
    }

    #[tokio::test]
    async fn runs_of_one_second_have_ids_of_their_own_and_come_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("db")).unwrap();
        state.add_runs(vec![record(0)]).await.unwrap();
        state.add_runs(vec![record(10), record(20)]).await.unwrap();
        state.add_runs(vec![record(5_000)]).await.unwrap();
        let ids = async |before: Option<&str>, limit| -> Vec<String> {
            let before = before.map(run_id);
            let runs = state.runs(&host("h1"), before.as_ref(), limit).await;
            let ids = runs.unwrap().into_iter().map(|record| record.run.run_id);
            ids.map(String::from).collect()
        };
        let all = [
            "1970-01-01T00-00-05-switch",
            "1970-01-01T00-00-00-switch-3",
            "1970-01-01T00-00-00-switch-2",
            "1970-01-01T00-00-00-switch",
        ];
        assert_eq!(ids(None, 10).await, all);
        assert_eq!(ids(None, 2).await, all[..2]);
        assert_eq!(ids(Some(all[1]), 10).await, all[2..]);
        assert_eq!(ids(Some(all[3]), 10).await, [] as [&str; 0]);
    }

    #[tokio::test]
    async fn the_id_of_a_removed_run_is_not_given_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("db")).unwrap();
        let mut first = state.add_runs(vec![record(0)]).await.unwrap().remove(0).run;
        let this = vec![(host("h1"), first.run_id.clone())];
        let removed = state.remove_runs(this.clone()).await.unwrap();
        assert_eq!(removed, [], "it is not over");
        first.status = Status::Ok;
        let over = RunRecord::of(first.clone());
        state.import(vec![over]).await.unwrap();
        assert_eq!(state.remove_runs(this.clone()).await.unwrap(), this);
        assert_eq!(state.remove_runs(this).await.unwrap(), [], "it is gone");
        assert!(state.was_removed(&host("h1"), &first.run_id).await.unwrap());
        let second = state.add_runs(vec![record(0)]).await.unwrap().remove(0).run;
        assert_ne!(first.run_id, second.run_id);
    }
}
