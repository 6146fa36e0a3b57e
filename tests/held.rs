//! What the pages and requests of one user make the dashboard hold in memory.
#![cfg(test)]

mod common;

use common::{Dashboard, SOON, Socket, measured, sha256_hex};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// As many as one user may have open.
const PAGES: usize = 200;
/// The longest frame there may be.
const FRAME_BYTES: usize = 1024 * 1024;
/// What the dashboard may take in all, in KiB.
const MOST_KIB: u64 = 200 * 1024;

const TEXT: u8 = 0x81;
const FIRST: u8 = 0x01;
const NEXT: u8 = 0x00;
const PING: u8 = 0x89;

/// A frame of a client, with a mask that changes nothing.
fn frame(first: u8, text: &str) -> Vec<u8> {
    let length = (text.len() as u64).to_be_bytes();
    [&[first, 0xff], &length[..], &[0; 4], text.as_bytes()].concat()
}

fn ping() -> Vec<u8> {
    [&[PING, 0x84, 0, 0, 0, 0][..], b"ping"].concat()
}

/// A message that the dashboard does not know, in a frame as long as one may be.
fn unknown() -> String {
    let (before, after) = (r#"{"type":"x","t":""#, r#""}"#);
    let length = FRAME_BYTES - before.len() - after.len();
    [before, &"x".repeat(length), after].concat()
}

fn dashboard() -> Dashboard {
    let users = [
        ("vera", "viewer", format!("sha256:{}", sha256_hex("vera"))),
        ("otto", "operator", format!("sha256:{}", sha256_hex("otto"))),
    ];
    Dashboard::start_with(&["h1"], "", &users)
}

fn page(dashboard: &Dashboard) -> TcpStream {
    let mut page = TcpStream::connect(("127.0.0.1", dashboard.port)).unwrap();
    page.set_read_timeout(Some(SOON)).unwrap();
    let request = "GET /ws/browser HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer vera\r\n\r\n";
    page.write_all(request.as_bytes()).unwrap();
    read_until(&mut page, b"\"more\":false");
    page
}

/// Reads until this has come.
#[track_caller]
fn read_until(stream: &mut TcpStream, what: &[u8]) {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    while !all.windows(what.len()).any(|window| window == what) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..read]);
    }
}

