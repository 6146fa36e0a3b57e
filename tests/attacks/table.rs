//! Which test shows that a peer who takes all it can of something takes it from nobody else: every pair of the two has
//! one, so that none is forgotten.

use std::collections::BTreeSet;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    Stranger,
    Viewer,
    Operator,
    Host,
    /// Towards an agent.
    Dashboard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Resource {
    Processor,
    Memory,
    Descriptors,
    Disk,
    Journal,
    AuditLog,
    /// That somebody else can sign in.
    SignIn,
}

use Peer::{Dashboard, Host, Operator, Stranger, Viewer};
use Resource::{AuditLog, Descriptors, Disk, Journal, Memory, Processor, SignIn};

const PEERS: [Peer; 5] = [Stranger, Viewer, Operator, Host, Dashboard];
const RESOURCES: [Resource; 7] = [
    Processor,
    Memory,
    Descriptors,
    Disk,
    Journal,
    AuditLog,
    SignIn,
];

/// An agent has neither an audit log nor people who sign in.
const NONE: &str = "none";

const STRANGER: &str = "attacks/peers.rs::a_stranger_who_takes_all_they_can_is_noticed_by_nobody";
const VIEWER: &str = "attacks/peers.rs::a_viewer_who_takes_all_they_can_is_noticed_by_nobody";
const OPERATOR: &str = "attacks/peers.rs::an_operator_who_takes_all_they_can_is_noticed_by_nobody";
const HOST: &str = "attacks/peers.rs::a_host_that_takes_all_it_can_is_noticed_by_nobody";
const AGENT: &str =
    "agent/demands.rs::a_dashboard_that_asks_for_all_it_can_leaves_its_agent_able_to_run";

const TABLE: &[(Peer, Resource, &str)] = &[
    (Stranger, Processor, STRANGER),
    (
        Stranger,
        Processor,
        "attacks/askers.rs::a_stranger_who_asks_too_often_is_told_to_wait_and_other_addresses_are_not",
    ),
    (Stranger, Memory, STRANGER),
    (
        Stranger,
        Memory,
        "attacks/strangers.rs::five_hundred_slow_connections_disturb_no_run_and_are_closed",
    ),
    (Stranger, Descriptors, STRANGER),
    (
        Stranger,
        Descriptors,
        "attacks/strangers.rs::strangers_take_only_their_share_of_the_connections",
    ),
    (Stranger, Disk, STRANGER),
    (
        Stranger,
        Disk,
        "sessions.rs::ten_thousand_guesses_get_a_handful_of_looks_and_are_counted_in_the_log",
    ),
    (Stranger, Journal, STRANGER),
    (Stranger, AuditLog, STRANGER),
    (
        Stranger,
        AuditLog,
        "sessions.rs::ten_thousand_guesses_get_a_handful_of_looks_and_are_counted_in_the_log",
    ),
    (Stranger, SignIn, STRANGER),
    (Viewer, Processor, VIEWER),
    (
        Viewer,
        Processor,
        "attacks/searches.rs::expressions_that_are_dear_to_read_disturb_neither_health_nor_a_run",
    ),
    (Viewer, Memory, VIEWER),
    (
        Viewer,
        Memory,
        "attacks/memory.rs::lists_that_nobody_reads_cost_little_memory",
    ),
    (Viewer, Descriptors, VIEWER),
    (
        Viewer,
        Descriptors,
        "attacks/visitors.rs::a_viewer_who_floods_the_dashboard_over_websockets_disturbs_no_run_and_costs_little_memory",
    ),
    (Viewer, Disk, VIEWER),
    (Viewer, Journal, VIEWER),
    (Viewer, AuditLog, VIEWER),
    (Viewer, SignIn, VIEWER),
    (Operator, Processor, OPERATOR),
    (Operator, Memory, OPERATOR),
    (Operator, Descriptors, OPERATOR),
    (Operator, Disk, OPERATOR),
    (Operator, Journal, OPERATOR),
    (Operator, AuditLog, OPERATOR),
    (Operator, SignIn, OPERATOR),
    (Host, Processor, HOST),
    (
        Host,
        Processor,
        "attacks/hosts.rs::a_host_that_sends_a_million_messages_slows_nobody_and_costs_no_memory",
    ),
    (Host, Memory, HOST),
    (Host, Descriptors, HOST),
    (
        Host,
        Descriptors,
        "attacks/hosts.rs::a_host_that_offers_as_many_runs_as_it_may_opens_few_files_and_disturbs_nobody",
    ),
    (
        Host,
        Descriptors,
        "attacks/hosts.rs::logs_to_which_nothing_is_written_are_closed_and_lose_no_line",
    ),
    (Host, Disk, HOST),
    (
        Host,
        Disk,
        "attacks/hosts.rs::a_host_that_fills_the_disk_pushes_out_its_own_history_and_nobody_elses",
    ),
    (Host, Journal, HOST),
    (
        Host,
        Journal,
        "attacks/hosts.rs::a_host_that_sends_output_of_unknown_runs_fills_no_journal",
    ),
    (Host, AuditLog, HOST),
    (Host, SignIn, HOST),
    (Dashboard, Processor, AGENT),
    (Dashboard, Memory, AGENT),
    (Dashboard, Descriptors, AGENT),
    (Dashboard, Disk, AGENT),
    (
        Dashboard,
        Disk,
        "agent/runs.rs::a_dashboard_that_names_somebody_at_length_disables_no_agent",
    ),
    (Dashboard, Journal, AGENT),
    (Dashboard, AuditLog, NONE),
    (Dashboard, SignIn, NONE),
];

