//! What strangers, hosts, pages of others and dashboards in wrong hands may try.
#![cfg(test)]

mod common;

use common::{
    Agent, Answer, Dashboard, SOON, Socket, assert_problem, measured, sha256_hex, wait_for,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

const RUN: &str = "2025-12-14T10-30-00-switch";

fn with_users() -> Dashboard {
    let users = [
        ("otto", "operator", Dashboard::password_hash("secret")),
        ("robot", "admin", format!("sha256:{}", sha256_hex("robot"))),
    ];
    let mut dashboard = Dashboard::start_with(&["h1"], "", &users);
    dashboard.log_in("otto", "secret");
    dashboard
}

fn dial(dashboard: &Dashboard) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// What is answered to these bytes, as they are.
fn raw(dashboard: &Dashboard, bytes: &[u8]) -> String {
    let mut stream = dial(dashboard);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_of(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

fn begin(run: &str) -> Value {
    json!({"type": "status", "host_id": "h1", "run_id": run, "command": "switch", "status": "running"})
}

fn output(run: &str, seq: u64, texts: &[&str]) -> Value {
    let line = |text: &&str| json!({"line": text, "timestamp": "2025-12-14T10:30:01.000Z", "is_error": false});
    let lines: Vec<Value> = texts.iter().map(line).collect();
    json!({"type": "output", "host_id": "h1", "run_id": run, "command": "switch", "seq": seq, "lines": lines})
}

fn end(run: &str, lines: u64) -> Value {
    json!({"type": "status", "host_id": "h1", "run_id": run, "command": "switch", "status": "ok",
        "exit_code": 0, "lines": lines})
}

/// A run of these lines, from an agent that is gone then.
fn store(dashboard: &Dashboard, run: &str, texts: &[&str]) {
    let mut agent = Socket::agent(dashboard, "h1");
    agent.send(&begin(run));
    agent.send(&output(run, 0, texts));
    agent.send(&end(run, texts.len() as u64));
    agent.wait_for("the final ack", |message| message["final"] == true);
}

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
        audit.contains("is not that of this dashboard"),
        "it is written down: {audit}"
    );
}

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
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
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

#[test]
fn a_frame_that_never_ends_is_cut_off_at_a_mebibyte() {
    let dashboard = with_users();
    let token = Dashboard::token("h1");
    let request = format!(
        "GET /ws/agent HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let before = dashboard.process.rss_kib();
    // One message in ever more fragments, and one frame that says it has 2^62 bytes.
    let fragment = [
        &[0x01, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        &[b'x'; 65_536],
    ]
    .concat();
    let huge = [0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for frames in [vec![fragment; 1_000], vec![huge.to_vec()]] {
        let mut stream = dial(&dashboard);
        stream.write_all(request.as_bytes()).unwrap();
        for (n, mut frame) in frames.into_iter().enumerate() {
            if n > 0 {
                // A continuation.
                frame[0] = 0;
            }
            if stream.write_all(&frame).is_err() {
                break;
            }
        }
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    let grown = dashboard.process.rss_kib().saturating_sub(before);
    assert!(grown < 20_000, "{grown} KiB");
    assert_eq!(dashboard.get("/api/hosts").status, 200);
}

#[test]
fn five_hundred_slow_connections_disturb_no_run_and_are_closed() {
    let dashboard = with_users();
    let mut agent = Socket::agent(&dashboard, "h1");
    let mut browser = Socket::browser(&dashboard);
    agent.send(&begin(RUN));
    let before = dashboard.process.rss_kib();
    let mut slow: Vec<TcpStream> = (0..500).map(|_| dial(&dashboard)).collect();
    for (n, stream) in slow.iter_mut().enumerate() {
        let part: &[u8] = match n % 3 {
            0 => b"",
            1 => b"GET / HTTP/1.1\r\nHost: localhost\r\nX-",
            _ => b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
        };
        stream.write_all(part).unwrap();
    }
    browser.send(&json!({"type": "subscribe", "host_id": "h1", "run_id": RUN}));
    let mut slowest = Duration::ZERO;
    let mut next = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        let asked = Instant::now();
        agent.send(&output(RUN, next, &["x"]));
        next += 1;
        browser.wait_for("the line", |message| {
            message["type"] == "command_output" && message["seq"] == next - 1
        });
        slowest = slowest.max(asked.elapsed());
        for stream in slow.iter_mut().step_by(7) {
            let _ = stream.write_all(b"a");
        }
    }
    let memory = dashboard.process.rss_kib().saturating_sub(before);
    measured(&format!(
        "500 slow connections: {next} lines, the slowest after {slowest:?}; {memory} KiB more"
    ));
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(memory < 60_000, "{memory} KiB");
    wait_for("all of them to be closed", SOON, || {
        let is_closed = |stream: &mut TcpStream| {
            stream
                .set_read_timeout(Some(Duration::from_millis(1)))
                .unwrap();
            let mut bytes = [0; 4096];
            loop {
                match stream.read(&mut bytes) {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
                }
            }
        };
        slow.retain_mut(|stream| !is_closed(stream));
        slow.is_empty().then_some(())
    });
    assert_eq!(dashboard.get("/api/hosts").status, 200);
}

#[test]
fn strangers_take_only_their_share_of_the_connections() {
    let dashboard = Dashboard::start_with(
        &["h1"],
        "[limits]\nstrangers = 20\n",
        &[("otto", "operator", Dashboard::password_hash("secret"))],
    );
    let mut known = Socket::agent(&dashboard, "h1");
    let strangers: Vec<TcpStream> = (0..20).map(|_| dial(&dashboard)).collect();
    let mut one_more = dial(&dashboard);
    assert_eq!(
        one_more.read(&mut [0; 10]).unwrap_or(0),
        0,
        "closed at once"
    );
    known.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "here"}));
    drop(strangers);
    wait_for("room", SOON, || {
        let mut stream = dial(&dashboard);
        let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    });
}

/// Sends messages as fast as they are taken, for a while; gives how many.
fn flood(agent: &mut Socket, limit: Duration, most: u64, message: impl Fn(u64) -> Value) -> u64 {
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < limit && sent < most {
        let many: Vec<Value> = (sent..sent + 1_000).map(&message).collect();
        agent.send(&Value::Array(many));
        sent += 1_000;
    }
    sent
}

#[test]
fn a_host_that_sends_a_million_messages_slows_nobody_and_costs_no_memory() {
    let users = [("robot", "admin", format!("sha256:{}", sha256_hex("robot")))];
    let dashboard = Dashboard::start_with(&["h1", "h2"], "", &users);
    let mut hostile = Socket::agent(&dashboard, "h1");
    let mut other = Socket::agent(&dashboard, "h2");
    let headers = [("Authorization", "Bearer robot")];
    let before = dashboard.process.rss_kib();
    let flooding = std::thread::spawn(move || {
        flood(
            &mut hostile,
            Duration::from_secs(15),
            1_000_000,
            |n| json!({"type": "heartbeat", "host_id": "h1", "revision": format!("{n} {}", "x".repeat(100))}),
        )
    });
    let mut slowest = Duration::ZERO;
    let mut asked = 0;
    while !flooding.is_finished() {
        let began = Instant::now();
        other.send(&json!({"type": "heartbeat", "host_id": "h2", "revision": format!("r{asked}")}));
        wait_for("the other host's heartbeat", SOON, || {
            let answer: Answer = dashboard.request("GET", "/api/hosts/h2", &headers, b"");
            (answer.json()["revision"] == format!("r{asked}")).then_some(())
        });
        slowest = slowest.max(began.elapsed());
        asked += 1;
        // One an honest host would send.
        std::thread::sleep(Duration::from_millis(200));
    }
    let sent = flooding.join().unwrap();
    let grown = dashboard.process.rss_kib().saturating_sub(before);
    measured(&format!(
        "{sent} messages of a hostile host in 15 s: the other host's heartbeat took {slowest:?} at most; {grown} KiB more"
    ));
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(grown < 40_000, "{grown} KiB");
}

#[test]
fn a_host_that_says_very_much_of_itself_is_cut_short() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::unregistered_agent(&dashboard, "h1");
    let commands: Vec<String> = (0..5_000)
        .map(|n| format!("c{}", "x".repeat(1 + n % 20)))
        .collect();
    agent.send(
        &json!({"type": "register", "protocol": 1, "host_id": "h1", "hostname": "n".repeat(300_000),
        "kernel": "k".repeat(300_000), "commands": commands}),
    );
    agent.wait_for("registered", |message| message["type"] == "registered");
    let host = dashboard.host("h1");
    assert!(
        host.to_string().len() < 10_000,
        "{}",
        host.to_string().len()
    );
    agent.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "r".repeat(500_000)}));
    let host = dashboard.wait_for_host("h1", "its heartbeat", |host| !host["revision"].is_null());
    assert_eq!(host["revision"].as_str().unwrap().len(), 1_024);
}

