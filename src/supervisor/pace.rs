//! How fast the pipes are read.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How much is read from a pipe at once; all of it becomes one batch of the spool.
pub(super) const READ_BYTES: usize = 256 * 1024;

/// Rests a little between small reads that follow each other fast, so that they become one: 200 a second
/// are read at once, beyond that what came within a millisecond.
pub(super) struct Pace {
    window: Instant,
    reads: u32,
}

impl Pace {
    const WINDOW: Duration = Duration::from_millis(100);
    const FREE_READS: u32 = 20;
    const REST: Duration = Duration::from_millis(1);

    pub(super) fn new() -> Self {
        Self {
            window: Instant::now(),
            reads: 0,
        }
    }

    pub(super) fn rest_after(&mut self, bytes: usize) {
        if self.window.elapsed() > Self::WINDOW {
            *self = Self::new();
        }
        self.reads += 1;
        if self.reads > Self::FREE_READS && bytes < READ_BYTES / 2 {
            sleep(Self::REST);
        }
    }
}
