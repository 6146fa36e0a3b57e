//! The HTTP interface, one resource a file.

pub(super) mod download;
pub(super) mod health;
pub(super) mod lines;
pub(super) mod login;
mod logs;
pub(super) mod search;
