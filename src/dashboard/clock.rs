//! Whether the clock of this machine can be believed.
//!
//! A machine whose clock is wrong at boot must not delete logs by their age, nor end sessions and queued runs for
//! good. The clock is held against the newest time that is stored, against the hosts on other machines, and against
//! systemd-timesyncd.

use super::code_clock::CodeClock;
use super::core::Core;
use crate::protocol::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How far behind the newest stored time the clock may be, and how far from the clock of a host.
const MAX_BEHIND_MS: i64 = HOUR_MS;
/// How far ahead of the newest stored time it may be at start: so long a dashboard may have been off.
const MAX_DOWNTIME_MS: i64 = 7 * DAY_MS;
/// The same between two looks.
const MAX_STEP_MS: i64 = DAY_MS;
/// How far it may go from a clock that never jumps, between two looks.
const MAX_DRIFT_MS: i64 = 60_000;
/// How often the time is stored.
const STORE_INTERVAL: Duration = Duration::from_secs(600);
/// Touched by systemd-timesyncd whenever it set the clock.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// Made in the data folder by an admin who looked at the clock; removed once it was seen.
const CONFIRMATION: &str = "clock-is-right";
/// What an admin can do.
const ADVICE: &str = "set the time of this machine, or, if it is right, run `touch clock-is-right` in the dashboard's data folder";

/// Why the clock is not believed. The words are the same at each look: what the clock says is no part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Doubt {
    #[error("the dashboard's clock is before {newest}, the newest time that it has stored")]
    Behind { newest: Timestamp },
    #[error(
        "the dashboard's clock is implausibly far after {newest}, the newest time that it has stored"
    )]
    Ahead { newest: Timestamp },
    #[error("the dashboard's clock differs from the clocks of most online hosts")]
    Hosts,
}

/// Shared by all that would do by the clock what cannot be undone.
#[derive(Debug, Default)]
pub(crate) struct ClockTrust {
    trust: Mutex<Trust>,
    /// What one-time codes say of it, which is for people alone.
    pub(crate) codes: CodeClock,
}

#[derive(Clone, Copy, Debug, Default)]
struct Trust {
    doubt: Option<Doubt>,
    /// The newest time that was ever believed, unless time synchronisation or an admin said that it was wrong.
    highest: Option<Timestamp>,
}

impl ClockTrust {
    /// Why nothing is to be ended for good by the clock; `None` while it is believed.
    pub(crate) fn doubt(&self) -> Option<Doubt> {
        self.get().doubt
    }

    /// The time for what must not come to life again: never before the newest time that was ever believed. Hosts do
    /// not change that, as whoever has two of them could have an expired token accepted again.
    pub(crate) fn not_before(&self, now: Timestamp) -> Timestamp {
        self.get().highest.map_or(now, |highest| highest.max(now))
    }

    /// What there is to say of the clock, and what to do; `None` while all is well.
    pub(crate) fn warning(&self) -> Option<String> {
        let Trust { doubt, highest } = self.get();
        if let Some(doubt) = doubt {
            return Some(format!(
                "{doubt}: until it is right no log is deleted by age, and no command from before the last start expires; {ADVICE}"
            ));
        }
        let now = Timestamp::now();
        let is_ahead = |at: &Timestamp| at.millis() - now.millis() > MAX_BEHIND_MS;
        let Some(highest) = highest.filter(is_ahead) else {
            return self.codes.warning(Instant::now());
        };
        Some(format!(
            "the dashboard's clock showed {highest} before and is behind that now: everything that expires before that time counts as expired; {ADVICE}"
        ))
    }

    /// Whether the clock is believed.
    pub(crate) fn is_believed(&self) -> bool {
        self.doubt().is_none()
    }

    #[cfg(test)]
    pub(crate) fn doubt_for_test(&self, newest: Timestamp) {
        self.set(Some(Doubt::Ahead { newest }), None);
    }

    #[cfg(test)]
    pub(crate) fn believe_for_test(&self) {
        self.set(None, None);
    }

    fn get(&self) -> Trust {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, doubt: Option<Doubt>, highest: Option<Timestamp>) {
        let trust = Trust { doubt, highest };
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = trust;
    }
}

