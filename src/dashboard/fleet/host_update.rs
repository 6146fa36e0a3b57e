//! What a `host_update` tells of a host.

use super::host::{Host, HostView};
use crate::protocol::{HostId, Metrics, Timestamp};
use serde::Serialize;

/// How a browser wants to be told of changes of hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each update is the whole host.
    #[default]
    Whole,
    /// What is not in an update did not change. A run is in it when it is another one or has another status; what else
    /// changes of it comes as `run_update`.
    Changes,
}

/// A host, or as much of it as a browser needs to know what changed.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum HostUpdate {
    Host(Box<HostView>),
    Metrics(HostMetrics),
}

/// What changes of a host whenever it says how busy it is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostMetrics {
    id: HostId,
    last_seen: Option<Timestamp>,
    clock_skew_ms: Option<i64>,
    metrics: Option<Metrics>,
}

impl HostUpdate {
    /// Which host it is.
    pub(crate) fn id(&self) -> &HostId {
        match self {
            Self::Host(host) => host.id(),
            Self::Metrics(host) => &host.id,
        }
    }
}

impl Host {
    /// What is told when metrics alone changed.
    pub(super) fn changed_metrics(&self, id: &HostId, form: Form) -> HostUpdate {
        match form {
            Form::Whole => HostUpdate::Host(Box::new(self.view(id))),
            Form::Changes => HostUpdate::Metrics(HostMetrics {
                id: id.clone(),
                last_seen: self.stored.last_seen,
                clock_skew_ms: self.stored.clock_skew_ms,
                metrics: self.metrics.clone(),
            }),
        }
    }

    /// What is told of changes after a version.
    pub(super) fn changes_since(&self, id: &HostId, since: u64, form: Form) -> HostUpdate {
        let with_run = form == Form::Whole || self.run_version > since;
        let run = with_run.then(|| self.run_view());
        HostUpdate::Host(Box::new(self.view_with(id, run)))
    }
}