#[test]
fn a_host_that_begins_runs_without_end_opens_few_files() {
    let dashboard = Dashboard::start(&["h1"]);
    let mut agent = Socket::agent(&dashboard, "h1");
    for n in 0..600 {
        agent.send(&begin(&format!("{RUN}-{}", n + 2)));
    }
    let open = || {
        std::fs::read_dir(format!("/proc/{}/fd", dashboard.process.id()))
            .unwrap()
            .count()
    };
    wait_for("many runs", SOON, || (open() > 256).then_some(()));
    agent.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "later"}));
    assert_eq!(dashboard.get("/health").status, 200);
    assert!(open() < 256 * 2 + 100, "{}", open());
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

#[test]
fn a_link_planted_in_the_data_folder_leads_nowhere() {
    let mut dashboard = Dashboard::start(&["h1"]);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::write(
        &target,
        "# Command: switch\n# Started: 2025-12-14T10:30:00Z\nsecret\n",
    )
    .unwrap();
    let logs = dashboard.data_dir().join("logs/h1");
    std::fs::create_dir_all(&logs).unwrap();
    for end in ["log", "idx"] {
        symlink(&target, logs.join(format!("{RUN}.{end}"))).unwrap();
    }
    for path in [
        format!("/api/hosts/h1/runs/{RUN}/lines"),
        format!("/api/hosts/h1/logs/download?run={RUN}"),
        "/api/hosts/h1/logs/download".to_owned(),
    ] {
        let answer = dashboard.get(&path);
        assert!(answer.status >= 400, "{path}: {}", answer.status);
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("secret"),
            "{path}"
        );
    }
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(&begin(RUN));
    agent.send(&output(RUN, 0, &["planted"]));
    agent.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "later"}));
    dashboard.wait_for_host("h1", "what came later", |host| host["revision"] == "later");
    let text = std::fs::read_to_string(&target).unwrap();
    assert!(text.ends_with("secret\n"), "{text}");
    // The files that the dashboard itself opens, too, and the folder of a host.
    let (audit, outside) = (
        dashboard.data_dir().join("audit.log"),
        folder.path().join("outside"),
    );
    std::fs::create_dir(&outside).unwrap();
    dashboard.process.end(Signal::SIGTERM);
    std::fs::remove_dir_all(&logs).unwrap();
    symlink(&outside, &logs).unwrap();
    let _ = std::fs::remove_file(&audit);
    symlink(&target, &audit).unwrap();
    dashboard.launch_again();
    dashboard.process.wait_to_say("data folder", 0);
    std::fs::remove_file(&audit).unwrap();
    dashboard.start_again();
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(&begin(RUN));
    agent.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "last"}));
    dashboard.wait_for_host("h1", "what came last", |host| host["revision"] == "last");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let text = std::fs::read_to_string(&target).unwrap();
    assert!(text.ends_with("secret\n"), "{text}");
}

