//! What browsers are sent: the state of the fleet as it changes, and the lines of the runs they watch.

mod frame;
mod messages;
mod metrics;
mod pace;
mod session;
mod shares;
mod subscription;
#[cfg(test)]
mod tests;

pub(crate) use session::serve;
pub(crate) use shares::{Share, Shares};

use super::auth::Scope;
use super::fleet::{Form, HostUpdate};
use super::rates::Rates;
use crate::protocol::{CommandName, HostId, Run, RunId, Seq, Timestamp};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// Who looks at the fleet.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// Turns false when they may no longer.
    pub(crate) welcome: watch::Receiver<bool>,
    /// Their name, under which their messages are counted
    pub(crate) name: String,
    /// here.
    pub(crate) rates: Arc<Rates>,
    /// What all their pages have together.
    pub(crate) share: Arc<Share>,
    /// Which hosts they see.
    pub(crate) scope: Scope,
    /// How they want to be told of changes of hosts.
    pub(crate) form: Form,
    /// Set whenever they do something.
    pub(crate) active: Arc<AtomicBool>,
}

/// A message to a browser, but for `hosts` and lines, which [`frame`] writes.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToBrowser<'a> {
    HostUpdate {
        host: &'a HostUpdate,
    },
    CommandQueued {
        host_id: &'a HostId,
        run_id: &'a RunId,
        command: &'a CommandName,
        requested_by: Option<&'a str>,
    },
    RunUpdate {
        run: &'a Run,
    },
    Subscribed {
        sub: &'a str,
        host_id: &'a HostId,
        run_id: Option<&'a RunId>,
        from: Seq,
        total: Seq,
    },
    Tick {
        time: Timestamp,
    },
    Error {
        sub: Option<&'a str>,
        detail: &'a str,
    },
}

/// Reads bytes as every message there is.
#[cfg(test)]
pub(super) fn try_parsing(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = messages::read(text);
    }
}
