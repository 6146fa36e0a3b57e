//! How long to wait before the next attempt to connect.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(15);
const LAST_WHERE_UNWANTED: Duration = Duration::from_secs(60);

/// Doubles from 1 s to 15 s, and on to 60 s where the dashboard does not want this agent.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The agent was registered: the next failure is a first one.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// How long to wait now. `luck` from 0 to 1 spreads the agents of a fleet over a fifth more or less.
    pub(super) fn wait(&mut self, unwanted: bool, luck: f64) -> Duration {
        let last = if unwanted { LAST_WHERE_UNWANTED } else { LAST };
        let wait = self.next.min(last);
        self.next = (wait * 2).min(last);
        wait.mul_f64(0.8 + 0.4 * luck.clamp(0.0, 1.0))
    }
}

/// A random number from 0 to 1.
pub(super) fn luck() -> f64 {
    // Without randomness every agent waits the middle of its span.
    getrandom::u32().map_or(0.5, |n| f64::from(n) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(backoff: &mut Backoff, unwanted: bool) -> u64 {
        backoff.wait(unwanted, 0.5).as_secs()
    }

    #[test]
    fn waits_double_to_15_s_and_to_60_s_only_where_unwanted() {
        let mut backoff = Backoff::default();
        let mut waits = |unwanted, n: usize| -> Vec<u64> {
            (0..n).map(|_| seconds(&mut backoff, unwanted)).collect()
        };
        assert_eq!(waits(false, 6), [1, 2, 4, 8, 15, 15]);
        assert_eq!(waits(true, 4), [15, 30, 60, 60]);
        assert_eq!(waits(false, 1), [15]);
        backoff.reset();
        assert_eq!(seconds(&mut backoff, false), 1);
    }

    #[test]
    fn luck_spreads_by_a_fifth() {
        let spread = [0.0, 1.0].map(|luck| Backoff::default().wait(false, luck).as_millis());
        assert_eq!(spread, [800, 1200]);
        assert!((0.0..=1.0).contains(&luck()));
    }
}
