//! Metrics of hosts on their way to browsers: apart from other news, because thousands of hosts report them every few
//! seconds, and a page shows few of them.

use super::host::Host;
use super::{Fleet, Form, HostUpdate, Inner};
use crate::protocol::HostId;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// How often a host is told that nothing changed of but the time at which it was last heard.
const LAST_SEEN_INTERVAL: Duration = Duration::from_secs(15);
/// How many hosts are looked at under one lock.
const MAX_SCANNED: usize = 256;

/// What pages show of metrics, rounded as they round it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    cpu_percent: Option<i64>,
    ram_percent: Option<i64>,
    swap_percent: Option<i64>,
    load_hundredths: Option<i64>,
    clock_skew_seconds: Option<i64>,
}

/// What browsers were told of a host's metrics.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The version of the metrics of all hosts at which those of this host last changed; 0 for never.
    version: u64,
    last: Option<(Shown, Instant)>,
}

/// The place of one browser in its rounds through the hosts: in each round it is told of those whose metrics changed
/// since it was there before. So each host has its turn, however often others change.
#[derive(Debug)]
pub(crate) struct MetricsRound {
    /// The host that was looked at last; none at the beginning of a round.
    after: Option<HostId>,
    /// Later changes are told in this round,
    since: u64,
    /// and in the next one.
    next_since: u64,
}

impl Told {
    /// Something else of its host changed: who was not told of that is told with its metrics.
    pub(super) fn is_news_at(&mut self, version: u64) {
        self.version = version;
    }
}

impl Shown {
    fn of(host: &Host) -> Self {
        let metrics = host.metrics.as_ref();
        let rounded = |value: Option<f64>| value.map(|value| value.round() as i64);
        let load = metrics.and_then(|metrics| metrics.load);
        Self {
            cpu_percent: rounded(metrics.and_then(|metrics| metrics.cpu)),
            ram_percent: rounded(metrics.and_then(|metrics| metrics.ram)),
            swap_percent: rounded(metrics.and_then(|metrics| metrics.swap)),
            load_hundredths: rounded(load.map(|load| load * 100.0)),
            clock_skew_seconds: host.stored.clock_skew_ms.map(|skew| skew / 1000),
        }
    }
}

impl Inner {
    /// Notes for all browsers that a host reported its metrics, if they show something else than before.
    pub(super) fn show_metrics(&mut self, host_id: &HostId) {
        let Some(host) = self.hosts.get_mut(host_id) else {
            return;
        };
        let (now, shown) = (Instant::now(), Shown::of(host));
        let is_news = host.metrics_told.last.is_none_or(|(before, at)| {
            before != shown || now.duration_since(at) >= LAST_SEEN_INTERVAL
        });
        if is_news {
            self.metrics_version += 1;
            host.metrics_told = Told {
                version: self.metrics_version,
                last: Some((shown, now)),
            };
        }
    }
}

impl Fleet {
    /// Rounds that tell what changes from now on.
    pub(crate) fn metrics_round(&self) -> MetricsRound {
        let version = self.lock().metrics_version;
        MetricsRound {
            after: None,
            since: version,
            next_since: version,
        }
    }

    /// The next hosts of a round that are `in_sight` and whose metrics changed, at most `limit`; and whether the round
    /// goes on. Looks at a few hundred hosts at most.
    pub(crate) fn next_metrics(
        &self,
        round: &mut MetricsRound,
        limit: usize,
        form: Form,
        in_sight: impl Fn(&HostId) -> bool,
    ) -> (Vec<HostUpdate>, bool) {
        let inner = self.lock();
        let from = round
            .after
            .as_ref()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let hosts = inner.hosts.range::<HostId, _>((from, Bound::Unbounded));
        let (mut changed, mut last) = (Vec::new(), None);
        for (id, host) in hosts.take(MAX_SCANNED) {
            last = Some(id);
            if host.metrics_told.version > round.since && in_sight(id) {
                changed.push(host.changed_metrics(id, form));
                if changed.len() >= limit {
                    break;
                }
            }
        }
        let goes_on = last.is_some_and(|last| Some(last) != last_of(&inner.hosts));
        if goes_on {
            round.after = last.cloned();
        } else {
            // Whatever changed behind the place of this round is told in the next one.
            *round = MetricsRound {
                after: None,
                since: round.next_since,
                next_since: inner.metrics_version,
            };
        }
        (changed, goes_on)
    }

    /// A host whose metrics changed after version `since`, and the version reached.
    pub(crate) fn metrics_of(
        &self,
        host_id: &HostId,
        since: u64,
        form: Form,
    ) -> Option<(HostUpdate, u64)> {
        let inner = self.lock();
        let host = inner.hosts.get(host_id)?;
        let is_news = host.metrics_told.version > since;
        is_news.then(|| (host.changed_metrics(host_id, form), inner.metrics_version))
    }
}

fn last_of(hosts: &BTreeMap<HostId, Box<Host>>) -> Option<&HostId> {
    hosts.last_key_value().map(|(id, _)| id)
}
