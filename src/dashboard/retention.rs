//! Old logs go: those that are over their age, and where all together take too much, those of the host that takes
//! most. A host that writes very much so pushes out its own history first.

use super::config::Retention;
use super::core::Core;
use crate::lifecycle::Shutdown;
use crate::protocol::{HostId, RunId, Timestamp};
use crate::runlog;
use std::collections::BTreeMap;
use std::fs::{DirEntry, Metadata};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(600);
const QUIET_AFTER_START: Duration = Duration::from_secs(600);
const DAY_MS: i64 = 86_400_000;
/// How many runs go before other chores have their turn.
const RUNS_AT_A_TIME: usize = 1_000;
/// How many of them go in one transaction.
const RUNS_A_TRANSACTION: usize = 100;
/// What a run takes beside the blocks of its files, in bytes, about: its row, its places in the indexes of the
/// database, and the names of its files.
const ROW_BYTES: u64 = 1_024;
/// What an empty run takes: a block for each of its two files, and its row.
const EMPTY_RUN_BYTES: u64 = 2 * BLOCK_BYTES + ROW_BYTES;
/// What most file systems give to files at a time.
const BLOCK_BYTES: u64 = 4_096;
/// Among so many of a host's runs at a time the newest with a log is looked for: some never began.
const LOOKED_AT_ONCE: usize = 1_000;

/// Removes logs beyond the limits.
#[derive(Debug)]
pub(super) struct Retaining {
    limits: Retention,
    /// Before it nothing goes by its age: a clock may be set only some time after boot.
    by_age_from: Instant,
    /// When to look again; none: at once.
    next: Option<Instant>,
    /// How much had come from all hosts when it was looked last, in bytes.
    came: u64,
}

/// The logs of one host.
#[derive(Debug, Default)]
struct Held {
    /// What they take on disk.
    bytes: u64,
    /// What it can give, the oldest last, with how many bytes each takes on disk, once it was looked for.
    runs: Option<Vec<(RunId, u64)>>,
}

impl Retaining {
    pub(super) fn new(limits: Retention, started: Instant) -> Self {
        Self {
            limits,
            by_age_from: started + QUIET_AFTER_START,
            next: None,
            came: 0,
        }
    }

    /// Looks whether something is to go: now and then, and for the size whenever much has come since, for what a host
    /// can write meanwhile has no other bound.
    pub(super) async fn turn(&mut self, core: &Arc<Core>, now: Instant) {
        let logs_made = core.counters.logs_made.load(Ordering::Relaxed);
        let came = core.counters.bytes_received.load(Ordering::Relaxed)
            + logs_made.saturating_mul(EMPTY_RUN_BYTES);
        let Retention { days, max_bytes } = self.limits;
        let is_time = self.next.is_none_or(|next| now >= next);
        let much_came = came - self.came >= (max_bytes / 16).max(1);
        let mut more = false;
        if is_time {
            self.next = Some(now + EVERY);
            let may_go_by_age = now >= self.by_age_from && core.clock.is_believed();
            more |= days > 0 && may_go_by_age && by_age(core, days).await;
        }
        if max_bytes > 0 && (is_time || much_came) {
            self.came = came;
            more |= by_size(core, max_bytes).await;
        }
        if more {
            self.next = None;
        }
    }
}

