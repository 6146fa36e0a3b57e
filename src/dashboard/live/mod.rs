//! What browsers are sent: the state of the fleet as it changes, and the lines of the runs they watch.

mod frame;
mod session;
mod subscription;
#[cfg(test)]
mod tests;

pub(crate) use session::serve;

use super::fleet::HostView;
use crate::protocol::{CommandName, HostId, Run, RunId, Seq, Timestamp};
use serde::{Deserialize, Serialize};

/// A message to a browser, but for `hosts` and lines, which [`frame`] writes.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToBrowser<'a> {
    HostUpdate {
        host: &'a HostView,
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

/// `subscribe`, from a browser.
#[derive(Debug, Deserialize)]
struct Subscribe {
    sub: Option<String>,
    host_id: HostId,
    run_id: Option<RunId>,
    from: Option<i64>,
}

/// `unsubscribe`, from a browser.
#[derive(Debug, Deserialize)]
struct Unsubscribe {
    sub: String,
}
