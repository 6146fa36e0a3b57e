//! What has to be done now and then: queued runs expire, old logs go.

use super::clock::ClockCheck;
use super::config::Retention;
use super::core::Core;
use super::fleet::Errand;
use super::intake::lose_renamed;
use super::mend;
use super::retention::Retaining;
use crate::protocol::{Status, Timestamp};
use crate::{lifecycle, logging};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

const EXPIRE_EVERY: Duration = Duration::from_secs(1);
const CLOSE_EVERY: Duration = Duration::from_secs(10);
/// A host that was told of a run may be about to say that it began.
const GRACE: Duration = Duration::from_secs(30);

/// Why a run expired: its host never heard of it,
const NOT_CONNECTED: &str = "Expired: the host did not connect in time";
/// or did, and did not say that it began.
const NOT_BEGUN: &str = "Expired: the command was sent to the host, which did not report in time that it started; see the journal of its agent";

/// Does the chores until the dashboard ends.
pub(super) async fn run(core: Arc<Core>, retention: Retention, mut clock: ClockCheck) {
    let mut expire = interval(EXPIRE_EVERY);
    let mut retaining = Retaining::new(retention, Instant::now());
    let mut told = String::new();
    let mut close = interval(CLOSE_EVERY);
    close.set_missed_tick_behavior(MissedTickBehavior::Delay);
    expire.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = expire.tick() => {
                if clock.look(&core).await {
                    for (host_id, run_id) in core.fleet.set_expiries() {
                        let _ = core.persist(&host_id, &run_id).await;
                    }
                }
                hold_for_clock(&core).await;
                expire_runs(&core, Instant::now()).await;
                if core.health.reason().is_some() {
                    core.probe().await;
                }
                store_ends(&core).await;
                mend::rows_met(&core).await;
                for host_id in core.fleet.settle_conflicts(Instant::now()) {
                    core.tell_conflict(&host_id, true).await;
                }
                core.save_machines().await;
                lose_renamed(&core).await;
                core.look_aside().await;
                retaining.turn(&core, Instant::now()).await;
                logging::report_left_out();
                let summary = core.summary();
                if summary != told {
                    lifecycle::notify_status(&summary);
                    told = summary;
                }
            }
            _ = close.tick() => core.close_left_behind().await,
            () = core.shutdown.wait() => return,
        }
    }
}

/// Ends the runs for which their hosts did not come in time. One that was sent and not answered waits until
/// its host is in contact: it may have begun.
async fn expire_runs(core: &Arc<Core>, now: Instant) {
    let is_believed = core.clock.is_believed();
    for record in core.fleet.overdue(now, GRACE) {
        let (host_id, run_id) = (&record.run.host_id, &record.run.run_id);
        if !is_believed && core.fleet.expires_by_clock(host_id, run_id) {
            continue;
        }
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
                let why = if sent { NOT_BEGUN } else { NOT_CONNECTED };
                record.run.message = Some(why.into());
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

/// Keeps runs waiting that may have expired by a clock that is not believed, and sends them once it is.
async fn hold_for_clock(core: &Arc<Core>) {
    let is_believed = core.clock.is_believed();
    for (host_id, run_id) in core.fleet.hold_for_clock(is_believed) {
        let _ = core.persist(&host_id, &run_id).await;
        if is_believed {
            core.fleet.send(&host_id, Errand::Begin(run_id));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::{ask, host, open, order};

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
    async fn no_run_from_before_the_start_expires_by_a_clock_that_is_not_believed_and_it_says_why()
    {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let run = ask(&core).await;
        drop(core);
        let core = open(dir.path()).await;
        let now = Timestamp::now();
        core.clock.doubt_for_test(now);
        expire_runs(&core, Instant::now() + Duration::from_secs(7_200)).await;
        let record = core.fleet.record(&host("h1"), &run).unwrap();
        assert_eq!(record.run.status, Status::Queued);
        core.fleet.set_expiries();
        let left = core.fleet.time_left(&host("h1"), &run).unwrap();
        assert!(left > Duration::from_secs(3_000), "{left:?}");
        for _ in 0..2 {
            hold_for_clock(&core).await;
            let busy = core.enqueue(&[host("h1")], order()).await;
            let busy = busy[0].as_ref().unwrap_err().to_string();
            assert!(busy.contains("the clock is not trusted"), "{busy}");
            let stored = core.state.run(&host("h1"), &run).await.unwrap().unwrap();
            assert!(busy.contains(&stored.run.message.unwrap()), "{busy}");
        }
        core.clock.believe_for_test();
        hold_for_clock(&core).await;
        let record = core.fleet.record(&host("h1"), &run).unwrap();
        assert_eq!(
            (record.run.status, record.run.message),
            (Status::Queued, None)
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_asked_for_since_the_start_expires_whatever_the_clock_says() {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let run = ask(&core).await;
        let now = Timestamp::now();
        core.clock.doubt_for_test(now);
        let status = || core.fleet.record(&host("h1"), &run).unwrap().run.status;
        expire_runs(&core, Instant::now() + Duration::from_secs(3_000)).await;
        assert_eq!(status(), Status::Queued);
        expire_runs(&core, Instant::now() + Duration::from_secs(7_200)).await;
        assert_eq!(status(), Status::Expired);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_that_was_asked_for_by_a_wrong_clock_has_its_time_when_the_clock_is_right() {
        let dir = tempfile::tempdir().unwrap();
        let core = open(dir.path()).await;
        let run = ask(&core).await;
        let day = 24 * 3_600_000;
        core.fleet.update_run(&host("h1"), &run, |record| {
            let told = record.run.expires.unwrap();
            record.run.expires = Some(Timestamp::from_millis(told.millis() - 400 * day));
        });
        assert_eq!(core.fleet.set_expiries(), [(host("h1"), run.clone())]);
        expire_runs(&core, Instant::now() + Duration::from_secs(3_000)).await;
        let record = core.fleet.record(&host("h1"), &run).unwrap();
        assert_eq!(record.run.status, Status::Queued);
        let left = record.run.expires.unwrap().millis() - Timestamp::now().millis();
        assert!((3_000_000..=3_600_000).contains(&left), "{left}");
        assert_eq!(core.fleet.set_expiries(), []);
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
