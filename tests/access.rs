//! Whom the dashboard lets in, and to what.
#![cfg(test)]

mod common;

use common::{Dashboard, Socket, assert_problem, sha256_hex};
use nix::sys::signal::Signal;
use serde_json::json;

const TOKEN: &str = "an-api-token";

/// A dashboard with `vera` the viewer, `otto` the operator, and `robot`, an operator with an API token.
fn dashboard_with_users(extra: &str) -> Dashboard {
    let hash = Dashboard::password_hash("secret");
    let token = format!("sha256:{}", sha256_hex(TOKEN));
    let users = [
        ("vera", "viewer", hash),
        ("otto", "operator", Dashboard::password_hash("other")),
        ("robot", "operator", token),
    ];
    Dashboard::start_with(&["h1"], extra, &users)
}

#[test]
fn only_our_own_origin_may_change_anything() {
    let dashboard = Dashboard::start(&["h1"]);
    let body = json!({"command": "switch"}).to_string();
    let post = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("Content-Type", "application/json")]].concat();
        dashboard.request("POST", "/api/hosts/h1/command", &headers, body.as_bytes())
    };
    assert_problem(&post(&[]), 403);
    for origin in [
        "http://evil.example",
        "null",
        "https://127.0.0.1",
        "http://127.0.0.1",
        "http://localhost:1",
    ] {
        assert_problem(&post(&[("Origin", origin)]), 403);
        assert_eq!(
            Socket::open(&dashboard, "/ws/browser", &[("Origin", origin)]).err(),
            Some(403),
            "{origin}"
        );
    }
    assert_eq!(
        Socket::open(&dashboard, "/ws/browser", &[]).err(),
        Some(403)
    );
    assert_eq!(post(&[("Origin", &dashboard.origin())]).status, 202);
}

#[test]
fn another_name_for_us_is_misdirected() {
    let dashboard = Dashboard::start(&["h1"]);
    let as_host = |host: &str, path: &str| dashboard.request("GET", path, &[("Host", host)], b"");
    for host in [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "10.0.0.1",
    ] {
        assert_problem(&as_host(host, "/api/hosts"), 421);
        assert_eq!(as_host(host, "/").status, 421);
        assert_eq!(as_host(host, "/health").status, 200);
    }
    for host in ["localhost", "localhost:1234", "127.0.0.1", "[::1]:8000"] {
        assert_eq!(as_host(host, "/api/hosts").status, 200, "{host}");
    }
}

#[test]
fn without_users_what_came_through_a_proxy_is_refused() {
    let dashboard = Dashboard::start(&["h1"]);
    for header in [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "Via",
    ] {
        assert_problem(
            &dashboard.request("GET", "/api/hosts", &[(header, "x")], b""),
            403,
        );
    }
    let dashboard = dashboard_with_users("");
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-Forwarded-For", "1.2.3.4"),
    ];
    assert_eq!(
        dashboard.request("GET", "/api/hosts", &headers, b"").status,
        200
    );
}

#[test]
fn without_a_session_there_is_nothing_to_see() {
    let dashboard = dashboard_with_users("");
    for path in [
        "/api/hosts",
        "/api/hosts/h1",
        "/api/hosts/h1/runs",
        "/api/hosts/nobody",
        "/metrics",
    ] {
        assert_problem(&dashboard.get(path), 401);
    }
    assert_problem(
        &dashboard.post("/api/hosts/h1/command", &json!({"command": "switch"})),
        401,
    );
    assert_eq!(
        Socket::open(
            &dashboard,
            "/ws/browser",
            &[("Origin", &dashboard.origin())]
        )
        .err(),
        Some(401)
    );
    assert_eq!(
        dashboard.get("/").status,
        200,
        "the page can show its sign-in"
    );
}

#[test]
fn a_session_begins_with_the_password_and_ends_with_logout() {
    let mut dashboard = dashboard_with_users("");
    for (user, password) in [
        ("otto", "secret"),
        ("nobody", "other"),
        ("otto", ""),
        ("robot", TOKEN),
    ] {
        assert_problem(
            &dashboard.post("/api/login", &json!({"user": user, "password": password})),
            401,
        );
    }
    let answer = dashboard.post("/api/login", &json!({"user": "otto", "password": "other"}));
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly")
            && cookie.contains("SameSite=Strict")
            && !cookie.contains("Secure"),
        "{cookie}"
    );

    dashboard.log_in("otto", "other");
    assert_eq!(dashboard.get("/api/hosts").status, 200);
    Socket::browser(&dashboard);
    let run = dashboard.command("h1", "switch");
    assert_eq!(dashboard.run("h1", &run)["requested_by"], "otto");
    assert_eq!(dashboard.post("/api/logout", &json!({})).status, 204);
    assert_problem(&dashboard.get("/api/hosts"), 401);
}

#[test]
fn a_viewer_may_look_and_not_touch() {
    let mut dashboard = dashboard_with_users("");
    dashboard.log_in("vera", "secret");
    assert_eq!(dashboard.get("/api/hosts/h1").status, 200);
    assert_problem(
        &dashboard.post("/api/hosts/h1/command", &json!({"command": "switch"})),
        403,
    );
    let bulk = dashboard.post(
        "/api/commands",
        &json!({"hosts": ["h1"], "command": "switch"}),
    );
    assert_problem(&bulk, 403);
    assert_eq!(dashboard.fetch("/api/hosts/h1/runs")["runs"], json!([]));
}

