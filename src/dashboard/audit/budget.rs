//! How much of what strangers do is worth writing down.

use std::time::{Duration, Instant};

/// So many at once,
const MOST: u64 = 600;
/// and one more in each such time.
const EACH: Duration = Duration::from_secs(1);

/// Counts down, and up again with time.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    filled: Instant,
    left_out: u64,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: MOST,
            filled: now,
            left_out: 0,
        }
    }

    /// Takes one, and gives how many were not written since the one before; or counts one more of those.
    pub(super) fn spend(&mut self, now: Instant) -> Option<u64> {
        let more = now.saturating_duration_since(self.filled).as_secs() / EACH.as_secs();
        if more > 0 {
            self.left = self.left.saturating_add(more).min(MOST);
            self.filled = now;
        }
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        let written = (0..10_000).filter(|_| budget.spend(now).is_some());
        assert_eq!(written.count() as u64, MOST);
        assert_eq!(budget.spend(now + EACH), Some(10_000 - MOST));
        assert_eq!(budget.spend(now + EACH), None);
        assert_eq!(budget.spend(now + 3 * EACH), Some(1));
        assert_eq!(budget.spend(now + 3 * EACH), Some(0));
    }
}
