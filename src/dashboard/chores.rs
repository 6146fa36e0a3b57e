//! What has to be done now and then: queued runs expire, old logs go.

use super::config::Retention;
use super::core::Core;
use crate::lifecycle;
use crate::protocol::{RunId, Status, Timestamp};
use crate::runlog;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

const EXPIRE_EVERY: Duration = Duration::from_secs(1);
const RETAIN_EVERY: Duration = Duration::from_secs(600);
/// A host that was told of a run may be about to say that it began.
const GRACE: Duration = Duration::from_secs(30);
const DAY_MS: i64 = 86_400_000;
const RUNS_AT_A_TIME: usize = 1_000;

/// Does the chores until the dashboard ends.
pub(super) async fn run(core: Arc<Core>, retention: Retention) {
    let mut expire = interval(EXPIRE_EVERY);
    let mut retain = interval(RETAIN_EVERY);
    let mut told = String::new();
    expire.set_missed_tick_behavior(MissedTickBehavior::Delay);
    retain.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = expire.tick() => {
                expire_runs(&core, Instant::now()).await;
                if core.health.reason().is_some() {
                    core.probe().await;
                }
                store_ends(&core).await;
                let summary = core.summary();
                if summary != told {
                    lifecycle::notify_status(&summary);
                    told = summary;
                }
            }
            _ = retain.tick() => retain_logs(&core, retention).await,
            () = core.shutdown.wait() => return,
        }
    }
}

/// Ends the runs for which their hosts did not come in time. One that was sent and not answered waits until
/// its host is in contact: it may have begun.
async fn expire_runs(core: &Arc<Core>, now: Instant) {
    for record in core.fleet.overdue(now, GRACE) {
        let (host_id, run_id) = (&record.run.host_id, &record.run.run_id);
        if record.sent && !core.fleet.is_online(host_id) {
            continue;
        }
        let sent = record.sent;
        let mut expired = false;
        core.fleet.update_run(host_id, run_id, |record| {
            // One that was sent in this very moment has its time of grace.
            expired = record.run.status == Status::Queued && record.sent == sent;
            if expired {
                record.run.status = Status::Expired;
                record.run.message = Some("the host did not come for it in time".into());
                record.run.completed = Some(Timestamp::now());
                record.stop = None;
            }
        });
        if !expired {
            continue;
        }
        tracing::info!(host = %host_id, run = %run_id, command = %record.run.command, "run expired");
        let _ = core.persist(host_id, run_id).await;
    }
}

/// Stores the ends of runs that could not be when they came.
async fn store_ends(core: &Arc<Core>) {
    for (host_id, run_id) in core.fleet.unstored() {
        if core.persist(&host_id, &run_id).await.is_err() {
            return;
        }
    }
}

/// Removes the oldest ended runs beyond the limits.
async fn retain_logs(core: &Arc<Core>, retention: Retention) {
    if retention.days == 0 && retention.max_bytes == 0 {
        return;
    }
    let days = i64::try_from(retention.days)
        .unwrap_or(i64::MAX)
        .saturating_mul(DAY_MS);
    let oldest_kept = if retention.days == 0 {
        i64::MIN
    } else {
        Timestamp::now().millis().saturating_sub(days)
    };
    let logs = core.logs.clone();
    let mut total = match tokio::task::spawn_blocking(move || size_of(&logs)).await {
        Ok(total) => total,
        Err(_) => return,
    };
    loop {
        let Ok(oldest) = core.state.oldest_ended(RUNS_AT_A_TIME).await else {
            return;
        };
        let count = oldest.len();
        for (host_id, run_id, at) in oldest {
            let too_much = retention.max_bytes > 0 && total > retention.max_bytes;
            let at_hand = core.fleet.is_open(&host_id, &run_id);
            if !(too_much || at.millis() < oldest_kept) || at_hand || core.shutdown.is_triggered() {
                return;
            }
            // Told first: a file without its row would be taken in again.
            if core
                .noted(core.state.remove_run(&host_id, &run_id).await)
                .is_err()
            {
                return;
            }
            core.fleet.forget_run(&host_id, &run_id);
            let (dir, id) = (core.log_dir(&host_id), run_id.clone());
            let freed = tokio::task::spawn_blocking(move || remove(&dir, &id)).await;
            total = total.saturating_sub(freed.unwrap_or(0));
            tracing::info!(host = %host_id, run = %run_id, "log removed by retention");
        }
        if count < RUNS_AT_A_TIME {
            return;
        }
    }
}

