//! What dies, hangs, goes away or jumps while runs go on. The assertion is always on the whole: what the child
//! wrote is what the log holds, in order, none twice, none missing, and status and exit code are right.
#![cfg(test)]

mod child;
mod clocks;
#[path = "../common/mod.rs"]
mod common;
mod disks;
mod kills;
mod late;
mod network;
mod services;
mod silence;
mod supervisors;
