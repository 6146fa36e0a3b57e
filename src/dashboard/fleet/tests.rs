use super::*;
use crate::dashboard::state::RunRecord;
use crate::dashboard::state::StopWish;
use crate::dashboard::testing::{host, run_id, switch};
use crate::protocol::{Phase, PhaseMark, Progress, Register, Run, RunId, Status, Timestamp};
use serde_json::json;

fn fleet() -> Fleet {
    let fleet = Fleet::default();
    fleet.set_hosts([host("h1"), host("h2")]);
    fleet
}

fn record(n: u32, status: Status) -> RunRecord {
    let id = RunId::compose(Timestamp::from_millis(0), &switch(), n);
    let mut run = Run::queued(id, host("h1"), switch());
    run.status = status;
    RunRecord {
        sent: false,
        ..RunRecord::of(run)
    }
}

fn add(fleet: &Fleet, n: u32, status: Status) -> RunId {
    let record = record(n, status);
    let id = record.run.run_id.clone();
    fleet.add_run(record);
    id
}

fn wish(force: bool) -> StopWish {
    StopWish {
        requested_by: "bob".into(),
        force,
        at: Timestamp::now(),
    }
}

#[test]
fn a_host_takes_one_run_at_a_time() {
    let fleet = fleet();
    assert!(matches!(
        fleet.reserve(&host("h9"), &[&switch()]),
        Err(Refusal::NoHost(_))
    ));
    fleet.reserve(&host("h1"), &[&switch()]).unwrap();
    assert!(matches!(
        fleet.reserve(&host("h1"), &[&switch()]),
        Err(Refusal::Reserved(_))
    ));
    fleet.release(&host("h1"));
    fleet.reserve(&host("h1"), &[&switch()]).unwrap();
    let run = add(&fleet, 1, Status::Queued);
    assert!(matches!(
        fleet.reserve(&host("h1"), &[&switch()]),
        Err(Refusal::Busy {
            status: Status::Queued,
            ..
        })
    ));
    fleet.update_run(&host("h1"), &run, |record| record.run.status = Status::Ok);
    fleet.reserve(&host("h1"), &[&switch()]).unwrap();
}

#[test]
fn a_host_that_said_nothing_of_commands_takes_any_and_one_that_did_no_other() {
    let fleet = fleet();
    let register = |commands| -> Register {
        let register = json!({"protocol": 1, "host_id": "h1", "commands": commands});
        serde_json::from_value(register).unwrap()
    };
    fleet.register(&host("h1"), &register(json!(null)));
    fleet.reserve(&host("h1"), &[&switch()]).unwrap();
    fleet.release(&host("h1"));
    fleet.register(&host("h1"), &register(json!(["pull"])));
    assert!(matches!(
        fleet.reserve(&host("h1"), &[&switch()]),
        Err(Refusal::NotOffered { .. })
    ));
}

#[test]
fn stop_cancels_what_the_host_has_not_heard_of_and_asks_for_the_rest() {
    let fleet = fleet();
    assert!(matches!(
        fleet.stop(&host("h1"), wish(false)),
        Err(Refusal::NothingToStop(_))
    ));
    add(&fleet, 1, Status::Queued);
    let (record, effect) = fleet.stop(&host("h1"), wish(false)).unwrap();
    assert_eq!(
        (record.run.status, effect),
        (Status::Stopped, StopEffect::Cancelled)
    );
    let run = add(&fleet, 2, Status::Queued);
    assert!(fleet.mark_sent(&host("h1"), &run, true));
    let (record, effect) = fleet.stop(&host("h1"), wish(true)).unwrap();
    assert_eq!(
        (record.run.status, effect),
        (Status::Queued, StopEffect::Asked)
    );
    let (record, _) = fleet.stop(&host("h1"), wish(false)).unwrap();
    assert!(record.stop.unwrap().force, "force is not taken back");
}

#[test]
fn an_activation_is_stopped_by_force_alone() {
    let fleet = fleet();
    let run = add(&fleet, 1, Status::Running);
    let mark = PhaseMark {
        phase: Phase::Activation,
        seq: 0,
        started: Timestamp::from_millis(0),
    };
    let progress = Progress {
        phases: vec![mark],
        ..Progress::default()
    };
    fleet.progress(&host("h1"), &run, progress);
    assert!(matches!(
        fleet.stop(&host("h1"), wish(false)),
        Err(Refusal::Activating(_))
    ));
    fleet.stop(&host("h1"), wish(true)).unwrap();
}