/// Removes the files of a run; gives how many bytes that freed.
fn remove(dir: &Path, run_id: &RunId) -> u64 {
    let (log, idx) = runlog::paths(dir, run_id);
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let freed = size(&log) + size(&idx);
    for path in [log, idx] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove");
            }
            _ => {}
        }
    }
    freed
}

/// The bytes of all logs.
fn size_of(logs: &Path) -> u64 {
    let hosts = std::fs::read_dir(logs).into_iter().flatten().flatten();
    let files = hosts.flat_map(|host| {
        std::fs::read_dir(host.path())
            .into_iter()
            .flatten()
            .flatten()
    });
    files
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::intake::HostRuns;
    use crate::dashboard::state::RunRecord;
    use crate::dashboard::testing::{ask, host, open, parsed, switch};
    use crate::protocol::Run;
    use serde_json::json;

    /// Ended runs asked for so many days ago, with 1,000 bytes of log each.
    async fn ended(core: &Arc<Core>, days: &[i64]) -> Vec<RunId> {
        let dir = core.log_dir(&host("h1"));
        std::fs::create_dir_all(&dir).unwrap();
        let mut ids = Vec::new();
        for age in days {
            let at = Timestamp::from_millis(Timestamp::now().millis() - age * DAY_MS);
            let id = RunId::compose(at, &switch(), 1);
            let mut run = Run::queued(id.clone(), host("h1"), switch());
            (run.status, run.queued) = (Status::Ok, Some(at));
            let record = RunRecord::of(run);
            core.state.import(vec![record.clone()]).await.unwrap();
            core.fleet.add_run(record);
            std::fs::write(runlog::paths(&dir, &id).0, [0; 1000]).unwrap();
            ids.push(id);
        }
        ids
    }

    async fn left(core: &Arc<Core>) -> Vec<RunId> {
        let runs = core.state.runs(&host("h1"), None, 100).await.unwrap();
        let runs: Vec<_> = runs.into_iter().map(|record| record.run.run_id).collect();
        let files = std::fs::read_dir(core.log_dir(&host("h1"))).unwrap();
        assert_eq!(files.count(), runs.len());
        runs
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn retention_removes_the_oldest_and_their_hosts_are_told_that_they_are_settled() {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let ids = ended(&core, &[9, 5, 3, 1]).await;
        let days = |days, max_bytes| Retention { days, max_bytes };
        retain_logs(&core, days(0, 0)).await;
        assert_eq!(left(&core).await.len(), 4);
        retain_logs(&core, days(7, 0)).await;
        assert_eq!(
            left(&core).await,
            [&ids[3], &ids[2], &ids[1]].map(Clone::clone)
        );
        retain_logs(&core, days(0, 1_500)).await;
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
    async fn a_run_expires_unless_its_host_may_have_begun_it() {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let after = |minutes: u64| Instant::now() + Duration::from_secs(60 * minutes);
        for sent in [true, false] {
            let run = ask(&core).await;
            core.fleet.mark_sent(&host("h1"), &run, sent);
            expire_runs(&core, after(59)).await;
            let status = || core.fleet.record(&host("h1"), &run).unwrap().run.status;
            assert_eq!(status(), Status::Queued);
            expire_runs(&core, after(61)).await;
            assert_eq!(status() == Status::Queued, sent);
            core.fleet.update_run(&host("h1"), &run, |record| {
                record.run.status = Status::Rejected;
            });
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_end_that_could_not_be_stored_is_stored_later() {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let run = ask(&core).await;
        core.fleet.update_run(&host("h1"), &run, |record| {
            record.run.status = Status::Rejected;
        });
        let stored = async || core.state.run(&host("h1"), &run).await.unwrap().unwrap();
        assert_eq!(stored().await.run.status, Status::Queued);
        store_ends(&core).await;
        assert_eq!(stored().await.run.status, Status::Rejected);
    }
}