/// Removes ended runs that are older, the oldest first, without the newest of each host; `true` if there may be more
/// of them.
async fn by_age(core: &Arc<Core>, days: u64) -> bool {
    let age = i64::try_from(days)
        .unwrap_or(i64::MAX)
        .saturating_mul(DAY_MS);
    let oldest_kept = Timestamp::from_millis(Timestamp::now().millis().saturating_sub(age));
    let mut newest: BTreeMap<HostId, Option<RunId>> = BTreeMap::new();
    let (mut kept, mut removed) = (0, 0);
    while removed < RUNS_AT_A_TIME {
        let old = core.state.ended_before(oldest_kept, kept, RUNS_AT_A_TIME);
        let Ok(old) = old.await else {
            return false;
        };
        let is_last = old.len() < RUNS_AT_A_TIME;
        let mut chosen = Vec::new();
        for (host_id, run_id) in old {
            if !newest.contains_key(&host_id) {
                let Some(found) = newest_with_log(core, &host_id).await else {
                    return false;
                };
                newest.insert(host_id.clone(), found);
            }
            let is_newest = newest.get(&host_id).and_then(Option::as_ref) == Some(&run_id);
            if is_newest || core.fleet.is_open(&host_id, &run_id) {
                kept += 1;
                continue;
            }
            chosen.push((host_id, run_id));
        }
        for batch in chosen.chunks(RUNS_A_TRANSACTION) {
            if !core.clock.is_believed() || !remove(core, batch).await {
                return false;
            }
            removed += batch.len();
        }
        if is_last {
            return false;
        }
    }
    true
}

/// The newest run of a host that has a log, however many came after it that never began; none where the database
/// cannot be read.
async fn newest_with_log(core: &Core, host_id: &HostId) -> Option<Option<RunId>> {
    let mut before = None;
    loop {
        let ids = core
            .state
            .ids_before(host_id, before.as_ref(), LOOKED_AT_ONCE);
        let ids = ids.await.ok()?;
        let Some(oldest) = ids.last() else {
            return Some(None);
        };
        before = Some(oldest.clone());
        let dir = core.log_dir(host_id);
        let has_log = move |id: &RunId| runlog::paths(&dir, id).0.exists();
        let newest = tokio::task::spawn_blocking(move || ids.into_iter().find(has_log));
        let newest = newest.await.ok()?;
        if newest.is_some() {
            return Some(newest);
        }
    }
}

/// Removes runs of the hosts that take most, oldest first, until all together take no more than this; `true` if there
/// may be more to remove. The newest run of a host stays: somebody may be reading what went wrong.
async fn by_size(core: &Arc<Core>, max_bytes: u64) -> bool {
    let (logs, shutdown) = (core.logs.clone(), core.shutdown.clone());
    let Ok(mut hosts) = tokio::task::spawn_blocking(move || sizes(&logs, &shutdown)).await else {
        return false;
    };
    let (mut chosen, mut is_enough) = (Vec::new(), false);
    while chosen.len() < RUNS_AT_A_TIME {
        let Some(host_id) = who_gives(&hosts, max_bytes) else {
            is_enough = true;
            break;
        };
        let host = hosts.entry(host_id.clone()).or_default();
        let Some(runs) = &mut host.runs else {
            host.runs = can_give(core, &host_id).await;
            if host.runs.is_none() {
                return false;
            }
            continue;
        };
        let Some((run_id, bytes)) = runs.pop() else {
            continue;
        };
        if core.fleet.is_open(&host_id, &run_id) {
            continue;
        }
        host.bytes = host.bytes.saturating_sub(bytes);
        chosen.push((host_id, run_id));
    }
    for batch in chosen.chunks(RUNS_A_TRANSACTION) {
        if !remove(core, batch).await {
            return false;
        }
    }
    !is_enough
}

/// Whose oldest run goes next: that of the host that takes most. Where that one has nothing to give, because its runs
/// go on or are its newest, the others give up to half of everything for it and no more.
fn who_gives(hosts: &BTreeMap<HostId, Held>, max_bytes: u64) -> Option<HostId> {
    let total: u64 = hosts.values().map(|host| host.bytes).sum();
    if total <= max_bytes {
        return None;
    }
    let (id, giver) = hosts
        .iter()
        .filter(|(_, host)| host.runs.as_ref().is_none_or(|runs| !runs.is_empty()))
        .max_by_key(|(_, host)| host.bytes)?;
    // Whoever takes more has nothing to give.
    let others = hosts.values().map(|host| host.bytes);
    let rest: u64 = others.filter(|bytes| *bytes <= giver.bytes).sum();
    (rest == total || rest > max_bytes / 2).then(|| id.clone())
}

