//! Old logs go: those that are over their age, and where all together take too much, those of the host that takes
//! most. A host that writes very much so pushes out its own history, and not that of others.

use super::config::Retention;
use super::core::Core;
use crate::protocol::{HostId, RunId, Timestamp};
use crate::runlog;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(600);
const DAY_MS: i64 = 86_400_000;
const RUNS_AT_A_TIME: usize = 1_000;

/// Removes logs beyond the limits.
#[derive(Debug)]
pub(super) struct Retaining {
    limits: Retention,
    next: Option<Instant>,
    /// How much had come from all hosts when it was looked last.
    received: u64,
}

/// The logs of one host.
#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    /// What it can give, the oldest last, once it was looked for.
    runs: Option<Vec<RunId>>,
}

impl Retaining {
    pub(super) fn new(limits: Retention) -> Self {
        Self {
            limits,
            next: None,
            received: 0,
        }
    }

    /// Looks whether something is to go: now and then, and whenever much has come since, for what a host can write
    /// meanwhile has no other bound.
    pub(super) async fn turn(&mut self, core: &Arc<Core>, now: Instant) {
        let received = core.counters.bytes_received.load(Ordering::Relaxed);
        let much = self.limits.max_bytes / 16;
        let much_came = much > 0 && received - self.received >= much;
        if self.next.is_some_and(|next| now < next) && !much_came {
            return;
        }
        self.received = received;
        self.next = Some(now + EVERY);
        if self.limits.days > 0 {
            by_age(core, self.limits.days).await;
        }
        if self.limits.max_bytes > 0 && by_size(core, self.limits.max_bytes).await {
            self.next = None;
        }
    }
}

/// Removes the ended runs that are older.
async fn by_age(core: &Arc<Core>, days: u64) {
    let age = i64::try_from(days)
        .unwrap_or(i64::MAX)
        .saturating_mul(DAY_MS);
    let oldest_kept = Timestamp::now().millis().saturating_sub(age);
    loop {
        let Ok(oldest) = core.state.oldest_ended(RUNS_AT_A_TIME).await else {
            return;
        };
        let count = oldest.len();
        for (host_id, run_id, at) in oldest {
            let at_hand = core.fleet.is_open(&host_id, &run_id);
            if at.millis() >= oldest_kept || at_hand || core.shutdown.is_triggered() {
                return;
            }
            if remove(core, &host_id, &run_id).await.is_none() {
                return;
            }
        }
        if count < RUNS_AT_A_TIME {
            return;
        }
    }
}

/// Removes runs of the hosts that take most, oldest first, until all together take no more than this; `true` if there
/// may be more to remove. The newest run of a host stays: somebody may be reading what went wrong.
async fn by_size(core: &Arc<Core>, max_bytes: u64) -> bool {
    let logs = core.logs.clone();
    let Ok(mut hosts) = tokio::task::spawn_blocking(move || sizes(&logs)).await else {
        return false;
    };
    for _ in 0..RUNS_AT_A_TIME {
        if core.shutdown.is_triggered() {
            return false;
        }
        let Some(host_id) = who_gives(&hosts, max_bytes) else {
            return false;
        };
        let Some(host) = hosts.get_mut(&host_id) else {
            return false;
        };
        if host.runs.is_none() {
            let dir = core.log_dir(&host_id);
            let found = tokio::task::spawn_blocking(move || all_but_newest(&dir)).await;
            host.runs = Some(found.unwrap_or_default());
        }
        let Some(run_id) = host.runs.as_mut().and_then(Vec::pop) else {
            continue;
        };
        if !is_over(core, &host_id, &run_id).await {
            continue;
        }
        let Some(freed) = remove(core, &host_id, &run_id).await else {
            return false;
        };
        host.bytes = host.bytes.saturating_sub(freed);
    }
    true
}

/// Whose oldest run goes next: that of the host that takes most. Where that one has nothing to give, because its run
/// goes on or is its newest, the others give up to half of everything for it and no more.
fn who_gives(hosts: &BTreeMap<HostId, Held>, max_bytes: u64) -> Option<HostId> {
    let total: u64 = hosts.values().map(|host| host.bytes).sum();
    if total <= max_bytes {
        return None;
    }
    let most = hosts.values().map(|host| host.bytes).max()?;
    let (id, giver) = hosts
        .iter()
        .filter(|(_, host)| host.runs.as_ref().is_none_or(|runs| !runs.is_empty()))
        .max_by_key(|(_, host)| host.bytes)?;
    (giver.bytes == most || total - most > max_bytes / 2).then(|| id.clone())
}

/// Whether nothing more is to come of a run.
async fn is_over(core: &Core, host_id: &HostId, run_id: &RunId) -> bool {
    if core.fleet.is_open(host_id, run_id) {
        return false;
    }
    let stored = core.state.run(host_id, run_id).await;
    matches!(stored, Ok(Some(record)) if record.run.status.is_final())
}

