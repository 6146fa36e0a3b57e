//! Randomness that can be had again, and how much of it.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::expect_used,
    clippy::explicit_write,
    reason = "a helper that fails is a test that fails; libtest does not capture what is written so"
)]

use std::io::Write;
use std::time::{Duration, SystemTime};

/// A sequence of random numbers, after splitmix64.
pub(crate) struct Chance(u64);

impl Chance {
    /// The sequence of the seed in `SWITCHYARD_SEED`, or of a new one; it is printed past libtest's capture.
    pub(crate) fn of(test: &str) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seed = std::env::var("SWITCHYARD_SEED")
            .map(|text| text.parse().expect("SWITCHYARD_SEED is a number"))
            .unwrap_or_else(|_| now.unwrap().as_nanos() as u64 % 1_000_000_000);
        writeln!(std::io::stderr(), "{test}: SWITCHYARD_SEED={seed}").unwrap();
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Once in `n` times.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    /// A sequence of its own for another thread.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A time below `limit`.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        Duration::from_micros(self.next() % limit.as_micros() as u64)
    }

    /// Waits for a random time below `limit`.
    pub(crate) fn pause(&mut self, limit: Duration) {
        std::thread::sleep(self.below(limit));
    }
}

/// How often each process is killed: 20 times, and 200 times in `tests/run --long`.
pub(crate) fn kills() -> usize {
    if std::env::var_os("SWITCHYARD_LONG").is_some() {
        200
    } else {
        20
    }
}
