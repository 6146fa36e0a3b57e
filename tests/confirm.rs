//! What asks again who somebody is, and what is good no longer than whoever made it.
#![cfg(test)]

mod common;

use common::{Answer, Dashboard, SOON, Socket, assert_problem, sha256_hex, wait_for};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::SystemTime;
use totp_rs::{Builder, Secret, Totp};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn users(anna: &str) -> Vec<(&'static str, &'static str, String)> {
    vec![
        ("anna", "admin", anna.to_owned()),
        ("otto", "admin", Dashboard::password_hash("other")),
        ("robot", "admin", format!("sha256:{}", sha256_hex("robot"))),
        ("petra", "admin", "proxy".to_owned()),
    ]
}

const PROXY: &str = "[proxy]\ntrusted = [\"127.0.0.1\"]\nuser_header = \"X-Remote-User\"\n";

fn dashboard() -> Dashboard {
    Dashboard::start_with(&["h1"], PROXY, &users(&Dashboard::password_hash("secret")))
}

fn end_everybody(dashboard: &Dashboard, body: &str) -> Answer {
    let (cookie, origin) = (dashboard.cookie.clone().unwrap(), dashboard.origin());
    let headers = [
        ("Cookie", cookie.as_str()),
        ("Origin", &origin),
        ("Content-Type", "application/json"),
    ];
    dashboard.request("DELETE", "/api/sessions", &headers, body.as_bytes())
}

/// Takes a token back.
#[track_caller]
fn revoke(dashboard: &Dashboard, id: &Value) {
    let (cookie, origin) = (dashboard.cookie.clone().unwrap(), dashboard.origin());
    let headers = [("Cookie", cookie.as_str()), ("Origin", &origin)];
    let path = format!("/api/tokens/{}", id.as_str().unwrap());
    let answer = dashboard.request("DELETE", &path, &headers, b"");
    assert_eq!(answer.status, 204);
}

/// With a token, or as whom the proxy names.
fn send(
    dashboard: &Dashboard,
    who: (&str, &str),
    method: &str,
    path: &str,
    body: &Value,
) -> Answer {
    let origin = dashboard.origin();
    let headers = [
        who,
        ("Origin", &origin),
        ("Content-Type", "application/json"),
    ];
    dashboard.request(method, path, &headers, body.to_string().as_bytes())
}

fn robot(name: &str, more: &Value) -> Value {
    let mut wish = json!({"kind": "api", "name": name, "role": "viewer", "hosts": "*"});
    wish.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    wish
}

fn token_of(dashboard: &Dashboard, name: &str) -> Value {
    let tokens = dashboard.fetch("/api/tokens")["tokens"].clone();
    let mut named = tokens.as_array().unwrap().iter();
    named
        .find(|token| token["name"] == name || token["hosts"] == name)
        .cloned()
        .unwrap()
}

/// What a token is answered that asks who it is.
fn status_of(dashboard: &Dashboard, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    let answer = dashboard.request("GET", "/api/me", &[("Authorization", &bearer)], b"");
    answer.status
}

fn code_at(step: u64) -> String {
    let secret = Secret::try_from_base32(SECRET).unwrap();
    let totp: Totp = Builder::new().with_secret(secret).build().unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    totp.generate(now + 30 * step).to_string()
}

#[test]
fn making_a_token_asks_whoever_signed_in_for_the_password_again() {
    let mut dashboard = dashboard();
    dashboard.log_in("anna", "secret");
    for wrong in [
        json!({}),
        json!({"password": ""}),
        json!({"password": "other"}),
        json!({"code": "000000"}),
    ] {
        assert_problem(&dashboard.post("/api/tokens", &robot("ci", &wrong)), 403);
        let agent = json!({"kind": "agent", "host_id": "h2"});
        assert_problem(&dashboard.post("/api/tokens", &agent), 403);
    }
    assert_eq!(dashboard.get("/api/hosts/h2").status, 404);
    let right = robot("ci", &json!({"password": "secret"}));
    let made = dashboard.post("/api/tokens", &right);
    assert_eq!(made.status, 201);
    assert_eq!(
        status_of(&dashboard, made.json()["token"].as_str().unwrap()),
        200
    );
    assert_eq!(
        dashboard.get("/api/me").status,
        200,
        "a wrong password ends no session"
    );
    let audit = std::fs::read_to_string(dashboard.data_dir().join("audit.log")).unwrap();
    assert!(audit.contains("wrong password or one-time code"), "{audit}");
    assert!(!audit.contains("secret"), "{audit}");
}

