//! The real `switchyard supervise`, with real children.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alone;
mod cause;
#[path = "../common/chance.rs"]
mod chance;
#[path = "../common/disk.rs"]
mod disk;
mod manager;
mod output;
mod result;
mod resume;
mod room;
#[path = "../common/skip.rs"]
mod skip;
mod stop;
mod support;
