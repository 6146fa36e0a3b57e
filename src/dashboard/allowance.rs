//! How much a peer may ask for: so much at once, and then so much a second. Who asks for more waits, and is not
//! put out: that its next message is read later, or its request refused for a while, is all it feels.

use std::time::{Duration, Instant};

/// No wait is longer, so that a peer that waits is not silent for too long.
const LONGEST: Duration = Duration::from_secs(10);

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Allowance {
    at_once: f64,
    a_second: f64,
    left: f64,
    filled: Instant,
}

impl Allowance {
    pub(crate) fn new(at_once: u32, a_second: u32) -> Self {
        Self::with_rate(at_once, f64::from(a_second))
    }

    /// So much at once, and then one in each `interval`.
    pub(crate) fn one_every(interval: Duration, at_once: u32) -> Self {
        Self::with_rate(at_once, interval.as_secs_f64().recip())
    }

    fn with_rate(at_once: u32, a_second: f64) -> Self {
        let at_once = f64::from(at_once);
        Self {
            at_once,
            a_second,
            left: at_once,
            filled: Instant::now(),
        }
    }

    /// Takes so much, whether it is there or not.
    pub(crate) fn spend(&mut self, much: u32) {
        self.left -= f64::from(much);
    }

    /// Takes so much if all of it is there.
    ///
    /// # Errors
    /// With how long it takes until it is.
    pub(crate) fn spend_all(&mut self, much: u32, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        let missing = f64::from(much) - self.left;
        if missing > 0.0 {
            return Err(Duration::from_secs_f64(missing / self.a_second));
        }
        self.spend(much);
        Ok(())
    }

    /// Puts back what was taken and not used.
    pub(crate) fn give_back(&mut self, much: u32) {
        self.left = (self.left + f64::from(much)).min(self.at_once);
    }

    /// How much is not there that was at first.
    pub(crate) fn spent(&mut self, now: Instant) -> f64 {
        self.fill(now);
        self.at_once - self.left
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        // Whoever asks may have looked at the clock before somebody else did.
        self.filled = self.filled.max(now);
        let most = LONGEST.as_secs_f64() * self.a_second;
        self.left = (self.left + since * self.a_second).clamp(-most, self.at_once);
    }

    /// When so much is there; none where it is.
    pub(crate) fn ready_at(&mut self, much: u32, now: Instant) -> Option<Instant> {
        self.fill(now);
        let missing = f64::from(much) - self.left;
        (missing > 0.0).then(|| now + Duration::from_secs_f64(missing / self.a_second))
    }

    /// When the peer may go on; none where it may at once.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        (self.left < 0.0).then(|| now + Duration::from_secs_f64(-self.left / self.a_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_more_than_they_may_waits_and_never_for_long() {
        let mut allowance = Allowance::new(10, 2);
        let now = allowance.filled;
        allowance.spend(10);
        assert_eq!(allowance.wait(now), None);
        allowance.spend(4);
        assert_eq!(allowance.wait(now), Some(now + Duration::from_secs(2)));
        assert_eq!(allowance.wait(now + Duration::from_secs(2)), None);
        allowance.spend(1_000_000);
        let now = now + Duration::from_secs(2);
        assert_eq!(allowance.wait(now), Some(now + LONGEST));
        assert_eq!(allowance.wait(now + Duration::from_secs(1_000)), None);
        allowance.spend(11);
        let later = allowance.wait(now + Duration::from_secs(1_000));
        assert!(later.is_some(), "no more is saved up than at once");
    }
}
