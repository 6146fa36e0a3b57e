//! How people come in, stay, and are put out.
#![cfg(test)]

mod common;

use common::{Answer, Dashboard, SOON, Socket, assert_problem, measured, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use totp_rs::{Builder, Secret, Totp};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// With the viewer `vera`, and the admin `anna`, who needs a code if `codes`.
fn dashboard(extra: &str, codes: bool) -> Dashboard {
    let codes = if codes {
        format!(" totp={SECRET}")
    } else {
        String::new()
    };
    let anna = Dashboard::password_hash("other") + &codes;
    let users = [
        ("vera", "viewer", Dashboard::password_hash("secret")),
        ("anna", "admin", anna),
    ];
    Dashboard::start_with(&["h1"], extra, &users)
}

/// The users file without codes, with these roles.
fn users(dashboard: &Dashboard, vera: &str) -> String {
    let file = dashboard.data_dir().join("../users");
    let text = std::fs::read_to_string(file).unwrap();
    text.replace("vera viewer", &format!("vera {vera}"))
}

fn login(dashboard: &Dashboard, user: &str, password: &str) -> Answer {
    dashboard.post("/api/login", &json!({"user": user, "password": password}))
}

fn metric(dashboard: &Dashboard, name: &str) -> u64 {
    let text = String::from_utf8(dashboard.get("/metrics").body).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")))
        .unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// With what code a browser's connection was closed, and how long that took.
#[track_caller]
fn closed_within_a_second(browser: Socket, since: Instant) {
    assert_eq!(browser.close_code(), 4403);
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
}

#[test]
fn a_session_unused_for_long_is_over_and_so_is_its_websocket() {
    let mut dashboard = dashboard("[sessions]\nidle = 5\n", false);
    dashboard.log_in("vera", "secret");
    let mut busy = Socket::browser(&dashboard);
    let began = Instant::now();
    // What a page does keeps it signed in; that it is open does not.
    while began.elapsed() < Duration::from_secs(7) {
        busy.send(&json!({"type": "unsubscribe", "sub": "x"}));
        let _ = busy.try_frame(Duration::from_millis(200));
    }
    assert_eq!(dashboard.get("/api/hosts").status, 200);
    assert_eq!(busy.close_code(), 4403);
    assert_problem(&dashboard.get("/api/hosts"), 401);
}

#[test]
fn a_session_in_use_is_over_all_the_same_at_the_end_of_its_life() {
    let mut dashboard = dashboard("[sessions]\nlifetime = 2\n", false);
    dashboard.log_in("vera", "secret");
    wait_for("its end", SOON, || {
        (dashboard.get("/api/hosts").status == 401).then_some(())
    });
}

#[test]
fn signing_in_always_makes_a_new_session_and_ends_the_one_before() {
    let mut dashboard = dashboard("", false);
    let planted = format!("switchyard-{}=planted-by-somebody-else", dashboard.port);
    dashboard.cookie = Some(planted.clone());
    dashboard.log_in("vera", "secret");
    let first = dashboard.cookie.clone();
    assert_ne!(first, Some(planted));
    dashboard.log_in("vera", "secret");
    let second = dashboard.cookie.clone();
    assert_ne!(first, second);
    assert_eq!(dashboard.get("/api/hosts").status, 200);
    dashboard.cookie = first;
    assert_problem(&dashboard.get("/api/hosts"), 401);
    dashboard.restart(Signal::SIGKILL, || ());
    assert_problem(&dashboard.get("/api/hosts"), 401);
}

#[test]
fn all_sessions_of_a_user_end_at_once_with_their_websockets() {
    let mut dashboard = dashboard("", false);
    dashboard.log_in("vera", "secret");
    let (first, elsewhere) = (dashboard.cookie.take(), Socket::browser);
    dashboard.log_in("vera", "secret");
    let other = elsewhere(&dashboard);
    dashboard.cookie = first;
    let own = Socket::browser(&dashboard);
    let began = Instant::now();
    let answer = dashboard.post("/api/logout/all", &json!({}));
    assert_eq!(answer.json()["ended"], 2);
    closed_within_a_second(own, began);
    closed_within_a_second(other, began);
    assert_problem(&dashboard.get("/api/hosts"), 401);
}

#[test]
fn an_admin_sees_sessions_and_ends_them_and_they_stay_ended() {
    let mut dashboard = dashboard("", false);
    dashboard.log_in("vera", "secret");
    let vera = dashboard.cookie.take();
    dashboard.log_in("anna", "other");
    let anna = dashboard.cookie.take();
    dashboard.cookie = vera.clone();
    let open = Socket::browser(&dashboard);
    dashboard.cookie = anna;
    let sessions = dashboard.fetch("/api/sessions")["sessions"].clone();
    let of = |user: &str| {
        sessions
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["user"] == user)
            .cloned()
    };
    let id = of("vera").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(of("anna").unwrap()["address"], "127.0.0.1");
    assert_eq!(of("anna").unwrap()["current"], true);
    assert_eq!(of("vera").unwrap()["current"], false);
    let began = Instant::now();
    let headers = [
        ("Cookie", dashboard.cookie.clone().unwrap()),
        ("Origin", dashboard.origin()),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let path = format!("/api/sessions/{id}");
    assert_eq!(
        dashboard.request("DELETE", &path, &headers, b"").status,
        204
    );
    closed_within_a_second(open, began);
    dashboard.restart(Signal::SIGKILL, || ());
    dashboard.cookie = vera;
    assert_problem(&dashboard.get("/api/hosts"), 401);
}

#[test]
fn a_role_that_is_lowered_takes_effect_on_open_websockets_within_a_second() {
    let mut dashboard = dashboard("", false);
    dashboard.reload_with("users", &users(&dashboard, "operator"));
    dashboard.log_in("vera", "secret");
    wait_for("the role", SOON, || {
        (dashboard.fetch("/api/me")["role"] == "operator").then_some(())
    });
    let browser = Socket::browser(&dashboard);
    let text = users(&dashboard, "operator").replace("vera operator", "vera viewer");
    let began = Instant::now();
    dashboard.reload_with("users", &text);
    closed_within_a_second(browser, began);
    assert_problem(
        &dashboard.post("/api/commands", &json!({"hosts": [], "command": "x"})),
        403,
    );
}

#[test]
fn nobody_learns_which_users_there_are() {
    let mut dashboard = dashboard("", true);
    dashboard.log_in("vera", "secret");
    let checks = || metric(&dashboard, "switchyard_password_checks_total");
    let mut answers = Vec::new();
    for (user, password, code) in [
        ("vera", "wrong", None),
        ("nobody", "wrong", None),
        ("no/name", "wrong", None),
        ("anna", "wrong", Some("000000")),
        // The right password without its code.
        ("anna", "other", None),
        ("anna", "other", Some("000000")),
    ] {
        let before = checks();
        let body = json!({"user": user, "password": password, "code": code});
        let answer = dashboard.post("/api/login", &body);
        assert_eq!(checks(), before + 1, "{user}: the same work, whoever it is");
        assert_eq!(answer.status, 401);
        answers.push(answer.body);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the same answer");
}

#[test]
fn who_has_one_time_codes_needs_one_and_each_is_good_once() {
    let mut dashboard = dashboard("", true);
    let secret = Secret::try_from_base32(SECRET).unwrap();
    let totp: Totp = Builder::new().with_secret(secret).build().unwrap();
    let now = || {
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs()
    };
    let attempt = |dashboard: &Dashboard, code: &str| {
        let body = json!({"user": "anna", "password": "other", "code": code});
        dashboard.post("/api/login", &body)
    };
    let code = totp.generate(now()).to_string();
    assert_problem(&login(&dashboard, "anna", "other"), 401);
    assert_eq!(attempt(&dashboard, &code).status, 204);
    assert_problem(&attempt(&dashboard, &code), 401);
    dashboard.restart(nix::sys::signal::Signal::SIGKILL, || ());
    assert_problem(&attempt(&dashboard, &code), 401);
    dashboard.log_in("vera", "secret");
    assert_eq!(dashboard.get("/api/me").json()["name"], "vera");
}

#[test]
fn a_code_of_another_time_is_refused_as_any_and_health_says_how_far_the_clock_is_off() {
    let mut dashboard = dashboard("", true);
    let secret = Secret::try_from_base32(SECRET).unwrap();
    let totp: Totp = Builder::new().with_secret(secret).build().unwrap();
    let code = |ahead: u64| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        totp.generate(now.as_secs() + ahead).to_string()
    };
    let attempt = |dashboard: &Dashboard, password: &str, code: &str| {
        let body = json!({"user": "anna", "password": password, "code": code});
        dashboard.post("/api/login", &body)
    };
    let warnings = |dashboard: &Dashboard| dashboard.get("/health").json()["warnings"].clone();
    let wrong = attempt(&dashboard, "wrong", &code(600));
    let early = attempt(&dashboard, "other", &code(600));
    assert_problem(&early, 401);
    assert_eq!(early.json()["detail"], wrong.json()["detail"]);
    let told = dashboard.process.line_with("one-time code was refused");
    assert!(told.contains("10 min behind"), "{told}");
    assert!(warnings(&dashboard)[0].is_string());
    let right = attempt(&dashboard, "other", &code(0));
    assert_eq!(right.status, 204);
    assert_eq!(warnings(&dashboard), Value::Null);
    dashboard.process.end(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(dashboard.process.times_said("one-time code was refused"), 1);
}

/// How many attempts the records of an audit log count instead of telling them. The last line may be half written.
fn left_out(audit: &str) -> u64 {
    let whole = audit.rfind('\n').map_or("", |end| &audit[..end]);
    let records = whole
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    records
        .map(|record| record["left_out"].as_u64().unwrap_or(0))
        .sum()
}

#[test]
fn ten_thousand_guesses_get_a_handful_of_looks_and_are_counted_in_the_log() {
    let mut dashboard = dashboard("", false);
    let began = Instant::now();
    let (mut tried, mut waited) = (0, 0);
    for n in 0..10_000 {
        let user = if n % 2 == 0 {
            "anna".to_owned()
        } else {
            format!("user{n}")
        };
        match login(&dashboard, &user, "guess").status {
            401 => tried += 1,
            429 => waited += 1,
            status => panic!("{status}"),
        }
    }
    let seconds = began.elapsed().as_secs();
    assert_eq!(tried + waited, 10_000);
    // 20 at once, and then ever longer apart.
    assert!(tried <= 40, "{tried} in {seconds} s");
    wait_for("the end of the wait", Duration::from_secs(90), || {
        (login(&dashboard, "vera", "secret").status == 204).then_some(())
    });
    // What was left out is counted by the next record of an attempt, of which there is one a second.
    let audit = wait_for("the count of what was left out", SOON, || {
        login(&dashboard, "anna", "guess");
        let audit = std::fs::read_to_string(dashboard.data_dir().join("audit.log")).unwrap();
        (left_out(&audit) > 8_000).then_some(audit)
    });
    let seconds = began.elapsed().as_secs();
    assert!(audit.lines().count() < 1_000 + 2 * seconds as usize);
    dashboard.cookie = None;
    measured(&format!(
        "10,000 attempts in {seconds} s: {tried} looked at, {waited} told to wait; {} bytes of audit",
        audit.len()
    ));
}

/// The cookie by which the browser of this answer is known.
fn device_cookie(dashboard: &Dashboard, answer: &Answer) -> String {
    // With the port in its name: another dashboard on this host has a cookie of its own.
    let name = format!("switchyard-device-{}=", dashboard.port);
    let values = answer.headers.get_all("set-cookie").into_iter();
    let mut cookies = values.map(|value| value.to_str().unwrap().split(';').next().unwrap());
    let known = cookies.find(|cookie| cookie.starts_with(&name));
    known.unwrap().to_owned()
}

/// Posts to `/api/login` as a proxy on this machine would, for somebody at this address.
fn login_through_proxy(
    dashboard: &Dashboard,
    address: &str,
    cookie: &str,
    user: &str,
    password: &str,
) -> Answer {
    let body = json!({"user": user, "password": password}).to_string();
    let headers = [
        ("Origin", dashboard.origin()),
        ("Content-Type", "application/json".to_owned()),
        ("X-Forwarded-For", address.to_owned()),
        ("Cookie", cookie.to_owned()),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    dashboard.request("POST", "/api/login", &headers, body.as_bytes())
}

#[test]
fn a_stranger_who_guesses_keeps_nobody_out_who_comes_from_elsewhere() {
    let dashboard = dashboard("[proxy]\ntrusted = [\"127.0.0.1\"]\n", false);
    let guess =
        |address: &str| login_through_proxy(&dashboard, address, "", "anna", "guess").status;
    let refused = (0..50).filter(|_| guess("192.0.2.7") == 429).count();
    assert!(refused >= 40, "{refused} of 50 guesses told to wait");
    let in_from = |address: &str, user: &str, password: &str| {
        login_through_proxy(&dashboard, address, "", user, password).status
    };
    assert_eq!(in_from("192.0.2.8", "anna", "other"), 204);
    assert_eq!(in_from("192.0.2.8", "vera", "secret"), 204);
}

#[test]
fn a_clock_that_was_ahead_once_lets_people_sign_in() {
    let mut dashboard = dashboard("[sessions]\nidle = 1800\n", false);
    let highest = dashboard.data_dir().join("highest-time");
    dashboard.restart(Signal::SIGTERM, || {
        let ahead = chrono::Utc::now() + chrono::TimeDelta::days(3);
        fs::write(
            highest,
            ahead.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        )
        .unwrap();
    });
    let answer = login(&dashboard, "anna", "other");
    assert_eq!(answer.status, 204);
    let cookies = answer.headers.get_all("set-cookie").into_iter();
    let cookies = cookies.map(|value| value.to_str().unwrap().split(';').next().unwrap());
    let cookies = cookies.collect::<Vec<_>>().join("; ");
    for _ in 0..2 {
        let answer = dashboard.request("GET", "/api/hosts", &[("Cookie", &cookies)], b"");
        assert_eq!(answer.status, 200);
    }
}

#[test]
fn a_browser_that_signed_in_before_is_let_in_while_everybody_else_there_must_wait() {
    let dashboard = dashboard("", false);
    let first = login(&dashboard, "anna", "other");
    let known = &device_cookie(&dashboard, &first);
    // Each must wait for longer than what follows takes on a slow machine.
    wait_for("a long wait", SOON, || {
        let waits = ["anna", "vera"].map(|user| {
            let answer = login(&dashboard, user, "guess");
            let wait = answer.headers.get("retry-after")?;
            wait.to_str().unwrap().parse::<u64>().ok()
        });
        waits.iter().all(|wait| *wait >= Some(7)).then_some(())
    });
    assert_eq!(login(&dashboard, "anna", "other").status, 429);
    let with_cookie = |user: &str, password: &str| {
        login_through_proxy(&dashboard, "", known, user, password).status
    };
    assert_eq!(with_cookie("anna", "other"), 204);
    assert_eq!(
        with_cookie("vera", "secret"),
        429,
        "it is known to anna alone"
    );
    // It opens nothing by itself, and a thief of it gets as few guesses as anybody.
    let wrong = (0..20)
        .filter(|_| with_cookie("anna", "guess") == 401)
        .count();
    assert!((1..=8).contains(&wrong), "{wrong}");
    let answer = dashboard.request("GET", "/api/hosts", &[("Cookie", known)], b"");
    assert_eq!(answer.status, 401);
}

/// Runs the attack in so many threads, each of which gets its number and how often it was called before, until the
/// other is over; gives what that gave.
fn besieged<T>(
    threads: usize,
    attack: impl Fn(usize, usize) -> u16 + Sync,
    other: impl FnOnce() -> T,
) -> T {
    let (over, begun) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (over, begun, attack) = (&over, &begun, &attack);
    std::thread::scope(|scope| {
        for number in 0..threads {
            scope.spawn(move || {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    if attack(number, count) != 429 {
                        begun.fetch_add(1, Ordering::Relaxed);
                    }
                    count += 1;
                }
            });
        }
        // The thread that panics must not leave the others at it.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("the attack to begin", SOON, || {
                (begun.load(Ordering::Relaxed) > 0).then_some(())
            });
            other()
        }));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn a_user_who_signs_in_again_and_again_keeps_no_known_browser_of_others_out() {
    let dashboard = dashboard("[proxy]\ntrusted = [\"127.0.0.1\"]\n", false);
    let vera = device_cookie(&dashboard, &login(&dashboard, "vera", "secret"));
    let anna = device_cookie(&dashboard, &login(&dashboard, "anna", "other"));
    let attack =
        |_, _| login_through_proxy(&dashboard, "192.0.2.7", &vera, "vera", "secret").status;
    let statuses = besieged(16, attack, || {
        let attempt =
            |_| login_through_proxy(&dashboard, "192.0.2.8", &anna, "anna", "other").status;
        (0..15).map(attempt).collect::<Vec<_>>()
    });
    assert_eq!(statuses, [204; 15]);
}

#[test]
fn a_stranger_with_all_networks_of_a_site_keeps_nobody_out_who_is_elsewhere() {
    let dashboard = dashboard("[proxy]\ntrusted = [\"127.0.0.1\"]\n", false);
    let attack = |thread: usize, count: usize| {
        let address = format!("2001:db8:7:{:x}::1", thread * 1_000 + count / 15);
        let user = format!("user{thread}-{count}");
        login_through_proxy(&dashboard, &address, "", &user, "guess").status
    };
    let statuses = besieged(48, attack, || {
        let attempt = |n| {
            let address = format!("198.51.100.{n}");
            login_through_proxy(&dashboard, &address, "", "anna", "other").status
        };
        (0..10).map(attempt).collect::<Vec<_>>()
    });
    assert_eq!(statuses, [204; 10]);
}

#[test]
fn a_home_that_guesses_from_each_of_its_networks_keeps_its_user_in_nowhere_else() {
    let dashboard = dashboard("[proxy]\ntrusted = [\"127.0.0.1\"]\n", false);
    let looked_at = (0..200).filter(|n| {
        let address = format!("2001:db8:7:3{:02x}::1", n % 40);
        login_through_proxy(&dashboard, &address, "", "anna", "guess").status == 401
    });
    let looked_at = looked_at.count();
    assert!(
        (1..=30).contains(&looked_at),
        "{looked_at} guesses looked at"
    );
    let elsewhere = login_through_proxy(&dashboard, "198.51.100.9", "", "anna", "other");
    assert_eq!(elsewhere.status, 204);
}

#[test]
fn whoever_set_up_a_proxy_without_trusting_it_is_told_what_to_set() {
    let dashboard = dashboard("", false);
    for _ in 0..3 {
        login_through_proxy(&dashboard, "192.0.2.7", "", "anna", "other");
    }
    let line = dashboard.process.line_with("proxy.trusted");
    assert!(line.contains("address=127.0.0.1"), "{line}");
}