/// What else tells the time.
#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    /// Whether systemd-timesyncd set the clock since boot, or an admin said just now that it is right.
    is_synchronized: bool,
    /// Whether most hosts that are online have the same time; none where too few say theirs.
    hosts_agree: Option<bool>,
}

/// Holds the clock against what else is known, once a second.
#[derive(Debug)]
pub(super) struct ClockCheck {
    trust: Arc<ClockTrust>,
    stored_at: PathBuf,
    newest: Timestamp,
    /// As [`Trust`] has it.
    highest: Timestamp,
    max_ahead_ms: i64,
    next_store: Instant,
    /// The last look, by a clock that never jumps and by the one that is looked at.
    last: (Instant, Timestamp),
    /// An admin said that the clock is right, and it did not jump since: hosts that disagree are wrong.
    is_vouched_for: bool,
}

impl ClockCheck {
    /// Looks for the first time, before anybody is served.
    pub(super) async fn start(core: &Core) -> Self {
        let stored_at = core.logs.with_file_name("last-time");
        let newest = [core.fleet.newest_time(), read_time(&stored_at)];
        let now = Timestamp::now();
        let newest = newest.into_iter().flatten().max().unwrap_or(now);
        let highest = read_time(&highest_at(&stored_at)).map_or(newest, |at| at.max(newest));
        let mut this = Self {
            trust: Arc::clone(&core.clock),
            stored_at,
            newest,
            highest,
            max_ahead_ms: MAX_DOWNTIME_MS,
            next_store: Instant::now() + STORE_INTERVAL,
            last: (Instant::now(), now),
            is_vouched_for: false,
        };
        this.look(core).await;
        this
    }

    /// Looks again. `true` when the clock is believed from now on and was not before.
    pub(super) async fn look(&mut self, core: &Core) -> bool {
        let now = Timestamp::now();
        if self.has_jumped(Instant::now(), now) {
            // What they said was held against the clock as it was before.
            core.fleet.forget_skews();
            self.is_vouched_for = false;
        }
        let path = self.stored_at.with_file_name(CONFIRMATION);
        // A disk that hangs must not hold a thread that others need, not even once a second.
        let is_confirmed = spawn_blocking(move || is_confirmed_by_admin(&path, now)).await;
        let is_confirmed = is_confirmed.unwrap_or(false);
        self.is_vouched_for |= is_confirmed;
        let evidence = Evidence {
            is_synchronized: is_synchronized(Path::new(SYNCHRONIZED), now) || is_confirmed,
            hosts_agree: core.fleet.most_have_our_time(MAX_BEHIND_MS),
        };
        let before = self.trust.doubt();
        let doubt = self.judge(now, evidence);
        match (before, doubt) {
            (None, Some(doubt)) => {
                tracing::warn!(%doubt, %now, "clock not trusted: until it is right no log is deleted by age, and no command from before the last start expires; {ADVICE}");
            }
            (Some(_), None) => tracing::info!("clock trusted again"),
            _ => {}
        }
        if doubt.is_none() && Instant::now() >= self.next_store {
            self.next_store = Instant::now() + STORE_INTERVAL;
            let (path, time, highest) = (self.stored_at.clone(), self.newest, self.highest);
            let store = move || {
                store_time(&highest_at(&path), highest)?;
                store_time(&path, time)
            };
            if let Ok(Err(error)) = spawn_blocking(store).await {
                tracing::warn!(%error, "the time of the clock could not be stored");
            }
        }
        before.is_some() && doubt.is_none()
    }

    /// Whether the clock went another way since the last look than time itself.
    fn has_jumped(&mut self, instant: Instant, now: Timestamp) -> bool {
        let (then, before) = std::mem::replace(&mut self.last, (instant, now));
        let passed = i64::try_from((instant - then).as_millis()).unwrap_or(i64::MAX);
        let told = now.millis().saturating_sub(before.millis());
        told.saturating_sub(passed).saturating_abs() > MAX_DRIFT_MS
    }

