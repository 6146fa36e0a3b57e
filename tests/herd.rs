//! All agents that come back at once, on a disk that takes its time.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket, SyncGate, measured, skip, wait_for};
use nix::sys::signal::Signal;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC, statfs};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use switchyard::protocol::{CommandName, HostId, RunId, Status, Timestamp};
use switchyard::runlog::{Header, LogWriter, RunResult};

fn register(host: &str) -> serde_json::Value {
    json!({"type": "register", "protocol": 1, "host_id": host, "hostname": host, "host_type": "nixos",
           "agent_version": "test", "heartbeat_interval": 5, "commands": ["switch"], "runs": []})
}

fn online(dashboard: &Dashboard) -> u64 {
    let metrics = String::from_utf8(dashboard.get("/metrics").body).unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("switchyard_hosts_online "));
    line.unwrap().parse().unwrap()
}

/// Waits until the dashboard waits for its disk.
fn wait_until_held(gate: &SyncGate, before: u64) {
    wait_for("a sync", SOON, || {
        (gate.database_syncs() > before).then_some(())
    });
}

#[test]
fn registrations_that_come_together_share_their_syncs_and_requests_do_not_wait_for_them() {
    let Some(gate) = SyncGate::new() else { return };
    let names: Vec<String> = (0..300).map(|n| format!("h{n}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start_in(gate.environment(20_000), "127.0.0.1", &hosts, "", &[]);
    let mut agents: Vec<Socket> = (hosts.iter())
        .map(|host| Socket::unregistered_agent(&dashboard, host))
        .collect();
    gate.close();
    let before = gate.database_syncs();
    for (agent, host) in agents.iter_mut().zip(&hosts) {
        agent.send(&register(host));
    }
    wait_until_held(&gate, before);
    // The disk takes nothing: whatever is answered now waits for no registration.
    for host in &hosts[..20] {
        assert_eq!(
            dashboard.get(&format!("/api/hosts/{host}/runs")).status,
            200
        );
    }
    assert_eq!(dashboard.get("/api/hosts").status, 200);
    gate.open();
    for agent in &mut agents {
        agent.wait_for("registered", |message| message["type"] == "registered");
    }
    let syncs = gate.database_syncs() - before;
    assert!(syncs <= 100, "{syncs} syncs for {} hosts", hosts.len());
    wait_for("all of them", SOON, || {
        (online(&dashboard) == 300).then_some(())
    });
}

#[test]
fn a_host_is_online_once_it_is_registered_and_not_before() {
    let Some(gate) = SyncGate::new() else { return };
    let dashboard = Dashboard::start_in(gate.environment(0), "127.0.0.1", &["h1"], "", &[]);
    let mut agent = Socket::unregistered_agent(&dashboard, "h1");
    gate.close();
    let before = gate.database_syncs();
    agent.send(&register("h1"));
    wait_until_held(&gate, before);
    assert_eq!(dashboard.host("h1")["online"], false);
    assert_eq!(online(&dashboard), 0);
    // Its turn has not come, which it is told: it would take silence for the end.
    assert!(agent.hears_ping(SOON), "it was not told to wait");
    assert_eq!(online(&dashboard), 0);
    gate.open();
    agent.wait_for("registered", |message| message["type"] == "registered");
    dashboard.wait_for_host("h1", "it", |host| host["online"] == true);
    assert_eq!(online(&dashboard), 1);
}

#[test]
fn metrics_of_many_hosts_cost_a_browser_one_frame_a_second() {
    let names: Vec<String> = (0..20).map(|n| format!("h{n}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start(&hosts);
    let mut agents: Vec<Socket> = (hosts.iter())
        .map(|host| Socket::agent(&dashboard, host))
        .collect();
    let mut browser = Socket::browser(&dashboard);
    let began = Instant::now();
    let mut frames = 0;
    let mut updates = 0;
    let (mut cpu, mut beats) = (0, (0..hosts.len()).cycle());
    while began.elapsed() < Duration::from_secs(4) {
        let n = beats.next().unwrap();
        cpu += 1;
        agents[n].send(
            &json!({"type": "heartbeat", "host_id": hosts[n], "metrics": {"cpu": cpu % 100}}),
        );
        if let Some(frame) = browser.try_frame(Duration::from_millis(10)) {
            frames += 1;
            updates += frame.len();
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    assert!(updates >= hosts.len(), "{updates} updates");
    assert!(
        frames as f64 <= seconds + 3.0,
        "{frames} frames in {seconds:.1} s"
    );
}

#[test]
fn metrics_of_hundreds_of_hosts_cost_a_browser_ten_kilobytes_a_frame() {
    let names: Vec<String> = (0..200).map(|n| format!("h{n:03}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start(&hosts);
    let mut agents: Vec<Socket> = (hosts.iter())
        .map(|host| Socket::agent(&dashboard, host))
        .collect();
    for host in &hosts {
        dashboard.wait_for_host(host, "it", |host| host["online"] == true);
    }
    let mut browser = Socket::browser(&dashboard);
    browser.send(&json!({"type": "watch_metrics", "hosts": ["h199"]}));
    let (mut frames, mut sent, began) = (Vec::new(), 0, Instant::now());
    while frames.len() < 3 {
        assert!(began.elapsed() < SOON, "{} frames", frames.len());
        sent += 1;
        for (host, agent) in hosts.iter().zip(&mut agents) {
            let metrics = json!({"cpu": sent % 100, "ram": 10, "swap": 0, "load": 1});
            agent.send(&json!({"type": "heartbeat", "host_id": host, "metrics": metrics}));
        }
        if let Some(frame) = browser.try_text(Duration::from_millis(200)) {
            frames.push(frame);
        }
    }
    for frame in &frames {
        assert!(frame.len() <= 10_000, "a frame of {} bytes", frame.len());
        assert!(frame.contains(r#""id":"h199""#), "what is watched is in it");
    }
}

const RUN: &str = "2025-12-14T10-30-00-switch";

/// Has a host end a run with as many phases and causes as there may be.
fn fail_at_length(agent: &mut Socket, host: &str) {
    let run = |fields: serde_json::Value| {
        let mut message = json!({"host_id": host, "run_id": RUN, "command": "switch"});
        let all = fields.as_object().unwrap().clone();
        message.as_object_mut().unwrap().extend(all);
        message
    };
    let at = "2025-12-14T10:30:01.000Z";
    let phases = vec![json!({"phase": "building", "seq": 0, "started": at}); 1_000];
    let cause = json!({"kind": "unit", "name": "n".repeat(900), "summary": "s".repeat(900)});
    agent.send(&run(json!({"type": "status", "status": "running"})));
    agent.send(&run(json!({"type": "progress", "phases": phases})));
    agent.send(&run(json!({
        "type": "status", "status": "error", "exit_code": 1, "lines": 0, "started": at, "completed": at,
        "duration_ms": 1, "message": "m".repeat(2_000), "cause": vec![cause; 16],
    })));
    agent.wait_for("the last acknowledgement", |message| {
        message["final"] == true
    });
}

/// What a browser was told of a host.
struct Beaten {
    /// For how long.
    seconds: f64,
    /// How long its frames were together.
    bytes: usize,
    messages: Vec<serde_json::Value>,
    agent: Socket,
    browser: Socket,
}

/// What a host says of itself for the `n`th time: always something else.
fn beat(n: u32) -> serde_json::Value {
    json!({"type": "heartbeat", "host_id": "h1", "generation": n, "pending_command": n.is_multiple_of(2).then_some("switch"),
           "metrics": {"cpu": n % 100, "ram": n % 99, "swap": 0, "load": 1}})
}

/// Lets a host that failed at length say something else every 100 ms, and reads what a browser is told of it.
fn beat_often(dashboard: &Dashboard, path: &str) -> Beaten {
    let (mut watcher, _) = Socket::browser_at(dashboard, "/ws/browser?updates=changes");
    let mut agent = Socket::agent(dashboard, "h1");
    fail_at_length(&mut agent, "h1");
    // From then on its run is no news.
    watcher.wait_for("its failure", |message| {
        message["host"]["run"]["status"] == "error"
    });
    let (mut browser, first) = Socket::browser_at(dashboard, path);
    let run = &first[0]["hosts"][0]["run"];
    let lengths = ["phases", "cause"].map(|list| run[list].as_array().unwrap().len());
    assert_eq!(lengths, [1_000, 16], "the list has all of a run");
    let (began, mut bytes, mut messages) = (Instant::now(), 0, Vec::new());
    for n in 1.. {
        agent.send(&beat(n));
        let next = Instant::now() + Duration::from_millis(100);
        while let Some(text) = browser.try_text(next.saturating_duration_since(Instant::now())) {
            bytes += text.len();
            let told = Socket::messages(&text).into_iter();
            messages.extend(told.filter(|message| message["type"] == "host_update"));
        }
        if began.elapsed() > Duration::from_secs(5) {
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    Beaten {
        seconds,
        bytes,
        messages,
        agent,
        browser,
    }
}

#[test]
fn a_host_that_failed_at_length_and_changes_all_the_time_costs_a_page_ten_kilobytes_a_second() {
    let dashboard = Dashboard::start(&["h1"]);
    let Beaten {
        seconds,
        bytes,
        mut messages,
        mut agent,
        mut browser,
    } = beat_often(&dashboard, "/ws/browser?updates=changes");
    // What came too often to be told at once is told in the end.
    agent.send(&beat(1_001));
    let is_last = |message: &serde_json::Value| message["host"]["generation"] == 1_001;
    messages.push(browser.wait_for("what it said last", is_last));
    measured(&format!("{bytes} bytes in {seconds:.1} s"));
    assert!(bytes as f64 <= 10_000.0 * (seconds + 1.0), "{bytes} bytes");
    let facts = |message: &&serde_json::Value| message["host"].get("generation").is_some();
    let facts = messages.iter().filter(facts).count();
    assert!(facts as f64 <= seconds + 8.0, "{facts} times its facts");
    for message in &messages {
        let host = message["host"].as_object().unwrap();
        assert!(!host.contains_key("run"), "the run did not change");
    }
    let metrics = |message: &serde_json::Value| message["host"]["metrics"]["cpu"].is_number();
    assert!(messages.iter().any(metrics));
    let run = dashboard.fetch(&format!("/api/hosts/h1/runs/{RUN}"));
    assert_eq!(run["phases"].as_array().unwrap().len(), 1_000);
}

#[test]
fn a_program_that_wants_whole_hosts_gets_them_as_often_as_bytes_allow() {
    let dashboard = Dashboard::start(&["h1"]);
    let Beaten {
        seconds,
        bytes,
        messages,
        ..
    } = beat_often(&dashboard, "/ws/browser");
    let one = messages[0].to_string().len();
    assert!(one > 50_000, "{one} bytes a message");
    assert!(
        bytes as f64 <= 20_000.0 * (seconds + 1.0) + 3.0 * one as f64,
        "{bytes} bytes in {seconds:.1} s, {one} a message"
    );
    for message in &messages {
        assert_eq!(message["host"]["run"]["run_id"], RUN, "each is whole");
        assert_eq!(message["host"]["hostname"], "h1");
    }
}

fn one_line(host: &str, seq: u64) -> serde_json::Value {
    json!({"type": "output", "host_id": host, "run_id": RUN, "command": "switch", "seq": seq,
           "lines": [{"line": "a line", "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false}]})
}

fn lines_stored(dashboard: &Dashboard) -> u64 {
    let metrics = String::from_utf8(dashboard.get("/metrics").body).unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("switchyard_lines_stored_total "));
    line.unwrap().parse().unwrap()
}

/// Whether `syncfs` tells of every failed write here: by file system and version of Linux.
fn is_synced_as_a_whole(dir: &Path) -> bool {
    let known = [
        EXT4_SUPER_MAGIC,
        XFS_SUPER_MAGIC,
        BTRFS_SUPER_MAGIC,
        TMPFS_MAGIC,
    ];
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut version = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    known.contains(&statfs(dir).unwrap().filesystem_type())
        && version.next().zip(version.next()) >= Some((5, 17))
}

#[test]
fn logs_that_grow_together_are_made_durable_by_one_sync() {
    let Some(gate) = SyncGate::new() else { return };
    let names: Vec<String> = (0..40).map(|n| format!("h{n}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start_in(gate.environment(20_000), "127.0.0.1", &hosts, "", &[]);
    let mut agents: Vec<Socket> = (hosts.iter())
        .map(|host| Socket::agent(&dashboard, host))
        .collect();
    let acknowledged = |agents: &mut [Socket], seq: u64| {
        for agent in agents {
            agent.wait_for("an acknowledgement", |message| {
                message["type"] == "ack" && message["seq"] == seq
            });
        }
    };
    for (agent, host) in agents.iter_mut().zip(&hosts) {
        agent.send(&json!({"type": "status", "host_id": host, "run_id": RUN, "command": "switch", "status": "running"}));
        agent.send(&one_line(host, 0));
    }
    acknowledged(&mut agents, 1);
    if !is_synced_as_a_whole(&dashboard.data_dir()) {
        return skip("this file system is not synced as a whole");
    }
    gate.close();
    let before = gate.log_syncs();
    // The disk is busy with one log while the others grow.
    agents[0].send(&one_line(hosts[0], 1));
    wait_for("a sync", SOON, || (gate.log_syncs() > before).then_some(()));
    for (agent, host) in agents.iter_mut().zip(&hosts).skip(1) {
        agent.send(&one_line(host, 1));
    }
    wait_for("all lines", SOON, || {
        (lines_stored(&dashboard) == 80).then_some(())
    });
    gate.open();
    acknowledged(&mut agents, 2);
    let syncs = gate.log_syncs() - before;
    assert!(syncs <= 20, "{syncs} syncs for {} logs", hosts.len());
}

#[test]
fn frames_that_wait_for_the_disk_are_written_together() {
    const FRAMES: u64 = 640;
    let Some(gate) = SyncGate::new() else { return };
    let dashboard = Dashboard::start_in(gate.environment(0), "127.0.0.1", &["h1"], "", &[]);
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": "running"}));
    agent.send(&one_line("h1", 0));
    let is_ack =
        |message: &serde_json::Value, seq: u64| message["type"] == "ack" && message["seq"] == seq;
    agent.wait_for("an acknowledgement", |message| is_ack(message, 1));
    gate.hang();
    agent.send(&one_line("h1", 1));
    wait_for("a write that hangs", SOON, || {
        (gate.held_writes() > 0).then_some(())
    });
    // The dashboard reads none of these before that write is done.
    for n in 2..FRAMES {
        agent.send(&one_line("h1", n));
    }
    gate.count_writes();
    gate.go_on();
    agent.wait_for("the last acknowledgement", |message| {
        is_ack(message, FRAMES)
    });
    let writes = gate.log_writes();
    measured(&format!("{FRAMES} frames that waited: {writes} writes"));
    assert!(writes > 0, "none was counted");
    // One at a time, each takes a write at least.
    assert!(writes < FRAMES / 4, "{writes} writes");
}

#[test]
fn a_disk_that_hangs_holds_up_the_lines_alone() {
    let Some(gate) = SyncGate::new() else { return };
    let names: Vec<String> = (0..16).map(|n| format!("h{n}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let dashboard = Dashboard::start_in(gate.environment(0), "127.0.0.1", &hosts, "", &[]);
    let mut agents: Vec<Socket> = (hosts.iter())
        .map(|host| Socket::agent(&dashboard, host))
        .collect();
    for (agent, host) in agents.iter_mut().zip(&hosts) {
        agent.send(&json!({"type": "status", "host_id": host, "run_id": RUN, "command": "switch", "status": "running"}));
        agent.send(&one_line(host, 0));
    }
    for agent in &mut agents {
        agent.wait_for("an acknowledgement", |message| {
            message["type"] == "ack" && message["seq"] == 1
        });
    }
    gate.hang();
    for (agent, host) in agents.iter_mut().zip(&hosts) {
        agent.send(&one_line(host, 1));
    }
    wait_for("a write that hangs", SOON, || {
        (gate.held_writes() > 0).then_some(())
    });
    // What is done once a second meets that disk as well.
    wait_for("a removal that hangs", SOON, || {
        (gate.held_removals() > 0).then_some(())
    });
    // By now each thread has had the chance to be held.
    for _ in 0..20 {
        assert_eq!(dashboard.get("/health").status, 200);
        assert_eq!(dashboard.get("/api/hosts").status, 200);
    }
    let _late = Socket::browser(&dashboard);
    gate.go_on();
    for agent in &mut agents {
        agent.wait_for("an acknowledgement", |message| {
            message["type"] == "ack" && message["seq"] == 2
        });
    }
}

/// Writes the logs of so many ended runs of a host, as an earlier dashboard left them.
fn write_logs(dashboard: &Dashboard, host: &str, count: u64) -> PathBuf {
    let dir = dashboard.data_dir().join("logs").join(host);
    std::fs::create_dir_all(&dir).unwrap();
    let command = CommandName::new("switch").unwrap();
    for n in 0..count {
        let at = Timestamp::from_millis(1_765_708_200_000 + n.cast_signed() * 1_000);
        let header = Header::started_at(HostId::new(host).unwrap(), command.clone(), at);
        let run = RunId::compose(at, &command, 1);
        let mut log = LogWriter::create(&dir, &run, &header).unwrap();
        let result = RunResult::ended_at(Status::Ok, at);
        log.finish(Some(0), result).unwrap();
    }
    dir
}

#[test]
fn retention_removes_hundreds_of_runs_with_a_few_syncs() {
    let Some(gate) = SyncGate::new() else { return };
    let hosts = ["h1", "h2", "h3"];
    let environment = gate.environment(0);
    let mut dashboard = Dashboard::start_in(environment, "127.0.0.1", &hosts, "", &[]);
    dashboard.process.end(Signal::SIGTERM);
    let folders = hosts.map(|host| write_logs(&dashboard, host, 100));
    let config = dashboard.data_dir().with_file_name("dashboard.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}[retention]\nmax_bytes = 1\n")).unwrap();
    let before = gate.database_syncs();
    dashboard.start_again();
    for folder in &folders {
        wait_for("all but the newest log to go", SOON, || {
            // A log and its index.
            (std::fs::read_dir(folder).unwrap().count() == 2).then_some(())
        });
    }
    let syncs = gate.database_syncs() - before;
    measured(&format!(
        "300 logs taken in, 297 of them removed: {syncs} syncs"
    ));
    assert!(syncs <= 100, "{syncs} syncs");
    for host in hosts {
        let runs = dashboard.fetch(&format!("/api/hosts/{host}/runs"));
        assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    }
}
