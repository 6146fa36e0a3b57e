//! The HTTP interface, one resource a file.

pub(super) mod audit;
pub(super) mod commands;
pub(super) mod download;
mod enrol;
pub(super) mod health;
pub(super) mod hosts;
pub(super) mod lines;
pub(super) mod login;
mod logs;
pub(super) mod me;
pub(super) mod metrics;
pub(super) mod runs;
pub(super) mod search;
pub(super) mod sessions;
pub(super) mod sockets;
pub(super) mod tokens;