#[test]
fn a_password_is_guessed_no_faster_by_a_session_than_by_signing_in() {
    let mut dashboard = dashboard();
    dashboard.log_in("anna", "secret");
    let guess = robot("ci", &json!({"password": "guess"}));
    let refused = (0..20).map(|n| match n % 2 {
        0 => dashboard.post("/api/tokens", &guess).status,
        _ => end_everybody(&dashboard, r#"{"password":"guess"}"#).status,
    });
    let refused: Vec<u16> = refused.collect();
    assert!(
        refused[..5].iter().all(|status| *status == 403),
        "{refused:?}"
    );
    let waited = refused.iter().filter(|status| **status == 429).count();
    assert!(waited > 0, "{refused:?}");
}

#[test]
fn a_one_time_code_is_as_good_as_the_password_and_good_once() {
    let anna = format!("{} totp={SECRET}", Dashboard::password_hash("secret"));
    let mut dashboard = Dashboard::start_with(&["h1"], PROXY, &users(&anna));
    let login = json!({"user": "anna", "password": "secret", "code": code_at(0)});
    let answer = dashboard.post("/api/login", &login);
    assert_eq!(answer.status, 204);
    dashboard.cookie = answer
        .header("set-cookie")
        .split(';')
        .next()
        .map(str::to_owned);
    let with = |more: &Value| dashboard.post("/api/tokens", &robot("ci", more)).status;
    // The step of the code before is used up; that of the next one may be now by the host's clock.
    let next = code_at(1);
    assert_eq!(with(&json!({"code": login["code"]})), 403);
    assert_eq!(with(&json!({"code": next, "password": "wrong"})), 403);
    assert_eq!(with(&json!({"code": next})), 201);
    assert_eq!(with(&json!({"code": next})), 403);
    assert_eq!(with(&json!({"password": "secret"})), 201);
}

#[test]
fn ending_everybodys_sessions_asks_for_the_password_again_and_ending_ones_own_does_not() {
    let mut dashboard = dashboard();
    dashboard.log_in("otto", "other");
    let otto = dashboard.cookie.take();
    dashboard.log_in("anna", "secret");
    for wrong in ["", "{}", r#"{"password":"other"}"#] {
        assert_problem(&end_everybody(&dashboard, wrong), 403);
    }
    let anna = std::mem::replace(&mut dashboard.cookie, otto);
    assert_eq!(
        dashboard.get("/api/me").status,
        200,
        "nobody was signed out"
    );
    dashboard.cookie = anna;
    let answer = end_everybody(&dashboard, r#"{"password":"secret"}"#);
    assert_eq!(answer.json()["ended"], 2);
    assert_problem(&dashboard.get("/api/me"), 401);
    dashboard.log_in("otto", "other");
    assert_eq!(
        dashboard.post("/api/logout/all", &json!({})).json()["ended"],
        1
    );
}

#[test]
fn who_has_no_password_is_not_asked_for_one() {
    let dashboard = dashboard();
    let petra = ("X-Remote-User", "petra");
    let made = send(
        &dashboard,
        petra,
        "POST",
        "/api/tokens",
        &robot("ci", &json!({})),
    );
    assert_eq!(made.status, 201, "the proxy asks");
    assert_eq!(
        send(&dashboard, petra, "DELETE", "/api/sessions", &json!({})).status,
        200
    );
    let robots = ("Authorization", "Bearer robot");
    assert_eq!(
        send(&dashboard, robots, "DELETE", "/api/sessions", &json!({})).status,
        200
    );
    let agent = json!({"kind": "agent", "host_id": "h2"});
    assert_eq!(
        send(&dashboard, robots, "POST", "/api/tokens", &agent).status,
        201
    );
    let nobody = Dashboard::start(&["h1"]);
    assert_eq!(
        nobody.post("/api/tokens", &robot("ci", &json!({}))).status,
        201
    );
    let origin = nobody.origin();
    let ended = nobody.request("DELETE", "/api/sessions", &[("Origin", &origin)], b"");
    assert_eq!(ended.status, 200);
}

#[test]
fn tokens_have_an_end_unless_somebody_says_never() {
    let dashboard = Dashboard::start(&["h1"]);
    let made = |wish: &Value| {
        let answer = dashboard.post("/api/tokens", wish);
        assert_eq!(answer.status, 201, "{wish}");
        answer.json()["expires"].clone()
    };
    let days_until = |end: &Value| {
        let end = switchyard::protocol::Timestamp::parse(end.as_str().unwrap()).unwrap();
        (end.millis() - switchyard::protocol::Timestamp::now().millis()) as f64 / 86_400_000.0
    };
    let by_default = made(&robot("a", &json!({})));
    assert!(
        (89.9..=90.0).contains(&days_until(&by_default)),
        "{by_default}"
    );
    assert_eq!(token_of(&dashboard, "a")["expires"], by_default);
    let same = made(&robot("b", &json!({"expires": null})));
    assert!((89.9..=90.0).contains(&days_until(&same)), "{same}");
    let secret = made(&json!({"kind": "enrolment", "hosts": "new-*"}));
    assert!((0.99..=1.0).contains(&days_until(&secret)), "{secret}");
    assert_eq!(made(&robot("c", &json!({"expires": "never"}))), Value::Null);
    assert_eq!(token_of(&dashboard, "c")["expires"], Value::Null);
    assert_eq!(
        made(&json!({"kind": "agent", "host_id": "h2"})),
        Value::Null
    );
    for wrong in ["2020-01-01T00:00:00Z", "tomorrow", ""] {
        let answer = dashboard.post("/api/tokens", &robot("d", &json!({"expires": wrong})));
        assert_problem(&answer, 400);
        assert!(
            answer.json()["detail"]
                .as_str()
                .unwrap()
                .contains("expires")
        );
    }
}

#[test]
fn an_api_token_is_good_only_while_whoever_made_it_may_make_one() {
    let mut dashboard = dashboard();
    dashboard.log_in("anna", "secret");
    let made = |wish: &Value| {
        let answer = dashboard.post("/api/tokens", wish);
        assert_eq!(answer.status, 201);
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let api = made(&robot(
        "ci",
        &json!({"role": "operator", "password": "secret"}),
    ));
    let secret = made(&json!({"kind": "enrolment", "hosts": "new-*", "password": "secret"}));
    let agent = made(&json!({"kind": "agent", "host_id": "h2", "password": "secret"}));
    let bearer = format!("Bearer {api}");
    let file = std::fs::read_to_string(dashboard.data_dir().join("../users")).unwrap();
    let anna = file.lines().next().unwrap();
    let enrols = |token: &str| {
        let bearer = format!("Bearer {token}");
        Socket::open(&dashboard, "/ws/agent", &[("Authorization", &bearer)]).is_ok()
    };
    assert!(enrols(&secret));
    dashboard.log_in("otto", "other");
    let dashboard = dashboard;
    for (now, is_good) in [
        (file.replace(anna, ""), false),
        (file.clone(), true),
        (file.replace("anna admin", "anna operator"), false),
        (file.clone(), true),
        (file.replace(anna, &format!("{anna} hosts=h1")), false),
        (file.clone(), true),
        (
            file.replace(anna, &format!("{anna} expires=2020-01-01T00:00:00Z")),
            false,
        ),
    ] {
        let watching = Socket::open(&dashboard, "/ws/browser", &[("Authorization", &bearer)]);
        dashboard.reload_with("users", &now);
        wait_for("the reload", SOON, || {
            ((status_of(&dashboard, &api) == 200) == is_good).then_some(())
        });
        if let (Ok(watching), false) = (watching, is_good) {
            assert_eq!(watching.close_code(), 4403);
        }
        let bearer = format!("Bearer {secret}");
        let secret = Socket::open(&dashboard, "/ws/agent", &[("Authorization", &bearer)]);
        assert_eq!(secret.is_ok(), is_good, "{now}");
        let bearer = format!("Bearer {agent}");
        let agent = Socket::open(&dashboard, "/ws/agent", &[("Authorization", &bearer)]);
        assert!(agent.is_ok(), "the host is shut out by nobody's leaving");
    }
    dashboard.reload_with("users", &file.replace(anna, ""));
    wait_for("the list says so", SOON, || {
        (token_of(&dashboard, "ci")["maker_gone"] == true).then_some(())
    });
    let listed = token_of(&dashboard, "ci");
    assert_eq!(listed["created_by"], "anna");
    let line = dashboard.process.line_with("tokens no longer work");
    assert!(
        line.contains("makers=\"anna\"") || line.contains("makers=anna"),
        "{line}"
    );
    revoke(&dashboard, &listed["id"]);
    assert_eq!(token_of(&dashboard, "ci")["revoked_by"], "otto");
}

#[test]
fn an_api_token_makes_no_other_and_what_else_it_makes_ends_with_it() {
    let mut dashboard = dashboard();
    let robots = ("Authorization", "Bearer robot");
    let other = send(
        &dashboard,
        robots,
        "POST",
        "/api/tokens",
        &robot("ci", &json!({})),
    );
    assert_problem(&other, 403);
    dashboard.log_in("anna", "secret");
    let wish = robot("maker", &json!({"role": "admin", "password": "secret"}));
    let maker = dashboard.post("/api/tokens", &wish).json();
    let bearer = format!("Bearer {}", maker["token"].as_str().unwrap());
    let makers = ("Authorization", bearer.as_str());
    assert_problem(
        &send(
            &dashboard,
            makers,
            "POST",
            "/api/tokens",
            &robot("ci", &json!({})),
        ),
        403,
    );
    let secret = json!({"kind": "enrolment", "hosts": "new-*"});
    let secret = send(&dashboard, makers, "POST", "/api/tokens", &secret);
    assert_eq!(secret.status, 201);
    let secret = format!("Bearer {}", secret.json()["token"].as_str().unwrap());
    let enrols = || Socket::open(&dashboard, "/ws/agent", &[("Authorization", &secret)]).is_ok();
    assert!(enrols());
    revoke(&dashboard, &maker["id"]);
    assert!(!enrols());
    assert_eq!(token_of(&dashboard, "new-*")["maker_gone"], true);
}

#[test]
fn a_secret_for_codes_that_a_user_gets_ends_their_sessions_and_what_they_have_open() {
    let mut dashboard = dashboard();
    dashboard.log_in("otto", "other");
    let otto = dashboard.cookie.take();
    dashboard.log_in("anna", "secret");
    let open = Socket::browser(&dashboard);
    let file = std::fs::read_to_string(dashboard.data_dir().join("../users")).unwrap();
    let anna = file.lines().next().unwrap();
    dashboard.reload_with(
        "users",
        &file.replace(anna, &format!("{anna} totp={SECRET}")),
    );
    assert_eq!(open.close_code(), 4403);
    assert_problem(&dashboard.get("/api/me"), 401);
    let without = json!({"user": "anna", "password": "secret"});
    assert_problem(&dashboard.post("/api/login", &without), 401);
    let with = json!({"user": "anna", "password": "secret", "code": code_at(0)});
    let answer = dashboard.post("/api/login", &with);
    assert_eq!(answer.status, 204);
    dashboard.cookie = answer
        .header("set-cookie")
        .split(';')
        .next()
        .map(str::to_owned);
    assert_eq!(dashboard.get("/api/me").status, 200);
    dashboard.cookie = otto;
    assert_eq!(dashboard.get("/api/me").status, 200, "nobody else's ended");
    // Another secret is another way in.
    let other = SECRET.replace("GEZD", "MFRG");
    dashboard.cookie = answer
        .header("set-cookie")
        .split(';')
        .next()
        .map(str::to_owned);
    dashboard.reload_with(
        "users",
        &file.replace(anna, &format!("{anna} totp={other}")),
    );
    wait_for("its end", SOON, || {
        (dashboard.get("/api/me").status == 401).then_some(())
    });
}

const RUN: &str = "2025-12-14T10-30-00-switch";
/// More than what lies between a server and a client that takes nothing.
const LINES: u64 = 24_000;

/// A run of some 24 MB, which is over.
fn long_run(dashboard: &Dashboard) {
    let line = "x".repeat(1_000);
    let mut agent = Socket::agent(dashboard, "h1");
    let status = |status: &str, more: Value| {
        let mut message = json!({"type": "status", "host_id": "h1", "run_id": RUN, "command": "switch", "status": status});
        message
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        message
    };
    agent.send(&status(
        "running",
        json!({"started": "2025-12-14T10:30:00Z"}),
    ));
    for first in (0..LINES).step_by(800) {
        let line = json!({"line": line, "timestamp": "2025-12-14T10:30:01Z", "is_error": false});
        let lines = vec![line; 800.min(LINES - first) as usize];
        agent.send(&json!({"type": "output", "host_id": "h1", "run_id": RUN, "command": "switch", "seq": first, "lines": lines}));
    }
    let end = json!({"exit_code": 0, "lines": LINES, "started": "2025-12-14T10:30:00Z", "completed": "2025-12-14T10:31:00Z"});
    agent.send(&status("ok", end));
    agent.wait_for("the final ack", |message| message["final"] == true);
}

/// Begins to take a download, and gives what came of it together with the connection.
fn begin_download(dashboard: &Dashboard, format: &str, header: &str) -> (TcpStream, usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(
        stream,
        "GET /api/hosts/h1/logs/download?format={format}&run={RUN} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{header}\r\nConnection: close\r\n\r\n",
        dashboard.port
    )
    .unwrap();
    let mut first = vec![0; 4_096];
    let got = stream.read(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200"));
    (stream, got)
}

/// How many bytes come, and whether the last piece says that it is one.
fn rest(mut stream: TcpStream, mut got: usize) -> (usize, bool) {
    let mut last = Vec::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return (got, last.ends_with(b"0\r\n\r\n")),
            Ok(more) => {
                got += more;
                last.extend_from_slice(&piece[..more]);
                last.drain(..last.len().saturating_sub(16));
            }
        }
    }
}

#[test]
fn a_download_ends_with_the_token_or_session_that_asked_for_it() {
    let mut dashboard = dashboard();
    long_run(&dashboard);
    dashboard.log_in("anna", "secret");
    let whole = LINES as usize * 1_000;
    for format in ["txt", "json"] {
        let wish = robot("ci", &json!({"password": "secret"}));
        let made = dashboard.post("/api/tokens", &wish).json();
        let bearer = format!("Authorization: Bearer {}", made["token"].as_str().unwrap());
        let (stream, got) = begin_download(&dashboard, format, &bearer);
        let (got, is_whole) = rest(stream, got);
        assert!(got > whole && is_whole, "{format}: {got} of {whole}");

        let (stream, got) = begin_download(&dashboard, format, &bearer);
        let origin = dashboard.origin();
        let headers = [
            ("Cookie", dashboard.cookie.as_deref().unwrap()),
            ("Origin", &origin),
        ];
        let path = format!("/api/tokens/{}", made["id"].as_str().unwrap());
        assert_eq!(
            dashboard.request("DELETE", &path, &headers, b"").status,
            204
        );
        let (got, is_whole) = rest(stream, got);
        assert!(got < whole && !is_whole, "{format}: {got} of {whole}");
    }
    let cookie = format!("Cookie: {}", dashboard.cookie.as_deref().unwrap());
    let (stream, got) = begin_download(&dashboard, "txt", &cookie);
    assert_eq!(dashboard.post("/api/logout", &json!({})).status, 204);
    let (got, is_whole) = rest(stream, got);
    assert!(got < whole && !is_whole, "{got} of {whole}");
}