    fn judge(&mut self, now: Timestamp, evidence: Evidence) -> Option<Doubt> {
        let newest = self.newest;
        let ahead = now.millis().saturating_sub(newest.millis());
        let confirmed = evidence.is_synchronized || evidence.hosts_agree == Some(true);
        let doubt = match evidence.hosts_agree {
            _ if confirmed => None,
            Some(false) if !self.is_vouched_for => Some(Doubt::Hosts),
            _ if ahead < -MAX_BEHIND_MS => Some(Doubt::Behind { newest }),
            _ if ahead > self.max_ahead_ms => Some(Doubt::Ahead { newest }),
            _ => None,
        };
        if doubt.is_none() {
            self.newest = if confirmed { now } else { newest.max(now) };
            self.highest = if evidence.is_synchronized {
                now
            } else {
                self.highest.max(now)
            };
            self.max_ahead_ms = MAX_STEP_MS;
        }
        self.trust.set(doubt, Some(self.highest));
        doubt
    }
}

/// Whether an admin said since the last look that the clock is right. That counts once.
fn is_confirmed_by_admin(path: &Path, now: Timestamp) -> bool {
    let is_said = is_synchronized(path, now);
    match fs::remove_file(path) {
        Ok(()) if is_said => tracing::info!("clock confirmed by an admin"),
        Ok(()) => {
            tracing::warn!(path = %path.display(), "clock-is-right ignored and removed: by the clock as it is now, it was not made within the last hour");
        }
        Err(_) => return false,
    }
    is_said
}

/// Whether the file says that the clock was set since boot, and the clock did not jump since.
fn is_synchronized(path: &Path, now: Timestamp) -> bool {
    let set = fs::metadata(path).and_then(|file| file.modified());
    let set = set.ok().and_then(|at| {
        let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    });
    // It is touched at every poll, which are half an hour apart at most.
    set.is_some_and(|set| (now.millis() - set).abs() < MAX_BEHIND_MS)
}

/// Where the newest time is that was ever believed, beside the one that is compared with the clock.
fn highest_at(stored_at: &Path) -> PathBuf {
    stored_at.with_file_name("highest-time")
}

fn read_time(path: &Path) -> Option<Timestamp> {
    Timestamp::parse(fs::read_to_string(path).ok()?.trim())
}

