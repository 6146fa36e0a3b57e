//! What a page of somebody else's may try.

use crate::common::{Dashboard, Socket, assert_problem};
use crate::support::{RUN, store, with_users};
use serde_json::json;

#[test]
fn a_form_of_another_site_changes_nothing() {
    let dashboard = with_users();
    let cookie = dashboard.cookie.clone().unwrap();
    let origin = dashboard.origin();
    let body = br#"{"command":"switch","x":"="}"#;
    let path = "/api/hosts/h1/command";
    // Forms can send these three types, and no other; no page can leave `Origin` away or forge it.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        for origin in ["http://evil.example", "null", &origin] {
            let headers = [
                ("Cookie", cookie.as_str()),
                ("Origin", origin),
                ("Content-Type", kind),
            ];
            let status = dashboard.request("POST", path, &headers, body).status;
            assert!(
                [403, 415].contains(&status),
                "{kind} from {origin}: {status}"
            );
        }
    }
    let headers = [
        ("Cookie", cookie.as_str()),
        ("Content-Type", "application/json"),
    ];
    assert_problem(&dashboard.request("POST", path, &headers, body), 403);
    let headers = [
        ("Cookie", cookie.as_str()),
        ("Origin", "http://evil.example"),
    ];
    assert_eq!(
        Socket::open(&dashboard, "/ws/browser", &headers).err(),
        Some(403)
    );
    assert_problem(
        &dashboard.request("DELETE", "/api/sessions", &headers, b""),
        403,
    );
    assert_problem(&dashboard.request("GET", path, &headers, b""), 405);
    assert_eq!(dashboard.fetch("/api/hosts/h1/runs")["runs"], json!([]));
    let preflight = [
        ("Origin", "http://evil.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    let answer = dashboard.request("OPTIONS", path, &preflight, b"");
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let audit = std::fs::read_to_string(dashboard.data_dir().join("audit.log")).unwrap();
    assert!(
        audit.contains("is missing or not this dashboard's address"),
        "it is written down: {audit}"
    );
}

#[test]
fn headers_keep_pages_from_doing_what_ours_never_does() {
    let users = [("otto", "operator", Dashboard::password_hash("secret"))];
    let tls = Dashboard::start_with(
        &["h1"],
        "public_url = \"https://fleet.example.org\"\n",
        &users,
    );
    let plain = Dashboard::start(&["h1"]);
    store(&plain, RUN, &["x"]);
    for (dashboard, hsts) in [(&tls, "max-age=31536000"), (&plain, "")] {
        for path in ["/", "/health", "/api/hosts", "/nothing", "/api/hosts/%00"] {
            let answer = dashboard.get(path);
            let policy = answer.header("content-security-policy");
            for part in [
                "default-src 'none'",
                "script-src 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "no-referrer"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("strict-transport-security", hsts),
            ] {
                assert_eq!(answer.header(name), value, "{path}: {name}");
            }
            assert!(answer.header("permissions-policy").contains("camera=()"));
        }
    }
    let download = plain.get("/api/hosts/h1/logs/download");
    let name = format!("attachment; filename=\"h1-{RUN}.txt\"");
    assert_eq!(download.header("content-disposition"), name);
}
