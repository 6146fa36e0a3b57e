//! A viewer in wrong hands, over HTTP; and strangers who ask without end.

use crate::common::{Dashboard, SOON, measured, wait_for};
use crate::crowd::{Crowd, OLD};
use crate::support::dial;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn a_viewer_who_floods_the_dashboard_over_http_disturbs_no_run_and_costs_little_memory() {
    let mut crowd = Crowd::start();
    let of_old = format!("/api/hosts/h1/runs/{OLD}");
    // Asks for much, and takes the answers as fast as they come.
    for path in [
        format!("{of_old}/lines?limit=10000"),
        format!("{of_old}/lines?limit=10000&from=20000"),
        format!("{of_old}/search?regex=1&q=x%2Bx%2By"),
        format!("{of_old}/search?q=x&limit=10000"),
        "/api/hosts".to_owned(),
    ] {
        for _ in 0..2 {
            let path = path.clone();
            crowd.attack(move |attacker| {
                if let Some(mut stream) = attacker.request(&path, "Connection: close\r\n") {
                    attacker.read_all(&mut stream);
                }
            });
        }
    }
    // Asks for much, and takes nothing: more than there may be.
    for format in ["txt", "json"] {
        let path = format!("/api/hosts/h1/logs/download?format={format}&run={OLD}");
        let mut kept: Vec<TcpStream> = Vec::new();
        crowd.attack(move |attacker| {
            if kept.len() < 200 {
                kept.extend(attacker.request(&path, ""));
            } else {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    }
    let (lines, slowest, grown) = crowd.stream();
    measured(&format!(
        "a flood of requests of a viewer, 400 of which take no answer: {lines} lines, the slowest after {slowest:?}; {grown} KiB more"
    ));
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(grown < 120_000, "{grown} KiB");
}

/// A dashboard behind a proxy, so that a test may come from any address.
fn behind_a_proxy() -> Dashboard {
    let users = [
        ("otto", "operator", Dashboard::password_hash("secret")),
        ("vera", "viewer", Dashboard::password_hash("secret")),
    ];
    let mut dashboard =
        Dashboard::start_with(&["h1"], "[proxy]\ntrusted = [\"127.0.0.1\"]\n", &users);
    dashboard.log_in("otto", "secret");
    dashboard
}

/// Asks so often, as fast as it is answered; gives how often it was, how often it was told to wait, and how.
fn ask(dashboard: &Dashboard, path: &str, times: usize, headers: &str) -> (usize, usize, String) {
    let mut stream = dial(dashboard);
    let mut writer = stream.try_clone().unwrap();
    let port = dashboard.port;
    let one = format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{headers}\r\n");
    let last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let writing = std::thread::spawn(move || {
        writer.write_all(one.repeat(times).as_bytes()).unwrap();
        writer.write_all(last.as_bytes()).unwrap();
    });
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    writing.join().unwrap();
    let answers = String::from_utf8_lossy(&answers);
    let refused = answers
        .split("HTTP/1.1 ")
        .find(|answer| answer.starts_with("429"));
    (
        answers.matches("HTTP/1.1 200").count() - 1,
        answers.matches("HTTP/1.1 429").count(),
        refused.unwrap_or_default().to_lowercase(),
    )
}

#[test]
fn a_user_who_asks_too_often_is_told_to_wait_and_others_are_not() {
    let mut dashboard = behind_a_proxy();
    let otto = dashboard.cookie.take();
    dashboard.log_in("vera", "secret");
    let cookie = std::mem::replace(&mut dashboard.cookie, otto).unwrap();
    let vera = format!("Cookie: {cookie}\r\n");
    let (answered, refused, how) = ask(&dashboard, "/api/me", 8_000, &vera);
    measured(&format!(
        "8,000 requests of a user: {answered} answered, {refused} refused"
    ));
    assert!(answered >= 3_000 && refused > 0, "{answered}, {refused}");
    for part in [
        "retry-after: 1\r\n",
        "content-type: application/problem+json\r\n",
        "\"status\":429",
        "\"title\":\"too many requests\"",
    ] {
        assert!(how.contains(part), "{part} in {how}");
    }
    // From wherever else, too; nobody else is meant, and before long they are let in again.
    let elsewhere = format!("{vera}X-Forwarded-For: 192.0.2.1\r\n");
    assert!(ask(&dashboard, "/api/me", 2_000, &elsewhere).1 > 0);
    let headers = [("Cookie", cookie.as_str())];
    assert_eq!(dashboard.get("/api/me").status, 200);
    wait_for("another answer", SOON, || {
        let answer = dashboard.request("GET", "/api/me", &headers, b"");
        (answer.status == 200).then_some(())
    });
}

#[test]
fn a_stranger_who_asks_too_often_is_told_to_wait_and_other_addresses_are_not() {
    let dashboard = behind_a_proxy();
    let ask = |times, address: &str| {
        let from = format!("X-Forwarded-For: {address}\r\n");
        ask(&dashboard, "/theme.js", times, &from)
    };
    let (answered, refused, how) = ask(20_000, "2001:db8::1");
    measured(&format!(
        "20,000 requests of a stranger: {answered} answered, {refused} refused"
    ));
    assert!(answered >= 10_000 && refused > 0, "{answered}, {refused}");
    assert!(how.contains("retry-after: 1\r\n"), "{how}");
    assert!(ask(5_000, "2001:db8::2:3").1 > 0, "the same network");
    for other in ["2001:db8:0:1::1", "192.0.2.2"] {
        assert_eq!(ask(500, other).1, 0, "{other}");
    }
    assert_eq!(dashboard.get("/api/me").status, 200, "who is known");
}

#[test]
fn a_stranger_with_many_networks_takes_few_places_of_a_proxy_with_requests_that_never_end() {
    let dashboard = behind_a_proxy();
    let begun = |address: &str| {
        let mut stream = dial(&dashboard);
        let port = dashboard.port;
        let head = format!(
            "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             X-Forwarded-For: {address}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let refused_of = |addresses: &[String]| {
        let kept: Vec<_> = addresses.iter().map(|address| begun(address)).collect();
        let is_refused = |mut stream: &TcpStream| {
            // Those that wait for the rest of the body answer nothing.
            let limit = Some(Duration::from_millis(100));
            stream.set_read_timeout(limit).unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).is_ok() && answer.ends_with(b"429")
        };
        let refused = kept.iter().filter(|stream| is_refused(stream)).count();
        (refused, kept)
    };
    // Twelve of each of ten networks: fewer than one network may have, and all within one person's 48 bits.
    let near: Vec<_> = (0..120)
        .map(|n| format!("2001:db8:1:{:x}::1", n / 12))
        .collect();
    let (refused, _kept) = refused_of(&near);
    assert_eq!(refused, 120 - 64);
    let (refused, _others) = refused_of(&["2001:db8:2::1".to_owned(), "192.0.2.9".to_owned()]);
    assert_eq!(refused, 0, "other networks");
}
