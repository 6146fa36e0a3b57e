//! Makes rows of runs anew that cannot be read: from their logs, as far as these can be read.

use super::core::Core;
use super::health::{Topic, WarningEnds};
use super::import;
use super::state::{RunRecord, StateError, UnreadRun, UnreadSearch};
use crate::runlog::LogError;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Most rows that are told one by one at a start; of more there is the number.
const MAX_TOLD: usize = 100;
/// Most rows in one transaction.
const BATCH: usize = 500;

/// How the runs of rows that could not be read are known now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mended {
    from_logs: usize,
    /// Without a log that can be read.
    lost: usize,
}

/// Looks at all rows before anything is shown, and makes those anew that cannot be read.
pub(super) async fn at_start(core: &Arc<Core>) -> Result<(), StateError> {
    let (mut search, mut mended) = (UnreadSearch::default(), Mended::default());
    while !search.is_over {
        search = core.state.look_for_unread_runs(search).await?;
        if search.found.len() >= BATCH || search.is_over {
            let found = std::mem::take(&mut search.found);
            mended = make_anew(core, found, mended).await?;
        }
    }
    search.tell_nameless();
    let told = mended.from_logs + mended.lost;
    if told > MAX_TOLD {
        tracing::error!(
            rows = told,
            from_logs = mended.from_logs,
            lost = mended.lost,
            "rows of runs could not be read and were rebuilt; the first {MAX_TOLD} are named above"
        );
    }
    // Rows of the other tables were met by then, but for those of hosts, which are read when hosts are shown.
    core.state.hosts().await?;
    let others = core.state.unread_rows();
    if let Some(warning) = warning(mended, search.nameless, &others) {
        core.health
            .warn(Topic::Rows, warning, WarningEnds::WithProcess);
    }
    Ok(())
}

async fn make_anew(
    core: &Arc<Core>,
    found: Vec<UnreadRun>,
    before: Mended,
) -> Result<Mended, StateError> {
    if found.is_empty() {
        return Ok(before);
    }
    let logs = core.logs.clone();
    let read = spawn_blocking(move || {
        let (mut mended, mut records) = (before, Vec::new());
        for run in &found {
            let dir = logs.join(run.host_id.as_str());
            let log = import::read(&dir, &run.host_id, &run.run_id);
            let may_tell = mended.from_logs + mended.lost < MAX_TOLD;
            if may_tell {
                tell(run, &log);
            }
            match &log {
                Ok(_) => mended.from_logs += 1,
                Err(_) => mended.lost += 1,
            }
            records.extend(of_log(run, log));
        }
        (mended, records)
    });
    let (mended, records) = read.await.map_err(|_| StateError::Closed)?;
    core.state.mend_runs(records).await?;
    Ok(mended)
}

/// What is known of a run whose row cannot be read.
fn of_log(run: &UnreadRun, log: Result<RunRecord, LogError>) -> Option<RunRecord> {
    match log {
        Ok(mut record) => {
            // A log from before runs had numbers knows none.
            record.run.number = record.run.number.max(run.number);
            Some(record)
        }
        Err(error) if error.is_not_found() => run.stand_in(
            ", and there is no log of it: it may never have started; check the host, and start it again if needed",
        ),
        Err(error) => run.stand_in(&format!(", and its log cannot be read either: {error}")),
    }
}

fn tell(run: &UnreadRun, log: &Result<RunRecord, LogError>) {
    let UnreadRun {
        host_id,
        run_id,
        why,
        ..
    } = run;
    match log {
        Ok(record) => {
            tracing::warn!(host = %host_id, run = %run_id, error = why, "the row of this run could not be read and was rebuilt from its log");
            if let Some(then) = &record.run.then {
                tracing::warn!(host = %host_id, run = %run_id, %then, "it is unknown whether the next command after this run was started; check the host, and start it if needed");
            }
        }
        Err(log) => {
            tracing::error!(host = %host_id, run = %run_id, error = why, %log, "neither the row of this run nor a log of it can be read: the run is shown as lost");
        }
    }
}

/// Makes rows anew that were met while the dashboard runs. A run at hand is stored as it is known; of others a log
/// that is whole tells, and where there is none the next start decides. Says whether any were met.
pub(super) async fn rows_met(core: &Arc<Core>) -> bool {
    let met = core.state.take_unread_runs();
    if met.is_empty() {
        return false;
    }
    let (at_hand, others): (Vec<_>, Vec<_>) = met
        .into_iter()
        .partition(|run| core.fleet.record(&run.host_id, &run.run_id).is_some());
    for run in at_hand {
        // Where that fails health says so, and the next change of the run is stored again.
        let _ = core.persist(&run.host_id, &run.run_id).await;
    }
    let logs = core.logs.clone();
    let read = spawn_blocking(move || {
        let runs = others.iter();
        runs.filter_map(|run| ended(&logs, run)).collect::<Vec<_>>()
    });
    let records = read.await.unwrap_or_default();
    if let Err(error) = core.state.mend_runs(records).await {
        tracing::warn!(%error, "unreadable rows could not be repaired; the next start tries again");
    }
    true
}

fn ended(logs: &Path, run: &UnreadRun) -> Option<RunRecord> {
    let dir = logs.join(run.host_id.as_str());
    let log = import::read_ended(&dir, &run.host_id, &run.run_id).transpose()?;
    log.is_ok().then(|| of_log(run, log))?
}

/// What is to be looked at. It names no host and no run: strangers read it.
fn warning(
    runs: Mended,
    nameless: usize,
    others: &BTreeMap<&'static str, usize>,
) -> Option<String> {
    let mut parts = Vec::new();
    let mut part = |count: usize, what: &str| {
        if count > 0 {
            parts.push(format!("{what}: {count}"));
        }
    };
    part(runs.from_logs, "runs that were rebuilt from their logs");
    part(runs.lost, "runs without a readable log, now shown as lost");
    part(nameless, "runs without a readable id");
    for (table, count) in others {
        let what = match *table {
            "hosts" => "hosts, shown again when they connect",
            "issued" => {
                "tokens that the dashboard made, no longer valid (make new ones for their hosts and users)"
            }
            "revoked" | "revoked-tokens" => {
                "revocations (check the list of tokens, and revoke again where needed)"
            }
            "sessions" => "sessions, whose users must sign in again",
            other => other,
        };
        part(*count, what);
    }
    (!parts.is_empty()).then(|| {
        format!(
            "Rows of the database could not be read when the dashboard started: {}. The journal names them; find the cause (the disk or the memory of the machine)",
            parts.join("; ")
        )
    })
}
