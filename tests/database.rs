//! A dashboard whose database is damaged, empty or gone.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, SOON, Socket, texts, wait_for};
use nix::sys::signal::Signal;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// One that there never was.
const NO_RUN: &str = "2001-01-01T00-00-00-switch";
const PAGE_BYTES: usize = 4096;

fn database(dashboard: &Dashboard) -> PathBuf {
    dashboard.data_dir().join("switchyard.sqlite")
}

/// Has all that the database holds in the file itself.
fn gather(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let mut checkpoint = connection
        .prepare("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    checkpoint.query([]).unwrap().next().unwrap();
}

/// Databases that were set aside, without what belongs to them.
fn set_aside(dashboard: &Dashboard) -> Vec<PathBuf> {
    let entries = fs::read_dir(dashboard.data_dir()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_aside = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("switchyard-damaged-") && name.ends_with(".sqlite")
    };
    let mut aside: Vec<_> = paths.filter(is_aside).collect();
    aside.sort_unstable();
    aside
}

fn warnings(dashboard: &Dashboard) -> Value {
    dashboard.fetch("/health")["warnings"].take()
}

fn agent_with(dashboard: &Dashboard, token: &str) -> Result<Socket, u16> {
    let bearer = format!("Bearer {token}");
    Socket::open(dashboard, "/ws/agent", &[("Authorization", &bearer)])
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn a_damaged_database_is_set_aside_and_made_anew_from_the_logs_until_somebody_looked() {
    let damages: [(&str, Damage); 4] = [
        ("no database", |bytes| bytes[..100].fill(b'x')),
        ("cut", |bytes| bytes.truncate(bytes.len() / 2)),
        ("damaged pages", |bytes| bytes[PAGE_BYTES..].fill(0xA5)),
        ("empty", Vec::clear),
    ];
    let mut dashboard = Dashboard::start(&["h1"]);
    let agent = Agent::start(&dashboard, "h1", "seq 1 100");
    let run = dashboard.command("h1", "switch");
    let before = dashboard.wait_done("h1", &run);
    drop(agent);
    assert_eq!(warnings(&dashboard), Value::Null);
    let path = database(&dashboard);
    for (times, (what, damage)) in damages.into_iter().enumerate() {
        let mut bytes = Vec::new();
        dashboard.restart(Signal::SIGTERM, || {
            gather(&path);
            bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, &bytes).unwrap();
        });
        assert_eq!(dashboard.run("h1", &run), before, "{what}");
        assert_eq!(texts(&dashboard.lines("h1", &run)).len(), 100, "{what}");
        let aside = set_aside(&dashboard);
        assert_eq!(aside.len(), times + 1, "{what}");
        let is_kept = |path: &PathBuf| fs::read(path).unwrap() == bytes;
        assert!(aside.iter().any(is_kept), "{what}: it is not what it was");
        let warned = warnings(&dashboard).to_string();
        for part in ["set aside", "sessions", "queued commands", "stay revoked"] {
            assert!(warned.contains(part), "{what}: {warned}");
        }
        dashboard.process.wait_to_say("the database was damaged", 0);
    }
    dashboard.restart(Signal::SIGTERM, || ());
    assert_eq!(dashboard.run("h1", &run), before);
    let warned = warnings(&dashboard).to_string();
    assert!(warned.contains("4 damaged databases"), "{warned}");
    for entry in fs::read_dir(dashboard.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().contains("-damaged-") {
            fs::remove_file(path).unwrap();
        }
    }
    wait_for("the warning to end", SOON, || {
        warnings(&dashboard).is_null().then_some(())
    });
    let audited = dashboard.fetch("/api/audit?action=database_anew");
    assert_eq!(audited["records"].as_array().unwrap().len(), 4, "{audited}");
}

#[test]
fn a_revoked_token_stays_revoked_when_the_database_is_lost_and_made_tokens_outlive_damage() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let wish = json!({"kind": "agent", "host_id": "h1"});
    let made = dashboard.post("/api/tokens", &wish).json()["token"].take();
    let made = made.as_str().unwrap().to_owned();
    let tokens = dashboard.fetch("/api/tokens")["tokens"].take();
    let mut tokens = tokens.as_array().unwrap().iter();
    let in_file = tokens.find(|token| token["in_file"] == true).unwrap();
    let revoke = format!("/api/tokens/{}", in_file["id"].as_str().unwrap());
    let origin = dashboard.origin();
    let headers = [("Origin", origin.as_str())];
    let revoked = dashboard.request("DELETE", &revoke, &headers, b"");
    assert_eq!(revoked.status, 204);
    let of_file = |dashboard: &Dashboard| agent_with(dashboard, &Dashboard::token("h1")).err();
    assert_eq!(of_file(&dashboard), Some(401));

    let path = database(&dashboard);
    dashboard.restart(Signal::SIGKILL, || {
        gather(&path);
        let connection = Connection::open(&path).unwrap();
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'runs'";
        let root: u32 = connection.query_row(root, [], |row| row.get(0)).unwrap();
        drop(connection);
        let root = root as usize;
        let mut bytes = fs::read(&path).unwrap();
        bytes[(root - 1) * PAGE_BYTES..root * PAGE_BYTES].fill(0xA5);
        fs::write(&path, bytes).unwrap();
    });
    assert_eq!(set_aside(&dashboard).len(), 1);
    assert_eq!(of_file(&dashboard), Some(401), "with a damaged database");
    assert!(
        agent_with(&dashboard, &made).is_ok(),
        "no other page was damaged"
    );

    dashboard.restart(Signal::SIGKILL, || {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", path.display()));
        }
    });
    assert_eq!(of_file(&dashboard), Some(401), "without the database");
    assert_eq!(agent_with(&dashboard, &made).err(), Some(401));
    let warned = warnings(&dashboard).to_string();
    assert!(warned.contains("the database was missing"), "{warned}");
    assert!(
        warned.contains("tokens that the dashboard made"),
        "{warned}"
    );
}