#[test]
fn each_peer_has_a_test_for_each_thing_that_it_could_take_too_much_of() {
    let covered: BTreeSet<(Peer, Resource)> = TABLE.iter().map(|cell| (cell.0, cell.1)).collect();
    for peer in PEERS {
        for resource in RESOURCES {
            assert!(
                covered.contains(&(peer, resource)),
                "{peer:?} × {resource:?}"
            );
        }
    }
    for (peer, resource, test) in TABLE {
        if *test == NONE {
            assert!(*peer == Dashboard, "{peer:?} × {resource:?}");
            continue;
        }
        if let Err(reason) = is_run(test) {
            panic!("{peer:?} × {resource:?}: {test} {reason}");
        }
    }
}

/// Whether a test is there and runs wherever all tests do.
fn is_run(test: &str) -> Result<(), String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (file, name) = test.split_once("::").unwrap();
    let read = |file: &str| std::fs::read_to_string(tests.join(file)).unwrap();
    if let Some((folder, module)) = file.split_once('/') {
        let module = module.trim_end_matches(".rs");
        let main = read(&format!("{folder}/main.rs"));
        if !main.lines().any(|line| line == format!("mod {module};")) {
            return Err(format!("is in no module of {folder}/main.rs"));
        }
    }
    let text = read(file);
    let forms = ["fn", "async fn"].map(|form| format!("\n{form} {name}("));
    let before = forms.iter().find_map(|form| text.split_once(form));
    let (before, _) = before.ok_or("is not there")?;
    let above = before.lines().rev();
    let attributes: Vec<&str> = above
        .take_while(|line| line.starts_with(['#', '/']))
        .collect();
    let marks = |line: &str| line == "#[test]" || line.starts_with("#[tokio::test");
    // Any other attribute may keep it from running somewhere, as `ignore` and `cfg` do.
    if { attributes.iter() }.any(|line| line.starts_with("#[") && !marks(line)) {
        return Err(format!("is not always run: {attributes:?}"));
    }
    let is_test = attributes.iter().any(|line| marks(line));
    is_test.then_some(()).ok_or("is no test".to_owned())
}

#[test]
fn a_test_that_is_not_there_or_is_no_test_is_not_taken_for_one() {
    assert!(is_run(STRANGER).is_ok());
    for (test, reason) in [
        ("attacks/peers.rs::nothing", "is not there"),
        ("attacks/table.rs::is_run", "is no test"),
        ("attacks/main.rs::main", "is in no module"),
    ] {
        let told = is_run(test).unwrap_err();
        assert!(told.contains(reason), "{told}");
    }
}
