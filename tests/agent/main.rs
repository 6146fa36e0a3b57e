//! The real agent, and a dashboard that does what each test says.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod connection;
mod demands;
mod recovery;
mod runs;
#[path = "../common/starvation.rs"]
mod starvation;
mod support;

/// Tells what was measured, past libtest's capture.
#[expect(
    clippy::explicit_write,
    reason = "libtest does not capture what is written so"
)]
fn measured(what: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "MEASURED {what}").unwrap();
}