/// Has each of all pages send these bytes, as far as the dashboard takes them.
fn send(pages: &mut [TcpStream], bytes: &[u8]) {
    let mut sent = vec![0; pages.len()];
    for page in pages.iter() {
        page.set_nonblocking(true).unwrap();
    }
    // Where the dashboard does not read on, the system takes some of it in its place, and the rest is not sent.
    let mut in_vain = 0;
    while in_vain < 50 {
        in_vain += 1;
        for (page, sent) in pages.iter_mut().zip(&mut sent) {
            match page.write(&bytes[*sent..]) {
                Ok(0) => {}
                Ok(length) => (*sent, in_vain) = (*sent + length, 0),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
        if sent.iter().all(|sent| *sent == bytes.len()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for page in pages.iter() {
        page.set_nonblocking(false).unwrap();
    }
}

/// Somebody else is served meanwhile, many times: time enough to read whatever would be read.
fn others_are_served(dashboard: &Dashboard) {
    let headers = [("Authorization", "Bearer otto")];
    for _ in 0..200 {
        let answer = dashboard.request("GET", "/api/hosts/h1", &headers, b"");
        assert_eq!(answer.status, 200);
    }
    let mut other = Socket::open(dashboard, "/ws/browser", &headers).unwrap();
    other.send(&json!({"type": "subscribe", "host_id": "h1"}));
    other.wait_for("subscribed", |message| message["type"] == "subscribed");
}

/// The most memory that the dashboard takes while 200 pages of one user send these bytes, in KiB.
fn peak_with(what: &str, bytes: &[u8], answer: Option<&[u8]>) -> u64 {
    let dashboard = dashboard();
    let mut pages: Vec<TcpStream> = (0..PAGES).map(|_| page(&dashboard)).collect();
    dashboard.process.forget_peak();
    let before = dashboard.process.rss_kib();
    send(&mut pages, bytes);
    if let Some(answer) = answer {
        for page in &mut pages {
            read_until(page, answer);
        }
    }
    others_are_served(&dashboard);
    let peak = dashboard.process.peak_kib();
    measured(&format!(
        "{PAGES} pages of one user, {what}: {} KiB more, {peak} in all",
        peak.saturating_sub(before)
    ));
    peak
}

#[test]
fn long_frames_of_all_pages_of_a_user_are_let_go_once_they_are_read() {
    let bytes = [frame(TEXT, &unknown()), ping()].concat();
    let peak = peak_with("each with a frame of 1 MiB", &bytes, Some(b"ping"));
    assert!(peak < MOST_KIB, "{peak} KiB");
}

#[test]
fn long_frames_that_all_pages_of_a_user_send_by_half_are_few_at_a_time() {
    let whole = frame(TEXT, &unknown());
    let half = &whole[..FRAME_BYTES - 10];
    let peak = peak_with("each with nearly all of a frame of 1 MiB", half, None);
    assert!(peak < MOST_KIB, "{peak} KiB");
}

#[test]
fn messages_of_many_frames_that_never_end_are_few_at_a_time_for_a_user() {
    let part = "x".repeat(FRAME_BYTES / 16);
    let mut bytes = frame(FIRST, &part);
    for _ in 0..14 {
        bytes.extend([ping(), frame(NEXT, &part)].concat());
    }
    let peak = peak_with("each with 15 of 16 parts of a message", &bytes, None);
    assert!(peak < MOST_KIB, "{peak} KiB");
}

#[test]
fn what_all_pages_of_a_user_ask_for_and_wait_for_is_little() {
    let one = |n: usize| json!({"type": "subscribe", "host_id": "h1", "sub": format!("{n:0250}")});
    let all: Vec<_> = (0..2_000).map(one).collect();
    let bytes = frame(TEXT, &json!(all).to_string());
    let peak = peak_with("each with 2,000 messages at once", &bytes, None);
    assert!(peak < MOST_KIB, "{peak} KiB");
}

fn bulk(dashboard: &Dashboard, body: &str) -> u16 {
    let headers = [
        ("Authorization", "Bearer otto"),
        ("Content-Type", "application/json"),
    ];
    let answer = dashboard.request("POST", "/api/commands", &headers, body.as_bytes());
    answer.status
}

#[test]
fn requests_for_names_that_are_no_hosts_cost_as_much_as_those_for_hosts() {
    let dashboard = dashboard();
    let names = vec!["?"; 10_000];
    let body = json!({"hosts": names, "command": "switch"}).to_string();
    // What there is of the audit log for a user is enough for 10.
    let answers: Vec<u16> = (0..14).map(|_| bulk(&dashboard, &body)).collect();
    assert!(
        answers[..9].iter().all(|status| *status == 207),
        "{answers:?}"
    );
    assert!(answers.contains(&429), "{answers:?}");
}

#[test]
fn long_requests_are_charged_by_their_bytes() {
    let dashboard = dashboard();
    let spaces = " ".repeat(1_000_000);
    let body = format!(r#"{{"hosts":["?"],"command":"switch"{spaces}}}"#);
    let refused = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..100 {
                    if refused.load(Ordering::Relaxed) {
                        return;
                    }
                    match bulk(&dashboard, &body) {
                        207 => {}
                        429 => refused.store(true, Ordering::Relaxed),
                        other => panic!("{other}"),
                    }
                }
            });
        }
    });
    assert!(refused.into_inner());
}

#[test]
fn many_long_requests_of_a_user_take_little_memory() {
    let dashboard = dashboard();
    // Each of these characters is told as eleven.
    let name = "\u{7f}".repeat(90);
    let body = json!({"hosts": vec![name; 4_000], "command": "switch"}).to_string();
    dashboard.process.forget_peak();
    std::thread::scope(|threads| {
        for _ in 0..40 {
            threads.spawn(|| assert!([207, 429].contains(&bulk(&dashboard, &body))));
        }
    });
    let peak = dashboard.process.peak_kib();
    measured(&format!(
        "40 requests for 4,000 names each: {peak} KiB in all"
    ));
    assert!(peak < MOST_KIB, "{peak} KiB");
}