fn store_time(path: &Path, time: Timestamp) -> std::io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, format!("{time}\n"))?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_millis(20_000 * DAY_MS + days * DAY_MS)
    }

    fn check(newest: Timestamp) -> ClockCheck {
        ClockCheck {
            trust: Arc::default(),
            stored_at: PathBuf::new(),
            newest,
            highest: newest,
            max_ahead_ms: MAX_DOWNTIME_MS,
            next_store: Instant::now(),
            last: (Instant::now(), newest),
            is_vouched_for: false,
        }
    }

    const NONE: Evidence = Evidence {
        is_synchronized: false,
        hosts_agree: None,
    };
    const AGREED: Evidence = Evidence {
        is_synchronized: false,
        hosts_agree: Some(true),
    };
    const DISAGREED: Evidence = Evidence {
        is_synchronized: false,
        hosts_agree: Some(false),
    };
    const SYNCHRONIZED: Evidence = Evidence {
        is_synchronized: true,
        hosts_agree: None,
    };

    #[test]
    fn a_clock_far_from_the_newest_stored_time_is_not_believed_until_it_is_right() {
        for wrong in [-20_000, -1, 8, 400] {
            let mut check = check(at(0));
            assert!(check.judge(at(wrong), NONE).is_some(), "{wrong}");
            assert!(check.judge(at(wrong), NONE).is_some(), "{wrong}");
            assert_eq!(check.judge(at(0), NONE), None, "{wrong}");
        }
        for right in [0, 3, 6] {
            assert_eq!(check(at(0)).judge(at(right), NONE), None, "{right}");
        }
    }

    #[test]
    fn a_doubt_has_the_same_words_at_each_look() {
        let mut check = check(at(0));
        let mut words = |now| check.judge(now, NONE).unwrap().to_string();
        let later = Timestamp::from_millis(at(-20).millis() + 1_000);
        assert_eq!(words(at(-20)), words(later));
    }

    #[test]
    fn a_clock_that_jumps_while_the_dashboard_runs_is_not_believed() {
        let mut check = check(at(0));
        assert_eq!(check.judge(at(1), NONE), None);
        assert!(matches!(
            check.judge(at(3), NONE),
            Some(Doubt::Ahead { newest }) if newest == at(1)
        ));
        assert!(matches!(
            check.judge(at(0), NONE),
            Some(Doubt::Behind { .. })
        ));
        assert_eq!(check.judge(at(1), NONE), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_hosts_said_before_the_clock_jumped_confirms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let core = crate::dashboard::testing::open(dir.path()).await;
        let host = crate::dashboard::testing::host("h1");
        let now = Timestamp::now();
        let said = format!(r#"{{"host_id":"h1","time":"{now}"}}"#);
        core.fleet
            .heartbeat(&host, serde_json::from_str(&said).unwrap());
        let mut check = check(now);
        check.last.1 = Timestamp::from_millis(now.millis() - 400 * DAY_MS);
        check.newest = check.last.1;
        let skew =
            || serde_json::to_value(core.fleet.host(&host)).unwrap()["clock_skew_ms"].clone();
        assert!(skew().is_i64());
        check.look(&core).await;
        assert!(skew().is_null());
    }

    #[test]
    fn hosts_and_the_time_server_settle_it() {
        for confirmed in [AGREED, SYNCHRONIZED] {
            let mut check = check(at(0));
            assert!(check.judge(at(400), NONE).is_some());
            assert_eq!(check.judge(at(400), confirmed), None);
            assert_eq!(check.judge(at(400), NONE), None);
            // The newest stored time itself was wrong.
            assert_eq!(check.judge(at(100), confirmed), None);
            assert_eq!(check.judge(at(100), NONE), None);
        }
        let mut check = check(at(0));
        assert_eq!(check.judge(at(0), DISAGREED), Some(Doubt::Hosts));
    }

    #[test]
    fn hosts_that_disagree_with_an_admin_raise_no_doubt() {
        let mut check = check(at(0));
        assert!(check.judge(at(400), DISAGREED).is_some());
        check.is_vouched_for = true;
        assert_eq!(check.judge(at(400), SYNCHRONIZED), None);
        assert_eq!(check.judge(at(400), DISAGREED), None);
    }

    #[test]
    fn what_expired_stays_so_whatever_hosts_say_until_the_time_server_sets_the_clock_back() {
        let mut check = check(at(0));
        for said in [NONE, AGREED, NONE] {
            check.judge(at(-1), said);
            assert_eq!(check.trust.not_before(at(-1)), at(0), "{said:?}");
        }
        assert!(check.trust.warning().is_none(), "long ago by now");
        assert_eq!(check.judge(at(-1), SYNCHRONIZED), None);
        assert_eq!(check.trust.not_before(at(-1)), at(-1));
        // A clock that nobody believes ends no more than it says itself.
        check.judge(at(400), NONE);
        assert_eq!(check.trust.not_before(at(-1)), at(-1));
        check.judge(at(400), AGREED);
        assert_eq!(check.trust.not_before(at(-1)), at(400));
    }

    #[test]
    fn a_clock_that_is_behind_what_it_said_is_warned_of_though_hosts_have_its_time() {
        let now = Timestamp::now();
        let mut check = check(Timestamp::from_millis(now.millis() + DAY_MS));
        assert_eq!(check.judge(now, AGREED), None);
        let warning = check.trust.warning().unwrap();
        assert!(warning.contains("clock-is-right"), "{warning}");
        check.judge(now, SYNCHRONIZED);
        assert_eq!(check.trust.warning(), None);
    }

    #[test]
    fn a_time_server_that_was_asked_long_ago_or_in_the_future_confirms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("synchronized");
        let now = Timestamp::now();
        assert!(!is_synchronized(&path, now));
        fs::write(&path, "").unwrap();
        assert!(is_synchronized(&path, now));
        for days in [-400, 400] {
            let wrong = Timestamp::from_millis(now.millis() + days * DAY_MS);
            assert!(!is_synchronized(&path, wrong));
        }
    }

    #[test]
    fn the_stored_time_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last-time");
        assert_eq!(read_time(&path), None);
        store_time(&path, at(1)).unwrap();
        assert_eq!(read_time(&path), Some(at(1)));
        fs::write(&path, "yesterday").unwrap();
        assert_eq!(read_time(&path), None);
    }
}
