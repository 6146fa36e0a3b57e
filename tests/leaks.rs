//! What must not get out, or in where it looks like something else.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket, assert_problem, wait_for};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What somebody says who wants it to be taken for a message of ours, and to clear the screen.
const FORGED: &str =
    "x\n2026-01-01T00:00:00.000000Z ERROR switchyard: forged\r\u{1b}[2J\u{9b}2J\u{202e}";

#[test]
fn nothing_that_a_host_says_makes_a_line_of_its_own_on_standard_error() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    let run = dashboard.command("h1", "switch");
    agent.wait_for("the command", |message| message["type"] == "command");
    agent.send(
        &json!({"type": "command_rejected", "host_id": "h1", "run_id": run, "reason": FORGED}),
    );
    let line = dashboard.process.line_with("rejected by the host");
    assert!(
        line.contains("forged") && line.contains("x\\n2026"),
        "{line}"
    );
    assert!(
        !line.contains(char::is_control) && !line.contains('\u{202e}'),
        "{line}"
    );
    let run = dashboard.wait_done("h1", &run);
    assert!(
        run["message"].as_str().unwrap().contains("x\n2026"),
        "the run keeps it"
    );
}

#[test]
fn nothing_that_a_person_says_makes_a_line_of_its_own_on_standard_error() {
    let users = [("anna", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_with(&["h1"], "", &users);
    dashboard.log_in("anna", "secret");
    let choice = json!({"boot_id": FORGED});
    assert_problem(&dashboard.post("/api/hosts/h1/machine", &choice), 409);
    let login = json!({"user": FORGED, "password": FORGED, "code": FORGED});
    assert_problem(&dashboard.post("/api/login", &login), 401);
    let name = json!({"kind": "api", "name": FORGED, "role": "viewer", "hosts": "*", "password": "secret"});
    assert_problem(&dashboard.post("/api/tokens", &name), 400);
    let origin = dashboard.origin();
    let headers = [
        ("Cookie", dashboard.cookie.as_deref().unwrap()),
        ("Origin", &origin),
    ];
    let path = "/api/sessions?x%0a2026-01-01T00:00:00.000000Z%20ERROR%20switchyard:%20forged=1";
    assert_problem(&dashboard.request("DELETE", path, &headers, b""), 400);
    dashboard.process.line_with("unknown parameter");
    assert_eq!(
        dashboard
            .process
            .lines_beginning_with("2026-01-01T00:00:00.000000Z"),
        0
    );
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Asserts that nobody but its owner can open any file below a folder.
fn assert_private(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_private(&path);
        } else {
            assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        }
    }
}

#[test]
fn what_the_dashboard_keeps_is_its_owners_alone_also_in_a_folder_made_by_hand() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let folder = dashboard.data_dir();
    let mut agent = Socket::agent(&dashboard, "h1");
    let run = "2025-12-14T10-30-00-switch";
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": run, "command": "switch", "status": "running", "started": "2025-12-14T10:30:00Z"}));
    agent.send(&json!({"type": "output", "host_id": "h1", "run_id": run, "command": "switch", "seq": 0, "lines": [{"line": "x", "timestamp": "2025-12-14T10:30:01Z", "is_error": false}]}));
    wait_for("the line", SOON, || {
        let answer = dashboard.get(&format!("/api/hosts/h1/runs/{run}"));
        (answer.status == 200 && answer.json()["lines"] == 1).then_some(())
    });
    assert_private(&folder);
    let database = folder.join("switchyard.sqlite");
    // As an earlier version and whoever made the folder left it.
    dashboard.restart(Signal::SIGKILL, || {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(folder.join("logs"), fs::Permissions::from_mode(0o755)).unwrap();
        for end in ["", "-wal", "-shm"] {
            let path = folder.join(format!("switchyard.sqlite{end}"));
            if path.exists() {
                fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
            }
        }
    });
    assert_eq!(dashboard.get("/api/hosts").status, 200);
    assert_private(&folder);
    assert_eq!(mode(&folder.join("logs")), 0o700);
    assert_eq!(mode(&folder), 0o755, "it may be one that others need");
    // Somebody lets a group read it, for backups.
    dashboard.restart(Signal::SIGTERM, || {
        fs::set_permissions(&database, fs::Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    });
    assert_eq!(mode(&database), 0o640);
    dashboard
        .process
        .line_with("other users can write to the data folder");
}

#[test]
fn a_password_that_is_typed_as_the_name_is_kept_nowhere() {
    let users = [("anna", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_with(&["h1"], "", &users);
    for (user, password) in [
        ("correct-horse", "anna"),
        ("Correct Horse!", ""),
        ("anna", "battery"),
    ] {
        let login = json!({"user": user, "password": password});
        assert_problem(&dashboard.post("/api/login", &login), 401);
    }
    dashboard.log_in("anna", "secret");
    let records = dashboard.fetch("/api/audit")["records"].clone();
    let refused = |n: usize| {
        assert_eq!(records[n]["result"], "refused", "{records}");
        (
            records[n]["user"].clone(),
            records[n]["detail"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(refused(1).0, "anna", "who is known is told");
    for n in [2, 3] {
        let (user, detail) = refused(n);
        assert!(
            user.is_null() && detail.contains("may be a password"),
            "{records}"
        );
        assert_eq!(records[n]["address"], "127.0.0.1");
    }
    dashboard.process.line_with("may be a password");
    let audit = fs::read_to_string(dashboard.data_dir().join("audit.log")).unwrap();
    for secret in ["orrect", "attery"] {
        assert!(!audit.contains(secret), "{audit}");
        assert_eq!(dashboard.process.times_said(secret), 0);
    }
}

#[test]
fn nobody_learns_from_errors_where_the_dashboard_keeps_what_it_has() {
    let dashboard = Dashboard::start(&["h1"]);
    let folder = dashboard.data_dir();
    // There is no room for its logs.
    fs::write(folder.join("logs/h1"), "").unwrap();
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(&json!({"type": "status", "host_id": "h1", "run_id": "2025-12-14T10-30-00-switch", "command": "switch", "status": "running", "started": "2025-12-14T10:30:00Z"}));
    let answer = wait_for("the fault", SOON, || {
        Some(dashboard.get("/health")).filter(|answer| answer.status == 503)
    });
    let body = String::from_utf8(answer.body).unwrap();
    assert!(
        body.contains("logs/h1"),
        "what cannot be stored is named: {body}"
    );
    assert!(!body.contains(&folder.display().to_string()), "{body}");
    let line = dashboard.process.line_with("cannot store");
    assert!(
        line.contains(&folder.display().to_string()),
        "our own log has all: {line}"
    );
}
