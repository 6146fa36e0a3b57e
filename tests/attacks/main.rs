//! What strangers, hosts, pages of others and dashboards in wrong hands may try.
#![cfg(test)]

mod askers;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod dashboards;
mod files;
mod hosts;
mod memory;
mod pages;
mod peers;
mod places;
mod requests;
mod searches;
#[path = "../common/starvation.rs"]
mod starvation;
mod strangers;
mod support;
mod table;
mod visitors;