#[test]
fn damage_met_while_the_dashboard_runs_ends_it_and_the_next_start_mends_it() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let agent = Agent::start(&dashboard, "h1", "seq 1 100");
    let run = dashboard.command("h1", "switch");
    let before = dashboard.wait_done("h1", &run);
    drop(agent);
    let path = database(&dashboard);
    dashboard.restart(Signal::SIGTERM, || gather(&path));
    // All pages behind the first one, in the file that is open.
    let size = fs::metadata(&path).unwrap().len();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let junk = vec![0xA5; usize::try_from(size).unwrap() - PAGE_BYTES];
    std::os::unix::fs::FileExt::write_all_at(&file, &junk, PAGE_BYTES as u64).unwrap();
    drop(file);
    // A change has every connection forget the pages that it holds in memory; then somebody reads.
    let wish = json!({"command": "switch"});
    let client = common::Client::of(dashboard.port);
    let asking = std::thread::spawn(move || {
        let origin = client.origin();
        let body = wish.to_string();
        let post = ureq::post(format!("{origin}/api/hosts/h1/command"))
            .header("Origin", &origin)
            .content_type("application/json")
            .send(body);
        let get = ureq::get(format!("{origin}/api/hosts/h1/runs/{NO_RUN}")).call();
        (post.is_ok(), get.is_ok())
    });
    assert_eq!(dashboard.process.end(Signal::SIGCONT), Some(1));
    asking.join().unwrap();
    dashboard.process.wait_to_say("is damaged", 0);
    dashboard.start_again();
    assert_eq!(dashboard.run("h1", &run), before);
    assert_eq!(set_aside(&dashboard).len(), 1);
}

#[test]
fn a_database_of_a_newer_program_is_left_alone_and_the_message_says_what_to_do() {
    let mut dashboard = Dashboard::start(&["h1"]);
    dashboard.process.end(Signal::SIGTERM);
    let path = database(&dashboard);
    gather(&path);
    let set = |version: u32| {
        let connection = Connection::open(&path).unwrap();
        let version = format!("PRAGMA user_version = {version};");
        connection.execute_batch(&version).unwrap();
    };
    set(99);
    dashboard.launch_again();
    assert_eq!(dashboard.process.end(Signal::SIGCONT), Some(1));
    dashboard.process.wait_to_say("start the newer program", 0);
    assert!(set_aside(&dashboard).is_empty());
    set(3);
    dashboard.start_again();
    assert_eq!(warnings(&dashboard), Value::Null);
}