#[test]
fn a_dashboard_in_wrong_hands_starts_only_what_the_host_itself_names() {
    use tokio_tungstenite::tungstenite::{Message, accept};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    let extra = json!({"commands": {"switch": {"steps": [["/bin/sh", "-c", format!("echo {{host}} > {}", good.display())]]}}});
    let agent = Agent::launch(port, "h1", &extra);
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut socket = accept(stream).unwrap();
    let send = |socket: &mut tokio_tungstenite::tungstenite::WebSocket<TcpStream>,
                message: Value| {
        socket.send(Message::text(message.to_string())).unwrap();
    };
    let receive = |socket: &mut tokio_tungstenite::tungstenite::WebSocket<TcpStream>,
                   wanted: &str,
                   run: &str| loop {
        if let Message::Text(text) = socket.read().unwrap() {
            let found = Socket::messages(&text).into_iter().find(|message| {
                message["type"] == wanted && (run.is_empty() || message["run_id"] == run)
            });
            if let Some(found) = found {
                return found;
            }
        }
    };
    receive(&mut socket, "register", "");
    send(
        &mut socket,
        json!({"type": "registered", "host_id": "h1", "resume": []}),
    );
    let argv = json!(["/bin/sh", "-c", format!("touch {}", bad.display())]);
    // Names that are none close the connection; names that the host does not offer are rejected.
    let id = "2025-12-14T10-30-00-frobnicate";
    send(
        &mut socket,
        json!({"type": "command", "run_id": id, "nonce": "n", "command": "frobnicate", "steps": [argv],
        "argv": argv, "env": {"PATH": "/tmp"}, "checks": folder.path()}),
    );
    receive(&mut socket, "command_rejected", id);
    // One that it offers runs as the host has it, whatever is said besides.
    send(
        &mut socket,
        json!({"type": "command", "run_id": RUN, "nonce": "n", "command": "switch", "steps": [argv],
        "argv": argv, "args": ["--option", "x"], "env": {"LD_PRELOAD": bad}, "environment": [["PATH", "/tmp"]],
        "work_dir": "/", "checks": folder.path(), "timeout": 0, "host": "; touch x", "repo": "/evil"}),
    );
    let ended = loop {
        let status = receive(&mut socket, "status", RUN);
        if status["status"] != "running" {
            break status;
        }
    };
    assert_eq!(ended["status"], "ok", "{ended}");
    assert_eq!(std::fs::read_to_string(&good).unwrap(), "h1\n");
    assert!(!bad.exists());
    // Paths in the place of ids are no message, and the agent hangs up.
    send(
        &mut socket,
        json!({"type": "command", "run_id": "../../x", "nonce": "n", "command": "switch"}),
    );
    let hung_up = loop {
        match socket.read() {
            Ok(Message::Close(_)) | Err(_) => break true,
            Ok(_) => {}
        }
    };
    assert!(hung_up && !agent.dir().join("x").exists());
}
