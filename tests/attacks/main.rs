//! What strangers, hosts, pages of others and dashboards in wrong hands may try.
#![cfg(test)]

#[path = "../common/mod.rs"]
mod common;
mod dashboards;
mod files;
mod hosts;
mod pages;
mod requests;
mod strangers;
mod support;