#[test]
fn a_run_tells_since_when_it_is_to_stop_until_it_ends_or_its_host_refuses() {
    let fleet = fleet();
    let run = add(&fleet, 1, Status::Running);
    let told = || {
        let view = serde_json::to_value(fleet.host(&host("h1")).unwrap()).unwrap();
        view["run"]["stop_requested"].clone()
    };
    let progress = |phase| {
        let mark = json!({"phase": phase, "seq": 0, "started": Timestamp::from_millis(0)});
        let progress = serde_json::from_value(json!({"phases": [mark]})).unwrap();
        fleet.progress(&host("h1"), &run, progress);
    };
    assert_eq!(told(), json!(null));
    let asked = wish(false);
    fleet.stop(&host("h1"), asked.clone()).unwrap();
    progress("building");
    assert_eq!(told(), json!(asked.at));
    progress("activation");
    assert_eq!(told(), json!(null), "its host refuses it from now on");
    progress("testing");
    let record = fleet.record(&host("h1"), &run).unwrap();
    assert_eq!(record.stop, None, "and is not told to stop later");
    progress("activation");
    let forced = wish(true);
    fleet.stop(&host("h1"), forced.clone()).unwrap();
    assert_eq!(told(), json!(forced.at));
    fleet.update_run(&host("h1"), &run, |record| {
        record.run.status = Status::Stopped;
    });
    assert_eq!(told(), json!(null));
}

#[test]
fn whoever_wants_changes_gets_a_run_with_its_host_when_it_is_another_one() {
    let fleet = fleet();
    let mut seen = fleet.version();
    let mut told = || {
        let (news, reached, _) = fleet.news(seen, 100, Form::Changes);
        seen = reached;
        let mut hosts = news.iter().filter_map(|news| match news {
            News::Host(host) => Some(serde_json::to_value(host).unwrap()),
            _ => None,
        });
        hosts.next_back().expect("news of the host")
    };
    let beat = |generation: u64| {
        let beat = json!({"host_id": "h1", "generation": generation});
        fleet.heartbeat(&host("h1"), serde_json::from_value(beat).unwrap());
    };
    let run = add(&fleet, 1, Status::Ok);
    assert_eq!(told()["run"]["run_id"], json!(run));
    beat(7);
    let facts = told();
    assert_eq!(facts["generation"], 7);
    assert!(facts.get("run").is_none(), "{facts}");
    let next = add(&fleet, 2, Status::Error);
    assert_eq!(told()["run"]["run_id"], json!(next));
}

#[test]
fn only_lost_is_replaced() {
    let fleet = fleet();
    let run = add(&fleet, 1, Status::Running);
    let set = |status| fleet.update_run(&host("h1"), &run, |record| record.run.status = status);
    assert!(set(Status::Lost).is_some());
    assert!(set(Status::Running).is_some());
    assert!(set(Status::Ok).is_some());
    assert!(set(Status::Error).is_none());
    assert_eq!(
        fleet.record(&host("h1"), &run).unwrap().run.status,
        Status::Ok
    );
}

#[test]
fn news_are_the_present_state_of_what_changed_and_say_whether_there_are_more() {
    let fleet = fleet();
    let seen = fleet.version();
    let run = add(&fleet, 1, Status::Queued);
    fleet.update_run(&host("h1"), &run, |record| {
        record.run.status = Status::Running;
    });
    let (news, reached, more) = fleet.news(seen, 10, Form::Whole);
    assert!(!more && reached > seen);
    assert!(
        matches!(news.as_slice(), [News::Queued(a), News::Run(b), News::Host(_)]
        if a.run_id == run && b.status == Status::Running)
    );
    assert_eq!(fleet.news(reached, 10, Form::Whole).0.len(), 0);
    let (_, reached, more) = fleet.news(seen, 1, Form::Whole);
    assert!(more);
    assert!(matches!(
        fleet.news(reached, 10, Form::Whole).0.as_slice(),
        [News::Host(_)]
    ));
}

#[test]
fn whoever_follows_a_host_follows_its_later_runs_in_turn() {
    let fleet = fleet();
    add(&fleet, 1, Status::Ok);
    let after = fleet.follow(&host("h1")).unwrap_err();
    assert!(fleet.follow_next(&host("h1"), after).is_none());
    let second = add(&fleet, 2, Status::Running);
    let third = add(&fleet, 3, Status::Ok);
    let next = fleet.follow_next(&host("h1"), after).unwrap();
    assert_eq!(next.run_id, second);
    let next = fleet.follow_next(&host("h1"), next.order).unwrap();
    assert_eq!(next.run_id, third);
    assert_eq!(fleet.follow(&host("h1")).unwrap().run_id, second);
}

