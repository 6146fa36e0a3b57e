//! Tests that cannot run.
#![allow(
    clippy::unwrap_used,
    clippy::explicit_write,
    reason = "libtest does not capture what is written so"
)]

use std::io::Write;

/// Says that a test cannot run here, past libtest's capture; with `CI=true` that is a failure.
#[track_caller]
pub(crate) fn skip(reason: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "SKIPPED: {reason}"
    );
    writeln!(std::io::stderr(), "SKIPPED: {reason}").unwrap();
}
