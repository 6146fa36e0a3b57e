//! Searches that take as long as they can.

use crate::common::{
    Answer, Client, Dashboard, SOON, Socket, assert_problem, measured, sha256_hex, wait_for,
};
use crate::crowd::{Crowd, OLD};
use crate::support::{RUN, begin, dial, end, output, store};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
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
    assert!(answer.contains("took more than 20 s"), "{answer}");
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

/// Expressions that take long to read (two million characters each, whose case is folded), and that take long to
/// compile, as much as there may be of either, and more.
fn dear_expressions() -> [String; 6] {
    [
        "[\\w\\W]".repeat(166),
        "[a-\u{10ffff}]".repeat(120),
        "\\p{Any}".repeat(140),
        "\\p{Any}".repeat(50),
        "(\\w{9}|\\W{9})".repeat(60),
        "x{1000}".repeat(100),
    ]
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn expressions_that_are_dear_to_read_disturb_neither_health_nor_a_run() {
    let mut crowd = Crowd::start();
    for n in 0..40 {
        let expressions = dear_expressions();
        let expression = percent_encoded(&expressions[n % expressions.len()]);
        let path = format!("/api/hosts/h1/runs/{OLD}/search?regex=1&q={expression}");
        crowd.attack(move |attacker| {
            if let Some(mut stream) = attacker.request(&path, "Connection: close\r\n") {
                attacker.read_all(&mut stream);
            }
        });
    }
    let (health, over) = (Client::of(crowd.dashboard.port), crowd.over());
    let asking = std::thread::spawn(move || {
        let (mut slowest, mut asked) = (Duration::ZERO, 0);
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            assert_eq!(health.get("/health").status, 200);
            slowest = slowest.max(began.elapsed());
            asked += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        (asked, slowest)
    });
    let (lines, slowest, grown) = crowd.stream();
    let (asked, health) = asking.join().unwrap();
    measured(&format!(
        "40 who search for dear expressions: {lines} lines, the slowest after {slowest:?}; of {asked} looks at health the slowest took {health:?}; {grown} KiB more"
    ));
    // Where they are read by the threads of all requests it is a quarter of a minute.
    assert!(slowest < Duration::from_secs(4), "{slowest:?}");
    assert!(health < Duration::from_secs(4), "{health:?}");
    assert!(grown < 100_000, "{grown} KiB");
}

#[test]
fn what_is_wrong_with_an_expression_is_told_in_plain_words() {
    let dashboard = Dashboard::start(&["h1"]);
    store(&dashboard, RUN, &["x"]);
    for (expression, words) in [
        ("(", "Invalid regular expression: unclosed group"),
        ("a)", "Invalid regular expression: unopened group"),
        ("[a", "Invalid regular expression: unclosed character class"),
        (
            "x{99999}{999}",
            "Invalid regular expression: it is too large; repeat less in it",
        ),
        (
            &"[\\w\\W]".repeat(166),
            "Invalid regular expression: it has over 50 classes of many characters (\\w, \\p{L}, [^a]); use fewer",
        ),
    ] {
        let expression = percent_encoded(expression);
        let path = format!("/api/hosts/h1/runs/{RUN}/search?regex=1&q={expression}");
        let answer = dashboard.get(&path);
        assert_problem(&answer, 400);
        assert_eq!(answer.json()["detail"], words);
    }
}
