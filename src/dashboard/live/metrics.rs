//! How a browser is told of the metrics of hosts: first of those that it watches, then of the others, each in turn, as
//! many as a limit of bytes allows. A page costs the same whether there are a hundred hosts or ten thousand.

use super::ToBrowser;
use super::frame::Frame;
use crate::dashboard::auth::Scope;
use crate::dashboard::fleet::{Fleet, Form, HostUpdate, MetricsRound};
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
    form: Form,
    round: MetricsRound,
    /// The hosts that it watches, each with the version up to which its metrics were told.
    watched: Vec<(HostId, u64)>,
    /// Which of them is looked at next.
    turn: usize,
    /// How many bytes may be sent now; below 0 where the last host took more than there was.
    left: i64,
}

impl Metrics {
    /// Of whatever changes from now on.
    pub(super) fn new(fleet: &Fleet, form: Form) -> Self {
        Self {
            form,
            round: fleet.metrics_round(),
            watched: Vec::new(),
            turn: 0,
            left: 0,
        }
    }

    /// Watches these hosts, and no others any more.
    pub(super) fn watch(&mut self, hosts: Vec<HostId>) {
        // What was told of them may be old.
        self.watched = hosts.into_iter().map(|host| (host, 0)).collect();
        self.turn = 0;
    }

    /// Writes what changed into the frame; to be called once a second.
    pub(super) fn fill(&mut self, fleet: &Fleet, scope: &Scope, frame: &mut Frame) {
        let a_second = METRICS_BYTES_A_SECOND as i64;
        self.left = (self.left + a_second).min(a_second);
        self.fill_watched(fleet, scope, frame);
        for _ in 0..MAX_PIECES {
            if self.left <= 0 || !frame.has_room() {
                break;
            }
            let watched = |id: &HostId| self.watched.iter().any(|(watched, _)| watched == id);
            let in_sight = |id: &HostId| scope.has(id) && !watched(id);
            let (hosts, goes_on) =
                fleet.next_metrics(&mut self.round, HOSTS_AT_A_TIME, self.form, in_sight);
            for host in hosts {
                self.push(&host, frame);
            }
            if !goes_on {
                break;
            }
        }
    }

    /// Writes what changed of those that are watched, beginning behind the one that was the last before.
    fn fill_watched(&mut self, fleet: &Fleet, scope: &Scope, frame: &mut Frame) {
        for _ in 0..self.watched.len() {
            if self.left <= 0 || !frame.has_room() {
                break;
            }
            self.turn %= self.watched.len();
            let (id, since) = &mut self.watched[self.turn];
            let changed = fleet.metrics_of(id, *since, self.form);
            self.turn += 1;
            if let Some((host, reached)) = changed
                && scope.has(host.id())
            {
                *since = reached;
                self.push(&host, frame);
            }
        }
    }

    fn push(&mut self, host: &HostUpdate, frame: &mut Frame) {
        self.left -= push(host, frame) as i64;
    }

    /// Writes into the frame what else changed of a host. A whole host that is so long that it would crowd out others is
    /// told with its metrics, when there is room for it.
    pub(super) fn push_news(&mut self, host: &HostUpdate, frame: &mut Frame) {
        let before = frame.len();
        let length = push(host, frame);
        if self.form == Form::Changes || length < METRICS_BYTES_A_SECOND {
            return;
        }
        if self.left <= 0 {
            frame.truncate(before);
        } else {
            self.left -= length as i64;
        }
    }
}

fn push(host: &HostUpdate, frame: &mut Frame) -> usize {
    let before = frame.len();
    frame.push(&ToBrowser::HostUpdate { host });
    frame.len() - before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::state::RunRecord;
    use crate::dashboard::testing::{host, switch};
    use crate::protocol::{Run, RunId, Status, Timestamp};
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

    /// A run that failed with as many phases and causes as there may be.
    fn long_failure(name: &str) -> RunRecord {
        let at = Timestamp::from_millis(0);
        let mut run = Run::queued(RunId::compose(at, &switch(), 1), host(name), switch());
        run.status = Status::Error;
        let phase = json!({"phase": "building", "seq": 0, "started": at});
        run.progress = serde_json::from_value(json!({"phases": vec![phase; 1_000]})).unwrap();
        let cause = json!({"kind": "unit", "name": "n".repeat(900), "summary": "s".repeat(900)});
        run.cause = serde_json::from_value(json!(vec![cause; 16])).unwrap();
        RunRecord::of(run)
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
            let mut metrics = Metrics::new(&fleet, Form::Whole);
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
    fn hosts_that_failed_at_length_cost_a_page_no_more_bytes_than_others() {
        for form in [Form::Whole, Form::Changes] {
            let (fleet, names) = fleet_of(120);
            for name in &names {
                fleet.add_run(long_failure(name));
            }
            let whole = serde_json::to_string(&fleet.host(&host(&names[0]))).unwrap();
            assert!(whole.len() > 50_000);
            let mut metrics = Metrics::new(&fleet, form);
            metrics.watch(names[..100].iter().map(|name| host(name)).collect());
            let (mut bytes, mut told) = (0, HashSet::new());
            for second in 0..20 {
                for name in &names {
                    beat(&fleet, name, second);
                }
                let (ids, length) = frame(&mut metrics, &fleet, &Scope::EVERY);
                bytes += length;
                told.extend(ids);
            }
            let most = 21 * METRICS_BYTES_A_SECOND + whole.len();
            assert!(bytes <= most, "{form:?}: {bytes}");
            let fewest = if form == Form::Changes { 100 } else { 1 };
            assert!(told.len() >= fewest, "{form:?}: {}", told.len());
        }
    }

    #[test]
    fn whoever_wants_changes_is_told_of_metrics_alone() {
        let (fleet, names) = fleet_of(1);
        fleet.add_run(long_failure(&names[0]));
        beat(&fleet, &names[0], 5);
        let metrics = fleet.metrics_of(&host(&names[0]), 0, Form::Changes);
        let told = serde_json::to_value(metrics.unwrap().0).unwrap();
        let keys: Vec<_> = told.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["clock_skew_ms", "id", "last_seen", "metrics"]);
        assert_eq!(told["metrics"]["cpu"], 5.0);
    }

    #[test]
    fn metrics_that_are_watched_come_each_time_and_those_out_of_sight_never() {
        let (fleet, names) = fleet_of(2_000);
        let mut metrics = Metrics::new(&fleet, Form::Whole);
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
        let mut metrics = Metrics::new(&fleet, Form::Whole);
        assert_eq!(frame(&mut metrics, &fleet, &Scope::EVERY).0, [""; 0]);
        metrics.watch(vec![host(&names[0])]);
        assert_eq!(
            frame(&mut metrics, &fleet, &Scope::EVERY).0,
            [names[0].as_str()]
        );
    }
}
