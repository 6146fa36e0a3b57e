//! The real agent, and a dashboard that does what each test says.

mod connection;
mod pull;
mod recovery;
mod runs;
mod support;
