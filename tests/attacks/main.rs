//! What strangers, hosts, pages of others and dashboards in wrong hands may try.
#![cfg(test)]

mod askers;
mod besieger;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod dashboards;
mod files;
mod frames;
mod hosts;
mod memory;
mod pages;
mod peers;
mod places;
mod requests;
mod searches;
mod siege;
#[path = "../common/starvation.rs"]
mod starvation;
mod strangers;
mod support;
mod table;
mod tally;
mod visitors;