#[test]
fn of_ended_runs_only_the_last_few_stay_at_hand_and_open_ones_all() {
    let fleet = fleet();
    let open = add(&fleet, 1, Status::Running);
    let ended: Vec<_> = (2..20).map(|n| add(&fleet, n, Status::Ok)).collect();
    assert!(fleet.is_open(&host("h1"), &open));
    assert!(fleet.record(&host("h1"), &ended[0]).is_none());
    assert!(fleet.record(&host("h1"), ended.last().unwrap()).is_some());
    let shown = run_id("1970-01-01T00-00-00-switch-19");
    fleet.forget_run(&host("h1"), &shown);
    fleet.forget_run(&host("h1"), &open);
    assert!(fleet.record(&host("h1"), &shown).is_none());
    assert!(fleet.is_open(&host("h1"), &open));
}

#[test]
fn metrics_alone_wake_no_browser_and_what_else_a_heartbeat_says_does() {
    use futures_util::FutureExt;
    let fleet = fleet();
    let bell = Arc::new(Notify::new());
    fleet.watch(&bell);
    let rang = || bell.notified().now_or_never().is_some();
    let beat = |cpu: f64, command: Option<&str>| {
        let beat = json!({"host_id": "h1", "metrics": {"cpu": cpu}, "pending_command": command});
        fleet.heartbeat(&host("h1"), serde_json::from_value(beat).unwrap());
    };
    let mut round = fleet.metrics_round();
    beat(1.0, None);
    assert!(!rang(), "woken by metrics");
    let (told, _) = fleet.next_metrics(&mut round, 10, Form::Whole, |_| true);
    assert_eq!(told.len(), 1, "and yet they are there");
    beat(2.0, Some("switch"));
    assert!(rang());
}

fn beat(fleet: &Fleet, id: &str, cpu: f64) {
    let beat = json!({"host_id": id, "metrics": {"cpu": cpu}});
    fleet.heartbeat(&host(id), serde_json::from_value(beat).unwrap());
}

#[test]
fn metrics_are_told_when_what_a_page_shows_of_them_changes() {
    let fleet = fleet();
    let mut round = fleet.metrics_round();
    let mut told = |cpu| {
        beat(&fleet, "h1", cpu);
        fleet
            .next_metrics(&mut round, 10, Form::Whole, |_| true)
            .0
            .len()
    };
    assert_eq!(told(1.0), 1);
    // A host that changed while a round was on its way may be told twice.
    told(1.0);
    assert_eq!(told(1.3), 0);
    assert_eq!(told(1.0), 0);
    assert_eq!(told(1.6), 1);
}

#[test]
fn every_host_has_its_turn_in_a_round_whichever_hosts_report_in_between() {
    let fleet = Fleet::default();
    let names: Vec<String> = (0..1_000).map(|n| format!("h{n:04}")).collect();
    fleet.set_hosts(names.iter().map(|name| host(name)));
    let mut round = fleet.metrics_round();
    let mut told = std::collections::HashSet::new();
    for n in 0..200 {
        // All of them, always in the same order.
        for name in &names[n % 5 * 200..][..200] {
            beat(&fleet, name, n as f64);
        }
        let (hosts, _) = fleet.next_metrics(&mut round, 10, Form::Whole, |_| true);
        told.extend(hosts.iter().map(|view| view.id().clone()));
    }
    assert_eq!(told.len(), names.len());
}

#[test]
fn hosts_with_our_clock_and_single_hosts_confirm_no_time_and_a_machine_counts_once() {
    let fleet = Fleet::default();
    let names = ["h1", "h2", "h3"];
    fleet.set_hosts(names.map(host));
    let says = |id: &str, boot: &str, address: &str, ahead_ms: i64| {
        let time = Timestamp::from_millis(Timestamp::now().millis() + ahead_ms);
        let register =
            json!({"protocol": 1, "host_id": id, "boot_id": boot, "time": time.to_string()});
        let register: Register = serde_json::from_value(register).unwrap();
        let epoch = fleet.connect(&host(id), Arc::default()).unwrap();
        fleet.arrive(&host(id), &register, Some(address.parse().unwrap()));
        fleet.register(&host(id), &register);
        fleet.registered(&host(id), epoch);
    };
    let hour = 3_600_000;
    let agree = || fleet.most_have_our_time(hour);
    // Addresses for documentation: RFC 5737.
    says("h1", "a", "127.0.0.1", 0);
    says("h2", "b", "::1", 48 * hour);
    assert_eq!(agree(), None, "on the machine of the dashboard");
    says("h2", "b", "203.0.113.2", 0);
    assert_eq!(agree(), None, "one alone");
    says("h3", "b", "203.0.113.2", 0);
    assert_eq!(agree(), None, "two on one machine");
    says("h3", "c", "203.0.113.3", 0);
    assert_eq!(agree(), Some(true));
    fleet.set_hosts([host("h1"), host("h2")]);
    says("h2", "b", "203.0.113.2", 48 * hour);
    assert_eq!(agree(), Some(false), "one alone raises a doubt");
}
