//! The real `switchyard supervise`, with real children.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod output;
mod result;
mod stop;
mod support;
