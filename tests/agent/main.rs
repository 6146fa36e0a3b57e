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
mod support;