/// Writes into the database of a dashboard that is not there.
fn change(path: &Path, sql: &str) -> usize {
    let changed = Connection::open(path).unwrap().execute(sql, []);
    changed.unwrap()
}

#[test]
fn runs_whose_rows_cannot_be_read_are_known_by_their_logs_and_told() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let agent = Agent::start(&dashboard, "h1", "seq 1 10");
    let first = dashboard.command("h1", "switch");
    let before = dashboard.wait_done("h1", &first);
    let second = dashboard.command("h1", "switch");
    dashboard.wait_done("h1", &second);
    drop(agent);
    let queued = dashboard.command("h1", "switch");
    let path = database(&dashboard);
    let log = dashboard.data_dir().join(format!("logs/h1/{second}.log"));
    dashboard.restart(Signal::SIGTERM, || {
        let damage = "UPDATE runs SET record = replace(record, '\"status\":\"', '\"status\":\"x')";
        assert_eq!(change(&path, damage), 3);
        fs::remove_file(&log).unwrap();
    });
    assert_eq!(dashboard.run("h1", &first), before);
    assert_eq!(texts(&dashboard.lines("h1", &first)).len(), 10);
    for run in [&second, &queued] {
        let run = dashboard.run("h1", run);
        assert_eq!(run["status"], "lost", "{run}");
    }
    let runs = dashboard.fetch("/api/hosts/h1/runs");
    assert_eq!(runs["runs"].as_array().unwrap().len(), 3, "{runs}");
    let warned = warnings(&dashboard).to_string();
    assert!(
        warned.contains("runs without a readable log, now shown as lost: 2"),
        "{warned}"
    );
    assert!(
        warned.contains("runs that were rebuilt from their logs: 1"),
        "{warned}"
    );
    dashboard.process.wait_to_say(&first, 0);
    dashboard.restart(Signal::SIGTERM, || ());
    assert_eq!(warnings(&dashboard), Value::Null, "they were mended");
    assert_eq!(dashboard.run("h1", &first), before);
}

#[test]
fn rows_that_cannot_be_read_are_no_authority_and_revoke_all_the_same() {
    let mut dashboard = Dashboard::start(&["h1", "h2"]);
    let origin = dashboard.origin();
    let mut made = Vec::new();
    for host in ["h1", "h2"] {
        let wish = json!({"kind": "agent", "host_id": host});
        let token = dashboard.post("/api/tokens", &wish).json();
        made.push((
            token["token"].as_str().unwrap().to_owned(),
            token["id"].as_str().unwrap().to_owned(),
        ));
    }
    let [(revoked, id), (damaged, _)] = &made[..] else {
        unreachable!("two were made")
    };
    let headers = [("Origin", origin.as_str())];
    let path = format!("/api/tokens/{id}");
    let gone = dashboard.request("DELETE", &path, &headers, b"");
    assert_eq!(gone.status, 204);
    assert!(agent_with(&dashboard, damaged).is_ok());
    let path = database(&dashboard);
    let list = dashboard.data_dir().join("revoked-tokens");
    dashboard.restart(Signal::SIGTERM, || {
        let table =
            |table: &str, to: &str| change(&path, &format!("UPDATE {table} SET record = {to}"));
        assert!(table("issued", "'no json'") > 0);
        assert_eq!(table("revoked", "CAST(x'ff' AS TEXT)"), 1);
        change(&path, "INSERT OR REPLACE INTO hosts VALUES ('h1', '[]')");
        change(&path, "INSERT OR REPLACE INTO sessions VALUES ('x', '{}')");
        // The rows alone must do.
        fs::remove_file(&list).unwrap();
    });
    for token in [revoked, damaged] {
        assert_eq!(agent_with(&dashboard, token).err(), Some(401));
    }
    let warned = warnings(&dashboard).to_string();
    for part in [
        "tokens that the dashboard made, no longer valid",
        "hosts, shown again when they connect: 1",
        "sessions, whose users must sign in again: 1",
    ] {
        assert!(warned.contains(part), "{warned}");
    }
    assert!(!warned.contains("revocations"), "{warned}");
}
