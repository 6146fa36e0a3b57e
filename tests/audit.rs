//! What is written down of what people do.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, SyncGate, assert_problem, sha256_hex, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

fn dashboard() -> Dashboard {
    let users = [
        ("vera", "viewer", Dashboard::password_hash("secret")),
        ("anna", "admin", Dashboard::password_hash("secret")),
    ];
    Dashboard::start_with(&["h1"], "", &users)
}

fn file(dashboard: &Dashboard) -> Vec<Value> {
    let text = std::fs::read_to_string(dashboard.data_dir().join("audit.log")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn who_did_what_to_which_host_from_where_and_with_what_result_is_written_down() {
    let mut dashboard = dashboard();
    let wrong = json!({"user": "anna", "password": "wrong"});
    assert_problem(&dashboard.post("/api/login", &wrong), 401);
    dashboard.log_in("vera", "secret");
    let command = json!({"command": "switch"});
    assert_problem(&dashboard.post("/api/hosts/h1/command", &command), 403);
    dashboard.log_in("anna", "secret");
    let run = dashboard.command("h1", "switch");
    assert_problem(&dashboard.post("/api/hosts/h1/command", &command), 409);
    dashboard.command("h1", "stop");
    assert_eq!(dashboard.post("/api/logout", &json!({})).status, 204);

    let records = file(&dashboard);
    let told: Vec<_> = records
        .iter()
        .map(|r| {
            [
                &r["user"],
                &r["action"],
                &r["result"],
                &r["host_id"],
                &r["run_id"],
            ]
            .map(|v| v.as_str().unwrap_or("-").to_owned())
        })
        .collect();
    let want = [
        ["anna", "login", "refused", "-", "-"],
        ["vera", "login", "ok", "-", "-"],
        ["vera", "request", "refused", "-", "-"],
        ["anna", "login", "ok", "-", "-"],
        ["anna", "command", "ok", "h1", run.as_str()],
        ["anna", "command", "refused", "h1", "-"],
        ["anna", "stop", "ok", "h1", run.as_str()],
        ["anna", "logout", "ok", "-", "-"],
    ];
    assert_eq!(told, want.map(|row| row.map(str::to_owned)));
    for record in &records {
        assert_eq!(record["address"], "127.0.0.1");
        assert!(record["time"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(records[4]["command"], "switch");
    assert!(
        records[2]["detail"]
            .as_str()
            .unwrap()
            .contains("/api/hosts/{id}/command")
    );
    let mode = std::fs::metadata(dashboard.data_dir().join("audit.log"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // The same goes to the journal, each with fields of its own.
    let line = dashboard.process.line_with("action=Command");
    assert!(
        line.contains("user=\"anna\"") && line.contains("host=\"h1\""),
        "{line}"
    );
}

#[test]
fn admins_read_it_page_by_page_and_it_is_only_ever_added_to() {
    let mut dashboard = dashboard();
    dashboard.log_in("anna", "secret");
    for _ in 0..30 {
        assert_eq!(
            dashboard
                .post(
                    "/api/commands",
                    &json!({"hosts": ["h1"], "command": "nothing-such"})
                )
                .status,
            207
        );
    }
    let before = std::fs::read(dashboard.data_dir().join("audit.log")).unwrap();
    let mut seen = Vec::new();
    let mut path = "/api/audit?limit=7".to_owned();
    loop {
        let page = dashboard.fetch(&path);
        seen.extend(page["records"].as_array().unwrap().clone());
        match page["next"].as_u64() {
            Some(next) => path = format!("/api/audit?limit=7&before={next}"),
            None => break,
        }
    }
    seen.reverse();
    assert_eq!(seen, file(&dashboard));
    let of =
        |query: &str| dashboard.fetch(&format!("/api/audit?limit=1000&{query}"))["records"].clone();
    let having = |wanted: fn(&Value) -> bool| -> Value {
        let wanted = seen.iter().rev().filter(|record| wanted(record));
        wanted.cloned().collect::<Vec<_>>().into()
    };
    assert_eq!(of("user=ANN"), having(|record| record["user"] == "anna"));
    assert_eq!(of("host=h&user=x"), json!([]));
    assert_eq!(
        of("action=login&result=ok"),
        having(|record| { record["action"] == "login" && record["result"] == "ok" })
    );
    assert_problem(&dashboard.get("/api/audit?action=nothing"), 400);
    dashboard.restart(nix::sys::signal::Signal::SIGKILL, || ());
    dashboard.log_in("vera", "secret");
    assert_problem(&dashboard.get("/api/audit"), 403);
    let after = std::fs::read(dashboard.data_dir().join("audit.log")).unwrap();
    assert!(after.len() > before.len() && after.starts_with(&before));
}

#[test]
fn a_file_that_is_moved_away_is_begun_anew() {
    let mut dashboard = dashboard();
    dashboard.log_in("anna", "secret");
    let path = dashboard.data_dir().join("audit.log");
    std::fs::rename(&path, path.with_extension("1")).unwrap();
    dashboard.command("h1", "switch");
    wait_for("the new file", SOON, || {
        (file(&dashboard).len() == 1).then_some(())
    });
}

/// Sends a request, and hangs up at this moment without taking an answer.
fn send_and_hang_up(dashboard: &Dashboard, path: &str, body: &Value, moment: impl FnOnce()) {
    let mut stream = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
    let (origin, cookie) = (dashboard.origin(), dashboard.cookie.as_deref().unwrap());
    let (body, port) = (body.to_string(), dashboard.port);
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {origin}\r\nCookie: {cookie}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    moment();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
}

fn records_of(dashboard: &Dashboard, action: &str) -> Vec<Value> {
    let all = file(dashboard).into_iter();
    all.filter(|record| record["action"] == action).collect()
}

#[test]
fn a_bulk_whose_client_hangs_up_half_way_is_done_whole_and_written_down() {
    let names: Vec<String> = (0..300).map(|n| format!("h{n}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let users = [("anna", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_with(&hosts, "", &users);
    dashboard.log_in("anna", "secret");
    let bulk = json!({"hosts": hosts, "command": "switch"});
    send_and_hang_up(&dashboard, "/api/commands", &bulk, || {
        dashboard.wait_for_host("h0", "the run of the first", |host| !host["run"].is_null());
    });
    let record = wait_for("the record of the bulk", SOON, || {
        records_of(&dashboard, "command").into_iter().next()
    });
    assert_eq!(record["hosts"].as_array().unwrap().len(), 300);
    assert_eq!(record["result"], "ok");
}

#[test]
fn there_are_as_many_records_as_tokens_whenever_the_client_hangs_up() {
    let users = [("anna", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_with(&["h1"], "", &users);
    dashboard.log_in("anna", "secret");
    let made = || {
        let tokens = dashboard.fetch("/api/tokens")["tokens"].clone();
        let all = tokens.as_array().unwrap().iter();
        all.filter(|token| token["kind"] == "api").count()
    };
    for n in 0..60 {
        let name = format!("bot{n}");
        let grant = json!({"kind": "api", "name": name, "role": "viewer", "hosts": "*", "password": "secret"});
        // Before, while or after the deed is done.
        let moment = || std::thread::sleep(Duration::from_micros(100 * n));
        send_and_hang_up(&dashboard, "/api/tokens", &grant, moment);
    }
    assert!(made() > 0);
    wait_for("as many records as tokens", SOON, || {
        // Of so many at once some must wait, which is written down too.
        let records = records_of(&dashboard, "issue_token").into_iter();
        let done = records.filter(|record| record["result"] == "ok").count();
        (done == made()).then_some(())
    });
}

#[test]
fn a_request_for_several_hosts_is_one_record_that_names_them() {
    let users = [("anna", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_with(&["h1", "h2", "h3"], "", &users);
    dashboard.log_in("anna", "secret");
    dashboard.command("h2", "switch");
    let bulk = json!({"hosts": ["h1", "h2", "h3"], "command": "pull"});
    assert_eq!(dashboard.post("/api/commands", &bulk).status, 207);
    let records = file(&dashboard);
    let record = records.last().unwrap();
    assert_eq!(records.len(), 3, "sign-in, one command, one bulk");
    assert_eq!(record["hosts"], json!(["h1", "h3"]));
    assert!(record["run_id"].as_str().unwrap().ends_with("-pull"));
    let detail = record["detail"].as_str().unwrap();
    assert!(detail.starts_with("refused for 1 host: h2: "), "{detail}");
    for (host, count) in [("h3", 1), ("h2", 1), ("h1", 1), ("h4", 0)] {
        let found = dashboard.fetch(&format!("/api/audit?host={host}"));
        assert_eq!(found["records"].as_array().unwrap().len(), count, "{host}");
    }
}

#[test]
fn what_somebody_is_refused_again_and_again_is_counted_and_not_written() {
    let mut dashboard = dashboard();
    dashboard.log_in("vera", "secret");
    let command = json!({"command": "switch"});
    for _ in 0..400 {
        assert_problem(&dashboard.post("/api/hosts/h1/command", &command), 403);
    }
    let written = file(&dashboard).len();
    // A sign-in, a hundred refusals, and one more every ten seconds.
    assert!((101..200).contains(&written), "{written}");
    dashboard.log_in("anna", "secret");
    dashboard.command("h1", "switch");
    assert_eq!(file(&dashboard).last().unwrap()["action"], "command");
}

#[test]
fn what_strangers_send_takes_little_of_the_log_however_long_it_is() {
    let dashboard = dashboard();
    let odd = "\"".repeat(1_000);
    for request in [format!("POST /{odd}"), format!("{} /", "A".repeat(1_000))] {
        let mut stream = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
        let port = dashboard.port;
        let head =
            format!("{request} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let text = std::fs::read_to_string(dashboard.data_dir().join("audit.log")).unwrap();
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        assert!(line.len() < 700, "{} bytes: {line}", line.len());
    }
    let details = file(&dashboard).into_iter();
    let details: Vec<_> = details
        .map(|record| record["detail"].as_str().unwrap().to_owned())
        .collect();
    let whole = format!(
        "POST of an unknown path that begins with /{}: ",
        "\"".repeat(63)
    );
    assert!(details[0].starts_with(&whole), "{details:?}");
    assert!(details[1].starts_with("AAAAAAAAAAAAAAAA "), "{details:?}");
}

/// Puts a folder in the place of the log, which keeps everybody from writing it.
fn block(dashboard: &Dashboard) -> std::path::PathBuf {
    let path = dashboard.data_dir().join("audit.log");
    std::fs::rename(&path, path.with_extension("1")).unwrap();
    std::fs::create_dir(&path).unwrap();
    path
}

#[test]
fn a_log_that_cannot_be_written_is_told_and_gets_what_it_missed_later() {
    let mut dashboard = dashboard();
    dashboard.log_in("anna", "secret");
    let path = block(&dashboard);
    let run = dashboard.command("h1", "switch");
    let health = dashboard.get("/health");
    assert_problem(&health, 503);
    let said = health.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        said.starts_with("the audit log cannot be written: audit.log: "),
        "{said}"
    );
    std::fs::remove_dir(&path).unwrap();
    wait_for("health", SOON, || {
        (dashboard.get("/health").status == 200).then_some(())
    });
    let records = file(&dashboard);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["run_id"], run.as_str());
    dashboard.command("h1", "stop");
    assert_eq!(file(&dashboard).len(), 2);
}

#[test]
fn nothing_is_changed_any_more_when_no_record_of_it_can_be_kept() {
    let names: Vec<String> = (0..200).map(|n| format!("{n:060}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let users = [("anna", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_with(&hosts, "", &users);
    dashboard.log_in("anna", "secret");
    let path = block(&dashboard);
    let mut done = 0;
    // Each record has 12 KiB.
    let refused = (0..200).find_map(|n| {
        let command = if n % 2 == 0 { "switch" } else { "stop" };
        let bulk = json!({"hosts": hosts, "command": command});
        let answer = dashboard.post("/api/commands", &bulk);
        done += usize::from(answer.status == 207);
        (answer.status != 207).then_some(answer)
    });
    let refused = refused.unwrap();
    assert_problem(&refused, 503);
    let said = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("make room on the disk"), "{said}");
    assert!(done > 50, "{done}");
    assert_eq!(
        dashboard.get("/api/hosts").status,
        200,
        "who only reads goes on"
    );
    std::fs::remove_dir(&path).unwrap();
    wait_for("health", SOON, || {
        (dashboard.get("/health").status == 200).then_some(())
    });
    assert_eq!(file(&dashboard).len(), done);
    let bulk = json!({"hosts": hosts, "command": "pull"});
    assert_eq!(dashboard.post("/api/commands", &bulk).status, 207);
}

#[test]
fn a_log_that_somebody_changed_is_found_out() {
    let mut dashboard = dashboard();
    dashboard.log_in("anna", "secret");
    dashboard.command("h1", "switch");
    dashboard.restart(nix::sys::signal::Signal::SIGKILL, || ());
    dashboard.log_in("anna", "secret");
    dashboard.command("h1", "stop");
    let folder = dashboard.data_dir();
    let verify = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_switchyard"));
        command.args(["admin", "--data-dir"]).arg(&folder);
        let output = command.args(["audit", "--verify"]).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, said) = verify();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("4 records, 3 of them checked against the record before"),
        "{said}"
    );
    let path = folder.join("audit.log");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("anna", "vera", 1)).unwrap();
    let (code, said) = verify();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("audit.log:2: this record does not follow"),
        "{said}"
    );
}

#[test]
fn what_changes_nothing_is_not_written_down() {
    let token = format!("sha256:{}", sha256_hex("vera"));
    let users = [
        ("vera", "viewer", Dashboard::password_hash("secret")),
        ("vera", "viewer", token),
    ];
    let mut dashboard = Dashboard::start_with(&["h1"], "", &users);
    dashboard.log_in("vera", "secret");
    let end_all = || {
        let headers = [("Authorization", "Bearer vera")];
        let answer = dashboard.request("POST", "/api/logout/all", &headers, b"");
        assert_eq!(answer.status, 200);
        answer.json()["ended"].as_u64().unwrap()
    };
    assert_eq!(end_all(), 1);
    for _ in 0..20 {
        assert_eq!(end_all(), 0);
    }
    assert_eq!(records_of(&dashboard, "logout_all").len(), 1);
    assert_eq!(file(&dashboard).len(), 2, "the sign-in, and its end");
}

#[test]
fn a_deed_whose_client_hangs_up_is_written_down_also_where_the_dashboard_is_ended_at_once() {
    let Some(gate) = SyncGate::new() else { return };
    let users = [("anna", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_in(gate.environment(0), "127.0.0.1", &["h1"], "", &users);
    dashboard.log_in("anna", "secret");
    // Until the disk goes on, the command is not stored, and so not done.
    let before = gate.database_syncs();
    gate.close();
    let path = "/api/hosts/h1/command";
    send_and_hang_up(&dashboard, path, &json!({"command": "switch"}), || {
        wait_for("the command to be stored", SOON, || {
            (gate.database_syncs() > before).then_some(())
        });
    });
    dashboard.process.signal(Signal::SIGTERM);
    wait_for("no connection to be taken any more", SOON, || {
        TcpStream::connect(("127.0.0.1", dashboard.port)).err()
    });
    // It would have ended by now if it did not wait for the command.
    std::thread::sleep(Duration::from_millis(300));
    gate.open();
    dashboard.process.end(Signal::SIGTERM);
    let records = records_of(&dashboard, "command");
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["result"], "ok");
}
