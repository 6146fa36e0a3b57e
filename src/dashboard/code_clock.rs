//! What one-time codes say of the clock: somebody's phone makes them by a clock of its own.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a step of codes is, in seconds.
const STEP_SECONDS: u64 = 30;
/// A code of so many steps ago may just have been typed late.
const MAX_TYPED_LATE_STEPS: i64 = 4;
/// How long it is warned of.
const WARNED_FOR: Duration = Duration::from_secs(3_600);
/// How often it is told in the journal.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// A code that somebody with the right password sent, and that is good at another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The step it is of.
    pub(crate) step: u64,
    /// How many steps later than now that is; negative: earlier.
    pub(crate) ahead: i64,
}

impl Misfit {
    /// Whether somebody may have noted the code down before, which says nothing of the clock.
    fn may_be_old(self) -> bool {
        self.ahead < 0
    }

    /// Whether both are of a clock that is as far off.
    fn confirms(self, other: Self) -> bool {
        self.step != other.step && self.ahead.abs_diff(other.ahead) <= 1
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = (self.ahead.unsigned_abs() * STEP_SECONDS).div_ceil(60);
        let (when, how) = if self.ahead < 0 {
            ("ago", "ahead")
        } else {
            ("from now", "behind")
        };
        write!(
            f,
            "a one-time code was refused that belongs to a time {minutes} min {when}: the clock of this machine seems to be {minutes} min {how}; correct it, or the clock of the phone"
        )
    }
}

/// Codes that fit another time.
#[derive(Debug, Default)]
pub(crate) struct CodeClock(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: Option<Misfit>,
    told: Option<Instant>,
    warned: Option<(Misfit, Instant)>,
}

impl CodeClock {
    /// Somebody with the right password sent a code that fits another time. An old code alone is told in the journal
    /// and not in a warning, which all may read: whoever has seen one must not learn by it which password is right.
    pub(crate) fn missed(&self, user: &str, misfit: Misfit, now: Instant) {
        if (-MAX_TYPED_LATE_STEPS..0).contains(&misfit.ahead) {
            return;
        }
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_confirmed = seen.last.is_some_and(|last| last.confirms(misfit));
        if is_confirmed || !misfit.may_be_old() {
            seen.warned = Some((misfit, now));
        }
        seen.last = Some(misfit);
        let is_told = seen.told.is_none_or(|told| now >= told + TELL_INTERVAL);
        if is_told {
            seen.told = Some(now);
            drop(seen);
            tracing::warn!(user, "{misfit}");
        }
    }

    /// A code was good.
    pub(crate) fn fitted(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    }

    /// What there is to warn of.
    pub(crate) fn warning(&self, now: Instant) -> Option<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (misfit, since) = seen.warned?;
        (now < since + WARNED_FOR).then(|| misfit.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misfit(step: u64, ahead: i64) -> Misfit {
        Misfit { step, ahead }
    }

    #[test]
    fn a_code_of_the_future_is_warned_of_until_one_is_good_or_an_hour_has_passed() {
        let (clock, now) = (CodeClock::default(), Instant::now());
        clock.missed("ada", misfit(100, 20), now);
        let warning = clock.warning(now).unwrap();
        assert!(warning.contains("10 min behind"), "{warning}");
        assert_eq!(clock.warning(now + WARNED_FOR), None);
        clock.fitted();
        assert_eq!(clock.warning(now), None);
    }

    #[test]
    fn a_code_of_the_past_is_warned_of_once_another_one_is_as_old() {
        let (clock, now) = (CodeClock::default(), Instant::now());
        for (step, ahead) in [(100, -20), (100, -21), (90, -32), (130, -3), (131, -2)] {
            clock.missed("ada", misfit(step, ahead), now);
            assert_eq!(clock.warning(now), None, "{step}");
        }
        clock.missed("ada", misfit(92, -31), now);
        let warning = clock.warning(now).unwrap();
        assert!(warning.contains("16 min ahead"), "{warning}");
    }
}
