//! Searches that take as long as they can.

use crate::common::{Answer, Dashboard, SOON, Socket, measured, sha256_hex, wait_for};
use crate::support::{RUN, begin, dial, end, output};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a search may take.
const WITHIN: Duration = Duration::from_secs(20);
/// How many of one user may run or wait.
const MOST: usize = 16;
/// Linear in the length of the line, and slow all the same: its automaton has too many states to be remembered, and
/// each byte meets thousands of places in the expression.
const SLOW: &str = "(%3F:%5Ba%C3%A9%5D%7B0,500%7D.%3F)%7B3%7Dx";

/// A search whose answer nobody has read yet.
fn begin_search(dashboard: &Dashboard, user: &str) -> TcpStream {
    let mut stream = dial(dashboard);
    stream.set_read_timeout(Some(3 * WITHIN)).unwrap();
    let request = format!(
        "GET /api/hosts/h1/runs/{RUN}/search?regex=1&q={SLOW} HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {user}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn answer_of(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The whole answer, once it has begun to come.
fn refusal(stream: &mut TcpStream) -> Option<String> {
    stream.set_nonblocking(true).unwrap();
    let came = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    came.then(|| answer_of(stream))
}

/// How much of a core the dashboard takes.
fn load(dashboard: &Dashboard) -> f64 {
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", dashboard.process.id()));
        let stat = stat.unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split(' ').collect();
        fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
    };
    let (before, began) = (ticks(), Instant::now());
    std::thread::sleep(Duration::from_millis(500));
    (ticks() - before) as f64 / 100.0 / began.elapsed().as_secs_f64()
}

#[test]
fn a_search_that_takes_too_long_is_ended_and_keeps_nobody_else_from_searching() {
    let user = |name| (name, "viewer", format!("sha256:{}", sha256_hex(name)));
    let dashboard = Dashboard::start_with(&["h1"], "", &[user("vera"), user("otto")]);
    let long = "aé".repeat(5_000);
    let mut agent = Socket::agent(&dashboard, "h1");
    agent.send(&begin(RUN));
    for first in (0..1_500).step_by(50) {
        agent.send(&output(RUN, first, &[long.as_str(); 50]));
    }
    agent.send(&end(RUN, 1_500));
    agent.wait_for("the final ack", |message| message["final"] == true);

    let began = Instant::now();
    let mut slow = begin_search(&dashboard, "vera");
    wait_for("the search to begin", SOON, || {
        (load(&dashboard) > 0.2).then_some(())
    });
    // More wait than may run, and no more than may wait: of as many again, whichever comes last is refused.
    let mut waiting: Vec<TcpStream> = (0..MOST)
        .map(|_| begin_search(&dashboard, "vera"))
        .collect();
    let refused = wait_for("one too many to wait", SOON, || {
        waiting.iter_mut().find_map(refusal)
    });
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("too many searches"), "{refused}");

    // Somebody else does not wait for any of them.
    let (mut others, mut slowest) = (0, Duration::ZERO);
    while began.elapsed() < WITHIN - Duration::from_secs(3) {
        let asked = Instant::now();
        let path = format!("/api/hosts/h1/runs/{RUN}/search?q=nothing");
        let answer: Answer =
            dashboard.request("GET", &path, &[("Authorization", "Bearer otto")], b"");
        assert_eq!(answer.json()["total"], 0);
        slowest = slowest.max(asked.elapsed());
        others += 1;
    }
    let answer = answer_of(&mut slow);
    let took = began.elapsed();
    measured(&format!(
        "a search that takes for ever is ended after {took:?}; of somebody else {others} were answered meanwhile, the slowest after {slowest:?}"
    ));
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(answer.contains("over 20 s"), "{answer}");
    assert!(
        took >= WITHIN && took < WITHIN + Duration::from_secs(10),
        "{took:?}"
    );
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");

    // Whoever hangs up is not searched for any longer, and leaves no thread behind.
    drop(waiting);
    wait_for("the threads to be free", WITHIN / 2, || {
        (load(&dashboard) < 0.2).then_some(())
    });
}
