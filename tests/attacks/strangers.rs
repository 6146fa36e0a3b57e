//! Connections of those who never say who they are.

use crate::common::{Dashboard, SOON, Socket, measured, wait_for};
use crate::support::{RUN, begin, dial, output, with_users};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

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
    let (mut one_more, began) = (dial(&dashboard), Instant::now());
    assert_eq!(one_more.read(&mut [0; 10]).unwrap_or(0), 0);
    // Long before it would be for saying nothing.
    assert!(began.elapsed() < Duration::from_secs(5), "closed at once");
    known.send(&json!({"type": "heartbeat", "host_id": "h1", "revision": "here"}));
    dashboard.process.line_with("too many connections");
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
