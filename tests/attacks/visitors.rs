//! A viewer in wrong hands, over the WebSocket.

use crate::common::measured;
use crate::crowd::{Crowd, OLD, frame};
use crate::support::RUN;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const TEXT: u8 = 0x81;
const UNFINISHED_TEXT: u8 = 0x01;
const CONTINUATION: u8 = 0x00;
const PING: u8 = 0x89;

fn subscribe(n: usize, run: &str) -> Value {
    json!({"type": "subscribe", "sub": n.to_string(), "host_id": "h1", "run_id": run})
}

/// The most messages in a frame; a connection with more of them is closed at once.
const MAX_MESSAGES: usize = 2_000;

/// A frame of as many of these as there may be in one.
fn full(message: impl Fn(usize) -> Value) -> Vec<u8> {
    let all: Vec<Value> = (0..MAX_MESSAGES).map(message).collect();
    frame(TEXT, Value::from(all).to_string().as_bytes())
}

/// Sockets that send `first` and then `next` for ever, and read or do not; gives how many were opened so far.
fn flood(
    crowd: &mut Crowd,
    sockets: usize,
    reads: bool,
    first: &[u8],
    next: &[u8],
) -> Arc<AtomicUsize> {
    let opened = Arc::new(AtomicUsize::new(0));
    for _ in 0..sockets {
        let (first, next, opened) = (first.to_vec(), next.to_vec(), Arc::clone(&opened));
        crowd.attack(move |attacker| {
            let Some(mut stream) = attacker.socket() else {
                return;
            };
            opened.fetch_add(1, Ordering::Relaxed);
            let mut goes_on = attacker.write(&mut stream, &first);
            while goes_on {
                goes_on = attacker.write(&mut stream, &next);
                if reads {
                    let _ = stream.set_nonblocking(true);
                    while let Some(1..) = attacker.read(&mut stream) {}
                    let _ = stream.set_nonblocking(false);
                }
            }
        });
    }
    opened
}

#[test]
fn a_viewer_who_floods_the_dashboard_over_websockets_disturbs_no_run_and_costs_little_memory() {
    let mut crowd = Crowd::start();
    let pair = |run| {
        let pair = json!([subscribe(1, run), {"type": "unsubscribe", "sub": "1"}]);
        frame(TEXT, pair.to_string().as_bytes())
    };
    // One at a time, at the highest rate, of a run that is over and of the one that goes on.
    flood(&mut crowd, 4, true, b"", &pair(OLD));
    flood(&mut crowd, 4, true, b"", &pair(RUN));
    let growing: Vec<Value> = (0..1_000)
        .map(|n| json!({"type": "subscribe", "sub": n.to_string(), "host_id": "h1", "from": -1}))
        .collect();
    let growing = frame(TEXT, Value::from(growing).to_string().as_bytes());
    // As many at once as there may be, in the largest frames, by those who read and those who never do.
    let thousands = full(|n| subscribe(n % 1_000, RUN));
    let old = full(|n| subscribe(n % 1_000, OLD));
    let none = full(|n| subscribe(n, "2025-12-14T10-30-00-none"));
    let kept_open = [
        flood(&mut crowd, 4, true, &thousands, &thousands),
        flood(&mut crowd, 8, false, &old, &thousands),
        flood(&mut crowd, 4, false, b"", &none),
    ];
    // Each of which reads a log that grows.
    let nothing = frame(TEXT, br#"{"type":"nothing"}"#);
    flood(&mut crowd, 4, true, &growing, &nothing);
    // One too large; fragments without end, with something and with nothing in them; pings to no end.
    flood(&mut crowd, 2, false, b"", &frame(TEXT, &[b' '; 2_000_000]));
    flood(
        &mut crowd,
        4,
        false,
        &frame(UNFINISHED_TEXT, b"["),
        &frame(CONTINUATION, &[b' '; 60_000]),
    );
    flood(
        &mut crowd,
        2,
        false,
        &frame(UNFINISHED_TEXT, b"["),
        &frame(CONTINUATION, b"").repeat(1_000),
    );
    flood(
        &mut crowd,
        4,
        false,
        b"",
        &frame(PING, &[b'x'; 125]).repeat(100),
    );
    let (sent, most_files) = (crowd.sent.clone(), files_at_most(&crowd));
    let (lines, slowest, grown) = crowd.stream();
    let (sent, files) = (
        sent.load(Ordering::Relaxed) >> 20,
        most_files.join().unwrap(),
    );
    measured(&format!(
        "a flood of {sent} MiB over 40 WebSockets of a viewer: {lines} lines, the slowest after {slowest:?}; {grown} KiB more, {files} files open"
    ));
    let opened = kept_open.map(|opened| opened.load(Ordering::Relaxed));
    // None was closed for what it sent.
    assert_eq!(opened, [4, 8, 4]);
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert!(grown < 150_000, "{grown} KiB");
    assert!(files < 1_000, "{files} files");
}

/// Looks how many files are open, until the flood is over.
fn files_at_most(crowd: &Crowd) -> std::thread::JoinHandle<usize> {
    let (process, over) = (crowd.dashboard.process.id(), crowd.over());
    std::thread::spawn(move || {
        let mut most = 0;
        while !over.load(Ordering::Relaxed) {
            let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
            most = most.max(open.count());
            std::thread::sleep(Duration::from_millis(20));
        }
        most
    })
}
