//! The real `switchyard supervise`, with real children.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "the seed of random moments is shown")]

mod alone;
#[path = "../common/disk.rs"]
mod disk;
mod manager;
mod output;
mod result;
mod resume;
mod room;
mod stop;
mod support;
