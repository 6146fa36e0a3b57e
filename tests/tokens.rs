//! Tokens: given, replaced, taken back, and got by enrolling.
#![cfg(test)]

mod common;

use common::{Agent, Dashboard, SOON, Socket, assert_problem, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn admin(dashboard: &Dashboard, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_switchyard"))
        .args(["admin", "--data-dir"])
        .arg(dashboard.data_dir())
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn said(dashboard: &Dashboard, arguments: &[&str]) -> String {
    let output = admin(dashboard, arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// As an agent with this token.
fn agent_with(dashboard: &Dashboard, token: &str) -> Result<Socket, u16> {
    let bearer = format!("Bearer {token}");
    Socket::open(dashboard, "/ws/agent", &[("Authorization", &bearer)])
}

fn registered(mut socket: Socket, host: &str) -> Socket {
    socket.send(&json!({"type": "register", "protocol": 1, "host_id": host}));
    socket.wait_for("registered", |message| message["type"] == "registered");
    socket
}

fn issue(dashboard: &Dashboard, wish: &Value) -> (u16, Value) {
    let answer = dashboard.post("/api/tokens", wish);
    (answer.status, answer.json())
}

#[test]
fn a_token_is_replaced_without_downtime_and_the_old_one_taken_back_closes_at_once() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let old = Socket::agent(&dashboard, "h1");
    let wish = json!({"kind": "agent", "host_id": "h1"});
    let (status, made) = issue(&dashboard, &wish);
    assert_eq!(status, 201);
    let new = made["token"].as_str().unwrap().to_owned();
    assert_eq!(issue(&dashboard, &wish).0, 409, "two at a time");
    assert_eq!(
        dashboard.host("h1")["online"],
        true,
        "the old one is still good"
    );

    let tokens = dashboard.fetch("/api/tokens")["tokens"].clone();
    assert!(!tokens.to_string().contains(&new), "a token is told once");
    let in_file = tokens
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["in_file"] == true)
        .unwrap();
    let began = Instant::now();
    let path = format!("/api/tokens/{}", in_file["id"].as_str().unwrap());
    let origin = dashboard.origin();
    assert_eq!(
        dashboard
            .request("DELETE", &path, &[("Origin", &origin)], b"")
            .status,
        204
    );
    assert_eq!(old.close_code(), 4403);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        agent_with(&dashboard, &Dashboard::token("h1")).err(),
        Some(401)
    );

    registered(agent_with(&dashboard, &new).unwrap(), "h1");
    dashboard.restart(Signal::SIGKILL, || ());
    assert_eq!(
        agent_with(&dashboard, &Dashboard::token("h1")).err(),
        Some(401)
    );
    registered(agent_with(&dashboard, &new).unwrap(), "h1");
}

#[test]
fn whoever_replaces_a_token_sees_which_of_the_two_is_in_use() {
    let dashboard = Dashboard::start(&["h1"]);
    let uses = || {
        let answer = dashboard.fetch("/api/tokens");
        assert!(answer["uses_since"].is_string());
        let tokens = answer["tokens"].as_array().unwrap().clone();
        let mut uses: Vec<_> = tokens
            .iter()
            .map(|token| {
                let connected = token["connected"].as_bool().unwrap();
                (
                    !token["in_file"].as_bool().unwrap(),
                    connected,
                    token["last_used"].is_string(),
                )
            })
            .collect();
        uses.sort_unstable();
        uses
    };
    assert_eq!(uses(), [(false, false, false)]);
    let _old = Socket::agent(&dashboard, "h1");
    let (_, made) = issue(&dashboard, &json!({"kind": "agent", "host_id": "h1"}));
    assert_eq!(uses(), [(false, true, true), (true, false, false)]);
    let new = agent_with(&dashboard, made["token"].as_str().unwrap()).unwrap();
    let new = registered(new, "h1");
    wait_for("the new one to take over", SOON, || {
        (uses() == [(false, false, true), (true, true, true)]).then_some(())
    });
    drop(new);
    wait_for("the new one to go", SOON, || {
        (uses() == [(false, false, true), (true, false, true)]).then_some(())
    });
}

#[test]
fn a_token_for_the_api_tells_when_it_was_used() {
    let dashboard = Dashboard::start(&["h1"]);
    let wish = json!({"kind": "api", "name": "ci", "role": "viewer", "hosts": "*"});
    let (_, made) = issue(&dashboard, &wish);
    let of_ci = || {
        let tokens = dashboard.fetch("/api/tokens")["tokens"].clone();
        let mut tokens = tokens.as_array().unwrap().iter();
        tokens.find(|token| token["name"] == "ci").cloned().unwrap()
    };
    assert_eq!(of_ci()["last_used"], Value::Null);
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let headers = [("Authorization", bearer.as_str())];
    assert_eq!(
        dashboard.request("GET", "/api/me", &headers, b"").status,
        200
    );
    assert!(of_ci()["last_used"].is_string());
    assert_eq!(of_ci()["connected"], false);
    let browser = Socket::open(&dashboard, "/ws/browser", &headers).unwrap();
    wait_for("its connection", SOON, || {
        (of_ci()["connected"] == true).then_some(())
    });
    drop(browser);
    wait_for("its end", SOON, || {
        (of_ci()["connected"] == false).then_some(())
    });
}

#[test]
fn the_command_line_takes_a_hosts_tokens_back_without_a_restart() {
    let dashboard = Dashboard::start(&["h1", "h2"]);
    let (lost, mut kept) = (
        Socket::agent(&dashboard, "h1"),
        Socket::agent(&dashboard, "h2"),
    );
    let new = said(&dashboard, &["new-token", "h1"]);
    let new = new.trim().strip_prefix("h1 ").unwrap();
    assert_eq!(said(&dashboard, &["revoke", "h1"]).lines().count(), 2);
    assert_eq!(lost.close_code(), 4403);
    assert_eq!(agent_with(&dashboard, new).err(), Some(401));
    kept.send(&json!({"type": "heartbeat", "host_id": "h2", "revision": "kept"}));
    dashboard.wait_for_host("h2", "its heartbeat", |host| host["revision"] == "kept");
    assert_eq!(admin(&dashboard, &["revoke", "h1"]).status.code(), Some(1));
    let tokens = said(&dashboard, &["tokens"]);
    assert_eq!(
        tokens
            .lines()
            .filter(|line| line.contains("\"revoked_by\":\"local\""))
            .count(),
        2
    );
    let audit = said(&dashboard, &["audit"]);
    assert!(
        audit.contains("revoke_token") && audit.contains("\"via\":\"socket\""),
        "{audit}"
    );
}

#[test]
fn a_hash_that_the_file_has_again_after_it_was_taken_back_opens_nothing() {
    let dashboard = Dashboard::start(&["h1"]);
    said(&dashboard, &["revoke", "h1"]);
    let file = std::fs::read_to_string(dashboard.data_dir().join("../agents")).unwrap();
    dashboard.reload_with("agents", &file);
    dashboard
        .process
        .line_with("agents file and users file reloaded");
    assert_eq!(
        agent_with(&dashboard, &Dashboard::token("h1")).err(),
        Some(401)
    );
}

#[test]
fn an_api_token_of_the_dashboards_own_has_role_scope_and_end() {
    let users = [("anna", "admin", Dashboard::password_hash("secret"))];
    let mut dashboard = Dashboard::start_with(&["web-1", "db-1"], "", &users);
    dashboard.log_in("anna", "secret");
    let soon = switchyard::protocol::Timestamp::now().millis() + 10_000;
    let soon = switchyard::protocol::Timestamp::from_millis(soon);
    let wish = json!({"kind": "api", "name": "ci", "role": "operator", "hosts": "web-*", "expires": soon, "password": "secret"});
    let (status, made) = issue(&dashboard, &wish);
    assert_eq!(status, 201);
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let ask =
        |method: &str, path: &str, body: &[u8]| dashboard.request(method, path, &headers, body);
    let me = ask("GET", "/api/me", b"").json();
    assert_eq!(
        [&me["name"], &me["role"], &me["hosts"]],
        ["ci", "operator", "web-*"]
    );
    let command = br#"{"command":"switch"}"#;
    assert_eq!(ask("POST", "/api/hosts/web-1/command", command).status, 202);
    assert_problem(&ask("POST", "/api/hosts/db-1/command", command), 404);
    assert_problem(&ask("POST", "/api/tokens", b"{}"), 403);
    let browser = Socket::open(&dashboard, "/ws/browser", &headers[..1]).unwrap();
    assert_eq!(browser.close_code(), 4403, "its end closes what it opened");
    assert_problem(&ask("GET", "/api/me", b""), 401);
    // A program sends no origin, and is not told to.
    assert_problem(&ask("POST", "/api/hosts/web-1/command", command), 401);
    for bad in [
        json!({"kind": "api", "name": "no/name", "role": "viewer", "hosts": "*"}),
        json!({"kind": "api", "name": "x", "role": "root", "hosts": "*"}),
        json!({"kind": "api", "name": "x", "role": "viewer", "hosts": "../x"}),
        json!({"kind": "agent", "host_id": "../x"}),
        json!({"kind": "agent", "host_id": "h1", "expires": soon}),
    ] {
        assert_eq!(issue(&dashboard, &bad).0, 400, "{bad}");
    }
}

#[test]
fn a_host_enrols_once_with_a_secret_and_comes_with_its_own_token_from_then_on() {
    let dashboard = Dashboard::start(&[]);
    let secret = said(&dashboard, &["new-enrolment", "web-*"]);
    let secret = secret.trim().strip_prefix("web-* ").unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("enrolment");
    std::fs::write(&file, &secret).unwrap();
    let extra = json!({"token_file": null, "enrolment_file": file});
    let mut agent = Agent::launch(dashboard.port, "web-1", &extra);
    agent.wait_for_reconnection(0);
    dashboard.wait_for_host("web-1", "it", |host| host["online"] == true);
    let token = agent.dir().join("state/token");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        std::fs::metadata(&token).unwrap().permissions().mode() & 0o777,
        0o600
    );
    agent.restart(Signal::SIGKILL);
    dashboard.wait_for_host("web-1", "it again", |host| host["online"] == true);
    assert_eq!(
        agent_with(&dashboard, &secret).err(),
        Some(401),
        "it is used up"
    );
}

