//! What is written down of what people do.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, assert_problem, wait_for};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

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
