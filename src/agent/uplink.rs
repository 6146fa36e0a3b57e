//! Connects, and connects again, as long as there is an agent.

use super::addresses::FailedAddresses;
use super::backoff::{self, Backoff};
use super::connect::Dialed;
use super::runs::Runs;
use super::session::End;
use super::{Agent, connect, session};
use crate::lifecycle::{self, Shutdown};
use crate::logging;
use std::future::Future;
use std::pin::pin;
use tokio::time::{Instant, sleep};

/// Keeps the agent connected until `shutdown`, or until it may leave. The socket before is dropped before the next is opened.
pub(super) async fn run(agent: &mut Agent, shutdown: &Shutdown) {
    let mut backoff = Backoff::default();
    let mut failed = FailedAddresses::default();
    while !agent.may_leave() {
        let attempt = connect::dial(&agent.config, &mut failed);
        let Some(dialed) = meanwhile(&mut agent.runs, shutdown, attempt).await else {
            return;
        };
        let url = agent.config.dashboard.configured().to_owned();
        let (unwanted, why) = match dialed {
            Err(error) => {
                tracing::warn!("cannot connect to {url}: {error}");
                (error.is_unwanted(), error.to_string())
            }
            Ok(Dialed { socket, address }) => {
                let began = Instant::now();
                let outcome = session::run(agent, socket, shutdown).await;
                if outcome.came_to_nothing(began.elapsed()) {
                    failed.add(address);
                } else {
                    failed.remove(address);
                }
                if matches!(outcome.end, End::Shutdown | End::Removed) {
                    return;
                }
                let unwanted = outcome.end.is_unwanted();
                if outcome.registered && !unwanted {
                    backoff.reset();
                }
                tracing::warn!("disconnected: {}", outcome.end);
                (unwanted, outcome.end.to_string())
            }
        };
        lifecycle::notify_status(&format!("not connected to {url}: {why}"));
        logging::report_left_out();
        let pause = sleep(backoff.wait(unwanted, backoff::luck()));
        if meanwhile(&mut agent.runs, shutdown, pause).await.is_none() {
            return;
        }
    }
}

/// Waits for `work` and looks after the runs; `None` when the agent is to end.
async fn meanwhile<F: Future>(runs: &mut Runs, shutdown: &Shutdown, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            () = shutdown.wait() => return None,
            _ = runs.changed() => {}
        }
    }
}
