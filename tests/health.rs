//! What `/health` says while some of many things cannot be stored, and to whom.
#![cfg(test)]

mod common;

use common::{Answer, Dashboard, SOON, Socket, assert_problem, sha256_hex, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

const RUN: &str = "2025-12-14T10-30-00-switch";
/// Several rounds of everything that is tried again after a while.
const ROUNDS: Duration = Duration::from_secs(6);

fn begin(agent: &mut Socket, host: &str) {
    agent.send(&json!({"type": "status", "host_id": host, "run_id": RUN, "command": "switch", "status": "running"}));
}

fn line(agent: &mut Socket, host: &str, seq: u64) {
    agent.send(
        &json!({"type": "output", "host_id": host, "run_id": RUN, "command": "switch", "seq": seq,
                "lines": [{"line": "a line", "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false}]}),
    );
}

#[test]
fn health_stays_bad_while_one_folder_cannot_be_written_however_much_else_is_stored() {
    let dashboard = Dashboard::start(&["h1", "h2", "h3"]);
    let folder = |host: &str| dashboard.data_dir().join("logs").join(host);
    let blocked = ["h1", "h2"].map(folder);
    for folder in &blocked {
        let _ = fs::remove_dir_all(folder);
        fs::write(folder, "").unwrap();
    }
    let mut agents = ["h1", "h2", "h3"].map(|host| Socket::agent(&dashboard, host));
    for (agent, host) in agents.iter_mut().zip(["h1", "h2", "h3"]) {
        begin(agent, host);
    }
    let status = || dashboard.get("/health").status;
    wait_for("word of it", SOON, || (status() == 503).then_some(()));
    let (began, mut stored) = (Instant::now(), 0);
    while began.elapsed() < ROUNDS {
        line(&mut agents[2], "h3", stored);
        stored += 1;
        agents[2].wait_for("an acknowledgement", |message| {
            message["type"] == "ack" && message["seq"] == stored
        });
        assert_eq!(status(), 503, "after {stored} lines of another host");
    }
    fs::remove_file(&blocked[0]).unwrap();
    agents[0].wait_for("to be asked again", |message| message["type"] == "resume");
    assert_eq!(status(), 503, "the second folder is as it was");
    fs::remove_file(&blocked[1]).unwrap();
    wait_for("health", SOON, || (status() == 200).then_some(()));
    assert_eq!(
        dashboard.process.times_said("cannot store"),
        2,
        "once for each"
    );
}

/// A dashboard with an admin `ada` who signs in, and with tokens of an admin, of an admin for `h2` alone, of an
/// operator and of a viewer.
fn with_users() -> Dashboard {
    let token = |name: &str| format!("sha256:{}", sha256_hex(name));
    let users = [
        ("ada", "admin", Dashboard::password_hash("secret")),
        ("all", "admin", token("admin")),
        ("part", "admin", format!("{} hosts=h2", token("partly"))),
        ("otto", "operator", token("operator")),
        ("vera", "viewer", token("viewer")),
    ];
    Dashboard::start_with(&["h1", "h2"], "", &users)
}

/// What `/health` answers each of those who may know all, and each of the others.
fn answers(dashboard: &mut Dashboard) -> (Vec<Answer>, Vec<Answer>) {
    let with = |dashboard: &Dashboard, headers: &[(&str, &str)]| {
        dashboard.request("GET", "/health", headers, b"")
    };
    let by_token = |dashboard: &Dashboard, token: &str| {
        with(
            dashboard,
            &[("Authorization", format!("Bearer {token}").as_str())],
        )
    };
    dashboard.log_in("ada", "secret");
    let cookie = dashboard.cookie.take().unwrap();
    let signed_in = with(dashboard, &[("Cookie", &cookie)]);
    let told = vec![signed_in, by_token(dashboard, "admin")];
    let others = ["partly", "operator", "viewer", "nobody's"];
    let mut untold: Vec<_> = others.map(|name| by_token(dashboard, name)).into();
    untold.push(by_token(dashboard, &Dashboard::token("h1")));
    untold.push(with(dashboard, &[]));
    untold.push(with(
        dashboard,
        &[("Cookie", &cookie), ("Host", "evil.example")],
    ));
    (told, untold)
}

#[test]
fn health_names_what_cannot_be_stored_to_admins_alone_and_others_learn_where_it_stands() {
    let mut dashboard = with_users();
    fs::write(dashboard.data_dir().join("logs/h1"), "").unwrap();
    begin(&mut Socket::agent(&dashboard, "h1"), "h1");
    wait_for("word of it", SOON, || {
        (dashboard.get("/health").status == 503).then_some(())
    });
    let (told, untold) = answers(&mut dashboard);
    for answer in &told {
        assert_problem(answer, 503);
        let detail = answer.json()["detail"].take();
        assert!(detail.as_str().unwrap().contains("logs/h1"), "{detail}");
    }
    for answer in &untold {
        assert_problem(answer, 503);
        assert_eq!(
            answer.json(),
            json!({
                "title": "Service Unavailable",
                "status": 503,
                "detail": "the dashboard cannot store output; the reason is in its journal, and in /health for admins",
            })
        );
    }
    let said = dashboard.process.line_with("cannot store");
    assert!(said.contains("h1"), "the journal has it: {said}");
}

#[test]
fn health_warns_admins_of_what_is_to_be_looked_at_and_tells_others_that_there_is_something() {
    let mut dashboard = with_users();
    let everybody = |dashboard: &mut Dashboard| {
        let (told, untold) = answers(dashboard);
        let of = |answer: &Answer| {
            assert_eq!(answer.status, 200);
            let health = answer.json();
            assert_eq!(health["status"], "ok");
            health["warnings"].clone()
        };
        let told: Vec<_> = told.iter().map(of).collect();
        let untold: Vec<_> = untold.iter().map(of).collect();
        (told, untold)
    };
    let (told, untold) = everybody(&mut dashboard);
    for warnings in told.iter().chain(&untold) {
        assert_eq!(*warnings, Value::Null);
    }
    let database = dashboard.data_dir().join("switchyard.sqlite");
    dashboard.restart(Signal::SIGTERM, || {
        // What is not yet in the file would mend it.
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", database.display()));
        }
        fs::write(&database, "damaged").unwrap();
    });
    let (told, untold) = everybody(&mut dashboard);
    for warnings in told {
        let warning = warnings[0].as_str().unwrap();
        assert!(warning.contains("switchyard-damaged-"), "{warning}");
        assert!(
            warning.contains("Then move it away or delete it"),
            "{warning}"
        );
    }
    for warnings in untold {
        assert_eq!(
            warnings,
            json!([
                "there is a warning; its text is in the dashboard's journal, and in /health for admins"
            ])
        );
    }
}
