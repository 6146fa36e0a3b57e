//! A dashboard behind a proxy that knows who its visitors are.
#![cfg(test)]

mod common;

use common::{Dashboard, Socket, assert_problem};
use serde_json::{Value, json};

fn dashboard(trusted: &str) -> Dashboard {
    let users = [
        ("otto", "operator", "proxy".to_owned()),
        ("part", "viewer", "proxy hosts=h2".to_owned()),
        ("anna", "admin", Dashboard::password_hash("secret")),
    ];
    let extra = format!("[proxy]\ntrusted = [\"{trusted}\"]\nuser_header = \"X-Remote-User\"\n");
    Dashboard::start_with(&["h1", "h2"], &extra, &users)
}

#[test]
fn whom_a_trusted_proxy_names_is_signed_in_with_their_role_and_scope() {
    let dashboard = dashboard("127.0.0.1");
    let as_user =
        |user: &str, path: &str| dashboard.request("GET", path, &[("X-Remote-User", user)], b"");
    let me = as_user("otto", "/api/me").json();
    assert_eq!(
        [&me["name"], &me["role"], &me["via"]],
        ["otto", "operator", "proxy"]
    );
    assert_problem(&as_user("otto", "/api/audit"), 403);
    assert_problem(&as_user("part", "/api/hosts/h1"), 404);
    assert_eq!(as_user("part", "/api/hosts/h2").status, 200);
    // Who has a password is not let in by a name alone, nor is who is not known.
    for user in ["anna", "nobody", "", "otto, anna"] {
        assert_problem(&as_user(user, "/api/hosts"), 401);
    }
    let two = [("X-Remote-User", "otto"), ("X-Remote-User", "part")];
    assert_problem(&dashboard.request("GET", "/api/hosts", &two, b""), 403);
}

#[test]
fn the_name_comes_along_by_itself_so_the_page_must_be_ours() {
    let dashboard = dashboard("127.0.0.1");
    let body = json!({"command": "switch"}).to_string();
    let post = |origin: &str| {
        let headers = [
            ("X-Remote-User", "otto"),
            ("Origin", origin),
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", "198.51.100.7, 10.9.8.7"),
        ];
        dashboard.request("POST", "/api/hosts/h1/command", &headers, body.as_bytes())
    };
    assert_problem(&post("http://evil.example"), 403);
    assert_eq!(post(&dashboard.origin()).status, 202);
    let headers = [("X-Remote-User", "otto"), ("Origin", "http://evil.example")];
    assert_eq!(
        Socket::open(&dashboard, "/ws/browser", &headers).err(),
        Some(403)
    );
    let audit = std::fs::read_to_string(dashboard.data_dir().join("audit.log")).unwrap();
    let last: Value =
        serde_json::from_str(audit.lines().rfind(|line| line.contains("\"ok\"")).unwrap()).unwrap();
    assert_eq!(
        [&last["user"], &last["address"]],
        ["otto", "10.9.8.7"],
        "the newest that is no proxy of ours"
    );
}

#[test]
fn nobody_else_names_a_user() {
    let dashboard = dashboard("192.0.2.1");
    let headers = [("X-Remote-User", "otto")];
    assert_problem(&dashboard.request("GET", "/api/hosts", &headers, b""), 403);
    let plain = Dashboard::start_with(&["h1"], "", &[("otto", "operator", "proxy".to_owned())]);
    assert_problem(&plain.request("GET", "/api/hosts", &headers, b""), 401);
}