/// Removes a run; gives how many bytes that freed.
async fn remove(core: &Arc<Core>, host_id: &HostId, run_id: &RunId) -> Option<u64> {
    // Told first: a file without its row would be taken in again.
    core.noted(core.state.remove_run(host_id, run_id).await)
        .ok()?;
    core.fleet.forget_run(host_id, run_id);
    let (dir, id) = (core.log_dir(host_id), run_id.clone());
    let freed = tokio::task::spawn_blocking(move || remove_files(&dir, &id)).await;
    tracing::info!(host = %host_id, run = %run_id, "log removed by retention");
    Some(freed.unwrap_or(0))
}

fn remove_files(dir: &Path, run_id: &RunId) -> u64 {
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

/// How much the logs of each host take.
fn sizes(logs: &Path) -> BTreeMap<HostId, Held> {
    let mut hosts = BTreeMap::new();
    for folder in std::fs::read_dir(logs).into_iter().flatten().flatten() {
        let name = folder.file_name().into_string();
        if let Some(id) = name.ok().and_then(|name| HostId::new(&name).ok()) {
            let files = entries(&folder.path()).filter_map(|file| file.metadata().ok());
            let held = Held {
                bytes: files.map(|metadata| metadata.len()).sum(),
                runs: None,
            };
            hosts.insert(id, held);
        }
    }
    hosts
}

/// The runs that have a log in the folder, the oldest last, without the newest.
fn all_but_newest(dir: &Path) -> Vec<RunId> {
    let names = entries(dir).filter_map(|entry| entry.file_name().into_string().ok());
    let mut runs: Vec<RunId> = names
        .filter_map(|name| RunId::new(name.strip_suffix(".log")?).ok())
        .collect();
    runs.sort_by(|a, b| b.in_time().cmp(&a.in_time()));
    runs.drain(..runs.len().min(1));
    runs
}

fn entries(dir: &Path) -> impl Iterator<Item = std::fs::DirEntry> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::intake::HostRuns;
    use crate::dashboard::state::RunRecord;
    use crate::dashboard::testing::{host, open, parsed, switch};
    use crate::protocol::{Run, Status};
    use serde_json::json;

    async fn retain(core: &Arc<Core>, limits: Retention) {
        Retaining::new(limits).turn(core, Instant::now()).await;
    }

    fn days(days: u64, max_bytes: u64) -> Retention {
        Retention { days, max_bytes }
    }

    /// Ended runs of `h1` asked for so many days ago, with 1,000 bytes of log each.
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
            std::fs::write(runlog::paths(&dir, &id).0, [0; 1000]).unwrap();
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
        retain(&core, days(0, 1_500)).await;
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
        retain(&core, days(0, 10_000)).await;
        assert_eq!(left_of(&core, "h2").await.len(), quiet.len());
        let kept: Vec<_> = loud.iter().rev().take(8).cloned().collect();
        assert_eq!(left(&core).await, kept, "its newest");
        // Of two that take as much, each gives as much.
        retain(&core, days(0, 2_000)).await;
        assert_eq!(left(&core).await, kept[..1]);
        assert_eq!(left_of(&core, "h2").await, quiet[1..]);
    }

    /// Makes a run of `h1` that goes on, with so many bytes of log.
    async fn going_on(core: &Arc<Core>, bytes: usize) -> RunId {
        let id = RunId::compose(Timestamp::from_millis(0), &switch(), 1);
        let mut run = Run::queued(id.clone(), host("h1"), switch());
        run.status = Status::Running;
        let record = RunRecord::of(run);
        core.state.import(vec![record]).await.unwrap();
        let dir = core.log_dir(&host("h1"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(runlog::paths(&dir, &id).0, vec![0; bytes]).unwrap();
        id
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_that_goes_on_stays_and_takes_at_most_half_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let quiet = ended_of(&core, "h2", &[8, 7, 6, 5, 4, 3, 2, 1]).await;
        let long = going_on(&core, 3_000).await;
        retain(&core, days(0, 9_000)).await;
        assert_eq!(
            left_of(&core, "h2").await.len(),
            6,
            "there is room for both"
        );
        going_on(&core, 50_000).await;
        retain(&core, days(0, 9_000)).await;
        assert_eq!(left(&core).await, [long]);
        let kept: Vec<_> = quiet.iter().rev().take(4).cloned().collect();
        assert_eq!(left_of(&core, "h2").await, kept);
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
        let mut retaining = Retaining::new(days(0, 3_200));
        let now = Instant::now();
        retaining.turn(&core, now).await;
        ended(&core, &[5, 4, 3, 2, 1]).await;
        core.counters
            .bytes_received
            .fetch_add(199, Ordering::Relaxed);
        retaining.turn(&core, now).await;
        assert_eq!(left(&core).await.len(), 5);
        core.counters.bytes_received.fetch_add(1, Ordering::Relaxed);
        retaining.turn(&core, now).await;
        assert_eq!(left(&core).await.len(), 3);
    }
}
