//! The real `switchyard supervise`, with real children.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/chance.rs"]
mod chance;
mod manager;
mod output;
mod result;
mod resume;
mod room;
mod stop;
mod support;
