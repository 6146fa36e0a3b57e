//! Requests that nobody means well with.

use crate::common::{Dashboard, assert_problem};
use crate::support::{RUN, dial, raw, status_of, store, with_users};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

#[test]
fn ids_with_dots_nul_and_percent_encodings_name_nothing() {
    let dashboard = with_users();
    std::fs::write(dashboard.data_dir().join("secret.log"), "hidden words").unwrap();
    store(&dashboard, RUN, &["x"]);
    let bad = [
        "..",
        "%2e%2e",
        "%2e%2e%2f%2e%2e",
        "..%2f..%2fsecret",
        "..%5c..%5csecret",
        "%00",
        "h1%00",
        "h1%00.log",
        "%c0%ae%c0%ae",
        "%252e%252e",
        "h1%0a",
        "%ff%fe",
        "h1%2f..%2fh1",
        "%",
        "%zz",
        "h1;",
        "-h1",
        "a%20b",
    ];
    for id in bad {
        for path in [
            format!("/api/hosts/{id}"),
            format!("/api/hosts/{id}/runs"),
            format!("/api/hosts/{id}/logs/download"),
            format!("/api/hosts/h1/runs/{id}"),
            format!("/api/hosts/h1/runs/{id}/lines"),
            format!("/api/hosts/h1/runs/{id}/search?q=x"),
            format!("/api/hosts/h1/logs/download?run={id}"),
            format!("/api/hosts/h1/runs?before={id}"),
        ] {
            let cookie = dashboard.cookie.clone().unwrap();
            let port = dashboard.port;
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
            );
            let answer = raw(&dashboard, request.as_bytes());
            let status = status_of(&answer);
            assert!((400..500).contains(&status), "{path}: {answer}");
            assert!(!answer.contains("hidden words"), "{path}: {answer}");
        }
    }
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/Cargo.toml",
        "/style.css%00.html",
        "/hosts/../index.html",
        "//etc/passwd",
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(&dashboard, request.as_bytes());
        assert!(
            answer.contains("<!doctype html>") || (400..500).contains(&status_of(&answer)),
            "{path}: {answer}"
        );
    }
}

#[test]
fn a_request_that_is_smuggled_or_too_large_is_refused() {
    let dashboard = with_users();
    let long = "x".repeat(64 * 1024);
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    for (request, why) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), "a long path"),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"), "a long header"),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), "many headers"),
        ("POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}".to_owned(), "two lengths"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(), "two hosts"),
        ("GET / HTTP/1.1\r\nHost : localhost\r\nConnection: close\r\n\r\n".to_owned(), "a blank in a name"),
        ("\0\u{1}\u{2}\r\n\r\n".to_owned(), "no HTTP"),
    ] {
        let status = status_of(&raw(&dashboard, request.as_bytes()));
        assert!((400..500).contains(&status) || status == 0, "{why}: {status}");
    }
    let body = format!(
        "{{\"user\":\"{}\",\"password\":\"x\"}}",
        "u".repeat(100_000)
    );
    let origin = dashboard.origin();
    let headers = [
        ("Origin", origin.as_str()),
        ("Content-Type", "application/json"),
    ];
    assert_problem(
        &dashboard.request("POST", "/api/login", &headers, body.as_bytes()),
        413,
    );
    assert_eq!(dashboard.get("/api/hosts").status, 200);
}

#[test]
fn nothing_is_compressed_so_there_are_no_bombs() {
    let dashboard = with_users();
    let cookie = dashboard.cookie.clone().unwrap();
    let headers = [
        ("Cookie", cookie.as_str()),
        ("Accept-Encoding", "gzip, br, deflate, zstd"),
    ];
    assert_eq!(
        dashboard
            .request("GET", "/api/hosts", &headers, b"")
            .header("content-encoding"),
        ""
    );
    let origin = dashboard.origin();
    let gzip = [
        ("Origin", origin.as_str()),
        ("Content-Type", "application/json"),
        ("Content-Encoding", "gzip"),
    ];
    let answer = dashboard.request("POST", "/api/login", &gzip, &[0x1f, 0x8b, 8, 0]);
    assert_eq!(answer.status, 400);
    let token = Dashboard::token("h1");
    let request = format!(
        "GET /ws/agent HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let mut stream = dial(&dashboard);
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 1024];
    let length = stream.read(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
    assert!(
        head.starts_with("http/1.1 101") && !head.contains("extensions"),
        "{head}"
    );
}

#[test]
fn an_expression_made_to_take_for_ever_does_not() {
    let dashboard = Dashboard::start(&["h1"]);
    let long = format!("{}!", "a".repeat(60_000));
    let lines = vec![long.as_str(); 10];
    store(&dashboard, RUN, &lines);
    for (expression, fine) in [
        ("(a%2B)%2B%24", true),
        ("(a%7Caa)%2B%24", true),
        ("(.*a){12}", true),
        ("((a{0,100}){0,100}){0,100}", false),
        ("(%3F:x%7B1000%7D)%7B1000%7D", false),
        ("%5Cp%7BL%7D%7B1,5000%7D", false),
    ] {
        let began = Instant::now();
        let path = format!("/api/hosts/h1/runs/{RUN}/search?regex=1&q={expression}");
        let status = dashboard.get(&path).status;
        assert_eq!(status, if fine { 200 } else { 400 }, "{expression}");
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{expression}: {:?}",
            began.elapsed()
        );
    }
    let long = "a".repeat(1_001);
    assert_problem(
        &dashboard.get(&format!("/api/hosts/h1/runs/{RUN}/search?q={long}")),
        400,
    );
}
