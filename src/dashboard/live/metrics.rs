//! How a browser is told of the metrics of hosts: those that it watches within a second, the others in turn, as many
//! as a limit of bytes allows. A page costs the same whether there are a hundred hosts or ten thousand.

use super::ToBrowser;
use super::frame::Frame;
use crate::dashboard::auth::Scope;
use crate::dashboard::fleet::{Fleet, HostView, MetricsRound};
use crate::protocol::HostId;

/// How many bytes of metrics a browser is sent a second.
pub(super) const METRICS_BYTES_A_SECOND: usize = 8 * 1024;
/// How many hosts a browser may watch the metrics of.
pub(super) const MAX_WATCHED: usize = 100;
/// How many hosts are written before the room that is left is looked at again.
const HOSTS_AT_A_TIME: usize = 4;
/// How often the fleet is asked for hosts in one second: it looks at some hundred of them each time.
const MAX_PIECES: usize = 16;

/// What one browser is told of metrics.
#[derive(Debug)]
pub(super) struct Metrics {
    round: MetricsRound,
    watched: Vec<HostId>,
    /// The version of the metrics up to which those of the watched hosts were told.
    watched_since: u64,
    /// How many bytes may be sent now; below 0 where the last host took more than there was.
    left: i64,
}

impl Metrics {
    /// Of whatever changes from now on.
    pub(super) fn new(fleet: &Fleet) -> Self {
        Self {
            round: fleet.metrics_round(),
            watched: Vec::new(),
            watched_since: 0,
            left: 0,
        }
    }

    /// Watches these hosts, and no others any more.
    pub(super) fn watch(&mut self, hosts: Vec<HostId>) {
        self.watched = hosts;
        // What was told of them may be old.
        self.watched_since = 0;
    }

    /// Writes what changed into the frame; to be called once a second.
    pub(super) fn fill(&mut self, fleet: &Fleet, scope: &Scope, frame: &mut Frame) {
        let a_second = METRICS_BYTES_A_SECOND as i64;
        self.left = (self.left + a_second).min(a_second);
        let (watched, reached) = fleet.metrics_of(&self.watched, self.watched_since);
        self.watched_since = reached;
        for host in watched {
            if scope.has(host.id()) {
                self.push(&host, frame);
            }
        }
        for _ in 0..MAX_PIECES {
            if self.left <= 0 || !frame.has_room() {
                break;
            }
            let in_sight = |id: &HostId| scope.has(id) && !self.watched.contains(id);
            let (hosts, goes_on) = fleet.next_metrics(&mut self.round, HOSTS_AT_A_TIME, in_sight);
            for host in hosts {
                self.push(&host, frame);
            }
            if !goes_on {
                break;
            }
        }
    }

    fn push(&mut self, host: &HostView, frame: &mut Frame) {
        let before = frame.len();
        frame.push(&ToBrowser::HostUpdate { host });
        self.left -= (frame.len() - before) as i64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::host;
    use serde_json::{Value, json};
    use std::collections::HashSet;

    fn fleet_of(hosts: usize) -> (Fleet, Vec<String>) {
        let names: Vec<String> = (0..hosts).map(|n| format!("h{n:05}")).collect();
        let fleet = Fleet::default();
        fleet.set_hosts(names.iter().map(|name| host(name)));
        (fleet, names)
    }

    fn beat(fleet: &Fleet, name: &str, cpu: usize) {
        let beat = json!({"host_id": name, "metrics": {"cpu": cpu, "ram": 10.5, "load": 0.25}});
        fleet.heartbeat(&host(name), serde_json::from_value(beat).unwrap());
    }

    /// The hosts that a frame tells of, and its length in bytes.
    fn frame(metrics: &mut Metrics, fleet: &Fleet, scope: &Scope) -> (Vec<String>, usize) {
        let mut frame = Frame::default();
        metrics.fill(fleet, scope, &mut frame);
        if frame.is_empty() {
            return (Vec::new(), 0);
        }
        let text = frame.finish();
        let messages: Vec<Value> = serde_json::from_str(&text).unwrap();
        let id = |message: &Value| message["host"]["id"].as_str().unwrap().to_owned();
        (messages.iter().map(id).collect(), text.len())
    }

    #[test]
    fn a_page_costs_the_same_bytes_with_a_hundred_hosts_and_with_ten_thousand() {
        for hosts in [100, 10_000] {
            let (fleet, names) = fleet_of(hosts);
            let mut metrics = Metrics::new(&fleet);
            let (mut bytes, mut told) = (0, HashSet::new());
            for second in 0..20 {
                for name in &names {
                    beat(&fleet, name, second);
                }
                let (ids, length) = frame(&mut metrics, &fleet, &Scope::EVERY);
                bytes += length;
                told.extend(ids);
            }
            assert!(bytes <= 21 * METRICS_BYTES_A_SECOND, "{hosts}: {bytes}");
            assert!(bytes >= 19 * METRICS_BYTES_A_SECOND, "{hosts}: {bytes}");
            assert!(told.len() >= 100, "{hosts}: {}", told.len());
        }
    }

    #[test]
    fn metrics_that_are_watched_come_each_time_and_those_out_of_sight_never() {
        let (fleet, names) = fleet_of(2_000);
        let mut metrics = Metrics::new(&fleet);
        let near = Scope::parse("h0000*,h01999").unwrap();
        metrics.watch(vec![host("h01999"), host("h01000"), host("nobody")]);
        for second in 0..5 {
            for name in &names {
                beat(&fleet, name, second);
            }
            let (ids, _) = frame(&mut metrics, &fleet, &near);
            assert_eq!(ids.iter().filter(|id| *id == "h01999").count(), 1);
            let rest = ids.iter().filter(|id| *id != "h01999");
            assert!({ rest }.all(|id| id.starts_with("h0000")), "{ids:?}");
        }
        let one = Scope::parse("h01998").unwrap();
        let ids = (0..5).flat_map(|_| frame(&mut metrics, &fleet, &one).0);
        assert!({ ids }.any(|id| id == "h01998"), "others cost no turns");
    }

    #[test]
    fn a_host_that_is_watched_anew_is_told_at_once() {
        let (fleet, names) = fleet_of(2);
        beat(&fleet, &names[0], 5);
        let mut metrics = Metrics::new(&fleet);
        assert_eq!(frame(&mut metrics, &fleet, &Scope::EVERY).0, [""; 0]);
        metrics.watch(vec![host(&names[0])]);
        assert_eq!(
            frame(&mut metrics, &fleet, &Scope::EVERY).0,
            [names[0].as_str()]
        );
    }
}