/// The ended runs of a host, the oldest last, without its newest; none where they cannot be read.
async fn can_give(core: &Arc<Core>, host_id: &HostId) -> Option<Vec<(RunId, u64)>> {
    // More than may go at a time, for some are at hand.
    let ended = core.state.ended_of(host_id, 2 * RUNS_AT_A_TIME).await;
    let mut ended = ended.ok()?;
    let newest = newest_with_log(core, host_id).await?;
    ended.retain(|run_id| Some(run_id) != newest.as_ref());
    ended.reverse();
    let dir = core.log_dir(host_id);
    let with_size = move |run_id| {
        let bytes = size_of_run(&dir, &run_id);
        (run_id, bytes)
    };
    tokio::task::spawn_blocking(move || ended.into_iter().map(with_size).collect())
        .await
        .ok()
}

/// Removes runs that are over, in one transaction, and then their files; `false` where that cannot go on.
async fn remove(core: &Arc<Core>, runs: &[(HostId, RunId)]) -> bool {
    if core.shutdown.is_triggered() {
        return false;
    }
    // Told first: a file without its row would be taken in again.
    let removed = core.noted(core.state.remove_runs(runs.to_vec()).await);
    let Ok(removed) = removed else {
        return false;
    };
    let mut files = Vec::with_capacity(removed.len());
    for (host_id, run_id) in removed {
        core.fleet.forget_run(&host_id, &run_id);
        tracing::info!(host = %host_id, run = %run_id, "log removed by retention");
        files.push((core.log_dir(&host_id), run_id));
    }
    let gone = tokio::task::spawn_blocking(move || {
        files.iter().for_each(|(dir, id)| remove_files(dir, id));
    });
    gone.await.is_ok()
}

fn remove_files(dir: &Path, run_id: &RunId) {
    let (log, idx) = runlog::paths(dir, run_id);
    for path in [log, idx] {
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove");
        }
    }
}

/// How much a run takes on disk with its row; 0 where it has no log, so that nothing is gained if it goes.
fn size_of_run(dir: &Path, run_id: &RunId) -> u64 {
    let (log, idx) = runlog::paths(dir, run_id);
    let size = |path: &Path| std::fs::metadata(path).map(|metadata| on_disk(&metadata));
    size(&log).map_or(0, |log| ROW_BYTES + log + size(&idx).unwrap_or(0))
}

/// How much a file takes on disk, in whole blocks. What the file system says itself is no measure: it gives a file that
/// grows more than it needs, and knows the blocks of a new one only later.
fn on_disk(metadata: &Metadata) -> u64 {
    metadata.len().next_multiple_of(BLOCK_BYTES)
}

/// How much a file in a folder of logs takes on disk; a log stands for its run.
fn size_of_file(file: &DirEntry) -> Option<u64> {
    let is_log = Path::new(&file.file_name()).extension() == Some("log".as_ref());
    let row = if is_log { ROW_BYTES } else { 0 };
    Some(row + on_disk(&file.metadata().ok()?))
}

/// How much the logs of each host take on disk.
fn sizes(logs: &Path, shutdown: &Shutdown) -> BTreeMap<HostId, Held> {
    let mut hosts = BTreeMap::new();
    for folder in entries(logs) {
        if shutdown.is_triggered() {
            break;
        }
        let name = folder.file_name().into_string();
        if let Some(id) = name.ok().and_then(|name| HostId::new(&name).ok()) {
            let files = entries(&folder.path());
            let held = Held {
                bytes: files.filter_map(|file| size_of_file(&file)).sum(),
                runs: None,
            };
            hosts.insert(id, held);
        }
    }
    hosts
}

fn entries(dir: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