#[test]
fn an_agent_without_token_and_secret_says_what_it_needs_and_takes_the_secret_once_it_is_there() {
    let dashboard = Dashboard::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("enrolment");
    std::fs::write(&file, "").unwrap();
    let extra = json!({"token_file": null, "enrolment_file": file});
    let mut agent = Agent::launch(dashboard.port, "web-1", &extra);
    agent.process.line_with("switchyard admin new-enrolment");
    std::fs::write(&file, "0".repeat(64)).unwrap();
    agent
        .process
        .line_with("the dashboard refused the enrolment secret in ");
    let secret = said(&dashboard, &["new-enrolment", "web-1"]);
    std::fs::write(&file, secret.trim().strip_prefix("web-1 ").unwrap()).unwrap();
    agent.restart(Signal::SIGTERM);
    dashboard.wait_for_host("web-1", "it", |host| host["online"] == true);
}

#[test]
fn an_enrolment_secret_is_for_its_hosts_alone_and_opens_nothing_else() {
    let dashboard = Dashboard::start(&["h1"]);
    let secret = said(&dashboard, &["new-enrolment", "web-*,h1"]);
    let secret = secret.trim().strip_prefix("web-*,h1 ").unwrap().to_owned();
    for host in ["db-1", "h1"] {
        let mut other = agent_with(&dashboard, &secret).unwrap();
        other.send(&json!({"type": "register", "protocol": 1, "host_id": host}));
        assert_eq!(other.close_code(), 4403, "{host}");
    }
    let users = dashboard.fetch("/api/hosts")["hosts"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(users, 1);
    let mut good = agent_with(&dashboard, &secret).unwrap();
    good.send(&json!({"type": "register", "protocol": 1, "host_id": "web-1"}));
    let enrolled = good.wait_for("the token", |message| message["type"] == "enrolled");
    let _online = registered(
        agent_with(&dashboard, enrolled["token"].as_str().unwrap()).unwrap(),
        "web-1",
    );
    wait_for("the host", SOON, || {
        (dashboard.host("web-1")["online"] == true).then_some(())
    });
    assert_eq!(agent_with(&dashboard, &secret).err(), Some(401));
}

#[test]
fn who_comes_with_an_enrolment_secret_again_and_again_waits_and_a_host_with_its_token_does_not() {
    let dashboard = Dashboard::start(&["h1"]);
    let secret = said(&dashboard, &["new-enrolment", "web-*"]);
    let secret = secret.trim().strip_prefix("web-* ").unwrap().to_owned();
    let began = Instant::now();
    let refused = std::iter::repeat_with(|| agent_with(&dashboard, &secret).err());
    let mut taken = 0;
    for error in refused {
        if let Some(status) = error {
            assert_eq!(status, 429);
            break;
        }
        taken += 1;
        // Sixty at once, and then one a second.
        assert!(taken <= 62 + began.elapsed().as_secs(), "{taken}");
    }
    assert!(taken >= 60, "{taken}");
    let token = Dashboard::token("h1");
    registered(agent_with(&dashboard, &token).unwrap(), "h1");
}

#[test]
fn a_host_that_hangs_up_before_it_has_its_token_spends_no_secret() {
    let mut dashboard = Dashboard::start(&[]);
    let secret = said(&dashboard, &["new-enrolment", "web-*"]);
    let secret = secret.trim().strip_prefix("web-* ").unwrap().to_owned();
    let register = |host: &str| {
        let mut socket = agent_with(&dashboard, &secret).unwrap();
        socket.send(&json!({"type": "register", "protocol": 1, "host_id": host}));
        socket
    };
    let enrolled = |mut socket: Socket| {
        let message = socket.wait_for("the token", |message| message["type"] == "enrolled");
        message["token"].as_str().unwrap().to_owned()
    };
    let made = || {
        said(&dashboard, &["tokens"])
            .matches("by enrolment")
            .count()
    };
    drop(register("web-1"));
    wait_for("its token", SOON, || (made() == 1).then_some(()));
    // Another one that comes no more, and the first again.
    let lost = enrolled(register("web-2"));
    let token = enrolled(register("web-1"));
    let hosts = dashboard.fetch("/api/hosts")["hosts"].clone();
    assert_eq!(hosts, json!([]), "none has come yet");
    dashboard.restart(Signal::SIGKILL, || ());
    registered(agent_with(&dashboard, &token).unwrap(), "web-1");
    for spent in [&secret, &lost] {
        assert_eq!(agent_with(&dashboard, spent).err(), Some(401), "one host");
    }
    dashboard.restart(Signal::SIGKILL, || ());
    registered(agent_with(&dashboard, &token).unwrap(), "web-1");
    for spent in [&secret, &lost] {
        assert_eq!(agent_with(&dashboard, spent).err(), Some(401), "for good");
    }
    assert_eq!(
        said(&dashboard, &["tokens"])
            .matches("by enrolment")
            .count(),
        1
    );
}

#[test]
fn a_host_that_never_takes_its_token_leaves_few_behind() {
    let dashboard = Dashboard::start(&[]);
    let secret = said(&dashboard, &["new-enrolment", "web-*"]);
    let secret = secret.trim().strip_prefix("web-* ").unwrap().to_owned();
    let mut last = String::new();
    for n in 0..10 {
        let mut socket = agent_with(&dashboard, &secret).unwrap();
        let host = format!("web-{}", n % 7);
        socket.send(&json!({"type": "register", "protocol": 1, "host_id": host}));
        let message = socket.wait_for("the token", |message| message["type"] == "enrolled");
        last = message["token"].as_str().unwrap().to_owned();
    }
    assert_eq!(
        said(&dashboard, &["tokens"])
            .matches("by enrolment")
            .count(),
        4
    );
    registered(agent_with(&dashboard, &last).unwrap(), "web-2");
}