#[test]
fn an_api_token_needs_neither_origin_nor_host() {
    let dashboard = dashboard_with_users("");
    let request = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Host", "elsewhere"),
            ("Content-Type", "application/json"),
        ];
        dashboard
            .request(
                "POST",
                "/api/hosts/h1/command",
                &headers,
                b"{\"command\":\"switch\"}",
            )
            .status
    };
    assert_eq!(request(TOKEN), 202);
    assert_eq!(request("another"), 421);
    let bearer = [("Authorization", "Bearer another")];
    assert_problem(&dashboard.request("GET", "/api/hosts", &bearer, b""), 401);
    let agents_token = format!("Bearer {}", Dashboard::token("h1"));
    let bearer = [("Authorization", agents_token.as_str())];
    assert_problem(&dashboard.request("GET", "/api/hosts", &bearer, b""), 401);
}

#[test]
fn behind_a_public_url_it_is_the_origin_and_cookies_are_secure() {
    let dashboard = dashboard_with_users("public_url = \"https://fleet.example.org\"\n");
    let login = json!({"user": "otto", "password": "other"}).to_string();
    let post = |origin: &str| {
        let headers = [
            ("Host", "fleet.example.org"),
            ("Origin", origin),
            ("Content-Type", "application/json"),
        ];
        dashboard.request("POST", "/api/login", &headers, login.as_bytes())
    };
    assert_problem(&post("https://evil.example.org"), 403);
    let answer = post("https://fleet.example.org");
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").contains("Secure"));
}

#[test]
fn nobody_signs_in_at_a_page_without_tls_and_the_password_is_not_looked_at() {
    let dashboard = dashboard_with_users("public_url = \"http://fleet.example.org:8080\"\n");
    dashboard
        .process
        .line_with("signing in with a password does not work at this address");
    let login = json!({"user": "otto", "password": "other"}).to_string();
    let post = |host: &str| {
        let origin = format!("http://{host}");
        let headers = [
            ("Host", host),
            ("Origin", origin.as_str()),
            ("Content-Type", "application/json"),
        ];
        dashboard.request("POST", "/api/login", &headers, login.as_bytes())
    };
    let checks = || {
        let bearer = [("Authorization", &*format!("Bearer {TOKEN}"))];
        let answer = dashboard.request("GET", "/metrics", &bearer, b"");
        let text = String::from_utf8(answer.body).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("switchyard_password_checks"));
        line.unwrap().to_owned()
    };
    let before = checks();
    let answer = post("fleet.example.org:8080");
    assert_problem(&answer, 403);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    for said in [
        "http://fleet.example.org:8080",
        "open the page with https://",
        "SSH tunnel",
    ] {
        assert!(detail.contains(said), "{detail}");
    }
    assert_eq!(checks(), before);
    // At this machine browsers keep it.
    let here = format!("127.0.0.1:{}", dashboard.port);
    assert_eq!(post(&here).status, 204);
    assert_ne!(checks(), before);
}

#[test]
fn an_agent_needs_its_token() {
    let dashboard = Dashboard::start(&["h1"]);
    let open = |headers: &[(&str, &str)]| Socket::open(&dashboard, "/ws/agent", headers).err();
    assert_eq!(open(&[]), Some(401));
    assert_eq!(open(&[("Authorization", "Bearer wrong")]), Some(401));
    assert_eq!(dashboard.host("h1")["online"], false);
}

#[test]
fn an_agent_whose_hash_is_gone_is_closed_by_a_reload() {
    let dashboard = Dashboard::start(&["h1", "h2"]);
    let revoked = Socket::agent(&dashboard, "h1");
    let mut kept = Socket::agent(&dashboard, "h2");
    dashboard.reload_with(
        "agents",
        &format!("h2 {}\n", sha256_hex(&Dashboard::token("h2"))),
    );
    assert_eq!(revoked.close_code(), 4403);
    kept.send(&json!({"type": "heartbeat", "host_id": "h2", "revision": "kept"}));
    dashboard.wait_for_host("h2", "its heartbeat", |host| host["revision"] == "kept");
}

#[test]
fn who_guesses_passwords_is_told_to_wait() {
    let dashboard = dashboard_with_users("");
    let guess = || dashboard.post("/api/login", &json!({"user": "bob", "password": "x"}));
    for _ in 0..5 {
        assert_problem(&guess(), 401);
    }
    let answer = guess();
    assert_problem(&answer, 429);
    assert_eq!(answer.header("retry-after"), "1");
}

#[test]
fn a_session_outlives_a_restart_and_one_that_ended_does_not() {
    let mut dashboard = dashboard_with_users("");
    dashboard.log_in("vera", "secret");
    let ended = dashboard.cookie.clone();
    assert_eq!(dashboard.post("/api/logout", &json!({})).status, 204);
    dashboard.log_in("vera", "secret");
    dashboard.restart(Signal::SIGKILL, || ());
    assert_eq!(dashboard.get("/api/hosts").status, 200);
    dashboard.cookie = ended;
    assert_problem(&dashboard.get("/api/hosts"), 401);
}

#[test]
fn a_page_may_load_nothing_from_elsewhere() {
    let dashboard = Dashboard::start(&["h1"]);
    for path in ["/", "/api/hosts", "/nothing"] {
        let answer = dashboard.get(path);
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}
