//! The simplest agent there can be: it sends lines one by one, without run and number, and nothing is resumed.

use super::host_runs::{A_RUN, HostRuns, is_line};
use super::messages::begun_by_itself;
use super::{Violation, parsed};
use crate::dashboard::core::Core;
use crate::protocol::{CommandName, RunId, SingleOutput, StatusReport, Timestamp};
use std::sync::Arc;

/// A line of the run of its command.
pub(super) async fn output(
    runs: &mut HostRuns,
    core: &Arc<Core>,
    json: &str,
) -> Result<(), Violation> {
    let output: SingleOutput<'_> = parsed(json)?;
    runs.own(&output.host_id)?;
    if !is_line(&output.line) {
        return Err(Violation::Malformed(
            "a line holds a newline or is over 64 KiB".into(),
        ));
    }
    let Some(run_id) = run_of(runs, core, &output.command).await else {
        return Ok(());
    };
    if let Some(run) = runs.open.get_mut(&run_id)
        && run.stalled_until.is_none()
    {
        run.log.push(
            &output.line,
            output.timestamp.unwrap_or_else(Timestamp::now),
            output.is_error,
        );
        core.writes.run(|| run.store(core)).await;
    }
    Ok(())
}

/// The beginning or the end of the run of its command.
pub(super) async fn status(runs: &mut HostRuns, core: &Arc<Core>, report: StatusReport) {
    let Some(run_id) = run_of(runs, core, &report.command).await else {
        return;
    };
    if report.status.is_final() {
        runs.status(
            core,
            &run_id,
            StatusReport {
                lines: None,
                ..report
            },
        )
        .await;
    }
}

/// The connection ended, or another command began: nobody will see the end of this run.
pub(super) async fn abandon(runs: &mut HostRuns, core: &Arc<Core>, why: &str) {
    let Some(run_id) = runs.single.take() else {
        return;
    };
    runs.lose(core, &run_id, why).await;
}

/// The run to which what is said of `command` belongs: the one going on, the one that was sent, or a new one.
async fn run_of(runs: &mut HostRuns, core: &Arc<Core>, command: &CommandName) -> Option<RunId> {
    if let Some(run_id) = &runs.single {
        if run_id.command() == command.as_str() {
            return runs.single.clone();
        }
        abandon(
            runs,
            core,
            "Result unknown: the host started another command before it reported the result",
        )
        .await;
    }
    runs.allowance.spend(1);
    let open = core.fleet.open_runs(&runs.host_id);
    let sent = open
        .into_iter()
        .find(|record| record.run.command == *command && record.sent);
    let run_id = match sent {
        Some(record) => record.run.run_id,
        None => {
            runs.allowance.spend(A_RUN);
            runs.own_runs.spend(1);
            let now = Timestamp::now();
            let run_id = RunId::compose(now, command, 1);
            let mut record = begun_by_itself(core, &runs.host_id, &run_id, command);
            record.run.started = Some(now);
            let added = core
                .noted(core.state.add_runs(vec![record]).await)
                .ok()?
                .pop()?;
            let run_id = added.run.run_id.clone();
            core.fleet.add_run(added);
            run_id
        }
    };
    if let Some(record) = runs.begun(core, &run_id, None, None).await {
        runs.stop(&record);
    }
    runs.single = Some(run_id.clone());
    Some(run_id)
}
