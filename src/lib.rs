//! Switchyard deploys a fleet of NixOS hosts from a web page and shows every line of `nixos-rebuild` as it happens.

pub mod agent;
pub mod ansi;
pub mod config_file;
pub mod dashboard;
pub mod demo;
pub mod lifecycle;
pub mod logging;
pub mod proctree;
pub mod progress;
pub mod protocol;
pub mod runlog;
pub mod spool;
pub mod supervisor;
