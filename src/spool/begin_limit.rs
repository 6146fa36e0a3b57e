//! Until when a run that an agent took may begin, by a clock that goes on while the agent is away.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// How long a command may wait whose request says nothing of it.
pub const DEFAULT_BEGIN_LIMIT: Duration = Duration::from_secs(3600);

/// How long the start of a supervisor may take, beyond the time in which its run was to begin.
pub const START_GRACE: Duration = Duration::from_secs(60);

/// The moment so long from now after which a run may not begin, in milliseconds of CLOCK_BOOTTIME: nobody sets that
/// clock, it counts the time in which the host slept, and it begins anew with each boot.
pub fn begin_by(limit: Option<Duration>) -> Option<u64> {
    let limit = limit.unwrap_or(DEFAULT_BEGIN_LIMIT);
    since_boot().map(|now| millis(now.saturating_add(limit)))
}

/// Whether that moment was longer ago than `grace`.
pub fn is_past(begin_by: u64, grace: Duration) -> bool {
    since_boot().is_some_and(|now| millis(now) >= begin_by.saturating_add(millis(grace)))
}

fn since_boot() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .ok()
        .map(Duration::from)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_over_when_its_time_and_the_grace_have_passed() {
        let hour = Duration::from_secs(3600);
        let is_over = |limit, grace| is_past(begin_by(limit).unwrap(), grace);
        assert!(is_over(Some(Duration::ZERO), Duration::ZERO));
        assert!(!is_over(Some(Duration::ZERO), hour));
        assert!(!is_over(Some(hour), Duration::ZERO));
        assert!(!is_over(None, Duration::ZERO));
        assert!(!is_over(Some(Duration::MAX), Duration::ZERO));
        assert!(!is_past(u64::MAX, hour));
    }
}
